//! A new rate in every state of a session.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::{OLD, playing};
use std::time::Duration;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, Refusal};
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::provider::ProviderConfig;

#[test]
fn who_has_no_terms_yet_gets_them_at_the_new_rate() {
    let mut pair = Pair::new();
    pair.set_rate(200_000);
    pair.until_playing();
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (0, (200_000, 200_000)));
}

#[test]
fn who_has_no_terms_yet_gets_the_opening_of_the_new_rate() {
    let mut pair = Pair::new();
    let effects = pair.provider.set_rate(Rate::new(200_000), sat(2_000), pair.now);
    assert!(effects.is_empty());
    pair.until_playing();
    assert_eq!(pair.paid, sat(2_000));
}

#[test]
fn who_waits_for_funds_is_offered_the_rate_and_opens_at_it() {
    let mut pair = Pair::new();
    pair.funded = false;
    pair.until("the terms", |pair| !pair.notices.is_empty());
    pair.set_rate(200_000);
    pair.run(seconds(30));
    assert_eq!(pair.rates(), (200_000, 200_000));
    let effects = pair.consumer.funded(pair.now);
    pair.consumer_effects(effects);
    pair.until_playing();
    assert_eq!(pair.paid, sat(1_000), "one opening payment");
    pair.confirm(1);
    pair.run(seconds(10));
    let debited = pair.provider.consumed(pair.now).to_msat();
    assert!((1_950_000..=2_050_000).contains(&debited), "{debited}");
}

#[test]
fn who_waits_for_funds_leaves_over_a_rate_and_has_locked_nothing() {
    let mut pair = Pair::new();
    pair.funded = false;
    pair.until("the terms", |pair| !pair.notices.is_empty());
    pair.set_rate(2_000_000);
    pair.until_both_ended();
    assert!(matches!(
        pair.consumer_end,
        Some(ConsumerEnd::Refused(Refusal::Rate { .. }))
    ));
    assert!(pair.consumer_record.is_none() && pair.broadcasts.is_empty());
}

#[test]
fn a_rate_changes_while_paused_without_a_payment() {
    let mut pair = playing();
    pair.set_playing(false);
    pair.until("the pause", |pair| pair.gate == GateState::Paused);
    let paid = pair.paid;
    pair.set_rate(300_000);
    pair.run(seconds(5));
    assert_eq!((pair.rates(), pair.paid), ((300_000, 300_000), paid));
    pair.set_playing(true);
    pair.until_playing();
    pair.run(seconds(20));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn a_starved_session_takes_a_new_rate_and_its_debt_stays() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the end of the budget", |pair| pair.gate == GateState::Starved);
    let debited = pair.provider.consumed(pair.now);
    pair.set_rate(1_000);
    pair.run(seconds(5));
    assert_eq!(pair.rates(), (1_000, 1_000));
    assert_eq!(pair.gate, GateState::Starved, "a lower rate pays no debt");
    assert_eq!(pair.provider.consumed(pair.now), debited);
}

#[test]
fn rates_may_change_while_channels_are_renewed() {
    let mut pair = Pair::with(config(), policy_of(10_000, 1_000_000), consumer_identity());
    pair.until_playing();
    let open = pair.open_time;
    let since = pair.now;
    for round in 0..30 {
        pair.set_rate([300_000, 120_000, 480_000, 60_000][round % 4]);
        // At another point of every exchange.
        for _ in 0..10 {
            pair.confirm(1);
            pair.run(seconds(1) + Duration::from_millis(50));
        }
    }
    assert!(pair.used_up.len() >= 5, "{:?}", pair.used_up);
    let not_renewed = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::NotRenewed(_));
    assert!(
        !pair.notices.iter().any(not_renewed) && pair.faults().is_empty(),
        "{:?}",
        pair.faults()
    );
    assert_eq!(pair.open_time - open, pair.now - since, "media never stopped");
}

#[test]
fn a_free_stream_stays_free_and_a_paid_one_paid() {
    let mut pair = playing();
    pair.set_rate(0);
    pair.run(seconds(15));
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (0, (OLD, OLD)));
    let free = ProviderConfig {
        rate: Rate::new(0),
        ..config()
    };
    let mut pair = Pair::with(free, policy(), consumer_identity());
    pair.run(seconds(5));
    pair.set_rate(OLD);
    pair.run(seconds(15));
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (0, (0, 0)));
    assert!(pair.questions.is_empty(), "nothing to agree to");
}
