//! How long a session lasts through which no media flows, and what becomes of the credit.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::viewer::MS;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, ConsumerPolicy};
use streamium_channel::message::GateState;
use streamium_channel::money::Msat;
use streamium_channel::provider::{CommitmentStatus, EndReason, Keep, PAUSE_TIMEOUT, ProviderConfig};

#[test]
fn a_paused_viewer_with_credit_is_not_dropped_after_the_settle_delay() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(12));
    pair.set_playing(false);
    pair.run(config().settle_delay * 10);
    assert_eq!((pair.gate, &pair.provider_end), (GateState::Paused, &None));
    pair.set_playing(true);
    pair.run(MS * 100);
    assert_eq!(pair.gate, GateState::Open, "on the credit that it had");
}

#[test]
fn who_pauses_for_too_long_is_told_so_and_its_credit_waits_in_the_channel() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(12));
    pair.set_playing(false);
    pair.run(seconds(1));
    let paused = pair.now;
    let (paid, consumed) = (pair.paid, pair.consumed);
    pair.run(PAUSE_TIMEOUT - seconds(2));
    assert_eq!(pair.provider_end, None);
    pair.until("the end", |pair| pair.provider_end.is_some());
    assert!(pair.now - paused < PAUSE_TIMEOUT + seconds(2));
    pair.until_both_ended();
    assert_eq!(pair.provider_end, Some(EndReason::Paused));
    let Some(ConsumerEnd::ProviderClosed(words)) = &pair.consumer_end else {
        panic!("{:?}", pair.consumer_end);
    };
    assert!(
        words.contains("paused for too long") && words.contains("credit"),
        "{words}"
    );
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, Keep::UntilDeadline)]);
    assert!(!pair.settle_due, "nothing is settled");
    // Hours later it goes on where it was.
    pair.now += seconds(7 * 3_600);
    let past = pair.past(false);
    pair.reconnect(config(), policy(), past);
    pair.until_playing();
    assert_eq!((pair.provider.channels(), pair.paid), (vec![outpoint], paid));
    assert!(
        pair.consumed.minus(consumed) <= Msat::new(100_000),
        "{}",
        pair.consumed
    );
}

#[test]
fn a_paused_viewer_without_credit_is_settled_after_the_settle_delay() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the end of the budget", |pair| pair.gate == GateState::Starved);
    let starved = pair.now;
    pair.set_playing(false);
    pair.until("the settlement", |pair| pair.settle_due);
    assert_eq!(pair.provider_end, Some(EndReason::Starved));
    assert!(
        pair.now - starved < config().settle_delay + seconds(1),
        "{:?}",
        pair.now - starved
    );
}

#[test]
fn pausing_and_playing_puts_the_settle_delay_off_for_nobody_without_credit() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the end of the budget", |pair| pair.gate == GateState::Starved);
    let starved = pair.now;
    let mut playing = false;
    while pair.provider_end.is_none() {
        pair.set_playing(playing);
        playing = !playing;
        pair.run(seconds(7));
        assert!(
            pair.now - starved < config().settle_delay + seconds(10),
            "it is kept for ever"
        );
    }
    assert_eq!(pair.provider_end, Some(EndReason::Starved));
}

#[test]
fn playing_for_a_moment_begins_a_pause_anew_and_costs_its_second() {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(12));
    for _ in 0..3 {
        pair.set_playing(false);
        pair.run(PAUSE_TIMEOUT - seconds(10));
        pair.set_playing(true);
        pair.run(seconds(1));
    }
    assert_eq!(pair.provider_end, None);
}

#[test]
fn who_has_paid_and_whose_commitment_does_not_confirm_keeps_what_is_left() {
    let config = ProviderConfig {
        unconfirmed_limit: sat(500),
        ..config()
    };
    let mut pair = Pair::with(config.clone(), policy(), consumer_identity());
    pair.until("the limit", |pair| pair.gate == GateState::Unconfirmed);
    pair.run(config.funding_timeout - seconds(10));
    assert_eq!(pair.provider_end, None);
    pair.until("the end", |pair| pair.provider_end.is_some());
    assert_eq!(pair.provider_end, Some(EndReason::Unconfirmed));
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, Keep::UntilDeadline)]);
    // A block comes at last, and so does the consumer.
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    pair.statuses
        .insert(outpoint, CommitmentStatus::Confirmed { confirmations: 1 });
    let (paid, past) = (pair.paid, pair.past(false));
    pair.reconnect(config, policy(), past);
    pair.until_playing();
    assert_eq!((pair.provider.channels(), pair.paid), (vec![outpoint], paid));
}

#[test]
fn nothing_waits_for_who_has_used_up_what_it_paid() {
    let config = ProviderConfig {
        opening: sat(500),
        unconfirmed_limit: sat(500),
        ..config()
    };
    let tight = ConsumerPolicy {
        budget: sat(500),
        ..policy()
    };
    let mut pair = Pair::with(config, tight, consumer_identity());
    let spent = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Exhausted(_));
    pair.until("the end of the budget", |pair| pair.notices.iter().any(spent));
    while pair.provider_end.is_none() {
        pair.run(seconds(60));
    }
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, Keep::Due)]);
}

#[test]
fn a_pause_in_silence_is_silence() {
    // Whoever is not heard any more is gone, paused or not; its channel waits for the settle delay, as for all.
    let mut pair = Pair::playing(policy());
    pair.run(seconds(12));
    pair.set_playing(false);
    pair.run(MS * 500);
    pair.cut();
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, Keep::SettleDelay)]);
}

#[test]
fn nothing_waits_for_a_commitment_that_is_not_known() {
    let mut pair = Pair::with(config(), policy(), consumer_identity());
    pair.until_playing();
    let outpoint = pair.provider.channels()[0];
    pair.chain_says(outpoint, CommitmentStatus::Missing);
    while pair.provider_end.is_none() {
        pair.run(seconds(60));
    }
    assert_eq!(pair.released, [(outpoint, Keep::Due)]);
}
