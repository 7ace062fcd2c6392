//! What a rate asks of a channel: its first payment, and that the largest one can be paid at it.

use std::time::Duration;

use bitcoin::Amount;
use streamium_channel::money::{Msat, Rate};

/// How many seconds of the rate the first payment covers at least.
const OPENING_TIME: Duration = Duration::from_secs(10);

/// The part of a channel that its first payment may take, as consumers see it (protocol.md section 4).
const OPENING_PART: u64 = 4;

/// Why no channel could be paid at a rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "rate {} msat/s is too high for max-capacity ({} sat): {what} costs {} sat. Lower the rate or set a higher max-capacity",
    .rate.msat_per_s(), .max_capacity.to_sat(), .cost.to_sat()
)]
pub struct RateTooHigh {
    rate: Rate,
    what: &'static str,
    cost: Amount,
    max_capacity: Amount,
}

/// A rate, and what has been set beside it.
#[derive(Clone, Copy, Debug)]
pub struct Price {
    pub rate: Rate,
    /// `None`: it follows from the rate.
    pub opening: Option<Amount>,
    pub window: Duration,
    pub max_capacity: Amount,
}

impl Price {
    /// The first payment as far as it follows from the settings: a settlement may cost more.
    pub fn least_opening(&self) -> Amount {
        let of_rate = self.rate.cost(OPENING_TIME).ceil_sat();
        self.opening.unwrap_or(of_rate)
    }

    /// Whether the largest channel can be paid at the rate.
    pub fn check(&self) -> Result<(), RateTooHigh> {
        let error = |what, cost| {
            Err(RateTooHigh {
                rate: self.rate,
                what,
                cost,
                max_capacity: self.max_capacity,
            })
        };
        let part = Amount::from_sat(self.max_capacity.to_sat() / OPENING_PART);
        let window: Msat = self.rate.cost(self.window);
        match () {
            () if self.opening.is_none() && self.least_opening() > part => error(
                "the first payment may take a quarter of a channel, and",
                self.least_opening(),
            ),
            () if window.ceil_sat() > self.max_capacity => error("the window", window.ceil_sat()),
            () => Ok(()),
        }
    }
}
