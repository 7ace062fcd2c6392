//! A channel that goes on at another rate.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::{OLD, playing};
use std::time::Duration;
use streamium_channel::message::GateState;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::ProviderConfig;

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
