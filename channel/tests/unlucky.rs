//! Bad luck that honest sides meet: what the simulation found, each by itself.

mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use std::time::Duration;
use streamium_channel::consumer::{ConsumerNotice, ConsumerPolicy};
use streamium_channel::message::GateState;
use streamium_channel::money::Msat;
use streamium_channel::provider::ProviderEffect;

fn rolling(capacity: u64, budget: u64) -> Pair {
    let policy = ConsumerPolicy {
        capacity: sat(capacity),
        budget: sat(budget),
        ..policy()
    };
    let mut pair = Pair::with(config(), policy, consumer_identity());
    pair.until_playing();
    pair.confirm(1);
    pair
}

#[test]
fn a_session_that_is_superseded_lets_go_of_its_other_channel() {
    let mut pair = rolling(10_000, 40_000);
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    let [present, next] = pair.provider.channels()[..] else {
        panic!("two channels")
    };
    // The consumer crashed, and goes on with the newest channel on record. The other one has been paid.
    let effects = pair.provider.supersede(next, pair.now);
    let releases = effects.iter().filter_map(|effect| match effect {
        ProviderEffect::Release { outpoint, resumable } => Some((*outpoint, *resumable)),
        _ => None,
    });
    assert_eq!(
        releases.collect::<Vec<_>>(),
        [(present, true)],
        "or it would never be settled"
    );
}
