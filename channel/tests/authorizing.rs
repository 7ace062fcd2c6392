//! The application's word on what a stream costs: nothing is committed, paid or taken before it.

mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use streamium_channel::bitcoin::Amount;
use streamium_channel::consumer::{ConsumerEnd, Refusal};
use streamium_channel::liveness::GONE_AFTER;
use streamium_channel::message::ProviderMessage;
use streamium_channel::money::Msat;
use streamium_channel::provider::{ProviderConfig, ProviderNotice};

/// On a confirmed channel.
fn playing() -> Pair {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(5));
    pair
}

fn asked() -> Pair {
    let mut pair = Pair::new();
    pair.authorizes = None;
    pair.until("the question", |pair| !pair.questions.is_empty());
    pair
}

/// Back at a provider that has settled the channel, and asks for a higher opening payment now.
fn back_at_a_dearer_opening() -> Pair {
    let mut pair = playing();
    pair.authorizes = None;
    pair.cut();
    let past = pair.past(false);
    pair.provider_records.clear();
    pair.consumed = Msat::ZERO;
    let config = ProviderConfig {
        opening: sat(2_000),
        ..config()
    };
    pair.reconnect(config, policy(), past);
    pair
}

#[test]
fn an_application_that_says_no_has_committed_and_paid_nothing() {
    let mut pair = asked();
    pair.authorize(false);
    pair.until_both_ended();
    assert_eq!(
        pair.consumer_end,
        Some(ConsumerEnd::Refused(Refusal::Application))
    );
    let words = pair.provider_end.as_ref().unwrap().to_string();
    assert!(words.contains("the application does not agree"), "{words}");
    assert_eq!((pair.sent("\"open\""), pair.paid), (0, Amount::ZERO));
    assert!(pair.consumer_record.is_none() && pair.broadcasts.is_empty());
}

#[test]
fn an_application_may_think_for_minutes_and_the_connection_stays() {
    let mut pair = asked();
    pair.run(GONE_AFTER * 20);
    assert_eq!(
        (pair.consumer_end.clone(), pair.provider_end.clone()),
        (None, None)
    );
    assert_eq!(pair.sent("\"open\""), 0);
    pair.authorize(true);
    pair.until_playing();
    assert_eq!(pair.questions.len(), 1);
}

#[test]
fn an_application_that_never_answers_ends_the_session_when_the_offer_does() {
    let config = ProviderConfig {
        funding_timeout: seconds(30),
        ..config()
    };
    let mut pair = Pair::with(config, policy(), consumer_identity());
    pair.authorizes = None;
    pair.until("the question", |pair| !pair.questions.is_empty());
    // A provider that would wait for ever.
    pair.latency = seconds(1_000_000);
    for _ in 0..29 {
        pair.inject_to_consumer(&ProviderMessage::Ping);
        pair.run(seconds(1));
    }
    assert_eq!(pair.consumer_end, None);
    pair.inject_to_consumer(&ProviderMessage::Ping);
    pair.run(seconds(2));
    assert_eq!(pair.consumer_end, Some(ConsumerEnd::Refused(Refusal::Unanswered)));
    assert_eq!(pair.sent("\"open\""), 0);
}

#[test]
fn a_rate_that_changes_while_the_application_thinks_is_asked_about_anew() {
    let mut pair = asked();
    pair.set_rate(200_000);
    pair.run(seconds(1));
    assert_eq!(pair.questions.len(), 2);
    let effects = pair.consumer.authorized(1, true, pair.now);
    assert!(effects.is_empty(), "it said yes to another rate: {effects:?}");
    pair.authorize(true);
    pair.until_playing();
    assert_eq!(pair.rates(), (200_000, 200_000));
    pair.confirm(1);
    pair.run(seconds(20));
    assert!(pair.faults().is_empty());
}

#[test]
fn a_word_on_what_resuming_costs_is_none_on_a_dearer_opening() {
    let mut pair = back_at_a_dearer_opening();
    pair.until("not-resumed", |pair| pair.sent("not-resumed") > 0);
    pair.run(seconds(5));
    assert_eq!((pair.questions.len(), pair.sent("\"open\",\"cap")), (2, 1));
    pair.authorize(true);
    pair.until("the opening", |pair| pair.sent("\"open\",\"cap") == 2);
}

#[test]
fn an_application_that_refuses_a_new_rate_ends_the_session() {
    let mut pair = playing();
    pair.authorizes = Some(false);
    pair.set_rate(50_000);
    pair.until("the end", |pair| pair.provider_end.is_some());
    assert!(matches!(
        pair.provider_notices.iter().rev().find(|notice| matches!(notice, ProviderNotice::RateRefused { .. })),
        Some(ProviderNotice::RateRefused { reason, .. }) if reason.contains("went down") && reason.contains("authorize-terms")
    ));
    assert!(pair.settle_due);
}

#[test]
fn a_word_on_a_cheaper_rate_is_none_on_that_of_the_terms() {
    let mut pair = asked();
    // A provider that says nothing more once its cheaper offer is taken.
    pair.set_rate(10_000);
    pair.run(seconds(1));
    pair.drop_mail();
    pair.authorize(true);
    pair.drop_mail();
    for _ in 0..20 {
        pair.inject_to_consumer(&ProviderMessage::Ping);
        pair.run(seconds(1));
        pair.drop_mail();
    }
    assert_eq!(
        (pair.sent("accept-rate"), pair.sent("\"open\"")),
        (1, 0),
        "nobody has agreed to the rate that is in force still"
    );
}

#[test]
fn a_provider_that_takes_too_long_for_the_rate_that_was_agreed_to_is_left() {
    let config = ProviderConfig {
        funding_timeout: seconds(60),
        ..config()
    };
    let mut pair = Pair::with(config, policy(), consumer_identity());
    pair.authorizes = None;
    pair.until("the question", |pair| !pair.questions.is_empty());
    pair.set_rate(10_000);
    pair.run(seconds(1));
    pair.latency = seconds(1_000_000);
    pair.authorize(true);
    for _ in 0..60 {
        pair.inject_to_consumer(&ProviderMessage::Ping);
        pair.run(seconds(1));
    }
    let end = pair.consumer_end.as_ref().unwrap().to_string();
    assert!(end.contains("changing its rate"), "{end}");
}

#[test]
fn a_word_on_a_dearer_opening_is_none_on_a_rate_that_was_asked_about_before() {
    let mut pair = back_at_a_dearer_opening();
    pair.until("resume", |pair| pair.sent("\"resume\"") > 0);
    pair.set_rate(900_000);
    pair.until("not-resumed", |pair| pair.sent("not-resumed") > 0);
    pair.run(seconds(5));
    // Asked about the rate, then about another opening: whatever it says yes to last is all that it has seen.
    let (_, terms) = pair.questions.last().unwrap();
    assert_eq!(
        (terms.rate.msat_per_s(), terms.opening),
        (900_000, sat(2_000)),
        "{:?}",
        pair.questions
    );
    pair.authorize(true);
    pair.run(seconds(5));
    assert_eq!(pair.rates(), (900_000, 900_000));
}
