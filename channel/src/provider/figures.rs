//! How a session stands, for statistics.

use super::session::ProviderSession;
use super::state::State;
use crate::message::GateState;
use crate::money::{Msat, Rate};
use bitcoin::{Amount, OutPoint};
use std::time::Duration;

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// Whether media flows, and why not.
    pub gate: GateState,
    /// The price.
    pub rate: Rate,
    /// What all channels have paid.
    pub balance: Amount,
    /// What has been debited.
    pub consumed: Msat,
    /// How long the credit lasts.
    pub credit: Duration,
    /// The channel that pays.
    pub channel: Option<ChannelFigures>,
}

/// The channel of a session at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelFigures {
    /// Its output.
    pub outpoint: OutPoint,
    /// What is locked in it.
    pub capacity: Amount,
    /// What it has paid.
    pub balance: Amount,
    /// How deep its commitment is.
    pub confirmations: u32,
}

impl ProviderSession {
    /// How it stands now.
    pub fn figures(&self, now: Duration) -> Figures {
        let is_free = self.config.rate.is_free();
        Figures {
            gate: if is_free { GateState::Open } else { self.gate() },
            rate: self.config.rate,
            balance: self.account.total(),
            consumed: self.account.consumed(now),
            credit: if is_free {
                Duration::ZERO
            } else {
                self.account.credit(now)
            },
            channel: self.channel_figures(),
        }
    }

    fn channel_figures(&self) -> Option<ChannelFigures> {
        let State::Open(open) = &self.state else {
            return None;
        };
        Some(ChannelFigures {
            outpoint: open.channel.outpoint(),
            capacity: open.channel.contract().capacity(),
            balance: self.account.balance(),
            confirmations: open.confirmations(),
        })
    }
}
