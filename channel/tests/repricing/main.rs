//! New rates while a session runs, and the application's word on what it costs: both machines, in simulated time.

#[path = "../common/mod.rs"]
mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use std::time::Duration;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, Refusal};
use streamium_channel::message::{ConsumerMessage, ErrorCode, GateState};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::{EndReason, ProviderConfig, ProviderNotice};
use streamium_channel::rate_offer::{ANSWER_TIMEOUT, OFFER_INTERVAL};

const OLD: u64 = 100_000;

/// Ten seconds on, on a confirmed channel with much in it.
fn playing() -> Pair {
    let mut pair = Pair::playing(policy_of(1_000_000, 1_000_000));
    pair.run(seconds(10));
    pair
}

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

#[test]
fn a_rate_that_is_taken_while_a_channel_is_resumed_counts_from_then_on() {
    let mut pair = playing();
    pair.latency = Duration::from_millis(500);
    come_back(&mut pair, OLD);
    pair.until("resume", |pair| pair.sent("\"resume\"") > 0);
    pair.set_rate(900_000);
    pair.run(Duration::from_millis(1_050));
    let before = pair.consumer.figures(pair.now).consumed;
    pair.run(Duration::from_millis(400));
    assert_eq!(pair.sent("rate-changed"), 1, "but it has not arrived");
    let counted = pair.consumer.figures(pair.now).consumed.minus(before);
    assert_eq!(counted, Msat::new(360_000));
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

/// The connection breaks, and is made again with a provider at this rate.
fn come_back(pair: &mut Pair, rate: u64) {
    pair.cut();
    let past = pair.past(false);
    let config = ProviderConfig {
        rate: Rate::new(rate),
        ..config()
    };
    pair.reconnect(config, policy_of(1_000_000, 1_000_000), past);
}

#[test]
fn a_channel_goes_on_at_the_rate_of_its_terms_and_only_a_new_one_needs_a_word() {
    let mut pair = playing();
    assert_eq!(pair.questions.len(), 1);
    pair.set_rate(200_000);
    pair.run(seconds(5));
    assert_eq!(pair.questions.len(), 2);
    pair.authorizes = None;
    come_back(&mut pair, 200_000);
    pair.until_playing();
    assert_eq!((pair.questions.len(), pair.rates()), (2, (200_000, 200_000)));
    come_back(&mut pair, 150_000);
    pair.run(seconds(5));
    assert_eq!(
        (pair.questions.len(), pair.sent("\"resume\"")),
        (3, 1),
        "a lower one is another, too"
    );
    pair.authorize(true);
    pair.until_playing();
    assert_eq!(pair.rates(), (150_000, 150_000));
}

#[test]
fn what_was_on_its_way_at_the_old_rate_is_believed_when_the_channel_goes_on_at_a_lower_one() {
    let mut pair = playing();
    pair.set_rate(1_000_000);
    pair.run(seconds(20));
    // The provider notices the loss late, and has sent meanwhile.
    pair.media = false;
    pair.run(seconds(4));
    come_back(&mut pair, 1_000);
    pair.media = true;
    pair.until("the channel", |pair| pair.sent("\"resumed\"") > 0);
    pair.run(seconds(5));
    assert!(pair.faults().is_empty(), "{:?}", pair.faults());
    assert_eq!((pair.consumer_end.clone(), pair.gate), (None, GateState::Open));
}

#[test]
fn what_a_crash_and_a_lost_connection_hide_is_believed_at_the_highest_rate() {
    // More than a window, out of the opening payment: four seconds until the provider notices, and what was not written
    // down.
    let short = |rate| ProviderConfig {
        rate: Rate::new(rate),
        window: seconds(1),
        opening: sat(5_000),
        unconfirmed_limit: sat(5_000),
        ..config()
    };
    let policy = policy_of(1_000_000, 1_000_000);
    let mut pair = Pair::with(short(1_000_000), policy, consumer_identity());
    pair.until_playing();
    pair.confirm(1);
    pair.run(seconds(1));
    let latency = std::mem::replace(&mut pair.latency, seconds(1_000_000));
    pair.media = false;
    pair.run(Duration::from_millis(4_500));
    pair.cut();
    let past = pair.past(true);
    (pair.media, pair.latency) = (true, latency);
    pair.reconnect(short(1_000), policy, past);
    pair.run(seconds(5));
    assert_eq!(pair.sent("\"resumed\""), 1);
    assert!(pair.faults().is_empty(), "{:?}", pair.faults());
    assert_eq!((pair.consumer_end.clone(), pair.gate), (None, GateState::Open));
}

#[test]
fn a_channels_record_begins_with_its_rate() {
    let pair = playing();
    assert_eq!(pair.consumer_record.unwrap().rate, Rate::new(OLD));
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
