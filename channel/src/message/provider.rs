//! What a provider sends.

use super::ErrorCode;
use crate::payment::PaymentSignature;
use crate::rate_offer::RateOffer;
use crate::terms::Terms;
use bitcoin::secp256k1::schnorr;
use bitcoin::{Amount, OutPoint, ScriptBuf, Txid};
use serde::{Deserialize, Serialize};

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
