//! A viewer that says what it likes to a provider, on a channel with much credit.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use std::time::Duration;
use streamium_channel::bitcoin::Amount;
use streamium_channel::message::{ConsumerMessage, GateState};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::ProviderConfig;

pub const MS: Duration = Duration::from_millis(1);

pub struct Viewer {
    pub pair: Pair,
    pub rate: Rate,
    /// What had been debited when it began.
    before: Msat,
}

impl Viewer {
    /// It has paid all that its channel can pay, is confirmed, and paused long ago.
    pub fn at_rate(msat_per_s: u64) -> Self {
        let config = ProviderConfig {
            rate: Rate::new(msat_per_s),
            ..config()
        };
        let mut pair = Pair::with(config, policy(), consumer_identity());
        pair.until_playing();
        pair.confirm(1);
        pair.latency = seconds(1_000_000);
        let mut viewer = Self::of(pair, Rate::new(msat_per_s));
        viewer.pay(sat(49_670));
        viewer.say(&ConsumerMessage::Pause);
        viewer.pass(seconds(2));
        viewer.before = viewer.consumed();
        viewer
    }

    pub fn of(pair: Pair, rate: Rate) -> Self {
        let before = Msat::ZERO;
        Self { pair, rate, before }
    }

    pub fn say(&mut self, message: &ConsumerMessage) {
        self.pair.inject(message);
    }

    pub fn pay(&mut self, cumulative: Amount) {
        let record = self.pair.provider_record.clone().unwrap();
        let channel = record.restore().unwrap().0;
        let signed = Payment::sign(&channel, &key(CONSUMER), cumulative).unwrap();
        self.say(&ConsumerMessage::Payment {
            outpoint: channel.outpoint(),
            cumulative,
            signature: signed.signature(),
        });
    }

    /// Time passes, with whatever is due meanwhile.
    pub fn pass(&mut self, time: Duration) {
        let end = self.pair.now + time;
        while let Some(at) = self.pair.provider.next(self.pair.now).filter(|at| *at < end) {
            self.pair.now = self.pair.now.max(at);
            let effects = self.pair.provider.tick(self.pair.now);
            self.pair.provider_effects(effects);
        }
        self.pair.now = end;
    }

    pub fn is_open(&self) -> bool {
        self.pair.gate == GateState::Open
    }

    pub fn consumed(&self) -> Msat {
        self.pair.provider.consumed(self.pair.now)
    }

    /// What has been debited since it began.
    pub fn debited(&self) -> Msat {
        self.consumed().minus(self.before)
    }
}
