//! What is not settled yet, and what each channel waits for.

use std::fmt;
use std::time::Duration;

use bitcoin::{Amount, OutPoint, Txid};
use streamium_channel::blocks::{BURIED_CONFIRMATIONS, RefundDelay};

use super::due::{Phase, Topic};
use super::{Engine, Heights, Outside};
use crate::report::{sats, span};

/// One channel that is not closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlook {
    pub outpoint: OutPoint,
    pub balance: Amount,
    pub waits_for: WaitsFor,
}

/// What has to happen next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// A server's answer.
    Servers,
    /// Its consumer may come back.
    Consumer { wait: Duration },
    /// Its commitment's first confirmation.
    Commitment,
    /// Others to share a settlement with, or a block.
    Batch,
    /// Cheaper fees, for so many blocks at most.
    Fees { left: u32 },
    /// A block with its settlement.
    Confirmation { txid: Txid },
    /// So many more blocks on top of its spend.
    Burial { txid: Txid, blocks: u32 },
}

impl Engine {
    /// What is left to be done, and when.
    pub fn outlook(&self, out: &Outside<'_>) -> Vec<Outlook> {
        let heights = out.heights();
        let channels = self.channels.iter();
        channels
            .map(|(outpoint, due)| Outlook {
                outpoint: *outpoint,
                balance: due.balance(),
                waits_for: heights.map_or(WaitsFor::Servers, |heights| self.waits_for(due, heights, out.now)),
            })
            .collect()
    }

    fn waits_for(&self, due: &super::due::Due, heights: Heights, now: Duration) -> WaitsFor {
        let Some(status) = due.status(heights) else {
            return WaitsFor::Servers;
        };
        match (status.spend, status.made, due.phase) {
            (Some(spend), ..) if spend.confirmations > 0 => WaitsFor::Burial {
                txid: spend.txid,
                blocks: BURIED_CONFIRMATIONS.saturating_sub(spend.confirmations),
            },
            (Some(spend), ..) => WaitsFor::Confirmation { txid: spend.txid },
            (_, _, Phase::Idle { until }) => WaitsFor::Consumer {
                wait: until.saturating_sub(now),
            },
            (_, None | Some(0), _) => WaitsFor::Commitment,
            _ => match due.made.last() {
                Some(txid) => WaitsFor::Confirmation { txid: *txid },
                None if due.said.contains(&Topic::NotWorthIt) || due.said.contains(&Topic::FeesTooHigh) => {
                    WaitsFor::Fees {
                        left: due.left(heights),
                    }
                }
                None => WaitsFor::Batch,
            },
        }
    }
}

impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Channel {}, {}: {}",
            self.outpoint,
            sats(self.balance),
            self.waits_for
        )
    }
}

impl fmt::Display for WaitsFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Servers => f.write_str("no server has said anything of it yet"),
            Self::Consumer { wait } => write!(f, "its viewer may come back for {}", span(*wait)),
            Self::Commitment => f.write_str(
                "its commitment transaction has no confirmation; it can be settled once it has one",
            ),
            Self::Batch => f.write_str("shares a settlement with others soon"),
            Self::Fees { left } => write!(
                f,
                "is not worth a settlement at the fees of now; it can wait for {} blocks more",
                left.min(&u32::from(RefundDelay::LONGEST.blocks()))
            ),
            Self::Confirmation { txid } => write!(f, "{txid} is on its way, usually within hours"),
            Self::Burial { txid, blocks } => {
                write!(f, "{txid} is confirmed, and final in {blocks} blocks")
            }
        }
    }
}
