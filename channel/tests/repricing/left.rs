//! A rate that is refused, or never answered.

use crate::common::*;
use crate::{OLD, playing};
use streamium_channel::message::{ConsumerMessage, ErrorCode, GateState};
use streamium_channel::money::Rate;
use streamium_channel::provider::{EndReason, ProviderNotice};
use streamium_channel::rate_offer::{ANSWER_TIMEOUT, OFFER_INTERVAL};

#[test]
fn a_rate_above_max_rate_ends_the_session_with_a_word_and_what_was_paid_is_settled() {
    let mut pair = playing();
    let paid = pair.paid;
    pair.set_rate(1_000_001);
    pair.until_both_ended();
    let end = pair.consumer_end.clone().unwrap();
    assert_eq!(
        end.to_string(),
        "the rate went up to 1000001 msat/s, above max-rate (1000000 msat/s)"
    );
    assert_eq!(
        pair.provider_end,
        Some(EndReason::ConsumerClosed(end.to_string()))
    );
    let refused = ProviderNotice::RateRefused {
        old: Rate::new(OLD),
        new: Rate::new(1_000_001),
        reason: end.to_string(),
    };
    assert!(
        pair.provider_notices.contains(&refused),
        "{:?}",
        pair.provider_notices
    );
    assert!(
        pair.settle_due && pair.paid == paid,
        "nothing is paid at a rate that was refused"
    );
    assert_eq!(pair.provider.rate(), Rate::new(OLD));
}

#[test]
fn a_consumer_that_does_not_answer_is_let_go_and_settled() {
    // One that knows the message and says nothing, and one that does not know it.
    for knows in [true, false] {
        let mut pair = playing();
        pair.authorizes = None;
        let at = pair.now;
        pair.set_rate(200_000);
        if !knows {
            pair.inject(&ConsumerMessage::Error {
                code: ErrorCode::UnknownType,
                words: "unknown message type".into(),
            });
        }
        pair.run(ANSWER_TIMEOUT - seconds(1));
        assert_eq!((pair.provider_end.clone(), pair.gate), (None, GateState::Open));
        pair.until("the end", |pair| pair.provider_end.is_some());
        assert!(pair.now - at < ANSWER_TIMEOUT + seconds(1));
        assert_eq!(
            pair.provider_end,
            Some(EndReason::RateUnanswered(Rate::new(200_000)))
        );
        assert!(pair.settle_due);
        pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
        let words = pair.consumer_end.as_ref().unwrap().to_string();
        assert!(
            words.contains("did not answer to the new rate of 200000 msat/s"),
            "{words}"
        );
    }
}

#[test]
fn who_never_answers_is_let_go_though_the_rate_changes_again_and_again() {
    let mut pair = playing();
    pair.authorizes = None;
    let at = pair.now;
    for minute in 0..10 {
        pair.set_rate(200_000 + minute);
        pair.run(seconds(60));
    }
    assert!(
        matches!(pair.provider_end, Some(EndReason::RateUnanswered(_))),
        "{:?} sat for {:?} at the first rate",
        pair.paid,
        pair.now - at
    );
}

#[test]
fn nobody_is_let_go_over_the_rate_in_force() {
    // One that does not know the message, and the broadcaster thinks better of it.
    let mut pair = playing();
    for rate in [200_000, OLD] {
        pair.set_rate(rate);
        pair.lose_rates();
        pair.run(OFFER_INTERVAL);
    }
    assert_eq!(pair.sent("\"rate\""), 2);
    pair.run(ANSWER_TIMEOUT * 3);
    assert_eq!((pair.provider_end.clone(), pair.gate), (None, GateState::Open));
}
