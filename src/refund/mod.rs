//! Refunds: what the consumer gets back of a channel that its provider never settled, and how its commitment is kept
//! moving.
//!
//! [`HeldChannel::step`] decides from what the chain says; [`Engine`] carries out, and records first. The consumer's
//! driver and the command line ([`Runner`]) use the same engine. [`backup`] is what a channel needs beside the seed.
//!
//! Each refund is a transaction of its own. Several in one would save about 30 vB a channel, but one provider's late
//! settlement, or one reorganised commitment, would undo the refund of all, and the chain would show that they belong
//! together.

pub mod backup;
pub mod descriptor;
mod engine;
pub mod fees;
mod held;
mod making;
mod notices;
mod opening;
pub mod restore;
mod runner;
#[cfg(test)]
mod tests;

use bitcoin::secp256k1::Keypair;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;
use streamium_channel::contract::Channel;

use crate::chain::OutpointStatus;
use crate::store::Made;
pub use engine::{Engine, Means};
use fees::Market;
pub use held::Position;
pub use opening::OpeningError;
pub use runner::{Runner, RunnerError};

/// A spend this deep ends the watch over a channel: twice the depth that counts as buried, so that even a
/// reorganisation of just that depth is noticed and the refund handed out again.
pub const CLOSED_CONFIRMATIONS: u32 = 2 * BURIED_CONFIRMATIONS;

/// Once the refund leaf is open, an unconfirmed spend by the provider is waited for so many blocks: four hours. Then the
/// refund is handed out all the same, and the chain decides.
pub const PATIENCE_BLOCKS: u32 = 24;

/// And no longer than until the refund leaf has been open for so many: a day, however often this program was started
/// anew meanwhile.
pub const LATEST_BLOCKS: u32 = 144;

/// A channel that may still hold the consumer's money.
#[derive(Debug)]
pub struct HeldChannel {
    pub channel: Channel,
    pub key: Keypair,
    pub commitment: Transaction,
    /// Where all its refunds go, once reserved.
    pub refund_script: Option<ScriptBuf>,
    /// Since when the commitment may confirm; `None` before that is known, and while it is confirmed.
    pub committed_height: Option<u32>,
    /// The tip's height when a spend was last seen in a block: what comes back out of one is not stuck yet.
    pub mined_height: Option<u32>,
    /// The tip's height when an unconfirmed spend that is not ours was first seen while the refund leaf was open.
    pub spend_since: Option<u32>,
    /// Every refund made, the newest last.
    pub refunds: Vec<Made>,
    /// Every child of the commitment made, the newest last.
    pub children: Vec<Made>,
}

/// What to do next with it.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand the commitment out again: no server knows it. Its coins stay reserved, since the provider has it.
    Recommit,
    /// The commitment is in the mempool: a child may have to lift it.
    Unconfirmed,
    /// Nothing now: this many blocks until the refund leaf opens.
    Wait { blocks: u32 },
    /// Make a refund at this rate, in place of those made before.
    Refund { fee_rate: FeeRate },
    /// Hand out what has been made already.
    HandOut(Transaction),
    /// A spend is on its way; `ours` if it is a refund.
    Closing {
        txid: Txid,
        confirmations: u32,
        ours: bool,
    },
    /// A spend is so deep that the watch ends.
    Closed { txid: Txid, ours: bool },
}

impl HeldChannel {
    /// Decides. A provider's spend that the servers know pays us our change: it is competed with only after
    /// [`PATIENCE_BLOCKS`], or from [`LATEST_BLOCKS`] on.
    pub fn step(&self, status: OutpointStatus, market: &Market) -> Step {
        if let Some(spend) = status.spend {
            let (txid, confirmations) = (spend.txid, spend.confirmations);
            let ours = self.refunds.iter().any(|made| made.tx.compute_txid() == txid);
            return match confirmations {
                CLOSED_CONFIRMATIONS.. => Step::Closed { txid, ours },
                0 if ours => self.refund(market, Some(txid)),
                0 if self.has_waited(status, market.height) => self.refund(market, None),
                _ => Step::Closing {
                    txid,
                    confirmations,
                    ours,
                },
            };
        }
        match status.made {
            None => Step::Recommit,
            Some(0) => Step::Unconfirmed,
            // The next block's transactions see one confirmation more than there are now; the node counts so too.
            Some(confirmations) => {
                let delay = u32::from(self.channel.contract().delay().blocks());
                match delay.saturating_sub(confirmations) {
                    0 => self.refund(market, None),
                    blocks => Step::Wait { blocks },
                }
            }
        }
    }

    /// The refund may be mined: the first one, a better one, or the last one again. `known`: one is in the mempool.
    fn refund(&self, market: &Market, known: Option<Txid>) -> Step {
        let Some(newest) = self.refunds.last() else {
            let fee_rate = market.first();
            return Step::Refund { fee_rate };
        };
        let paid = newest.fee / newest.tx.weight();
        let since = self
            .mined_height
            .map_or(newest.height, |mined| mined.max(newest.height));
        if let Some(fee_rate) = market.next(paid, since) {
            return Step::Refund { fee_rate };
        }
        match known {
            Some(txid) if txid == newest.tx.compute_txid() => Step::Closing {
                txid,
                confirmations: 0,
                ours: true,
            },
            _ => Step::HandOut(newest.tx.clone()),
        }
    }
}
