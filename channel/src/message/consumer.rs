//! What a consumer sends.

use super::ErrorCode;
use crate::blocks::RefundDelay;
use crate::handshake::{GenesisHash, Nonce};
use crate::payment::PaymentSignature;
use crate::script::ChangeScript;
use bitcoin::secp256k1::schnorr;
use bitcoin::{Amount, OutPoint, Transaction, XOnlyPublicKey};
use serde::{Deserialize, Deserializer, Serialize};

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
        #[serde(
            default,
            deserialize_with = "list_or_null",
            skip_serializing_if = "Vec::is_empty"
        )]
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

/// An optional list: `null` stands for none, as with the other optional fields.
fn list_or_null<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<ClosingOffer>, D::Error> {
    Option::deserialize(from).map(Option::unwrap_or_default)
}
