//! The state tables of docs/protocol.md, held against the code: every message in every state.

mod common;

use common::pair::{self, Pair, consumer_identity};
use common::*;
use std::collections::BTreeMap;
use std::path::Path;
use streamium_channel::bitcoin::ScriptBuf;
use streamium_channel::bitcoin::hashes::Hash;
use streamium_channel::consumer::{ConsumerEffect, ConsumerEnd};
use streamium_channel::contract::Contract;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::message::{
    ChannelState, ConsumerMessage, ErrorCode, GateState, ProviderMessage, decode, encode,
};
use streamium_channel::money::Rate;
use streamium_channel::payment::Payment;
use streamium_channel::provider::ProviderEffect;
use streamium_channel::rate_offer::RateOffer;

/// Message and state to answer, as the document has it.
type Table = BTreeMap<(String, String), String>;

/// The table under a heading line.
fn documented(side: &str) -> Table {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/protocol.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (_, section) = text.split_once("## 9. States").unwrap();
    let (_, table) = section.split_once(&format!("\n{side} (")).unwrap();
    let mut rows = table
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().trim_matches('`').to_owned())
            .collect()
    };
    let states = cells(rows.next().unwrap());
    rows.skip(1)
        .flat_map(|row| {
            let row = cells(row);
            let message = row[0].clone();
            let answers = states.iter().zip(row).skip(1);
            answers
                .map(move |(state, answer)| ((message.clone(), state.clone()), answer))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn hello() -> ConsumerMessage {
    common::hello(vec![1], config().chain)
}

fn open() -> ConsumerMessage {
    let agreed = contract(50_000);
    ConsumerMessage::Open {
        capacity: agreed.capacity(),
        consumer_key: agreed.keys().consumer(),
        change_script: agreed.change().clone(),
        refund_delay: agreed.delay(),
    }
}

fn committed() -> ConsumerMessage {
    ConsumerMessage::Commitment {
        transaction: commitment(&contract(50_000)),
        output: 1,
    }
}

fn payment(pair: &Pair) -> ConsumerMessage {
    let (outpoint, signature) = match &pair.provider_record {
        Some(record) => {
            let (channel, _) = record.restore().unwrap();
            (
                record.outpoint,
                Payment::sign(&channel, &key(CONSUMER), sat(2_000))
                    .unwrap()
                    .signature(),
            )
        }
        None => {
            let signature = Payment::sign(&channel(50_000), &key(CONSUMER), sat(2_000))
                .unwrap()
                .signature();
            (outpoint(7), signature)
        }
    };
    ConsumerMessage::Payment {
        outpoint,
        cumulative: sat(2_000),
        signature,
    }
}

/// The contract of a next channel: the key is the one that the pair's provider draws.
fn next_contract() -> Contract {
    let keys = ChannelKeys::new(
        key(STRANGER).x_only_public_key().0,
        pair::provider_key(11).key.x_only_public_key().0,
    )
    .unwrap();
    let agreed = contract(50_000);
    Contract::new(keys, agreed.delay(), agreed.capacity(), agreed.change().clone()).unwrap()
}

/// A provider alone, brought to a state by hand; what it sends goes nowhere.
fn provider_in(state: &str) -> Pair {
    let mut pair = Pair::new();
    pair.latency = seconds(1_000_000);
    let steps = [
        "hello awaited",
        "open awaited",
        "commitment awaited",
        "channel open",
        "next offered",
        "next accepted",
    ];
    let reached = steps.iter().position(|step| *step == state).unwrap();
    let messages = [hello(), open(), committed(), ConsumerMessage::Renew, next_open()];
    for message in messages.iter().take(reached) {
        pair.inject(message);
        pair.confirm(1);
    }
    assert_eq!(pair.provider_end, None);
    pair
}

fn next_open() -> ConsumerMessage {
    let agreed = next_contract();
    ConsumerMessage::Open {
        capacity: agreed.capacity(),
        consumer_key: agreed.keys().consumer(),
        change_script: agreed.change().clone(),
        refund_delay: agreed.delay(),
    }
}

fn consumer_text(message: &str, pair: &Pair) -> String {
    let error = ConsumerMessage::Error {
        code: ErrorCode::Other,
        words: "x".into(),
    };
    let known = match message {
        "hello" => hello(),
        "resume" => ConsumerMessage::Resume {
            outpoint: outpoint(7),
            signature: closing_signature(),
        },
        "renew" => ConsumerMessage::Renew,
        "open" if pair.provider_record.is_some() => next_open(),
        "open" => open(),
        "commitment" if pair.provider_record.is_some() => ConsumerMessage::Commitment {
            transaction: commitment(&next_contract()),
            output: 1,
        },
        "commitment" => committed(),
        "payment" => payment(pair),
        "accept-rate" => ConsumerMessage::AcceptRate { number: 1 },
        "pause" => ConsumerMessage::Pause,
        "play" => ConsumerMessage::Play,
        "close" => ConsumerMessage::Close {
            reason: "x".into(),
            closing: Vec::new(),
            refused_rate: None,
        },
        "ping" => ConsumerMessage::Ping,
        "pong" => ConsumerMessage::Pong,
        "error" => error,
        "unknown type" => return r#"{"type":"teleport"}"#.into(),
        "not a message" => return "{".into(),
        other => panic!("{other}"),
    };
    encode(&known).unwrap()
}

/// Some signature.
fn closing_signature() -> streamium_channel::bitcoin::secp256k1::schnorr::Signature {
    streamium_channel::bitcoin::secp256k1::schnorr::Signature::from_slice(&[1; 64]).unwrap()
}

#[test]
fn the_provider_answers_as_documented() {
    let table = documented("Provider");
    assert_eq!(table.len(), 15 * 6);
    for ((message, state), documented) in table {
        let mut pair = provider_in(&state);
        // With a new rate offered, if it can be.
        pair.set_rate(200_000);
        let text = consumer_text(&message, &pair);
        let effects = pair.provider.text(&text, pair.now);
        let is = |wanted: fn(&ProviderEffect) -> bool| effects.iter().any(wanted);
        let answer = match () {
            () if is(|e| matches!(e, ProviderEffect::End(_))) => "end",
            () if is(|e| matches!(e, ProviderEffect::Send(ProviderMessage::Error { .. }))) => "error",
            () if matches!(message.as_str(), "pong" | "error") && effects.is_empty() => "–",
            () => "yes",
        };
        assert_eq!(answer, documented, "{message} while {state}: {effects:?}");
        if answer == "error" {
            assert_eq!(effects.len(), 2, "an error changes nothing: {effects:?}");
        }
    }
}

/// A consumer alone, brought to a state by hand.
fn consumer_in(state: &str) -> Pair {
    match state {
        "resumed awaited" => resuming(),
        "authorization awaited" => authorizing(),
        "next terms" | "next accept" => renewing(state == "next accept"),
        _ => opening(state),
    }
}

/// The application has been asked, and has not answered.
fn authorizing() -> Pair {
    let mut pair = Pair::new();
    pair.authorizes = None;
    pair.until("the question", |pair| !pair.questions.is_empty());
    pair.latency = seconds(1_000_000);
    pair
}

/// The connection was lost, and the consumer has asked to go on.
fn resuming() -> Pair {
    let mut pair = Pair::new();
    pair.until_playing();
    pair.cut();
    let past = pair.past(false);
    pair.reconnect(config(), policy(), past);
    let asked = |pair: &Pair| pair.log.iter().any(|line| line.contains("\"resume\""));
    pair.until("resume", asked);
    pair.drop_mail();
    pair.latency = seconds(1_000_000);
    pair
}

/// A channel that is nearly used up, whose consumer has asked for the next one.
fn renewing(accept: bool) -> Pair {
    let mut pair = Pair::playing(policy_of(10_000, 100_000));
    let asked = |pair: &Pair| pair.log.iter().any(|line| line.contains("\"renew\""));
    pair.until("renew", asked);
    if accept {
        pair.until("open", |pair| {
            pair.log
                .iter()
                .filter(|line| line.contains("\"open\",\"cap"))
                .count()
                == 2
        });
    }
    pair.drop_mail();
    pair.latency = seconds(1_000_000);
    pair
}

fn opening(state: &str) -> Pair {
    let mut pair = Pair::with(config(), policy(), consumer_identity());
    pair.funded = false;
    if state == "terms awaited" {
        return pair;
    }
    pair.until("terms", |pair| !pair.notices.is_empty());
    pair.latency = seconds(1_000_000);
    if state == "funds awaited" {
        return pair;
    }
    let effects = pair.consumer.funded(pair.now);
    pair.consumer_effects(effects);
    if state == "accept awaited" {
        return pair;
    }
    pair.inject_to_consumer(&ProviderMessage::Accept {
        payout_script: p2tr(0x77),
    });
    assert!(pair.consumer_record.is_some());
    if state == "settlement awaited" {
        let effects = pair.consumer.close(ConsumerEnd::Stopped, pair.now);
        pair.consumer_effects(effects);
    } else {
        assert_eq!(state, "channel open");
    }
    pair
}

fn provider_text(message: &str, pair: &Pair) -> String {
    let outpoint = pair
        .consumer_record
        .as_ref()
        .map_or(outpoint(7), |record| record.outpoint);
    let reason = || "x".to_owned();
    let known = match message {
        "terms" => {
            let sent = pair.log.iter().find(|line| line.contains("\"terms\""));
            return match sent {
                Some(line) => line.split_once(" <- ").unwrap().1.to_owned(),
                None => {
                    let mut other = Pair::new();
                    other.until("terms", |pair| {
                        pair.log.iter().any(|line| line.contains("\"terms\""))
                    });
                    provider_text("terms", &other)
                }
            };
        }
        "resumed" => ProviderMessage::Resumed {
            outpoint,
            balance: sat(0),
            signature: None,
            carried: sat(0),
            consumed_msat: 0,
            payout_script: ScriptBuf::new(),
        },
        "not-resumed" => ProviderMessage::NotResumed {
            outpoint,
            reason: reason(),
        },
        "rate" => {
            let offer = RateOffer {
                number: 2,
                rate: Rate::new(200_000),
                answer_ms: 120_000,
            };
            let signature = match pair.log.iter().rev().find(|line| line.contains("\"terms\"")) {
                Some(line) => {
                    let sent = decode(line.split_once(" <- ").unwrap().1).unwrap();
                    let ProviderMessage::Terms { terms, .. } = sent else {
                        panic!("{line}");
                    };
                    offer.sign(&terms, &key(IDENTITY))
                }
                None => closing_signature(),
            };
            ProviderMessage::Rate { offer, signature }
        }
        "rate-changed" => ProviderMessage::RateChanged { number: 2 },
        "accept" => ProviderMessage::Accept {
            payout_script: ScriptBuf::new(),
        },
        "busy" => ProviderMessage::Busy { reason: reason() },
        "refused" => ProviderMessage::Refused { reason: reason() },
        "channel" => ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Seen,
        },
        "credit" => {
            let (balance, gate) = (sat(0), GateState::Unpaid);
            ProviderMessage::Credit {
                outpoint,
                balance,
                consumed_msat: 0,
                gate,
            }
        }
        "close" => ProviderMessage::Close { reason: reason() },
        "settled" => {
            let txid = streamium_channel::bitcoin::Txid::from_byte_array([1; 32]);
            ProviderMessage::Settled { outpoint, txid }
        }
        "ping" => ProviderMessage::Ping,
        "pong" => ProviderMessage::Pong,
        "error" => ProviderMessage::Error {
            code: ErrorCode::Other,
            words: reason(),
        },
        "unknown type" => return r#"{"type":"teleport"}"#.into(),
        "not a message" => return "{".into(),
        other => panic!("{other}"),
    };
    encode(&known).unwrap()
}

#[test]
fn the_consumer_answers_as_documented() {
    let table = documented("Consumer");
    assert_eq!(table.len(), 17 * 9);
    for ((message, state), documented) in table {
        let mut pair = consumer_in(&state);
        if message == "rate-changed" && state != "terms awaited" {
            // Which it has taken, unless its application has yet to say so.
            let offered = provider_text("rate", &pair);
            let effects = pair.consumer.text(&offered, pair.now);
            pair.consumer_effects(effects);
        }
        let text = provider_text(&message, &pair);
        let mut effects = pair.consumer.text(&text, pair.now);
        // A session with a channel ends once the provider has had a moment to say what it settles with.
        let later = pair.now + seconds(6);
        if documented == "end" && !effects.iter().any(|e| matches!(e, ConsumerEffect::End(_))) {
            effects.extend(pair.consumer.tick(later));
        }
        let is = |wanted: fn(&ConsumerEffect) -> bool| effects.iter().any(wanted);
        let answer = match () {
            () if is(|e| matches!(e, ConsumerEffect::End(_))) => "end",
            () if is(|e| matches!(e, ConsumerEffect::Send(ConsumerMessage::Error { .. }))) => "error",
            () if effects.is_empty()
                && (state == "settlement awaited" || matches!(message.as_str(), "pong" | "error")) =>
            {
                "–"
            }
            () => "yes",
        };
        assert_eq!(answer, documented, "{message} while {state}: {effects:?}");
        if answer == "error" {
            assert_eq!(effects.len(), 2, "an error changes nothing: {effects:?}");
        }
    }
}
