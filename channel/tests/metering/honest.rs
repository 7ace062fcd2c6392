//! Both honest sides count alike, however often the viewer pauses, and neither gains by the least charge.

use crate::common::pair::Pair;
use crate::common::*;
use crate::viewer::MS;
use std::time::Duration;
use streamium_channel::consumer::{Arrivals, ConsumerEnd};
use streamium_channel::fault::Fault;
use streamium_channel::message::{GateState, ProviderMessage};
use streamium_channel::money::Msat;

/// The consumer's own count, and the provider's.
fn counts(pair: &Pair) -> (Msat, Msat) {
    let own = pair.consumer.figures(pair.now).consumed;
    (own, pair.provider.consumed(pair.now))
}

fn play_and_pause(pair: &mut Pair, times: u32, plays: Duration, pauses: Duration) {
    for n in 0..times {
        pair.set_playing(true);
        pair.run(plays);
        pair.set_playing(false);
        pair.run(pauses);
        assert_eq!(
            (&pair.consumer_end, &pair.provider_end),
            (&None, &None),
            "after {n} pauses"
        );
    }
}

#[test]
fn a_viewer_that_pauses_again_and_again_is_never_taken_for_lied_to() {
    // Also where it pauses before anything has arrived: that costs a second, which it has not seen.
    for latency in [5, 40, 300] {
        for (plays, pauses) in [
            (100, 200),
            (100, 2_000),
            (400, 400),
            (900, 100),
            (1_500, 1_500),
            (5_000, 500),
        ] {
            let mut pair = Pair::playing(policy());
            pair.latency = MS * latency;
            pair.run(seconds(3));
            play_and_pause(&mut pair, 60, MS * plays, MS * pauses);
            pair.set_playing(true);
            pair.run(seconds(10));
            assert_eq!(
                pair.gate,
                GateState::Open,
                "{latency} ms, {plays} and {pauses} ms"
            );
        }
    }
}

#[test]
fn a_viewer_that_pauses_now_and_then_prepays_no_more_than_a_window_and_a_second_for_each() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    play_and_pause(&mut pair, 100, seconds(3), seconds(3));
    let (own, debited) = counts(&pair);
    assert!(
        debited.minus(own) <= Msat::new(500_000),
        "{own} counted, {debited} debited"
    );
    assert!(
        own.minus(debited) <= Msat::new(500_000),
        "{own} counted, {debited} debited"
    );
    assert!(pair.open_time >= seconds(300) && pair.open_time <= seconds(320));
    let most = Msat::new(100_000 * 320 + 500_000);
    assert!(Msat::from(pair.paid) <= most, "{}", pair.paid);
}

#[test]
fn a_provider_gains_nothing_by_saying_that_its_gate_opened_and_closed() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    pair.set_playing(false);
    pair.run(seconds(3));
    let (paid, counted) = (pair.paid, counts(&pair).0);
    let outpoint = pair.provider.channels()[0];
    let consumed_msat = pair.consumed.to_msat();
    for n in 0..1_000 {
        let gate = [GateState::Open, GateState::Paused][n % 2];
        pair.inject_to_consumer(&ProviderMessage::Credit {
            outpoint,
            balance: paid,
            consumed_msat,
            gate,
        });
        pair.run(MS * 50);
    }
    assert_eq!((pair.paid, counts(&pair).0), (paid, counted));
}

#[test]
fn what_arrives_while_the_viewer_is_paused_counts_nothing() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    pair.set_playing(false);
    pair.run(seconds(3));
    let (paid, counted) = (pair.paid, counts(&pair).0);
    for _ in 0..100 {
        let now = Some(pair.now);
        pair.consumer.media(Arrivals {
            audio: now,
            video: now,
        });
        pair.run(MS * 500);
    }
    assert_eq!((pair.paid, counts(&pair).0), (paid, counted));
}

#[test]
fn one_packet_now_and_then_earns_a_second_each_as_ever() {
    let mut pair = Pair::playing(policy());
    pair.media = false;
    pair.run(seconds(4));
    let before = counts(&pair).0;
    for _ in 0..4 {
        let now = Some(pair.now);
        pair.consumer.media(Arrivals {
            audio: now,
            video: now,
        });
        pair.run(seconds(3));
        if pair.consumer_end.is_some() {
            break;
        }
    }
    let outpoint = *pair.consumer_records.keys().next().unwrap();
    let counted = pair.consumer_records[&outpoint].consumed.minus(before);
    assert!(counted <= Msat::new(400_000), "{counted}");
}

#[test]
fn a_play_that_brings_nothing_is_believed_for_a_second_and_no_more() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    pair.media = false;
    pair.set_playing(false);
    pair.run(seconds(2));
    // All that a lying provider gets believed is a second for each time that the viewer plays, beside the window.
    let outpoint = pair.provider.channels()[0];
    let own = counts(&pair).0;
    pair.latency = seconds(1_000_000);
    let mut claimed = own;
    for _ in 0..8 {
        pair.set_playing(true);
        pair.set_playing(false);
        claimed = claimed.plus(Msat::new(100_000));
        let credit = |consumed: Msat, pair: &mut Pair| {
            pair.inject_to_consumer(&ProviderMessage::Credit {
                outpoint,
                balance: pair.paid,
                consumed_msat: consumed.to_msat(),
                gate: GateState::Paused,
            });
        };
        credit(claimed, &mut pair);
        assert_eq!(pair.consumer_end, None);
    }
    let bound = claimed.plus(claimed.percent(2)).plus(Msat::new(500_001));
    pair.inject_to_consumer(&ProviderMessage::Credit {
        outpoint,
        balance: pair.paid,
        consumed_msat: bound.to_msat(),
        gate: GateState::Paused,
    });
    let drift = |fault: &Fault| matches!(fault, Fault::Drift { .. });
    let lied = pair.faults().iter().any(
        |notice| matches!(notice, streamium_channel::consumer::ConsumerNotice::Fault(fault) if drift(fault)),
    );
    assert!(lied, "{:?}", pair.notices.last());
    assert!(!matches!(pair.consumer_end, Some(ConsumerEnd::Stopped)));
}
