//! What must hold at every step and at the end. It counts by true time what no clock in the world shows.

mod consumer;
mod debits;
mod money;
mod provider;

use crate::events::Conn;
use crate::world::TRACK_INTERVAL;
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::ProviderRecord;
use streamium_channel::settlement::SINGLE_SETTLEMENT_VB;

/// What clocks that differ, and what is rounded, may explain: 200 ppm each, and some milliseconds.
const SKEW_PPM: u64 = 500;
const ROUNDING: Duration = Duration::from_millis(50);

/// After a crash the consumer believes two payment intervals that it had not written down (protocol.md section 4).
const UNWRITTEN: Duration = Duration::from_secs(2);

/// What a provider's crash may make it forget having sent: what it had not written down.
const FORGOTTEN: Duration = Duration::from_millis(1_500);

#[derive(Default)]
pub struct ProviderAccount {
    channels: Vec<OutPoint>,
    /// What the media that was sent costs.
    sent: Cost,
    /// What it holds, as far as it knows.
    held: Amount,
    /// What it sent and forgot.
    forgotten: Msat,
    /// What the openings of the gate cost, each a second at least; until when the last of them does; what was forgotten
    /// of it.
    due: Cost,
    least_until: Duration,
    due_forgotten: Msat,
}

#[derive(Default)]
pub struct ConsumerAccount {
    channels: Vec<OutPoint>,
    /// The time in which every track arrived, and what it costs.
    arrived: Duration,
    cost: Cost,
    crashes: u32,
    /// Channels that were left because of their age: each asked for an opening payment of its own.
    left_old: u32,
}

#[derive(Default)]
pub struct Judge {
    provider: Vec<ProviderAccount>,
    consumer: Vec<ConsumerAccount>,
    provider_of: BTreeMap<OutPoint, usize>,
    consumer_of: BTreeMap<OutPoint, usize>,
    /// What odd closes would have paid.
    pub closes: BTreeMap<OutPoint, Amount>,
    /// What the consumer has signed since its last start.
    run_paid: Amount,
    /// The highest rate that was ever set.
    peak: Rate,
}

/// Time at the rate that was in force, unrounded.
#[derive(Clone, Copy, Default)]
pub struct Cost(u128);

impl Cost {
    fn add(&mut self, rate: Rate, span: Duration) {
        self.0 += u128::from(rate.msat_per_s()) * span.as_nanos();
    }

    fn total(self) -> Msat {
        Msat::new(u64::try_from(self.0 / 1_000_000_000).unwrap())
    }
}

impl Judge {
    pub fn new(rate: Rate) -> Self {
        Self {
            peak: rate,
            ..Self::default()
        }
    }

    fn provider_account(&mut self, outpoint: OutPoint) -> usize {
        *self.provider_of.entry(outpoint).or_insert_with(|| {
            self.provider.push(ProviderAccount {
                channels: vec![outpoint],
                ..ProviderAccount::default()
            });
            self.provider.len() - 1
        })
    }

    fn consumer_account(&mut self, outpoint: OutPoint) -> usize {
        match self.consumer_of.get(&outpoint) {
            Some(account) => *account,
            None => self.new_consumer_account(outpoint),
        }
    }

    fn new_consumer_account(&mut self, outpoint: OutPoint) -> usize {
        for account in &mut self.consumer {
            account.channels.retain(|other| *other != outpoint);
        }
        self.consumer.push(ConsumerAccount {
            channels: vec![outpoint],
            ..ConsumerAccount::default()
        });
        self.consumer_of.insert(outpoint, self.consumer.len() - 1);
        self.consumer.len() - 1
    }
}

fn slack(of: Msat) -> Msat {
    Msat::new(of.to_msat() * SKEW_PPM / 1_000_000 + 1_000)
}
