//! A viewer that opens the gate for the moment of each picture only, by whatever opens and closes it.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::viewer::{MS, Viewer};
use std::time::Duration;
use streamium_channel::message::{ConsumerMessage, GateState};
use streamium_channel::meter::LEAST_CHARGE;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::ProviderConfig;

/// Opens the gate so long before each picture and closes it so long after; what has been seen, and in which time.
fn watch(viewer: &mut Viewer, frame: Duration, before: Duration, after: Duration, pictures: u32) -> Duration {
    let start = viewer.pair.now;
    for n in 0..pictures {
        let due = start + frame * (n + 1);
        viewer.pass(due - before - viewer.pair.now);
        viewer.say(&ConsumerMessage::Play);
        viewer.pass(before);
        assert!(viewer.is_open(), "it sees every picture");
        viewer.pass(after);
        viewer.say(&ConsumerMessage::Pause);
    }
    viewer.pass(LEAST_CHARGE);
    frame * pictures
}

#[test]
fn pausing_in_phase_with_the_pictures_costs_as_much_as_watching() {
    for per_second in [1, 2, 5, 10, 20] {
        for (before, after) in [(25, 0), (21, 0), (25, 5), (4, 1)] {
            let mut viewer = Viewer::at_rate(100_000);
            let frame = seconds(1) / per_second;
            let watched = watch(&mut viewer, frame, MS * before, MS * after, 12 * per_second);
            assert_eq!(viewer.pair.provider_end, None);
            let (debited, full) = (viewer.debited(), viewer.rate.cost(watched));
            assert!(
                debited >= full.percent(95),
                "{debited} of {full} at {per_second} a second"
            );
            // Nor more: a second for the first and the last of them.
            assert!(
                debited <= full.plus(viewer.rate.cost(LEAST_CHARGE * 2)),
                "{debited} of {full}"
            );
        }
    }
}

#[test]
fn below_one_picture_a_second_each_picture_costs_a_second() {
    let mut viewer = Viewer::at_rate(100_000);
    watch(&mut viewer, seconds(5), MS * 25, MS * 5, 10);
    assert_eq!(viewer.debited(), viewer.rate.cost(LEAST_CHARGE * 10));
}

#[test]
fn a_picture_for_each_connection_costs_a_second_for_each() {
    // The connection is lost, or given up for the next one, as soon as a picture is there.
    for superseded in [false, true] {
        let mut pair = Pair::playing(policy());
        pair.run(seconds(3));
        let outpoint = pair.provider.channels()[0];
        for _ in 0..5 {
            let record = pair.provider_records[&outpoint].clone();
            if superseded {
                let effects = pair.provider.book(pair.now);
                pair.provider_effects(effects);
                let booked = pair.provider_records[&outpoint].consumed;
                let effects = pair.provider.supersede(outpoint, pair.now);
                pair.provider_effects(effects);
                assert_eq!(pair.consumed, booked, "the next session has begun from all of it");
            }
            pair.cut();
            assert!(pair.consumed >= record.consumed);
            let before = pair.consumed;
            let past = pair.past(false);
            pair.reconnect(config(), policy(), past);
            pair.until("media", |pair| pair.gate == GateState::Open);
            let opened = pair.now;
            pair.run(MS * 50);
            if superseded {
                let effects = pair.provider.book(pair.now);
                pair.provider_effects(effects);
            } else {
                pair.cut();
            }
            let debited = pair.provider_records[&outpoint].consumed.minus(before);
            assert!(pair.now - opened < seconds(1));
            assert_eq!(
                debited,
                Rate::new(100_000).cost(LEAST_CHARGE),
                "superseded: {superseded}"
            );
            if superseded {
                // Of the running session nothing was debited in advance for that.
                assert!(pair.provider.consumed(pair.now).minus(before) <= Msat::new(10_000));
            }
        }
    }
}

#[test]
fn paying_in_phase_with_the_pictures_costs_as_much_as_watching() {
    // Without a grace the gate closes as soon as what was paid is used up: 25 ms of each 100.
    let config = ProviderConfig {
        grace: Duration::ZERO,
        ..config()
    };
    let mut pair = Pair::with(config, policy(), consumer_identity());
    pair.until_playing();
    pair.confirm(1);
    pair.latency = seconds(1_000_000);
    let rate = Rate::new(100_000);
    let mut viewer = Viewer::of(pair, rate);
    for _ in 0..11 {
        viewer.pass(seconds(1));
        viewer.say(&ConsumerMessage::Ping);
    }
    assert!(!viewer.is_open(), "the opening payment is used up");
    let (start, before) = (viewer.pair.now, viewer.consumed());
    let (mut paid, mut opened) = (viewer.consumed().ceil_sat(), 0);
    for _ in 0..200 {
        viewer.pass(MS * 100);
        // What it owes, and two satoshis more.
        paid = paid.max(viewer.consumed().ceil_sat()) + sat(2);
        viewer.pay(paid);
        opened += u32::from(viewer.is_open());
    }
    let debited = viewer.consumed().minus(before);
    assert!(opened >= 195, "{opened}");
    let full = rate.cost(viewer.pair.now - start);
    assert!(debited >= full.percent(95), "{debited} of {full}");
}
