//! Text to either side, what it answers, and what has moved.

use crate::common::pair::Pair;
use crate::common::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use streamium_channel::bitcoin::hashes::Hash;
use streamium_channel::bitcoin::key::Keypair;
use streamium_channel::bitcoin::secp256k1::Message;
use streamium_channel::bitcoin::sighash::{Annex, Prevouts, SighashCache, TapSighashType};
use streamium_channel::bitcoin::{Amount, OutPoint, Transaction};
use streamium_channel::consumer::Past;
use streamium_channel::contract::Channel;
use streamium_channel::message::GateState;
use streamium_channel::money::Msat;
use streamium_channel::payment::{Payment, payment_transaction};
use streamium_channel::provider::EndReason;
use streamium_channel::record::{ConsumerRecord, ProviderRecord};
use streamium_channel::script::Leaf;

/// Everything of value that a message could move. What has been debited goes on with time, so it is left out.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    balance: Amount,
    paid: Amount,
    provider: BTreeMap<OutPoint, ProviderRecord>,
    consumer: BTreeMap<OutPoint, ConsumerRecord>,
    broadcasts: Vec<Transaction>,
    used_up: Vec<OutPoint>,
    closing: Option<Transaction>,
}

/// What there is to lose now.
pub fn standing(pair: &Pair) -> Standing {
    let mut provider = pair.provider_records.clone();
    for record in provider.values_mut() {
        record.consumed = Msat::ZERO;
    }
    let mut consumer = pair.consumer_records.clone();
    for record in consumer.values_mut() {
        record.consumed = Msat::ZERO;
    }
    Standing {
        balance: pair.provider.balance(),
        paid: pair.paid,
        provider,
        consumer,
        broadcasts: pair.broadcasts.clone(),
        used_up: pair.used_up.clone(),
        closing: pair.closing.clone(),
    }
}

/// A pair that plays, ten seconds on, on a confirmed channel.
pub fn playing() -> Pair {
    let mut pair = Pair::playing(policy());
    pair.run(seconds(10));
    pair
}

/// The provider alone, with nothing on its way to it; what it says goes nowhere.
pub fn alone(mut pair: Pair) -> Pair {
    pair.drop_mail();
    pair.latency = seconds(1_000_000);
    pair
}

/// The present channel.
pub fn channel_of(pair: &Pair) -> Channel {
    pair.provider_record.as_ref().unwrap().restore().unwrap().0
}

/// Text for the provider; answers what it sends.
pub fn say(pair: &mut Pair, text: &str) -> Vec<Value> {
    let from = pair.log.len();
    let effects = pair.provider.text(text, pair.now);
    pair.provider_effects(effects);
    sent_since(pair, from, " <- ")
}

/// Text for the consumer; answers what it sends.
pub fn tell(pair: &mut Pair, text: &str) -> Vec<Value> {
    let from = pair.log.len();
    let effects = pair.consumer.text(text, pair.now);
    pair.consumer_effects(effects);
    sent_since(pair, from, " -> ")
}

fn sent_since(pair: &Pair, from: usize, arrow: &str) -> Vec<Value> {
    let lines = pair.log[from..].iter();
    let texts = lines.filter_map(|line| line.split_once(arrow));
    texts
        .map(|(_, text)| serde_json::from_str(text).unwrap())
        .collect()
}

fn code(sent: &[Value]) -> Option<&str> {
    let error = sent.iter().find(|message| message["type"] == "error")?;
    error["code"].as_str()
}

/// The provider answers this with an error of this code, nothing moves, and the session goes on.
pub fn answered(pair: &mut Pair, what: &str, text: &str, error: &str) {
    let (before, gate) = (standing(pair), pair.gate);
    let sent = say(pair, text);
    assert_eq!(code(&sent), Some(error), "{what}: {sent:?}");
    assert_eq!(standing(pair), before, "{what}");
    assert_eq!((pair.gate, &pair.provider_end), (gate, &None), "{what}");
}

/// The provider ends the session over this, with an error of this code. Nothing moves; what was paid is due.
pub fn ended(pair: &mut Pair, what: &str, text: &str, error: &str) {
    let before = standing(pair);
    let sent = say(pair, text);
    assert_eq!(code(&sent), Some(error), "{what}: {sent:?}");
    assert_eq!(standing(pair), before, "{what}");
    assert!(
        matches!(pair.provider_end, Some(EndReason::Fault(_))),
        "{what}: {:?}",
        pair.provider_end
    );
    assert_ne!(pair.gate, GateState::Open, "{what}");
    let paid = before.balance > Amount::ZERO;
    assert_eq!(pair.settle_due, paid, "{what}: what was paid is settled");
}

/// A payment as it travels.
pub fn payment(outpoint: OutPoint, cumulative: impl Into<Value>, signature: &[u8]) -> String {
    json!({
        "type": "payment",
        "outpoint": outpoint.to_string(),
        "cumulative_sat": cumulative.into(),
        "signature": hex(signature),
    })
    .to_string()
}

/// A good one, signed as it should be.
pub fn signed(channel: &Channel, key: &Keypair, cumulative: u64) -> Vec<u8> {
    Payment::sign(channel, key, sat(cumulative))
        .unwrap()
        .signature()
        .to_vec()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The transaction that a payment signs, without the rule that bounds the amount.
pub fn unbounded(channel: &Channel, cumulative: u64) -> Transaction {
    let mut tx = payment_transaction(channel, sat(1)).unwrap();
    let capacity = channel.contract().capacity().to_sat();
    tx.output[0].value = sat(capacity.saturating_sub(cumulative));
    tx
}

/// 64 bytes over whatever is asked for; `leaf` is none for the key path.
pub fn sign(
    channel: &Channel,
    tx: &Transaction,
    key: &Keypair,
    leaf: Option<&Leaf>,
    annex: Option<&[u8]>,
    kind: TapSighashType,
) -> Vec<u8> {
    let spent = [channel.output()];
    let annex = annex.map(|bytes| Annex::new(bytes).unwrap());
    let hash = SighashCache::new(tx)
        .taproot_signature_hash(
            0,
            &Prevouts::All(&spent),
            annex,
            leaf.map(|leaf| (leaf.hash(), u32::MAX)),
            kind,
        )
        .unwrap();
    let message = Message::from_digest(hash.to_byte_array());
    let secp = streamium_channel::bitcoin::key::Secp256k1::new();
    secp.sign_schnorr_no_aux_rand(&message, key).serialize().to_vec()
}

/// A new connection on which the consumer has nothing to go on with, and says only what the test says for it.
pub fn stranger(pair: &mut Pair) {
    pair.cut();
    pair.settle_due = false;
    pair.reconnect(config(), policy(), Past::default());
    pair.drop_mail();
    pair.latency = seconds(1_000_000);
}

/// All texts that one side sent, in order: "->" the consumer's, "<-" the provider's.
pub fn texts(pair: &Pair, arrow: &str) -> Vec<String> {
    let arrow = format!(" {arrow} ");
    let texts = pair.log.iter().filter_map(|line| line.split_once(&arrow));
    texts.map(|(_, text)| text.to_owned()).collect()
}

/// Texts that are no messages: too long, too deep, broken, or of the wrong form.
pub fn not_messages() -> Vec<(&'static str, String)> {
    let deep = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"ping","pad":{open}{close}}}"#)
    };
    let padded = |bytes: usize| {
        let frame = r#"{"type":"ping","pad":""}"#.len();
        format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(bytes - frame))
    };
    let mut texts = vec![
        ("a byte too long", padded(65_537)),
        ("far too long", padded(1_000_000)),
        ("an ignored field nested 200 deep", deep(200)),
        ("an ignored field nested 30,000 deep", deep(30_000)),
        ("objects nested 10,000 deep", r#"{"type":"#.repeat(7_000)),
    ];
    let broken = [
        "",
        " ",
        "null",
        "true",
        "7",
        "[]",
        "{}",
        "\"ping\"",
        "{\"type\":7}",
        "{\"type\":null}",
        "{\"type\":\"ping\"",
        "{\"type\":\"ping\"}{\"type\":\"ping\"}",
        "{\"type\":\"ping\"} x",
        "\u{feff}{\"type\":\"ping\"}",
        "{\"type\":\"error\"}",
        "{type:ping}",
        "{'type':'ping'}",
        "\0",
    ];
    texts.extend(broken.map(|text| ("broken", text.to_owned())));
    texts
}

/// The longest message that is one.
pub fn longest_message() -> String {
    let frame = r#"{"type":"ping","pad":""}"#.len();
    format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(65_536 - frame))
}
