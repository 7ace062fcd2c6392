//! The messages on the data channel: JSON text, one object each (protocol.md section 8).
//!
//! Unknown fields are ignored, so that a later version can add some; an unknown type is
//! [`Unknown`](ConsumerMessage::Unknown), which is answered with an error and changes nothing.

mod codec;
mod consumer;
mod provider;
mod tolerant;

pub use codec::{DecodeError, MAX_MESSAGE, MAX_WORDS, decode, encode, words};
pub use consumer::{ClosingOffer, ConsumerMessage};
pub use provider::{ChannelState, GateState, ProviderMessage};

use serde::{Deserialize, Serialize};

/// The label of the data channel.
pub const DATA_CHANNEL_LABEL: &str = "streamium-pay";

/// The subprotocol of the data channel.
pub const DATA_CHANNEL_PROTOCOL: &str = "streamium-pay/1";

/// The kinds of error that are told to the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    /// Not a message: no JSON, a wrong field, too long.
    Malformed,
    /// A message type this version does not know.
    UnknownType,
    /// A message that has no place in this state.
    Unexpected,
    /// No version in common.
    Version,
    /// Another chain.
    Chain,
    /// A payment that is not valid.
    Payment,
    /// Too many messages.
    Flood,
    /// An own failure, not the peer's.
    Internal,
    /// A code this version does not know.
    #[serde(other)]
    Other,
}
