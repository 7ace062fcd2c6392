//! Channels as sessions leave them on record, and what is on record again.

use bitcoin::{Amount, OutPoint};
use gststreamiumpay::store::{ConsumerChannelState, Role, Store, StoreError};
use std::path::Path;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::{ConsumerRecord, PaymentRecord, ProviderRecord};

use crate::channel::pair::Pair;
use crate::channel::{CONSUMER, key, sat};

/// The records that both sides of one session make.
pub struct Records {
    pub provider: ProviderRecord,
    pub consumer: ConsumerRecord,
}

impl Records {
    /// Of a simulated session.
    pub fn new() -> Self {
        let mut pair = Pair::new();
        pair.until_playing();
        Self {
            provider: pair.provider_record.unwrap(),
            consumer: pair.consumer_record.unwrap(),
        }
    }

    pub fn outpoint(&self) -> OutPoint {
        self.provider.outpoint
    }

    /// The consumer's payment of so much, and what has been debited by then.
    pub fn update(&self, balance: Amount, consumed: Msat) -> AccountRecord {
        let channel = self.provider.restore().unwrap().0;
        let payment = Payment::sign(&channel, &key(CONSUMER), balance).unwrap();
        AccountRecord {
            outpoint: self.outpoint(),
            best: Some(PaymentRecord::from(payment)),
            carried: Amount::ZERO,
            consumed,
        }
    }

    /// Both sides' channels in one store.
    pub fn insert(&self, store: &mut Store) {
        store.insert_provider_channel(&self.provider).unwrap();
        store.insert_consumer_channel(&self.consumer, "tr(…)").unwrap();
        store
            .set_consumer_state(self.outpoint(), ConsumerChannelState::Open, None)
            .unwrap();
    }

    /// One step further on both sides: three commits.
    pub fn pay(&self, store: &mut Store, step: u64) -> Result<(), StoreError> {
        store.save_accounts(&[self.update(balance(step), consumed(step))])?;
        store.save_paid(
            self.outpoint(),
            balance(step),
            Amount::ZERO,
            consumed(step),
            Rate::default(),
        )?;
        store.next_key_index(Role::Provider).map(drop)
    }
}

fn balance(step: u64) -> Amount {
    sat(1_000 + 10 * step)
}

fn consumed(step: u64) -> Msat {
    Msat::new(500 * step)
}

/// What a store says of its one channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    pub balance: Amount,
    pub consumed: Msat,
    pub paid: Amount,
}

/// What is on record after this step.
pub fn after(step: u64) -> Standing {
    Standing {
        balance: balance(step),
        consumed: consumed(step),
        paid: balance(step),
    }
}

/// `None`: nothing is on record. A payment that is on record has been checked.
pub fn standing(dir: &Path) -> Result<Option<Standing>, StoreError> {
    standing_in(&Store::open(dir)?)
}

pub fn standing_in(store: &Store) -> Result<Option<Standing>, StoreError> {
    let (provided, damaged) = store.unsettled()?;
    let (consumed, lost) = store.unspent()?;
    assert!(
        damaged.is_empty() && lost.is_empty(),
        "rows that can't be read: {damaged:?} {lost:?}"
    );
    let Some(stored) = provided.first() else {
        return Ok(None);
    };
    let payment = stored.record.restore().expect("what is stored is valid").1;
    Ok(Some(Standing {
        balance: payment.map_or(Amount::ZERO, |payment| payment.cumulative()),
        consumed: stored.record.consumed,
        paid: consumed.first().map_or(Amount::ZERO, |stored| stored.record.paid),
    }))
}
