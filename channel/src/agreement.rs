//! What was agreed about a channel, and what of it a later offer may change (protocol.md section 4, "What may change").
//!
//! [`Agreement::continues`] goes through every field of the terms, whenever terms come for somebody who has agreed to
//! some before: on a new connection, for the next channel, or after a channel that does not go on.

use crate::money::Rate;
use crate::terms::{Terms, Track};
use bitcoin::{Amount, FeeRate};
use serde::{Deserialize, Serialize};

/// The terms that still matter once a channel is open. All else of them is in its contract, or belongs to one
/// connection. Part of the consumer's record, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agreement {
    /// The price.
    #[serde(rename = "rate_msat_per_s")]
    pub rate: Rate,
    /// The first payment.
    #[serde(rename = "opening_sat", with = "bitcoin::amount::serde::as_sat")]
    pub opening: Amount,
    /// How far ahead the consumer stays, in milliseconds.
    pub window_ms: u32,
    /// The tracks that are sold.
    pub tracks: Vec<Track>,
    /// The least fee rate of the commitment, in sat per 1,000 vB: that of a cooperative close.
    pub commitment_fee_rate_sat_per_kvb: u64,
    /// From how many confirmations on the whole balance counts.
    pub min_confirmations: u16,
    /// How much of it counts before that.
    #[serde(rename = "unconfirmed_limit_sat", with = "bitcoin::amount::serde::as_sat")]
    pub unconfirmed_limit: Amount,
    /// How long a channel without credit is kept, in milliseconds.
    pub settle_delay_ms: u32,
}

/// For what terms are offered to somebody who has agreed to others before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// An open channel goes on over another connection.
    Resumed {
        /// Its first payment has been made, so none is owed again.
        opened: bool,
    },
    /// A channel is opened: the first, the next one of a running session, or another after one that does not go on.
    Opened,
}

impl Agreement {
    /// To these terms.
    pub fn of(terms: &Terms) -> Self {
        Self {
            rate: terms.rate,
            opening: terms.opening,
            window_ms: terms.window_ms,
            tracks: terms.tracks.clone(),
            commitment_fee_rate_sat_per_kvb: terms.commitment_fee_rate_sat_per_kvb,
            min_confirmations: terms.min_confirmations,
            unconfirmed_limit: terms.unconfirmed_limit,
            settle_delay_ms: terms.settle_delay_ms,
        }
    }

    /// Returns what holds on another connection: its terms, which have been judged and agreed to; but the first
    /// payment and the commitment's fee rate belong to when the channel was opened. `None`: it is not known what was
    /// agreed then.
    pub fn resumed(then: Option<&Agreement>, terms: &Terms) -> Self {
        Self {
            opening: then.map_or(Amount::ZERO, |then| then.opening),
            commitment_fee_rate_sat_per_kvb: then.map_or(0, |then| then.commitment_fee_rate_sat_per_kvb),
            ..Self::of(terms)
        }
    }

    /// Whether the offer is equal to what was agreed, or better for the consumer, in all that matters at this stage.
    ///
    /// # Errors
    /// The name of the first field that is not: that offer has to be judged, and asked about, like new terms.
    pub fn continues(&self, offered: &Terms, stage: Stage) -> Result<(), &'static str> {
        // No field is left out: one that the terms gain has to be thought about here.
        let Terms {
            rate,
            tracks,
            window_ms,
            opening,
            min_confirmations,
            unconfirmed_limit,
            settle_delay_ms,
            // Whose terms they are, and for which connection: verified each time.
            version: _,
            chain: _,
            stream: _,
            provider_certificate: _,
            consumer_certificate: _,
            provider_nonce: _,
            consumer_nonce: _,
            // Of a channel that is opened, and judged then; an open one has its contract and its commitment.
            min_capacity: _,
            max_capacity: _,
            min_refund_delay: _,
            max_refund_delay: _,
            commitment_fee_rate_sat_per_kvb: _,
            channel_key: _,
            // Of this offer alone.
            valid_ms: _,
        } = offered;
        let owes_opening = stage != Stage::Resumed { opened: true };
        let checks = [
            ("rate", *rate == self.rate),
            ("tracks", *tracks == self.tracks),
            ("window", *window_ms <= self.window_ms),
            ("opening payment", !owes_opening || *opening <= self.opening),
            ("confirmations", *min_confirmations <= self.min_confirmations),
            ("unconfirmed limit", *unconfirmed_limit >= self.unconfirmed_limit),
            ("settle delay", *settle_delay_ms >= self.settle_delay_ms),
        ];
        match checks.into_iter().find(|(_, holds)| !holds) {
            Some((what, _)) => Err(what),
            None => Ok(()),
        }
    }

    /// The commitment's least fee rate, rounded up to what the type can hold.
    pub fn commitment_fee_rate(&self) -> FeeRate {
        FeeRate::from_sat_per_kwu(self.commitment_fee_rate_sat_per_kvb.div_ceil(4))
    }
}
