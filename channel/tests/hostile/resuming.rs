//! Channels that are somebody else's, used up, or owe something.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use crate::sessions::hello;
use serde_json::json;
use std::time::Duration;
use streamium_channel::consumer::Past;
use streamium_channel::fault::Fault;
use streamium_channel::message::GateState;
use streamium_channel::provider::{EndReason, ProviderEffect};
use streamium_channel::resume::Challenge;

#[test]
fn a_hundred_resumes_a_second_end_a_session_and_move_nothing() {
    let mut pair = playing();
    let (outpoint, best) = (channel_of(&pair).outpoint(), pair.best);
    stranger(&mut pair);
    say(&mut pair, &hello());
    let records = pair.provider_records.clone();
    // A channel that is not on record may be asked for again and again, until that is too often.
    let unknown = json!({
        "type": "resume", "outpoint": crate::common::outpoint(0xdd).to_string(), "signature": "11".repeat(64),
    });
    for _ in 0..50 {
        let sent = say(&mut pair, &unknown.to_string());
        assert_eq!(sent[0]["type"], "not-resumed");
    }
    while pair.provider_end.is_none() {
        say(&mut pair, &unknown.to_string());
        pair.now += Duration::from_millis(10);
    }
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Flood)));
    assert_eq!((&pair.provider_records, pair.best), (&records, best));
    // Somebody else's channel ends it with the first wrong proof.
    stranger(&mut pair);
    say(&mut pair, &hello());
    let wrong = json!({ "type": "resume", "outpoint": outpoint.to_string(), "signature": "11".repeat(64) });
    ended_unpaid(&mut pair, &wrong.to_string());
    assert_eq!(pair.provider_records, records);
}

fn ended_unpaid(pair: &mut Pair, text: &str) {
    let sent = say(pair, text);
    assert_eq!(
        (&sent[0]["type"], &sent[0]["code"]),
        (&json!("error"), &json!("payment")),
        "{sent:?}"
    );
    assert!(matches!(
        pair.provider_end,
        Some(EndReason::Fault(Fault::Proof(_)))
    ));
    assert!(!pair.settle_due && pair.gate != GateState::Open);
}

#[test]
fn a_proof_made_for_another_connection_resumes_nothing() {
    let mut pair = playing();
    pair.cut();
    let outpoint = channel_of(&pair).outpoint();
    let past = pair.past(false);
    pair.reconnect(config(), policy(), past);
    pair.until_playing();
    // The proof of the connection before, really made by the consumer's key, word for word.
    let texts = texts(&pair, "->");
    let proof = texts
        .iter()
        .rev()
        .find(|text| text.contains("\"resume\""))
        .unwrap()
        .clone();
    stranger(&mut pair);
    say(&mut pair, &hello());
    ended_unpaid(&mut pair, &proof);
    // A payment's signature in its place.
    stranger(&mut pair);
    say(&mut pair, &hello());
    let payment = signed(&channel_of(&pair), &key(CONSUMER), 9_000);
    let text =
        json!({ "type": "resume", "outpoint": outpoint.to_string(), "signature": hex(&payment[..64]) });
    ended_unpaid(&mut pair, &text.to_string());
}

#[test]
fn a_channel_that_is_used_up_or_being_settled_is_not_resumed() {
    let mut pair = playing();
    let outpoint = channel_of(&pair).outpoint();
    for reason in ["it is being settled", "it is not open here"] {
        stranger(&mut pair);
        say(&mut pair, &hello());
        let sent = say(&mut pair, &hello());
        assert_eq!(sent[0]["code"], "unexpected");
        let before = standing(&pair);
        // What its driver answers for such a channel, whoever proves what.
        let terms = terms_of(&pair);
        let proof = Challenge::of(&terms, outpoint).sign(&key(CONSUMER));
        let text =
            json!({ "type": "resume", "outpoint": outpoint.to_string(), "signature": proof.to_string() });
        let _ = pair.provider.text(&text.to_string(), pair.now);
        let effects = pair.provider.recalled(Err(reason.to_owned()), pair.now);
        let taken = |effect: &ProviderEffect| matches!(effect, ProviderEffect::TakeOver(_));
        assert!(!effects.iter().any(taken), "{effects:?}");
        pair.provider_effects(effects);
        assert_eq!((standing(&pair), &pair.provider_end), (before, &None));
        assert_ne!(pair.gate, GateState::Open);
    }
}

fn terms_of(pair: &Pair) -> streamium_channel::terms::Terms {
    let texts = texts(pair, "<-");
    let text = texts
        .iter()
        .rev()
        .find(|text| text.contains("\"terms\""))
        .unwrap();
    let text: serde_json::Value = serde_json::from_str(text).unwrap();
    serde_json::from_value(text["terms"].clone()).unwrap()
}

#[test]
fn debt_is_not_left_behind_on_another_connection() {
    let mut pair = playing();
    let effects = pair.consumer.set_budget(pair.paid, pair.now);
    pair.consumer_effects(effects);
    pair.until("starvation", |pair| pair.gate == GateState::Starved);
    let open = pair.open_time;
    for _ in 0..10 {
        pair.cut();
        let past = Past {
            spent: sat(0),
            ..pair.past(false)
        };
        let broke = streamium_channel::consumer::ConsumerPolicy {
            budget: pair.paid,
            ..policy()
        };
        pair.reconnect(config(), broke, past);
        pair.run(seconds(2));
    }
    assert_eq!(pair.open_time, open, "not even the grace again");
}
