//! A new rate while the stream runs: who comes now gets it in the terms, who is there is offered it.

use bitcoin::Amount;
use streamium_channel::money::{Msat, Rate};

use super::driver::Driver;
use super::live::Live;
use super::money::OPENING_TIME;
use super::{Event, PaidOptions, ProviderInputs};

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

impl PaidOptions {
    /// The first payment as far as it follows from the settings: a settlement may cost more.
    pub fn least_opening(&self) -> Amount {
        let of_rate = self.rate.cost(OPENING_TIME).ceil_sat();
        self.opening.unwrap_or(of_rate)
    }

    /// Whether the largest channel can be paid at the rate.
    pub fn check_rate(&self) -> Result<(), RateTooHigh> {
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

impl ProviderInputs {
    /// The rate has been changed; see [`PaidOptions::check_rate`]. A free stream stays free, and a paid one paid.
    pub fn rate(&self, rate: Rate) {
        self.send(Event::Rate(rate));
    }
}

impl Driver {
    pub(super) fn set_rate(&mut self, rate: Rate) {
        let Some(paid) = self.options.paid.as_mut().filter(|_| !rate.is_free()) else {
            return;
        };
        paid.rate = rate;
        let (opening, now) = (self.config(Vec::new()).opening, self.now());
        let ids: Vec<_> = self.sessions.keys().cloned().collect();
        for id in ids {
            if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
                let effects = session.set_rate(rate, opening, now);
                self.carry_out(&id, effects);
            }
        }
    }
}
