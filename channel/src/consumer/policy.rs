//! What an unattended consumer accepts. Anything above is refused and said, never paid.

use crate::blocks::RefundDelay;
use crate::contract::{CapacityError, Contract};
use crate::money::Rate;
use crate::terms::Terms;
use bitcoin::{Amount, FeeRate};
use std::time::Duration;
use thiserror::Error;

/// The opening payment may be at most this part of the capacity.
const OPENING_PART: u64 = 4;

/// Below, nodes with the usual settings do not pass a transaction on.
const RELAY_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// The consumer's bounds and wishes.
#[derive(Clone, Copy, Debug)]
pub struct ConsumerPolicy {
    /// The highest rate.
    pub max_rate: Rate,
    /// The highest opening payment.
    pub max_opening: Amount,
    /// The longest window.
    pub max_window: Duration,
    /// The highest fee rate of a commitment.
    pub max_fee_rate: FeeRate,
    /// How much to lock in a channel.
    pub capacity: Amount,
    /// How much to pay at most, through all channels.
    pub budget: Amount,
    /// The refund delay to ask for.
    pub refund_delay: RefundDelay,
    /// How often to pay.
    pub payment_interval: Duration,
}

/// Why terms are not accepted. Each names the property that allows more.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// See [`ConsumerPolicy::max_rate`].
    #[error("the rate of {} msat/s is above max-rate ({} msat/s)", .rate.msat_per_s(), .max.msat_per_s())]
    Rate {
        /// In the terms.
        rate: Rate,
        /// Accepted.
        max: Rate,
    },
    /// See [`ConsumerPolicy::max_opening`].
    #[error(
        "the opening payment of {opening} is above {max} (the least of max-opening and a quarter of capacity)"
    )]
    Opening {
        /// In the terms.
        opening: Amount,
        /// Accepted.
        max: Amount,
    },
    /// See [`ConsumerPolicy::max_window`].
    #[error("the window of {} ms is above max-window ({} ms)", .window.as_millis(), .max.as_millis())]
    Window {
        /// In the terms.
        window: Duration,
        /// Accepted.
        max: Duration,
    },
    /// See [`ConsumerPolicy::max_fee_rate`].
    #[error("the commitment's fee rate of {fee_rate} sat/vB is above max-fee-rate ({max} sat/vB)")]
    FeeRate {
        /// In the terms, rounded up.
        fee_rate: u64,
        /// Accepted, rounded up.
        max: u64,
    },
    /// See [`ConsumerPolicy::capacity`].
    #[error("the provider takes channels from {min} to {max}; capacity is {capacity}")]
    Capacity {
        /// Wished.
        capacity: Amount,
        /// The terms' least.
        min: Amount,
        /// The terms' largest.
        max: Amount,
    },
    /// See [`ConsumerPolicy::refund_delay`].
    #[error("the provider takes refund delays from {min} to {max} blocks; refund-delay is {delay}")]
    Delay {
        /// Wished.
        delay: u16,
        /// The terms' shortest.
        min: u16,
        /// The terms' longest.
        max: u16,
    },
    /// See [`ConsumerPolicy::budget`].
    #[error("the opening payment of {opening} is above the budget of {budget}")]
    Budget {
        /// In the terms.
        opening: Amount,
        /// The most to pay.
        budget: Amount,
    },
    /// The application said no.
    #[error("the application does not agree to it (authorize-terms)")]
    Application,
    /// The application said nothing while the offer was valid.
    #[error("the application did not answer while the offer was valid (authorize-terms)")]
    Unanswered,
    /// See [`CapacityError`].
    #[error(transparent)]
    TooSmall(#[from] CapacityError),
}

impl ConsumerPolicy {
    /// Holds verified terms of a paid stream against the bounds; answers the capacity to open with.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn judge(&self, terms: &Terms) -> Result<Amount, Refusal> {
        self.judge_price(terms)?;
        let capacity = self.judge_commitment(terms)?;
        self.judge_opening(terms, capacity)?;
        Ok(capacity)
    }

    /// The capacity to open a channel with under these terms.
    pub(super) fn capacity_under(&self, terms: &Terms) -> Amount {
        self.capacity.min(terms.max_capacity)
    }

    /// Holds what has to be accepted in any case against the bounds, also to go on with an open channel.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn judge_price(&self, terms: &Terms) -> Result<(), Refusal> {
        if terms.rate > self.max_rate {
            return Err(Refusal::Rate {
                rate: terms.rate,
                max: self.max_rate,
            });
        }
        if terms.window() > self.max_window {
            return Err(Refusal::Window {
                window: terms.window(),
                max: self.max_window,
            });
        }
        Ok(())
    }

    fn judge_commitment(&self, terms: &Terms) -> Result<Amount, Refusal> {
        if terms.commitment_fee_rate() > self.max_fee_rate {
            let (fee_rate, max) = (terms.commitment_fee_rate(), self.max_fee_rate);
            return Err(Refusal::FeeRate {
                fee_rate: fee_rate.to_sat_per_vb_ceil(),
                max: max.to_sat_per_vb_ceil(),
            });
        }
        let (delay, min, max) = (self.refund_delay, terms.min_refund_delay, terms.max_refund_delay);
        if delay < min || delay > max {
            return Err(Refusal::Delay {
                delay: delay.blocks(),
                min: min.blocks(),
                max: max.blocks(),
            });
        }
        let capacity = self.capacity_under(terms);
        if capacity < terms.min_capacity {
            let (min, max) = (terms.min_capacity, terms.max_capacity);
            return Err(Refusal::Capacity {
                capacity: self.capacity,
                min,
                max,
            });
        }
        Ok(capacity)
    }

    /// Holds a first payment that is still to be made against the bounds.
    pub(super) fn judge_opening(&self, terms: &Terms, capacity: Amount) -> Result<(), Refusal> {
        let max = self
            .max_opening
            .min(capacity.checked_div(OPENING_PART).unwrap_or(Amount::ZERO));
        if terms.opening > max {
            return Err(Refusal::Opening {
                opening: terms.opening,
                max,
            });
        }
        if terms.opening > self.budget {
            return Err(Refusal::Budget {
                opening: terms.opening,
                budget: self.budget,
            });
        }
        Ok(())
    }

    /// The commitment's fee rate: what the chain suggests, at least what the terms ask and what is relayed, at most
    /// what is allowed.
    pub fn fee_rate(&self, terms: &Terms, suggested: Option<FeeRate>) -> FeeRate {
        let least = terms.commitment_fee_rate();
        self.relayed(suggested.unwrap_or(least).max(least))
    }

    /// At least what is relayed, at most what is allowed.
    pub(super) fn relayed(&self, fee_rate: FeeRate) -> FeeRate {
        fee_rate.max(RELAY_FEE_RATE).min(self.max_fee_rate)
    }

    /// The most that may be paid through a channel of this contract when `spent` has been paid otherwise.
    pub fn limit(&self, contract: &Contract, spent: Amount) -> Amount {
        let left = self.budget.checked_sub(spent).unwrap_or(Amount::ZERO);
        contract.payable().min(left)
    }
}
