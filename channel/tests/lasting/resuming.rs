//! A channel goes on over another connection, with its account.

use crate::common::*;
use crate::{playing, reconnect};
use std::time::Duration;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, ConsumerPolicy};
use streamium_channel::message::{GateState, ProviderMessage};
use streamium_channel::money::Msat;
use streamium_channel::payment::Payment;
use streamium_channel::provider::{EndReason, Keep, ProviderEffect};

#[test]
fn an_open_channel_goes_on_without_a_transaction_and_keeps_the_account() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.cut();
    let (best, consumed) = (pair.best.unwrap(), pair.consumed);
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, Keep::SettleDelay)]);
    assert_eq!(pair.gate, GateState::Closed);

    let broadcasts = pair.broadcasts.len();
    pair.now += seconds(30);
    reconnect(&mut pair, false);
    let before = pair.now;
    pair.until("media again", |pair| pair.gate == GateState::Open);
    assert!(pair.now - before < Duration::from_millis(500));
    assert_eq!(pair.broadcasts.len(), broadcasts, "nothing on the chain");
    assert!(pair.best.unwrap().cumulative >= best.cumulative);
    assert!(pair.consumed >= consumed, "what was consumed is kept");
    assert!(
        pair.consumed < consumed.plus(Msat::new(100_000)),
        "and no more than it"
    );
    pair.run(seconds(20));
    assert_eq!(pair.gate, GateState::Open);
    // Forty seconds of media, one window ahead.
    let paid = pair.best.unwrap().cumulative.to_sat();
    assert!((4_300..=4_800).contains(&paid), "{paid}");
}

#[test]
fn debt_is_kept_by_reconnecting() {
    let mut pair = playing();
    pair.run(seconds(12));
    // The consumer stops paying without a word: credit and grace run out.
    let effects = pair.consumer.set_budget(pair.paid, pair.now);
    pair.consumer_effects(effects);
    pair.until("starvation", |pair| pair.gate == GateState::Starved);
    let debt = pair.consumed.minus(Msat::from(pair.best.unwrap().cumulative));
    assert!(debt >= Msat::new(49_000), "{debt:?}");
    for _ in 0..5 {
        pair.cut();
        let (open, past) = (pair.open_time, pair.past(false));
        let broke = ConsumerPolicy {
            budget: pair.paid,
            ..policy()
        };
        pair.reconnect(config(), broke, past);
        pair.run(seconds(3));
        assert_eq!(pair.open_time, open, "no media for a debtor");
    }
}

#[test]
fn a_lost_payment_is_sent_again() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.cut();
    // The provider's disk lost the last of them: it has committed once in a quarter of a second.
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    let older = {
        let record = &pair.provider_records[&outpoint];
        let (channel, _) = record.restore().unwrap();
        Payment::sign(&channel, &key(CONSUMER), sat(1_500)).unwrap()
    };
    pair.provider_records.get_mut(&outpoint).unwrap().best = Some(older.into());
    let signed = pair.consumer_records[&outpoint].paid;
    assert!(signed > sat(1_500));
    reconnect(&mut pair, false);
    pair.until("the payment again", |pair| {
        pair.best.is_some_and(|best| best.cumulative >= signed)
    });
    pair.run(seconds(10));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn a_consumer_that_crashed_goes_on_within_what_it_had_not_written_down() {
    let mut pair = playing();
    pair.run(seconds(300));
    pair.cut();
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    for _ in 0..20 {
        // Each crash loses what was counted since the last payment.
        let record = pair.consumer_records.get_mut(&outpoint).unwrap();
        record.consumed = record.consumed.minus(Msat::new(100_000));
        reconnect(&mut pair, true);
        pair.until("media again", |pair| pair.gate == GateState::Open);
        pair.run(seconds(2));
        assert_eq!(pair.consumer_end, None);
        pair.cut();
    }
}

#[test]
fn a_channel_that_is_not_on_record_is_opened_anew() {
    let mut pair = playing();
    pair.run(seconds(5));
    pair.cut();
    pair.provider_records.clear();
    pair.consumed = Msat::ZERO;
    reconnect(&mut pair, false);
    pair.until("media through another channel", |pair| {
        pair.gate == GateState::Open
    });
    assert!(
        pair.notices
            .iter()
            .any(|n| matches!(n, ConsumerNotice::NotResumed { .. }))
    );
    assert_eq!(pair.consumer_records.len(), 2);
}

#[test]
fn what_was_paid_before_counts_against_the_budget() {
    let mut pair = playing();
    pair.run(seconds(30));
    pair.cut();
    let spent = pair.paid;
    pair.provider_records.clear();
    (pair.consumed, pair.best) = (Msat::ZERO, None);
    let past = pair.past(false);
    let tight = ConsumerPolicy {
        budget: spent + sat(1_500),
        ..policy()
    };
    pair.reconnect(config(), tight, past);
    pair.until("the end of the budget", |pair| {
        pair.notices
            .iter()
            .any(|n| matches!(n, ConsumerNotice::Exhausted(_)))
    });
    pair.run(seconds(30));
    assert_eq!(pair.paid, sat(1_500), "the rest of the budget, no more");
}

#[test]
fn a_paused_player_stays_paused_on_the_next_connection() {
    let mut pair = playing();
    pair.run(seconds(10));
    pair.set_playing(false);
    pair.run(seconds(1));
    pair.cut();
    let (open, past) = (pair.open_time, pair.past(false));
    pair.reconnect(config(), policy(), past);
    pair.set_playing(false);
    pair.run(seconds(5));
    // It had credit left, so media would flow if the provider did not know.
    assert!(
        pair.open_time - open <= Duration::from_millis(200),
        "{:?}",
        pair.open_time - open
    );
    pair.set_playing(true);
    pair.until("media", |pair| pair.gate == GateState::Open);
}

#[test]
fn the_newest_session_has_the_channel_and_the_older_is_told() {
    let mut pair = playing();
    pair.run(seconds(10));
    let outpoint = pair.provider.channels()[0];
    let effects = pair.provider.supersede(outpoint, pair.now);
    let told =
        |effect: &ProviderEffect| matches!(effect, ProviderEffect::Send(ProviderMessage::Close { .. }));
    let released = |effect: &ProviderEffect| matches!(effect, ProviderEffect::Release { .. });
    assert!(effects.iter().any(told), "{effects:?}");
    assert!(!effects.iter().any(released), "the other session has it");
    pair.provider_effects(effects);
    assert_eq!(pair.provider_end, Some(EndReason::Superseded));
    assert_eq!(pair.gate, GateState::Closed);
    pair.until("the end", |pair| pair.consumer_end.is_some());
    assert!(matches!(pair.consumer_end, Some(ConsumerEnd::ProviderClosed(_))));
}
