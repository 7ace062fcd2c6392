//! The messages on the data channel: JSON text, one object each (protocol.md section 8).
//!
//! Unknown fields are ignored, so that a later version can add some; an unknown type is
//! [`Unknown`](ConsumerMessage::Unknown), which is answered with an error and changes nothing.

use crate::blocks::RefundDelay;
use crate::handshake::{GenesisHash, Nonce};
use crate::payment::PaymentSignature;
use crate::rate_offer::RateOffer;
use crate::script::ChangeScript;
use crate::terms::Terms;
use bitcoin::secp256k1::schnorr;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid, XOnlyPublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The label of the data channel.
pub const DATA_CHANNEL_LABEL: &str = "streamium-pay";

/// The subprotocol of the data channel.
pub const DATA_CHANNEL_PROTOCOL: &str = "streamium-pay/1";

/// The longest message, in bytes of UTF-8: what a data channel of GStreamer carries in one piece.
pub const MAX_MESSAGE: usize = 65_536;

/// The longest text that is repeated from a peer's message to a person, in characters.
pub const MAX_WORDS: usize = 200;

/// What a consumer sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ConsumerMessage {
    /// Begins the session.
    Hello {
        /// The protocol versions it speaks.
        versions: Vec<u16>,
        /// The chain it is on.
        chain: GenesisHash,
        /// Drawn at random for this session.
        nonce: Nonce,
    },
    /// Goes on with a channel of an earlier session.
    Resume {
        /// The channel.
        outpoint: OutPoint,
        /// Over this connection's [`Challenge`](crate::resume::Challenge), by the consumer's channel key.
        signature: schnorr::Signature,
    },
    /// Asks for terms with a fresh channel key, to open the next channel while this one still pays.
    Renew,
    /// Takes the terms and proposes a channel.
    Open {
        /// The value of the output it will make, in sat.
        #[serde(rename = "capacity_sat", with = "bitcoin::amount::serde::as_sat")]
        capacity: Amount,
        /// Its key for this channel.
        consumer_key: XOnlyPublicKey,
        /// Where its change goes.
        change_script: ChangeScript,
        /// The refund delay.
        #[serde(rename = "refund_delay_blocks")]
        refund_delay: RefundDelay,
    },
    /// The commitment transaction, which both now broadcast.
    Commitment {
        /// The signed transaction in hexadecimal.
        #[serde(with = "crate::transaction_hex")]
        transaction: Transaction,
        /// The index of the channel's output.
        output: u32,
    },
    /// Pays.
    Payment {
        /// The channel.
        outpoint: OutPoint,
        /// All that the channel has paid with this, in sat.
        #[serde(rename = "cumulative_sat", with = "bitcoin::amount::serde::as_sat")]
        cumulative: Amount,
        /// The signature over it.
        signature: PaymentSignature,
    },
    /// Takes the new rate that was offered.
    AcceptRate {
        /// The offer's number.
        number: u32,
    },
    /// The player is paused: close the gate and stop debiting.
    Pause,
    /// The player goes on.
    Play,
    /// Ends the session.
    Close {
        /// Why, for people.
        reason: String,
        /// Cooperative closes of channels whose balance is too small to settle.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        closing: Vec<ClosingOffer>,
        /// The number of the offer of a new rate that is the reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused_rate: Option<u32>,
    },
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The other side did something wrong.
    Error {
        /// What kind of error.
        code: ErrorCode,
        /// For people.
        words: String,
    },
    /// A type this version does not know.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The consumer's half of a cooperative close. The provider rebuilds the transaction from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingOffer {
    /// The channel.
    pub outpoint: OutPoint,
    /// What the provider gets, in sat.
    #[serde(rename = "balance_sat", with = "bitcoin::amount::serde::as_sat")]
    pub balance: Amount,
    /// The fee out of the consumer's change, in sat.
    #[serde(rename = "fee_sat", with = "bitcoin::amount::serde::as_sat")]
    pub fee: Amount,
    /// The consumer's signature with SIGHASH_DEFAULT.
    pub signature: schnorr::Signature,
}

/// What a provider sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ProviderMessage {
    /// Its offer.
    Terms {
        /// The offer.
        terms: Box<Terms>,
        /// By its identity key.
        signature: schnorr::Signature,
    },
    /// Takes the proposed channel.
    Accept {
        /// Where a cooperative close would pay it.
        payout_script: ScriptBuf,
    },
    /// Goes on with the channel that was named; what it holds of it.
    Resumed {
        /// The channel.
        outpoint: OutPoint,
        /// The best payment it holds, in sat.
        #[serde(rename = "balance_sat", with = "bitcoin::amount::serde::as_sat")]
        balance: Amount,
        /// Its signature; none if nothing has been paid yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signature: Option<PaymentSignature>,
        /// What earlier channels of the same account paid, in sat.
        #[serde(rename = "carried_sat", with = "bitcoin::amount::serde::as_sat")]
        carried: Amount,
        /// What it has debited since the first of them, in msat.
        consumed_msat: u64,
        /// Where a cooperative close would pay it.
        payout_script: ScriptBuf,
    },
    /// Does not go on with the channel that was named; another can be opened.
    NotResumed {
        /// The channel.
        outpoint: OutPoint,
        /// Why, for people.
        reason: String,
    },
    /// Has no room now.
    Busy {
        /// Why, for people.
        reason: String,
    },
    /// Does not take what was proposed.
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// What it knows of the channel on the chain.
    Channel {
        /// The channel.
        outpoint: OutPoint,
        /// Its state.
        #[serde(flatten)]
        state: ChannelState,
    },
    /// How the consumer's account stands.
    Credit {
        /// The channel.
        outpoint: OutPoint,
        /// The best payment it holds, in sat.
        #[serde(rename = "balance_sat", with = "bitcoin::amount::serde::as_sat")]
        balance: Amount,
        /// What it has debited since the first channel of the account, in msat.
        consumed_msat: u64,
        /// Whether media flows.
        gate: GateState,
    },
    /// Offers a new rate. The old one holds until the offer is taken.
    Rate {
        /// The offer.
        #[serde(flatten)]
        offer: RateOffer,
        /// By its identity key.
        signature: schnorr::Signature,
    },
    /// The offer was taken: what it debits from now on is at the new rate.
    RateChanged {
        /// The offer's number.
        number: u32,
    },
    /// Ends the session.
    Close {
        /// Why, for people.
        reason: String,
    },
    /// The settlement or closing transaction is on its way.
    Settled {
        /// The channel.
        outpoint: OutPoint,
        /// The transaction that spends it.
        txid: Txid,
    },
    /// Are you there?
    Ping,
    /// I am.
    Pong,
    /// The other side did something wrong.
    Error {
        /// What kind of error.
        code: ErrorCode,
        /// For people.
        words: String,
    },
    /// A type this version does not know.
    #[serde(other, skip_serializing)]
    Unknown,
}

/// The provider's view of a channel on the chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ChannelState {
    /// The commitment is accepted and handed to the network.
    Seen,
    /// It has this many confirmations; credit is not limited any more from the terms' number on.
    Confirmed {
        /// How many.
        confirmations: u32,
    },
    /// It is not taken, or was double-spent.
    Rejected {
        /// Why, for people.
        reason: String,
    },
}

/// Whether a consumer's media flows, and why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateState {
    /// Media flows.
    Open,
    /// Nothing has been paid yet.
    Unpaid,
    /// The credit has run out.
    Starved,
    /// The balance exceeds what counts before the commitment is confirmed.
    Unconfirmed,
    /// The consumer asked for it.
    Paused,
    /// Nothing has been heard from the consumer for a while.
    Silent,
    /// The session is over.
    Closed,
}

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

/// Why text is no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("the message has {0} bytes; it may have {MAX_MESSAGE}")]
    TooLong(usize),
    /// Not JSON of a known form.
    #[error("not a message: {0}")]
    Json(String),
}

/// Reads a message.
///
/// # Errors
/// See [`DecodeError`]. A type that is not known is no error but `Unknown`.
pub fn decode<M: DeserializeOwned>(text: &str) -> Result<M, DecodeError> {
    if text.len() > MAX_MESSAGE {
        return Err(DecodeError::TooLong(text.len()));
    }
    serde_json::from_str(text).map_err(|e| DecodeError::Json(words(&e.to_string())))
}

/// Writes a message.
///
/// # Errors
/// Never for messages of this crate; serde_json wants it said.
pub fn encode<M: Serialize>(message: &M) -> Result<String, DecodeError> {
    serde_json::to_string(message).map_err(|e| DecodeError::Json(e.to_string()))
}

/// A peer's words as they may be shown: no control characters, at most [`MAX_WORDS`] characters.
pub fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_fields_are_ignored_and_unknown_types_known_as_such() {
        let ping = decode::<ConsumerMessage>(r#"{"type":"ping","later":[1,{"x":null}]}"#);
        assert_eq!(ping, Ok(ConsumerMessage::Ping));
        let later = decode::<ConsumerMessage>(r#"{"type":"teleport","to":7}"#);
        assert_eq!(later, Ok(ConsumerMessage::Unknown));
        let code = decode::<ProviderMessage>(r#"{"type":"error","code":"zap","words":"x"}"#);
        assert!(matches!(
            code,
            Ok(ProviderMessage::Error {
                code: ErrorCode::Other,
                ..
            })
        ));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let long = format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(MAX_MESSAGE));
        for text in ["", "null", "[]", "{}", "{\"type\":7}", "\"ping\"", &deep, &long] {
            assert!(decode::<ConsumerMessage>(text).is_err(), "{}", words(text));
            assert!(decode::<ProviderMessage>(text).is_err(), "{}", words(text));
        }
    }

    #[test]
    fn a_transaction_that_ends_too_early_is_an_error() {
        for hex in [
            "",
            "0",
            "zz",
            "02",
            "0200000000",
            "020000000001",
            &"00".repeat(64),
        ] {
            let text = format!(r#"{{"type":"commitment","transaction":"{hex}","output":0}}"#);
            assert!(decode::<ConsumerMessage>(&text).is_err(), "{hex}");
        }
    }

    const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn an_open_with_impossible_parts_is_refused_when_read() {
        let good = format!(
            r#"{{"type":"open","capacity_sat":50000,"consumer_key":"{}","change_script":"5120{}","refund_delay_blocks":288}}"#,
            KEY,
            "11".repeat(32)
        );
        assert!(decode::<ConsumerMessage>(&good).is_ok());
        for (from, to) in [
            ("288", "0"),
            ("288", "65536"),
            ("288", "4194592"),
            (KEY, &"ff".repeat(32)),
            ("5120", "0020"),
            ("5120", "5220"),
            ("50000", "-1"),
            ("50000", "0.5"),
        ] {
            assert!(
                decode::<ConsumerMessage>(&good.replacen(from, to, 1)).is_err(),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn a_peers_words_are_tamed() {
        let tamed = words(&format!("a\u{1b}[31m\nb{}", "x".repeat(1_000)));
        assert!(tamed.starts_with("a[31mb") && tamed.chars().count() == MAX_WORDS);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}", fields in "[{}\\[\\]\":,a-z0-9]{0,200}") {
            let _ = decode::<ConsumerMessage>(&text);
            let _ = decode::<ProviderMessage>(&fields);
            let _ = decode::<ConsumerMessage>(&format!("{{\"type\":\"payment\",{fields}}}"));
        }
    }
}
