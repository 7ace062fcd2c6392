//! Where a session is.

use super::resuming::Resuming;
use super::{ChannelKey, CommitmentStatus};
use crate::contract::{Channel, Contract};
use crate::payment::Payment;
use bitcoin::Amount;

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    AwaitHello,
    Offered,
    Resuming(Resuming),
    Accepted(Contract),
    Open(Box<OpenChannel>),
    Ended,
}

/// A channel with its money in it.
#[derive(Debug)]
pub(super) struct OpenChannel {
    pub(super) channel: Channel,
    pub(super) key: ChannelKey,
    pub(super) best: Option<Payment>,
    pub(super) status: CommitmentStatus,
    /// Some server has known the commitment since it became this session's.
    pub(super) seen: bool,
    /// What may count of it before it is confirmed.
    pub(super) unconfirmed_limit: Amount,
    /// The channel that goes on when this one is used up.
    pub(super) next: Next,
}

/// How far the next channel is.
#[derive(Debug)]
pub(super) enum Next {
    None,
    /// The consumer has asked for terms; a fresh key is wanted.
    Wanted,
    Offered(ChannelKey),
    Accepted(ChannelKey, Contract),
    /// The first payment through it makes it the session's.
    Ready(Box<OpenChannel>),
}

impl OpenChannel {
    pub(super) const fn new(
        channel: Channel,
        key: ChannelKey,
        best: Option<Payment>,
        unconfirmed_limit: Amount,
    ) -> Self {
        Self {
            channel,
            key,
            best,
            status: CommitmentStatus::Mempool,
            seen: false,
            unconfirmed_limit,
            next: Next::None,
        }
    }

    pub(super) const fn confirmations(&self) -> u32 {
        match self.status {
            CommitmentStatus::Confirmed { confirmations } => confirmations,
            CommitmentStatus::Mempool | CommitmentStatus::Missing => 0,
        }
    }

    pub(super) const fn is_confirmed(&self, min_confirmations: u16) -> bool {
        // Not `u32::from`, which is not const.
        self.confirmations() >= min_confirmations as u32 && !matches!(self.status, CommitmentStatus::Missing)
    }

    /// How much of its balance counts; `None`: all of it.
    pub(super) const fn limit(&self, min_confirmations: u16) -> Option<Amount> {
        match self.status {
            CommitmentStatus::Missing => Some(Amount::ZERO),
            _ if self.is_confirmed(min_confirmations) => None,
            _ => Some(self.unconfirmed_limit),
        }
    }

    /// Whether it has to be settled now (see `SETTLEMENT_MARGIN`).
    pub(super) fn is_at_deadline(&self, confirmations: u32) -> bool {
        confirmations >= self.channel.contract().delay().last_usable_confirmation()
    }
}

impl State {
    pub(super) const fn words(&self) -> &'static str {
        match self {
            State::AwaitHello => "hello is awaited",
            State::Offered => "open is awaited",
            State::Resuming(_) => "a channel is being looked up",
            State::Accepted(_) => "the commitment is awaited",
            State::Open(_) => "the channel is open",
            State::Ended => "the session is over",
        }
    }
}
