//! What was agreed when a channel was opened is what it goes on under: every field of the terms, at every stage, as
//! docs/protocol.md has it ("What may change").

#[path = "../common/mod.rs"]
mod common;

mod fields;

use common::pair::{Pair, consumer_identity};
use common::*;
use streamium_channel::bitcoin::{Amount, FeeRate};
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, ConsumerPolicy, Refusal};
use streamium_channel::fault::Fault;
use streamium_channel::message::{ClosingOffer, ConsumerMessage, GateState, ProviderMessage, decode};
use streamium_channel::money::Rate;
use streamium_channel::provider::ProviderConfig;
use streamium_channel::terms::Terms;

fn playing() -> Pair {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    pair
}

/// Cut off, and back at a provider that has changed its terms.
fn back_at(pair: &mut Pair, config: ProviderConfig) {
    pair.cut();
    let past = pair.past(false);
    pair.reconnect(config, policy(), past);
}

fn dearer_opening(opening: u64) -> ProviderConfig {
    ProviderConfig {
        opening: sat(opening),
        ..config()
    }
}

#[test]
fn a_channel_that_goes_on_owes_no_opening_payment_again() {
    for opening in [2_000, 4_999, 49_000] {
        let mut pair = playing();
        let paid = pair.paid;
        pair.media = false;
        back_at(&mut pair, dearer_opening(opening));
        pair.until("to be resumed", |pair| pair.sent("\"resumed\"") > 0);
        pair.run(seconds(5));
        // A second of media that was on its way, and the window.
        assert!(
            pair.paid <= paid + sat(600),
            "{} after {paid}, asked for {opening}",
            pair.paid
        );
        // And it goes on as if nothing had been said.
        pair.media = true;
        pair.run(seconds(10));
        assert_eq!((pair.gate, &pair.consumer_end), (GateState::Open, &None));
        assert!(pair.paid < paid + sat(2_000), "{}", pair.paid);
    }
}

/// A channel that was lost before its first payment.
fn unpaid() -> Pair {
    let mut pair = Pair::new();
    pair.until("the channel", |pair| pair.provider_record.is_some());
    pair.cut();
    assert_eq!(pair.paid, Amount::ZERO);
    pair
}

#[test]
fn an_opening_payment_that_is_owed_still_is_judged_when_it_is_raised() {
    let mut pair = unpaid();
    back_at(&mut pair, dearer_opening(49_000));
    pair.until("the end", |pair| pair.consumer_end.is_some());
    let refused = matches!(
        pair.consumer_end,
        Some(ConsumerEnd::Refused(Refusal::Opening { .. }))
    );
    assert!(refused, "{:?}", pair.consumer_end);
    assert_eq!(pair.sent("\"payment\""), 0);

    let mut pair = unpaid();
    pair.authorizes = None;
    back_at(&mut pair, dearer_opening(2_000));
    pair.until("the question", |pair| pair.questions.len() == 2);
    pair.run(seconds(5));
    assert_eq!(
        (pair.sent("\"resume\""), pair.paid),
        (0, Amount::ZERO),
        "not before it is agreed to"
    );
    pair.authorize(true);
    pair.until("the first payment", |pair| pair.paid == sat(2_000));
}

#[test]
fn terms_that_are_worse_are_asked_about_before_a_channel_goes_on() {
    let worse = [
        ProviderConfig {
            min_confirmations: 100,
            ..config()
        },
        ProviderConfig {
            unconfirmed_limit: sat(1),
            ..config()
        },
        ProviderConfig {
            settle_delay: seconds(1),
            ..config()
        },
        ProviderConfig {
            window: seconds(6),
            ..config()
        },
        ProviderConfig {
            rate: Rate::new(100_001),
            ..config()
        },
    ];
    for config in worse {
        let mut pair = playing();
        pair.authorizes = None;
        back_at(&mut pair, config.clone());
        pair.until("the question", |pair| pair.questions.len() == 2);
        pair.run(seconds(3));
        assert_eq!(pair.sent("\"resume\""), 0, "{config:?}");
    }
    let mut pair = playing();
    pair.authorizes = None;
    back_at(
        &mut pair,
        ProviderConfig {
            settle_delay: seconds(120),
            window: seconds(4),
            ..config()
        },
    );
    pair.until("to be resumed", |pair| pair.sent("\"resumed\"") > 0);
    assert_eq!(pair.questions.len(), 1, "better terms are no question");
}

/// The closes that the consumer offers when it stops.
fn closes(pair: &mut Pair) -> Vec<ClosingOffer> {
    let effects = pair.consumer.close(ConsumerEnd::Stopped, pair.now);
    pair.consumer_effects(effects);
    let mut texts = pair.log.iter().rev().filter_map(|line| line.split_once(" -> "));
    let (_, text) = texts.find(|(_, text)| text.contains("\"close\"")).unwrap();
    match decode(text).unwrap() {
        ConsumerMessage::Close { closing, .. } => closing,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_close_burns_what_was_agreed_and_not_what_later_terms_ask_of_commitments() {
    // It has paid less than its settlement would cost at such rates.
    for sat_per_kvb in [10_000, 20_000, 50_000] {
        let mut pair = unpaid();
        let config = ProviderConfig {
            commitment_fee_rate_sat_per_kvb: sat_per_kvb,
            ..config()
        };
        back_at(&mut pair, config);
        pair.until("to be resumed", |pair| pair.sent("\"resumed\"") > 0);
        pair.run(seconds(1));
        let offers = closes(&mut pair);
        assert!(offers.iter().all(|offer| offer.fee <= sat(250)), "{offers:?}");
    }
}

#[test]
fn a_close_never_burns_more_than_a_tenth_of_what_comes_back() {
    for (sat_per_vb, offered) in [(20, true), (50, false), (10_000, false)] {
        let mut pair = unpaid();
        back_at(&mut pair, config());
        pair.until("to be resumed", |pair| pair.sent("\"resumed\"") > 0);
        pair.run(seconds(1));
        pair.consumer
            .suggest_fee_rate(Some(FeeRate::from_sat_per_vb_u32(sat_per_vb)));
        let offers = closes(&mut pair);
        assert_eq!(!offers.is_empty(), offered, "{sat_per_vb} sat/vB: {offers:?}");
        assert!(
            offers
                .iter()
                .all(|offer| offer.fee.to_sat() * 10 <= 50_000 - offer.balance.to_sat())
        );
    }
}

/// Terms for the next channel, as the provider sent them and changed by hand.
fn next_terms(pair: &mut Pair, change: impl Fn(&mut Terms)) {
    pair.until("renew", |pair| pair.sent("\"renew\"") > 0);
    pair.run(std::time::Duration::from_millis(50));
    pair.drop_mail();
    let line = pair
        .log
        .iter()
        .rev()
        .find(|line| line.contains("\"terms\""))
        .unwrap();
    let ProviderMessage::Terms { mut terms, .. } = decode(line.split_once(" <- ").unwrap().1).unwrap() else {
        panic!("{line}");
    };
    change(&mut terms);
    let signature = terms.sign(&key(IDENTITY));
    pair.inject_to_consumer(&ProviderMessage::Terms { terms, signature });
}

#[test]
fn the_next_channel_is_taken_on_what_was_agreed_or_better_only() {
    type Change = fn(&mut Terms);
    let worse: [(&str, Change); 3] = [
        ("confirmations", |terms| terms.min_confirmations += 1),
        ("unconfirmed limit", |terms| terms.unconfirmed_limit = sat(999)),
        ("settle delay", |terms| terms.settle_delay_ms -= 1),
    ];
    for (what, change) in worse {
        let mut pair = Pair::playing(policy_of(10_000, 40_000));
        next_terms(&mut pair, change);
        let refused = ConsumerNotice::Fault(Fault::Renewal(what));
        assert!(pair.notices.contains(&refused), "{what}: {:?}", pair.notices);
        pair.run(seconds(5));
        assert_eq!(pair.consumer_records.len(), 1, "{what}");
    }
    let mut pair = Pair::playing(policy_of(10_000, 40_000));
    next_terms(&mut pair, |terms| terms.opening = sat(10));
    pair.until("the proposal", |pair| pair.sent("\"open\",\"cap") == 2);
}

/// A channel that was opened with a first payment of 1,000 sat and went on at a provider that asks for 2,000 by now.
fn next_at_a_dearer_opening() -> Pair {
    let policy = ConsumerPolicy {
        max_opening: sat(2_500),
        ..policy_of(10_000, 40_000)
    };
    let mut pair = Pair::with(config(), policy, consumer_identity());
    pair.until_playing();
    pair.confirm(1);
    pair.run(seconds(10));
    pair.cut();
    let past = pair.past(false);
    pair.reconnect(dearer_opening(2_000), policy, past);
    pair.until_playing();
    pair.authorizes = None;
    pair.until("renew", |pair| pair.sent("\"renew\"") > 0);
    pair
}

#[test]
fn a_dearer_opening_of_the_next_channel_is_put_to_the_application() {
    let mut pair = next_at_a_dearer_opening();
    pair.until("the question", |pair| pair.questions.len() == 2);
    pair.run(seconds(3));
    assert_eq!(
        (pair.sent("\"open\",\"cap"), pair.questions[1].1.opening),
        (1, sat(2_000))
    );
    pair.authorize(true);
    pair.until("the proposal", |pair| pair.sent("\"open\",\"cap") == 2);

    let mut pair = next_at_a_dearer_opening();
    pair.until("the question", |pair| pair.questions.len() == 2);
    pair.authorize(false);
    pair.run(seconds(5));
    assert_eq!(
        (pair.sent("\"open\",\"cap"), &pair.consumer_end),
        (1, &None),
        "this one goes on"
    );
}

#[test]
fn keys_are_used_up_by_proposals_only() {
    let mut pair = Pair::new();
    pair.funded = false;
    pair.until("terms", |pair| !pair.questions.is_empty());
    pair.run(seconds(2));
    assert_eq!(pair.keys_given, 0, "nobody has been proposed anything");
    for _ in 0..5 {
        pair.cut();
        pair.reconnect(config(), policy(), Default::default());
        pair.run(seconds(2));
    }
    assert_eq!(pair.keys_given, 0);
    pair.funded = true;
    let effects = pair.consumer.funded(pair.now);
    pair.consumer_effects(effects);
    pair.until_playing();
    back_at(&mut pair, config());
    pair.until_playing();
    assert_eq!(pair.keys_given, 1);
}
