//! One offer after the other.

use crate::common::*;
use crate::{OLD, playing};
use streamium_channel::message::ConsumerMessage;
use streamium_channel::money::Rate;
use streamium_channel::rate_offer::{ANSWER_TIMEOUT, OFFER_INTERVAL};

#[test]
fn offers_keep_their_distance_and_the_last_rate_that_was_set_counts() {
    let mut pair = playing();
    for rate in [200_000, 300_000, 400_000] {
        pair.set_rate(rate);
    }
    pair.run(OFFER_INTERVAL - seconds(1));
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (1, (200_000, 200_000)));
    pair.run(seconds(2));
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (2, (400_000, 400_000)));
    // Set back before it is offered: nothing to say.
    pair.set_rate(300_000);
    pair.set_rate(400_000);
    pair.run(seconds(20));
    assert_eq!((pair.sent("\"rate\""), pair.rates()), (2, (400_000, 400_000)));
    assert_eq!(pair.provider_end, None);
}

#[test]
fn a_later_offer_replaces_one_that_was_not_answered() {
    let mut pair = playing();
    pair.authorizes = None;
    pair.set_rate(200_000);
    pair.run(OFFER_INTERVAL);
    pair.set_rate(300_000);
    // The answer to the first one was on its way.
    pair.inject(&ConsumerMessage::AcceptRate { number: 1 });
    assert_eq!(pair.sent("\"error\""), 0);
    assert_eq!(
        pair.provider.rate(),
        Rate::new(OLD),
        "it is not in force, and was none"
    );
    pair.run(seconds(1));
    let first = pair.questions[pair.questions.len() - 2].0;
    let effects = pair.consumer.authorized(first, false, pair.now);
    assert!(
        effects.is_empty(),
        "nobody waits for that answer any more: {effects:?}"
    );
    pair.authorize(true);
    pair.run(seconds(1));
    assert_eq!(pair.rates(), (300_000, 300_000));
}

#[test]
fn an_answer_that_crosses_a_later_offer_is_made_up_for() {
    let mut pair = playing();
    pair.latency = seconds(2);
    pair.authorizes = None;
    pair.set_rate(200_000);
    pair.run(OFFER_INTERVAL - seconds(1));
    pair.authorizes = Some(true);
    pair.authorize(true);
    pair.run(seconds(1));
    pair.set_rate(40_000);
    pair.run(seconds(1));
    assert_eq!(
        pair.rates(),
        (OLD, 200_000),
        "it has taken what does not stand any more"
    );
    pair.run(seconds(8));
    assert_eq!(pair.rates(), (40_000, 40_000));
    pair.run(seconds(60));
    assert!(pair.faults().is_empty() && pair.provider_end.is_none());
}

#[test]
fn a_rate_that_is_taken_back_needs_no_new_word() {
    let mut pair = playing();
    pair.authorizes = None;
    let asked = pair.questions.len();
    pair.set_rate(200_000);
    pair.run(OFFER_INTERVAL);
    pair.set_rate(OLD);
    pair.run(seconds(1));
    assert_eq!(pair.questions.len(), asked + 1);
    pair.authorize(false);
    pair.run(ANSWER_TIMEOUT);
    assert_eq!(
        (pair.consumer_end.clone(), pair.provider_end.clone()),
        (None, None)
    );
    assert_eq!(pair.rates(), (OLD, OLD));
}

#[test]
fn a_rate_that_was_taken_and_replaced_counts_no_more() {
    let mut pair = playing();
    pair.latency = seconds(2);
    pair.authorizes = None;
    pair.set_rate(200_000);
    pair.run(OFFER_INTERVAL - seconds(1));
    pair.authorize(true);
    pair.run(seconds(1));
    pair.set_rate(300_000);
    pair.run(seconds(3));
    assert_eq!(pair.rates(), (OLD, OLD), "the later offer waits for its answer");
}
