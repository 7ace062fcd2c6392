//! What a peer can do wrong, and the one table that says how it is answered (protocol.md section 9).

use crate::commitment::CommitmentError;
use crate::contract::CapacityError;
use crate::keys::KeysError;
use crate::message::{DecodeError, ErrorCode};
use crate::payment::PaymentError;
use crate::record::RecordError;
use crate::script::ScriptError;
use crate::terms::TermsError;
use bitcoin::{Amount, OutPoint};
use thiserror::Error;

/// A peer's mistake or attack. None of them changes anything of value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Not a message.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
    /// Not text.
    #[error("a binary or oversize message")]
    NotText,
    /// A message type that this version does not know.
    #[error("unknown message type")]
    UnknownType,
    /// A message that has no place now.
    #[error("{message} has no place while {state}")]
    Unexpected {
        /// The message's type.
        message: &'static str,
        /// What we were waiting for.
        state: &'static str,
    },
    /// More messages than a session needs.
    #[error("too many messages")]
    Flood,
    /// No version in common.
    #[error("no protocol version in common; this side speaks version 1")]
    Version,
    /// Another chain.
    #[error("this side is on another chain")]
    Chain,
    /// The proposed capacity is not within the terms.
    #[error("a capacity of {capacity} is not from {min} to {max}")]
    Capacity {
        /// What was proposed.
        capacity: Amount,
        /// The terms' least.
        min: Amount,
        /// The terms' largest.
        max: Amount,
    },
    /// The proposed refund delay is not within the terms.
    #[error("a refund delay of {delay} blocks is not from {min} to {max}")]
    Delay {
        /// What was proposed.
        delay: u16,
        /// The terms' shortest.
        min: u16,
        /// The terms' longest.
        max: u16,
    },
    /// See [`CapacityError`].
    #[error(transparent)]
    TooSmall(#[from] CapacityError),
    /// See [`KeysError`].
    #[error(transparent)]
    Keys(#[from] KeysError),
    /// See [`CommitmentError`].
    #[error(transparent)]
    Commitment(#[from] CommitmentError),
    /// A message about a channel that is not this session's.
    #[error("the message is about another channel")]
    OtherChannel,
    /// See [`PaymentError`].
    #[error(transparent)]
    Payment(#[from] PaymentError),
    /// The first payment does not cover its own settlement.
    #[error("the first payment is {offered}; the terms ask for at least {opening}")]
    Opening {
        /// What was paid.
        offered: Amount,
        /// What the terms ask for.
        opening: Amount,
    },
    /// See [`TermsError`].
    #[error(transparent)]
    Terms(#[from] TermsError),
    /// The provider counts far more time than arrived here.
    #[error("the provider has debited {reported_msat} msat, but media for only {own_msat} msat arrived")]
    Drift {
        /// The provider's count.
        reported_msat: u64,
        /// The own count.
        own_msat: u64,
    },
    /// The consumer's proof for a channel is not its key's over this connection.
    #[error("the proof for channel {0} is not by its key over this connection")]
    Proof(OutPoint),
    /// What the provider says it holds of a channel that goes on is not what we have.
    #[error("the provider's account of the channel is wrong: its {0}")]
    Resumption(&'static str),
    /// The record of the channel that was to go on is damaged: not the peer's fault.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A channel that goes on under other terms than were agreed.
    #[error("the provider changed its {0} for the next channel")]
    Renewal(&'static str),
    /// An answer to a new rate that was not offered, or has been answered.
    #[error("no new rate number {0} is offered")]
    RateAnswer(u32),
    /// An offer of a new rate that does not come after the last.
    #[error("the new rate number {number} does not come after number {last}")]
    StaleRate {
        /// Of the offer.
        number: u32,
        /// Of the last offer.
        last: u32,
    },
    /// New rates faster than anybody can think about them.
    #[error("the provider changes its rate too often")]
    RateFlood,
    /// See [`ScriptError`]: not the peer's fault, but met while working on its message.
    #[error(transparent)]
    Script(#[from] ScriptError),
}

/// What is done about a fault, besides telling the peer and the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The message is answered with an error and changes nothing; the session goes on.
    Answer,
    /// The session ends. A channel that is open by then is settled as it stands.
    Close,
}

impl Fault {
    /// The code that is sent, and what is done.
    pub const fn verdict(&self) -> (ErrorCode, Reaction) {
        use {ErrorCode as C, Reaction as R};
        match self {
            Fault::UnknownType => (C::UnknownType, R::Answer),
            Fault::Unexpected { .. } => (C::Unexpected, R::Answer),
            Fault::OtherChannel => (C::Payment, R::Answer),
            Fault::Payment(PaymentError::Lower { .. }) => (C::Payment, R::Answer),
            Fault::Payment(_) | Fault::Opening { .. } | Fault::Proof(_) => (C::Payment, R::Close),
            // What has been agreed goes on to its end.
            Fault::Renewal(_) => (C::Other, R::Answer),
            Fault::Malformed(_) | Fault::NotText => (C::Malformed, R::Close),
            Fault::RateAnswer(_) | Fault::StaleRate { .. } => (C::Unexpected, R::Answer),
            Fault::Flood | Fault::RateFlood => (C::Flood, R::Close),
            Fault::Version => (C::Version, R::Close),
            Fault::Chain => (C::Chain, R::Close),
            Fault::Script(_) | Fault::Record(_) => (C::Internal, R::Close),
            Fault::Capacity { .. }
            | Fault::Delay { .. }
            | Fault::TooSmall(_)
            | Fault::Keys(_)
            | Fault::Commitment(_)
            | Fault::Terms(_)
            | Fault::Drift { .. }
            | Fault::Resumption(_) => (C::Other, R::Close),
        }
    }
}
