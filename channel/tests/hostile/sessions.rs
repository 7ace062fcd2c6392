//! What a consumer may try with a session, before and beside paying.

use crate::common::pair::{Pair, provider_identity};
use crate::common::*;
use crate::harness::*;
use serde_json::json;
use std::time::Duration;
use streamium_channel::consumer::ConsumerEnd;
use streamium_channel::fault::Fault;
use streamium_channel::liveness::GONE_AFTER;
use streamium_channel::message::GateState;
use streamium_channel::provider::{
    COMMITMENT_TIMEOUT, CommitmentStatus, EndReason, HELLO_TIMEOUT, Keep, ProviderSession, Stake,
};

pub fn hello() -> String {
    json!({ "type": "hello", "versions": [1], "chain": config().chain.to_string(), "nonce": "02".repeat(32) })
        .to_string()
}

fn open() -> String {
    let agreed = contract(50_000);
    json!({
        "type": "open", "capacity_sat": 50_000, "consumer_key": agreed.keys().consumer().to_string(),
        "change_script": hex(agreed.change().script().as_bytes()), "refund_delay_blocks": 288,
    })
    .to_string()
}

fn committed() -> String {
    let transaction =
        streamium_channel::bitcoin::consensus::encode::serialize_hex(&commitment(&contract(50_000)));
    json!({ "type": "commitment", "transaction": transaction, "output": 1 }).to_string()
}

/// A provider whose consumer has said so much of what opens a channel, and then says no more of it.
fn after(steps: usize) -> Pair {
    let mut pair = alone(Pair::new());
    for text in [hello(), open(), committed()].iter().take(steps) {
        say(&mut pair, text);
    }
    pair.log.clear();
    pair
}

#[test]
fn what_is_no_message_ends_a_session_in_every_state() {
    for steps in 0..=3 {
        for (what, text) in not_messages() {
            ended(&mut after(steps), what, &text, "malformed");
        }
        let mut pair = after(steps);
        let effects = pair.provider.not_text(pair.now);
        pair.provider_effects(effects);
        assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::NotText)));
    }
    for (what, text) in not_messages() {
        ended(&mut alone(playing()), what, &text, "malformed");
    }
}

#[test]
fn the_longest_message_is_one() {
    let sent = say(&mut alone(playing()), &longest_message());
    assert_eq!(sent, [json!({ "type": "pong" })]);
}

#[test]
fn an_unknown_message_is_answered_in_every_state() {
    for steps in 0..=3 {
        for text in [r#"{"type":"teleport"}"#, r#"{"type":""}"#, r#"{"type":"terms"}"#] {
            answered(&mut after(steps), text, text, "unknown-type");
        }
    }
}

#[test]
fn steps_left_out_or_repeated_are_answered_and_change_nothing() {
    // All orders in which a step has no place: said twice, too early, or too late.
    let steps = [hello(), open(), committed()];
    for done in 0..=3 {
        for (index, text) in steps.iter().enumerate() {
            if index != done {
                let what = format!("step {index} after {done} steps");
                answered(&mut after(done), &what, text, "unexpected");
            }
        }
        for text in [r#"{"type":"renew"}"#, r#"{"type":"pause"}"#, r#"{"type":"play"}"#] {
            if done < 3 {
                answered(&mut after(done), text, text, "unexpected");
            }
        }
    }
    answered(
        &mut after(3),
        "a next channel before the first is confirmed",
        r#"{"type":"renew"}"#,
        "unexpected",
    );
}

#[test]
fn everything_said_twice_and_early_is_as_good_as_once() {
    // Each message comes at once and again later, in both directions: what is said a second time has no effect.
    let (mut pair, mut seen) = (Pair::new(), 0);
    let start = pair.now;
    while pair.now < start + seconds(60) {
        pair.run(Duration::from_millis(50));
        let lines: Vec<_> = pair.log[seen..].to_vec();
        seen = pair.log.len();
        for line in lines {
            if let Some((_, text)) = line.split_once(" -> ") {
                say(&mut pair, text);
            } else if let Some((_, text)) = line.split_once(" <- ") {
                tell(&mut pair, text);
            }
        }
        seen = seen.max(pair.log.len());
        pair.confirm(1);
    }
    assert_eq!((&pair.provider_end, &pair.consumer_end), (&None, &None));
    assert_eq!((pair.gate, pair.consumer_records.len()), (GateState::Open, 1));
    assert_eq!(pair.provider.balance(), pair.paid);
    // A minute at 100 sat a second, a window ahead; nothing is paid twice.
    let paid = pair.paid.to_sat();
    assert!((6_000..=6_700).contains(&paid), "{paid}");
}

/// A consumer that answers each ping, and says nothing else.
fn idle(pair: &mut Pair, long: Duration) -> Duration {
    let since = pair.now;
    while pair.provider_end.is_none() && pair.now < since + long {
        say(pair, r#"{"type":"pong"}"#);
        pair.run(Duration::from_millis(500));
    }
    pair.now - since
}

#[test]
fn a_consumer_that_only_idles_is_let_go_from_every_state() {
    let limits = [
        (0, HELLO_TIMEOUT, "saying hello"),
        (1, config().funding_timeout, "funding"),
        (2, COMMITMENT_TIMEOUT, "the commitment"),
    ];
    for (steps, limit, reason) in limits {
        let mut pair = after(steps);
        let took = idle(&mut pair, limit + seconds(5));
        assert_eq!(pair.provider_end, Some(EndReason::TimedOut(reason)));
        assert!(took <= limit + seconds(1), "{reason}: {took:?}");
        assert!(!pair.settle_due && pair.open_time == Duration::ZERO);
    }
    let mut pair = after(3);
    let took = idle(&mut pair, seconds(100));
    assert_eq!(
        pair.provider_end,
        Some(EndReason::Starved),
        "a channel, but never a payment"
    );
    assert!(took <= config().settle_delay + seconds(1), "{took:?}");
    assert!(!pair.settle_due, "there is nothing to settle");
}

#[test]
fn a_consumer_that_falls_silent_is_gone_from_every_state() {
    for steps in 0..=3 {
        let mut pair = after(steps);
        pair.run(GONE_AFTER + seconds(1));
        assert_eq!(pair.provider_end, Some(EndReason::Gone), "after {steps} steps");
        assert_eq!(pair.open_time, Duration::ZERO);
    }
}

#[test]
fn a_connection_that_breaks_in_the_middle_moves_nothing() {
    for steps in 0..=3 {
        let mut pair = after(steps);
        let before = standing(&pair);
        pair.cut();
        assert_eq!(pair.provider_end, Some(EndReason::Disconnected));
        assert_eq!(standing(&pair), before, "after {steps} steps");
        assert_eq!(
            pair.released,
            kept(&pair),
            "a channel waits for its consumer's return"
        );
        assert!(say(&mut pair, &hello()).is_empty(), "nothing is heard any more");
    }
    // The consumer's side, wherever it is when the connection breaks.
    for step in 0..40 {
        let mut pair = Pair::new();
        pair.run(Duration::from_millis(50) * step);
        let (paid, channels) = (pair.paid, pair.consumer_records.len());
        pair.cut();
        assert_eq!(pair.consumer_end, Some(ConsumerEnd::Disconnected));
        assert_eq!((pair.paid, pair.consumer_records.len()), (paid, channels));
        assert!(
            pair.broadcasts.is_empty() || channels == 1,
            "on record before it is sent"
        );
    }
}

fn kept(pair: &Pair) -> Vec<(streamium_channel::bitcoin::OutPoint, Keep)> {
    pair.provider_records
        .keys()
        .map(|outpoint| (*outpoint, Keep::SettleDelay))
        .collect()
}

#[test]
fn a_flood_of_any_message_ends_a_session() {
    let signature = "00".repeat(64);
    let resume = json!({ "type": "resume", "outpoint": outpoint(7).to_string(), "signature": signature });
    let texts = [
        r#"{"type":"ping"}"#.to_owned(),
        r#"{"type":"pong"}"#.to_owned(),
        r#"{"type":"teleport"}"#.to_owned(),
        r#"{"type":"error","code":"other","words":"x"}"#.to_owned(),
        hello(),
        r#"{"type":"renew"}"#.to_owned(),
        resume.to_string(),
    ];
    for text in texts {
        let mut pair = after(1);
        let mut said = 0;
        while pair.provider_end.is_none() {
            say(&mut pair, &text);
            said += 1;
            assert!(said <= 101, "{text}");
        }
        assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Flood)), "{text}");
    }
}

#[test]
fn who_has_money_locked_has_more_at_stake_than_who_talks() {
    // By this the driver decides who goes when a crowd comes.
    let stakes = [Stake::Nothing, Stake::Nothing, Stake::Proposal, Stake::Commitment];
    for (steps, stake) in stakes.into_iter().enumerate() {
        assert_eq!(after(steps).provider.stake(), stake, "after {steps} steps");
    }
    let mut pair = after(3);
    let outpoint = channel_of(&pair).outpoint();
    pair.chain_says(outpoint, CommitmentStatus::Missing);
    assert_eq!(
        pair.provider.stake(),
        Stake::Nothing,
        "a commitment that the network does not take"
    );
    let fresh = ProviderSession::new(config(), provider_identity(), pair.now);
    assert_eq!(fresh.stake(), Stake::Nothing);
}
