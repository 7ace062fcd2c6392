//! How a session stands, for statistics.

use super::session::ConsumerSession;
use super::state::State;
use crate::money::Msat;
use bitcoin::{Amount, OutPoint};
use std::time::Duration;

/// A session at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// What arrived by our own count.
    pub consumed: Msat,
    /// What may still be paid.
    pub budget_left: Amount,
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
    /// What was paid through it.
    pub paid: Amount,
    /// How deep the provider says that its commitment is.
    pub confirmations: u32,
}

impl ConsumerSession {
    /// How it stands now.
    pub fn figures(&self, now: Duration) -> Figures {
        let open = match &self.state {
            State::Open(open) => Some(&**open),
            _ => None,
        };
        Figures {
            consumed: open.map_or(Msat::ZERO, |open| open.purse.consumed(now)),
            budget_left: self.judged().budget,
            channel: open.map(|open| ChannelFigures {
                outpoint: open.channel.outpoint(),
                capacity: open.channel.channel.contract().capacity(),
                paid: open.purse.paid(),
                confirmations: open.channel.confirmations,
            }),
        }
    }
}
