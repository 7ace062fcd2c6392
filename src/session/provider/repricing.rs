//! A new rate while the stream runs: who comes now gets it in the terms, who is there is offered it.

use streamium_channel::money::Rate;

use super::driver::Driver;
use super::live::Live;
use super::{Event, PaidOptions, ProviderInputs};
use crate::price::Price;

impl PaidOptions {
    /// What the rate asks of a channel.
    pub fn price(&self) -> Price {
        Price {
            rate: self.rate,
            opening: self.opening,
            window: self.window,
            max_capacity: self.max_capacity,
        }
    }
}

impl ProviderInputs {
    /// The rate has been changed; checked before ([`Price::check`]). A free stream stays free, and a paid one paid.
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
