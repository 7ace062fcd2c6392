//! What flows is paid, and what is not paid does not flow.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::playing;
use streamium_channel::consumer::{ConsumerNotice, Exhausted};
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::provider::{CommitmentStatus, ProviderConfig};

#[test]
fn media_flows_from_the_first_payment_and_stays_paid_for() {
    let mut pair = Pair::new();
    assert_eq!(pair.gate, GateState::Unpaid);
    pair.until_playing();
    assert_eq!(pair.paid, sat(1_000), "the opening payment");
    pair.confirm(1);
    pair.run(seconds(100));
    assert_eq!(pair.gate, GateState::Open);
    // 100 s at 100 sat/s, one window of 5 s ahead, give or take one payment.
    let expected = 10_000 + 500;
    let paid = pair.paid.to_sat();
    assert!((expected - 150..=expected + 150).contains(&paid), "{paid}");
    assert_eq!(pair.best.unwrap().cumulative, pair.paid);
    assert!(pair.open_time >= seconds(99));
}

#[test]
fn the_budget_ends_the_stream_and_more_budget_goes_on() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the end of the budget", |pair| pair.gate == GateState::Starved);
    // 15 s are paid for; grace is half a second more.
    let open = pair.open_time.as_millis();
    assert!((15_400..=15_600).contains(&open), "{open} ms");
    assert!(
        pair.notices
            .contains(&ConsumerNotice::Exhausted(Exhausted::Budget(sat(1_500))))
    );
    assert_eq!(pair.paid, sat(1_500));
    pair.run(seconds(5));
    assert_eq!(pair.open_time.as_millis(), open, "nothing flows unpaid");

    let effects = pair.consumer.set_budget(sat(5_000), pair.now);
    pair.consumer_effects(effects);
    pair.until_playing();
    pair.run(seconds(3));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn an_unconfirmed_channel_gets_its_limit_and_no_more() {
    let mut pair = Pair::new();
    pair.until("the limit", |pair| pair.gate == GateState::Unconfirmed);
    let open = pair.open_time.as_millis();
    assert!(
        (10_400..=10_600).contains(&open),
        "{open} ms for 1,000 sat at 100 sat/s"
    );
    pair.confirm(1);
    assert_eq!(pair.gate, GateState::Open);
    let outpoint = pair.provider.channels()[0];
    pair.chain_says(outpoint, CommitmentStatus::Missing);
    assert_eq!(
        pair.gate,
        GateState::Unconfirmed,
        "a commitment that vanished pays for nothing"
    );
}

#[test]
fn a_pause_costs_nothing_and_play_goes_on() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.set_playing(false);
    pair.until("the pause", |pair| pair.gate == GateState::Paused);
    let (paid, consumed) = (pair.paid, pair.consumed);
    pair.run(seconds(30));
    assert_eq!((pair.paid, pair.consumed), (paid, consumed));
    pair.set_playing(true);
    pair.until_playing();
}

#[test]
fn a_free_stream_needs_no_payment_and_no_word() {
    let free = ProviderConfig {
        rate: Rate::new(0),
        ..config()
    };
    let mut pair = Pair::with(free, policy(), consumer_identity());
    assert_eq!(pair.gate, GateState::Open);
    pair.run(seconds(60));
    assert_eq!(
        (pair.gate, pair.provider_end.clone(), pair.consumer_end.clone()),
        (GateState::Open, None, None)
    );
    assert_eq!(pair.paid, sat(0));
    pair.latency = seconds(10_000);
    pair.run(seconds(60));
    assert_eq!((pair.gate, pair.provider_end.clone()), (GateState::Open, None));
}
