//! A rate that is taken: from when on it counts, for whom, and what is on record.

use crate::common::pair::Pair;
use crate::common::*;
use crate::{OLD, playing};
use std::time::Duration;
use streamium_channel::consumer::ConsumerNotice;
use streamium_channel::message::{ConsumerMessage, GateState};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::ProviderNotice;

/// The consumer's count as last recorded.
fn counted(pair: &Pair) -> Msat {
    pair.consumer_records
        .values()
        .map(|record| record.consumed)
        .max()
        .unwrap()
}

#[test]
fn a_new_rate_holds_for_both_from_then_on_and_media_does_not_stop() {
    for new in [200_000, 1_000_000, 50_000, 1_000, 10] {
        let mut pair = playing();
        let (open, before) = (pair.open_time, pair.provider.consumed(pair.now));
        pair.set_rate(new);
        pair.run(seconds(30));
        assert_eq!(pair.rates(), (new, new));
        assert_eq!(pair.open_time - open, seconds(30), "media stopped at {new}");
        // Up to the answer, two trips of 40 ms and a step, the old rate holds.
        let debited = pair.provider.consumed(pair.now).minus(before).to_msat();
        let (fast, slow) = (29_800 * new / 1_000, 200 * OLD / 1_000);
        assert!(
            debited >= fast && debited <= 30 * new + slow,
            "{debited} at {new}"
        );
        // Both ledgers agree, but for what was on its way and has not been written down: a payment's interval.
        let (ours, theirs) = (
            counted(&pair).to_msat(),
            pair.provider.consumed(pair.now).to_msat(),
        );
        let apart = new.max(OLD) * 2 / 10 + new * 11 / 10;
        assert!(ours.abs_diff(theirs) <= apart, "{ours} and {theirs} at {new}");
        let paid = pair.paid.to_sat() * 1_000;
        assert!(paid >= theirs, "{paid} paid of {theirs} at {new}");
        assert!(pair.faults().is_empty());
        let (old, new) = (Rate::new(OLD), Rate::new(new));
        assert!(pair.notices.contains(&ConsumerNotice::Rate { old, new }));
        assert!(
            pair.provider_notices
                .contains(&ProviderNotice::RateOffered { old, new })
        );
        assert!(
            pair.provider_notices
                .contains(&ProviderNotice::RateAccepted { old, new })
        );
    }
}

#[test]
fn a_window_at_the_new_rate_is_paid_before_it_is_debited() {
    let mut pair = playing();
    pair.set_rate(1_000_000);
    pair.until("the answer", |pair| pair.sent("accept-rate") > 0);
    let paid = |line: &&String| line.contains(" -> ") && line.contains("\"payment\"");
    let at = pair
        .log
        .iter()
        .position(|line| line.contains("accept-rate"))
        .unwrap();
    let payment = pair.log[..at].iter().rfind(paid).unwrap();
    let amount = payment.split("cumulative_sat\":").nth(1).unwrap();
    let amount: u64 = amount.split(',').next().unwrap().parse().unwrap();
    let debited = pair.provider.consumed(pair.now).to_msat() / 1_000;
    assert!(amount >= debited + 4_900, "{amount} with {debited} debited");
    assert_eq!(
        pair.provider.rate(),
        Rate::new(OLD),
        "it has not read the answer yet"
    );
}

#[test]
fn until_the_provider_says_so_the_dearer_rate_counts() {
    for (new, meanwhile) in [(300_000, 300_000), (20_000, OLD)] {
        let mut pair = playing();
        pair.latency = seconds(1);
        pair.set_rate(new);
        pair.until("the answer", |pair| pair.sent("accept-rate") > 0);
        assert_eq!(pair.rates(), (OLD, meanwhile));
        pair.until("the change", |pair| pair.provider.rate() == Rate::new(new));
        assert_eq!(pair.rates(), (new, meanwhile));
        pair.run(seconds(1) + Duration::from_millis(100));
        assert_eq!(pair.rates(), (new, new));
        assert!(pair.faults().is_empty());
    }
}

#[test]
fn the_old_rate_holds_and_is_paid_until_the_answer() {
    let mut pair = playing();
    pair.authorizes = None;
    let (before, open) = (pair.provider.consumed(pair.now), pair.open_time);
    pair.set_rate(500_000);
    pair.run(seconds(60));
    assert_eq!(pair.rates(), (OLD, OLD));
    assert_eq!(pair.provider.consumed(pair.now).minus(before).to_msat(), 60 * OLD);
    assert_eq!(pair.open_time - open, seconds(60));
    assert_eq!(pair.questions.last().unwrap().1.rate, Rate::new(500_000));
    pair.authorize(true);
    pair.run(seconds(1));
    assert_eq!(pair.rates(), (500_000, 500_000));
}

#[test]
fn a_taken_rate_is_on_record_before_the_provider_can_read_that_it_is() {
    // Nothing is paid while paused, and so nothing is recorded for a payment.
    let mut pair = playing();
    pair.set_playing(false);
    pair.until("the pause", |pair| pair.gate == GateState::Paused);
    pair.set_rate(900_000);
    pair.until("the answer", |pair| pair.sent("accept-rate") > 0);
    let record = pair.consumer_records.values().next().unwrap();
    assert_eq!(record.rate, Rate::new(900_000));
}

#[test]
fn what_credit_says_at_the_change_is_on_record() {
    let mut pair = playing();
    pair.authorizes = None;
    pair.set_rate(1_000_000);
    pair.run(Duration::from_millis(300));
    // Without a payment before it, as our consumer makes one.
    pair.inject(&ConsumerMessage::AcceptRate { number: 1 });
    let recorded = pair.provider_records.values().next().unwrap().consumed;
    assert_eq!(recorded, pair.provider.consumed(pair.now));
}

#[test]
fn a_channels_record_begins_with_its_rate() {
    let pair = playing();
    assert_eq!(pair.consumer_record.unwrap().rate, Rate::new(OLD));
}
