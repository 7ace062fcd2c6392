//! Channels that must not be opened.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use serde_json::{Value, json};

/// A provider that has sent its terms and waits for `open`.
pub fn offered() -> Pair {
    let mut pair = alone(Pair::new());
    let hello = json!({
        "type": "hello",
        "versions": [1],
        "chain": config().chain.to_string(),
        "nonce": "02".repeat(32),
    });
    let sent = say(&mut pair, &hello.to_string());
    assert_eq!(sent[0]["type"], "terms");
    pair
}

pub fn open() -> Value {
    let agreed = contract(50_000);
    json!({
        "type": "open",
        "capacity_sat": 50_000,
        "consumer_key": agreed.keys().consumer().to_string(),
        "change_script": hex(agreed.change().script().as_bytes()),
        "refund_delay_blocks": 288,
    })
}

/// An `open` with one field changed ends the session.
fn not_opened(field: &str, value: Value, code: &str) {
    let mut pair = offered();
    let mut message = open();
    message[field] = value;
    ended(&mut pair, &message[field].to_string(), &message.to_string(), code);
    assert!(pair.broadcasts.is_empty() && pair.provider_records.is_empty());
}

#[test]
fn the_open_that_the_others_differ_from_is_accepted() {
    let mut pair = offered();
    let sent = say(&mut pair, &open().to_string());
    assert_eq!(sent[0]["type"], "accept");
}

#[test]
fn a_key_that_is_none_opens_nothing() {
    let good = key(CONSUMER).public_key();
    let keys = [
        // The provider's own.
        (key(PROVIDER).x_only_public_key().0.to_string(), "other"),
        ("00".repeat(32), "malformed"),
        // The field's size, and more: no coordinate of a point.
        ("ff".repeat(32), "malformed"),
        (
            "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f".to_owned(),
            "malformed",
        ),
        // 33 and 65 bytes: a key type that BIP342 does not know, for which any signature is good.
        (good.to_string(), "malformed"),
        (hex(&good.serialize_uncompressed()), "malformed"),
        (good.to_string()[2..60].to_owned(), "malformed"),
        (String::new(), "malformed"),
    ];
    for (key, code) in keys {
        not_opened("consumer_key", json!(key), code);
    }
}

#[test]
fn a_change_script_other_than_a_version_1_program_opens_nothing() {
    let key = "11".repeat(32);
    for script in [
        String::new(),
        format!("0014{}", "11".repeat(20)),
        format!("0020{key}"),
        format!("5220{key}"),
        format!("511f{}", "11".repeat(31)),
        format!("5121{}", "11".repeat(33)),
        format!("5120{key}00"),
        format!("76a914{}88ac", "11".repeat(20)),
        format!("a914{}87", "11".repeat(20)),
        format!("21{}ac", "02".repeat(33)),
        "51024e73".to_owned(),
        "6a0100".to_owned(),
        "zz".to_owned(),
    ] {
        not_opened("change_script", json!(script), "malformed");
    }
}

#[test]
fn a_refund_delay_out_of_bounds_opens_nothing() {
    // Bit 22 would make it a time, bit 31 switch it off, and 65,536 blocks enforce nothing.
    for delay in [
        0,
        1,
        143,
        4_033,
        65_535,
        65_536,
        4_194_304 + 288,
        2_147_483_648u64 + 288,
    ] {
        not_opened("refund_delay_blocks", json!(delay), "malformed");
    }
    for delay in [json!(-288), json!(288.5), json!("288"), Value::Null] {
        not_opened("refund_delay_blocks", delay, "malformed");
    }
    // Possible, but not within these terms.
    for delay in [1_009, 4_032] {
        not_opened("refund_delay_blocks", json!(delay), "other");
    }
}

#[test]
fn a_capacity_out_of_bounds_opens_nothing() {
    for capacity in [0, 1, 330, 331, 3_999, 1_000_001, 2_100_000_000_000_001, u64::MAX] {
        not_opened("capacity_sat", json!(capacity), "other");
    }
    for capacity in [json!(-1), json!(50_000.5), json!("50000")] {
        not_opened("capacity_sat", capacity, "malformed");
    }
}
