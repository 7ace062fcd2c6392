//! Bad luck that honest sides meet: what the simulation found, each by itself.

mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use std::time::Duration;
use streamium_channel::consumer::{ConsumerNotice, ConsumerPolicy};
use streamium_channel::message::GateState;
use streamium_channel::money::Msat;
use streamium_channel::provider::{Keep, ProviderEffect};

fn rolling(capacity: u64, budget: u64) -> Pair {
    Pair::playing(policy_of(capacity, budget))
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
        ProviderEffect::Release { outpoint, keep } => Some((*outpoint, *keep)),
        _ => None,
    });
    assert_eq!(
        releases.collect::<Vec<_>>(),
        [(present, Keep::SettleDelay)],
        "or it would never be settled"
    );
}

#[test]
fn what_arrives_is_on_record_although_the_opening_payment_still_covers_it() {
    let mut pair = rolling(50_000, 50_000);
    pair.run(Duration::from_millis(4_500));
    let outpoint = pair.provider.channels()[0];
    assert_eq!(pair.paid, config().opening, "nothing more is due yet");
    let three_seconds = Msat::new(300_000);
    assert!(
        pair.provider_records[&outpoint].consumed >= three_seconds,
        "a crash would forget it"
    );
    assert!(
        pair.consumer_records[&outpoint].consumed >= three_seconds,
        "a crash would forget it"
    );
}

#[test]
fn a_consumer_that_was_suspended_pays_for_nothing_that_did_not_arrive() {
    let mut pair = rolling(50_000, 50_000);
    pair.run(seconds(20));
    let outpoint = pair.provider.channels()[0];
    let before = pair.consumer_records[&outpoint].consumed;
    pair.now += seconds(3_600);
    let effects = pair.consumer.tick(pair.now);
    pair.consumer_effects(effects);
    assert!(pair.consumer_end.is_some(), "the provider is gone");
    let after = pair.consumer_records[&outpoint].consumed;
    assert!(after <= before.plus(Msat::new(250_000)), "{before} then {after}");
}

#[test]
fn a_provider_that_was_suspended_debits_nothing_that_it_did_not_send() {
    let mut pair = rolling(50_000, 50_000);
    pair.run(seconds(20));
    let before = pair.consumed;
    pair.now += seconds(3_600);
    let effects = pair.provider.tick(pair.now);
    pair.provider_effects(effects);
    assert!(pair.provider_end.is_some(), "the consumer is gone");
    assert!(
        pair.consumed <= before.plus(Msat::new(550_000)),
        "{before} then {}",
        pair.consumed
    );
}

#[test]
fn the_next_channel_can_be_asked_for_again_after_an_accept_that_came_to_nothing() {
    let mut pair = rolling(60_000, 200_000);
    let at = pair.now + seconds(480);
    while pair.now < at {
        pair.run(seconds(10));
    }
    pair.funded = false;
    pair.until("terms", |pair| {
        pair.log.iter().filter(|line| line.contains("\"terms\"")).count() == 2
    });
    pair.run(Duration::from_millis(100));
    let effects = pair.consumer.funded(pair.now);
    pair.consumer_effects(effects);
    pair.run(Duration::from_millis(50));
    // The answer is lost; whoever has to wait for it too long gives up.
    pair.drop_mail();
    pair.funded = true;
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn what_a_lost_switch_left_behind_still_counts_against_the_budget() {
    let mut pair = rolling(10_000, 40_000);
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    pair.confirm(2);
    let next = pair.provider.channels()[1];
    let rolled = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::RolledOver { .. });
    pair.until("the consumer's switch", |pair| pair.notices.iter().any(rolled));
    // Its first payment through the next channel is lost with the connection.
    pair.cut();
    assert_eq!(pair.provider_records[&next].best, None);
    let spent = pair.consumer_records[&next].paid + pair.consumer_records[&next].carried;
    let past = pair.past(false);
    // The account begins anew with this channel.
    pair.consumer_records.get_mut(&next).unwrap().consumed = Msat::ZERO;
    let tight = ConsumerPolicy {
        capacity: sat(10_000),
        budget: spent + sat(500),
        ..policy()
    };
    pair.reconnect(config(), tight, past);
    pair.until("media again", |pair| pair.gate == GateState::Open);
    pair.run(seconds(40));
    assert_eq!(
        pair.paid,
        config().opening + sat(500),
        "the rest of the budget, no more"
    );
}

#[test]
fn a_consumer_that_has_paid_may_wait_for_a_block() {
    let mut pair = Pair::with(config(), policy(), consumer_identity());
    pair.until_playing();
    pair.until("the limit", |pair| pair.gate == GateState::Unconfirmed);
    pair.run(config().settle_delay * 3);
    assert_eq!(
        (pair.gate, pair.provider_end.clone()),
        (GateState::Unconfirmed, None)
    );
    pair.confirm(1);
    pair.until("media again", |pair| pair.gate == GateState::Open);
}
