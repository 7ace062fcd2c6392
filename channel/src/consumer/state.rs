//! Where a session is.

use super::{ChannelKeys, ConsumerEnd, Purse, Resumable};
use crate::agreement::Agreement;
use crate::contract::{Channel, Contract};
use crate::message::GateState;
use crate::terms::Terms;
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf};
use std::time::Duration;

#[derive(Debug)]
pub(super) enum State {
    AwaitTerms,
    /// A free stream, or terms refused by nobody yet: nothing is locked.
    Free,
    /// The application is asked about the terms.
    Authorizing(Box<Terms>),
    Resuming(Box<Terms>, Box<Resumable>),
    /// The first channel is being opened.
    Opening(Opening),
    Open(Box<Paying>),
    Closing(OutPoint, ConsumerEnd),
    Ended,
}

/// A channel that is being opened: the first of a session, or the next one.
#[derive(Debug)]
pub(super) enum Opening {
    AwaitFunds(Box<Terms>),
    /// The wallet can pay: fresh keys are wanted, and nothing of them is used up before.
    AwaitKeys(Box<Terms>),
    Asked(Box<Terms>, Box<ChannelKeys>, Contract),
    Building(Box<Terms>, Box<ChannelKeys>, Contract, ScriptBuf),
}

/// The channel that the session pays through, and how it stands.
#[derive(Debug)]
pub(super) struct Paying {
    pub(super) channel: ConsumerChannel,
    /// The channels before it: what was on its way about them may still arrive.
    pub(super) former: Vec<OutPoint>,
    pub(super) next: Next,
    pub(super) terms: Terms,
    /// The terms under which the account goes on.
    pub(super) agreed: Agreement,
    pub(super) purse: Purse,
    pub(super) gate: GateState,
    pub(super) paid_at: Duration,
    pub(super) exhausted: bool,
    /// When the own count was last recorded.
    pub(super) recorded_at: Duration,
}

/// A channel with our money in it.
#[derive(Debug)]
pub(super) struct ConsumerChannel {
    pub(super) channel: Channel,
    pub(super) key: Keypair,
    /// Its first payment.
    pub(super) opening: Amount,
    /// The fee rate that was agreed for its commitment, and to whom a cooperative close would pay.
    pub(super) fee_rate: FeeRate,
    pub(super) payout: ScriptBuf,
    /// The provider has acknowledged the commitment: it may be paid.
    pub(super) acknowledged: bool,
    pub(super) confirmations: u32,
}

/// How far the next channel is.
#[derive(Debug)]
pub(super) enum Next {
    /// None is wanted, or not before this time.
    None { not_before: Duration },
    /// Terms are awaited, since then.
    AwaitTerms(Duration),
    /// The application is asked about them, since then.
    Considered(Box<Terms>, Duration),
    /// Since then.
    Opening(Opening, Duration),
    /// It takes over when the present one is used up.
    Ready(Box<ConsumerChannel>),
}

impl ConsumerChannel {
    pub(super) const fn outpoint(&self) -> OutPoint {
        self.channel.outpoint()
    }
}

impl Paying {
    /// The present channel or the next.
    pub(super) fn channel_mut(&mut self, outpoint: OutPoint) -> Option<&mut ConsumerChannel> {
        match &mut self.next {
            _ if self.channel.outpoint() == outpoint => Some(&mut self.channel),
            Next::Ready(next) if next.outpoint() == outpoint => Some(next),
            _ => None,
        }
    }
}

impl Opening {
    pub(super) const fn terms(&self) -> &Terms {
        match self {
            Opening::AwaitFunds(terms)
            | Opening::AwaitKeys(terms)
            | Opening::Asked(terms, ..)
            | Opening::Building(terms, ..) => terms,
        }
    }

    pub(super) const fn terms_mut(&mut self) -> &mut Terms {
        match self {
            Opening::AwaitFunds(terms)
            | Opening::AwaitKeys(terms)
            | Opening::Asked(terms, ..)
            | Opening::Building(terms, ..) => terms,
        }
    }
}

impl State {
    /// No channel is open yet: the provider may still say that it has no room.
    pub(super) const fn is_before_channel(&self) -> bool {
        matches!(
            self,
            State::AwaitTerms | State::Free | State::Authorizing(_) | State::Resuming(..) | State::Opening(_)
        )
    }

    /// A channel has been proposed.
    pub(super) const fn awaits_accept(&self) -> bool {
        match self {
            State::Opening(opening) => matches!(opening, Opening::Asked(..)),
            State::Open(open) => matches!(open.next, Next::Opening(Opening::Asked(..), _)),
            _ => false,
        }
    }

    pub(super) const fn words(&self) -> &'static str {
        match self {
            State::AwaitTerms => "terms are awaited",
            State::Free => "the stream is free",
            State::Authorizing(_) => "the terms are considered",
            State::Resuming(..) => "resumed is awaited",
            State::Opening(Opening::AwaitFunds(_) | Opening::AwaitKeys(_)) => "funds are awaited",
            State::Opening(Opening::Asked(..)) => "accept is awaited",
            State::Opening(Opening::Building(..)) => "the commitment is being made",
            State::Open(_) => "the channel is open",
            State::Closing(..) => "the settlement is awaited",
            State::Ended => "the session is over",
        }
    }
}
