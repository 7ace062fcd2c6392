//! Commitment transactions that are none, or do not stay.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use crate::openings::{offered, open};
use serde_json::{Value, json};
use streamium_channel::bitcoin::consensus::encode::serialize;
use streamium_channel::bitcoin::key::Secp256k1;
use streamium_channel::bitcoin::taproot::TaprootBuilder;
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{Amount, ScriptBuf, Transaction, Witness, absolute};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::commitment::CommitmentError;
use streamium_channel::contract::Contract;
use streamium_channel::fault::Fault;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::message::GateState;
use streamium_channel::provider::{CommitmentStatus, EndReason};

/// A provider that has accepted [`open`].
fn accepted() -> Pair {
    let mut pair = offered();
    say(&mut pair, &open().to_string());
    pair.provider.tip(100);
    pair
}

fn committing(bytes: &str, output: impl Into<Value>) -> String {
    json!({ "type": "commitment", "transaction": bytes, "output": output.into() }).to_string()
}

fn sent(transaction: &Transaction, output: u32) -> String {
    committing(&hex(&serialize(transaction)), output)
}

fn not_committed(what: &str, text: &str, code: &str) {
    let mut pair = accepted();
    ended(&mut pair, what, text, code);
    assert!(
        pair.broadcasts.is_empty() && pair.provider_records.is_empty(),
        "{what}"
    );
}

#[test]
fn a_commitment_that_differs_from_what_was_agreed_opens_nothing() {
    let mut pair = accepted();
    let good = commitment(&contract(50_000));
    let answer = say(&mut pair, &sent(&good, 1));
    assert_eq!(answer[0]["type"], "channel", "the good one");
    assert_eq!(
        pair.broadcasts,
        std::slice::from_ref(&good),
        "the provider broadcasts it itself"
    );

    let lock = |n| absolute::LockTime::from_consensus(n);
    type Change<'a> = (&'a str, u32, &'a dyn Fn(&mut Transaction));
    let changes: [Change<'_>; 16] = [
        ("a sat less", 1, &|tx| tx.output[1].value = sat(49_999)),
        ("a sat more", 1, &|tx| tx.output[1].value = sat(50_001)),
        ("nothing", 1, &|tx| tx.output[1].value = Amount::ZERO),
        ("the other output", 0, &|_| ()),
        ("an output that is not there", 2, &|_| ()),
        ("no such index", u32::MAX, &|_| ()),
        ("version 1", 1, &|tx| tx.version = Version::ONE),
        ("version 3", 1, &|tx| tx.version = Version(3)),
        ("two blocks too early", 1, &|tx| tx.lock_time = lock(102)),
        ("locked for ever", 1, &|tx| tx.lock_time = lock(499_999_999)),
        ("locked by the clock", 1, &|tx| tx.lock_time = lock(500_000_000)),
        ("no witness", 1, &|tx| tx.input[0].witness = Witness::new()),
        ("a signature script", 1, &|tx| {
            tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51])
        }),
        ("a second input without a witness", 1, &|tx| {
            let mut input = tx.input[0].clone();
            input.witness = Witness::new();
            tx.input.push(input);
        }),
        ("its own script", 1, &|tx| {
            tx.output[1].script_pubkey = p2tr(CONSUMER)
        }),
        ("no script", 1, &|tx| {
            tx.output[1].script_pubkey = ScriptBuf::new()
        }),
    ];
    for (what, output, change) in changes {
        let mut tx = good.clone();
        change(&mut tx);
        not_committed(what, &sent(&tx, output), "other");
    }
}

/// A commitment whose output has another script than the agreed contract's.
fn paying(script: ScriptBuf) -> Transaction {
    let mut tx = commitment(&contract(50_000));
    tx.output[1].script_pubkey = script;
    tx
}

#[test]
fn a_script_that_gives_the_consumer_another_way_out_opens_nothing() {
    let agreed = contract(50_000);
    let (ours, theirs) = (agreed.keys().provider(), agreed.keys().consumer());
    let with = |consumer, provider, delay| {
        let keys = ChannelKeys::new(consumer, provider).unwrap();
        let delay = RefundDelay::new(delay).unwrap();
        let other = Contract::new(keys, delay, agreed.capacity(), agreed.change().clone()).unwrap();
        other.script().unwrap().script_pubkey().clone()
    };
    let stranger = key(STRANGER).x_only_public_key().0;
    // A key of the consumer's own where nobody should have one: it could take everything at once.
    let script = agreed.script().unwrap();
    let leaves = TaprootBuilder::new()
        .add_leaf(1, script.payment().script().clone())
        .and_then(|tree| tree.add_leaf(1, script.refund().script().clone()))
        .unwrap();
    let own = leaves.finalize(&Secp256k1::new(), theirs).unwrap();
    let own = ScriptBuf::new_p2tr_tweaked(own.output_key());
    let alone = TaprootBuilder::new()
        .add_leaf(0, script.refund().script().clone())
        .unwrap();
    let alone = alone.finalize(&Secp256k1::new(), theirs).unwrap();
    let scripts = [
        ("a shorter delay", with(theirs, ours, 287)),
        ("the keys the other way round", with(ours, theirs, 288)),
        ("another consumer", with(stranger, ours, 288)),
        ("another provider", with(theirs, stranger, 288)),
        ("its own key at the key path", own),
        (
            "the refund leaf alone",
            ScriptBuf::new_p2tr_tweaked(alone.output_key()),
        ),
    ];
    for (what, script) in scripts {
        not_committed(what, &sent(&paying(script), 1), "other");
    }
}

#[test]
fn bytes_that_are_no_transaction_open_nothing() {
    let good = hex(&serialize(&commitment(&contract(50_000))));
    for bytes in [
        String::new(),
        "zz".to_owned(),
        "00".repeat(64),
        good[..good.len() - 2].to_owned(),
        format!("{good}00"),
        good[1..].to_owned(),
    ] {
        not_committed(&bytes, &committing(&bytes, 1), "malformed");
    }
    for output in [
        json!(-1),
        json!(4_294_967_296u64),
        json!(1.5),
        json!("1"),
        Value::Null,
    ] {
        not_committed("its index", &committing(&good, output), "malformed");
    }
}

#[test]
fn a_transaction_that_could_pose_as_a_merkle_node_opens_nothing() {
    // 64 bytes without its witness: version, input, one output with a script of four bytes, lock time.
    let mut tx = commitment(&contract(50_000));
    tx.output.truncate(1);
    tx.output[0].script_pubkey = ScriptBuf::from_bytes(vec![0x51, 2, 0x4e, 0x73]);
    assert_eq!(tx.base_size(), 64);
    let mut pair = accepted();
    ended(&mut pair, "64 bytes", &sent(&tx, 0), "other");
    let ambiguous = Fault::Commitment(CommitmentError::AmbiguousSize);
    assert_eq!(pair.provider_end, Some(EndReason::Fault(ambiguous)));
}

#[test]
fn a_commitment_that_costs_servers_much_or_can_never_be_valid_opens_nothing() {
    // Each one goes to every server: what can be known to be of no use is not sent.
    let good = commitment(&contract(50_000));
    let mut heavy = good.clone();
    heavy.input[0].witness.push(vec![0; 20_000]);
    let mut twice = good.clone();
    twice.input.push(twice.input[0].clone());
    let mut coinbase = good.clone();
    coinbase.input[0].previous_output = streamium_channel::bitcoin::OutPoint::null();
    let mut rich = good.clone();
    let mut more = rich.output[0].clone();
    more.value = streamium_channel::bitcoin::Amount::MAX_MONEY;
    rich.output.push(more);
    for (what, tx) in [
        ("heavy", heavy),
        ("twice", twice),
        ("coinbase", coinbase),
        ("rich", rich),
    ] {
        not_committed(what, &sent(&tx, 1), "other");
    }
    let mut pair = accepted();
    say(&mut pair, &sent(&good, 1));
    assert_eq!(pair.broadcasts, [good], "the one they were made of is taken");
}

/// A provider with an open channel, confirmed or not, on which the opening payment is made.
fn paid() -> Pair {
    let mut pair = Pair::new();
    pair.until_playing();
    pair
}

#[test]
fn a_commitment_that_is_replaced_or_spent_pays_for_nothing_more() {
    for confirmed in [false, true] {
        let mut pair = paid();
        if confirmed {
            pair.confirm(1);
        }
        pair.run(seconds(2));
        assert_eq!(pair.gate, GateState::Open);
        let (outpoint, records) = (channel_of(&pair).outpoint(), standing(&pair));
        pair.chain_says(outpoint, CommitmentStatus::Missing);
        assert_eq!(pair.gate, GateState::Unconfirmed, "at once");
        assert_eq!(standing(&pair), records, "what was signed stays on record");
        let open = pair.open_time;
        pair.run(seconds(20));
        assert_eq!(pair.open_time, open, "nothing more for it");
    }
}

#[test]
fn a_commitment_that_never_confirms_counts_up_to_its_limit_only() {
    let mut pair = paid();
    pair.until("the limit", |pair| pair.gate == GateState::Unconfirmed);
    // 1,000 sat at 100 sat a second, and half a second of grace.
    assert!(pair.open_time <= seconds(11), "{:?}", pair.open_time);
    // Paying more by hand opens nothing.
    let mut pair = alone(pair);
    let channel = channel_of(&pair);
    let text = payment(
        channel.outpoint(),
        40_000,
        &signed(&channel, &key(CONSUMER), 40_000),
    );
    say(&mut pair, &text);
    assert_eq!(
        (pair.provider.balance(), pair.gate),
        (sat(40_000), GateState::Unconfirmed)
    );
}

#[test]
fn a_limit_that_others_have_used_up_opens_no_gate() {
    // What the driver does with `unconfirmed-total`.
    let mut pair = Pair::new();
    pair.until("the commitment", |pair| pair.provider_record.is_some());
    let outpoint = channel_of(&pair).outpoint();
    pair.provider.lower_unconfirmed_limit(outpoint, Amount::ZERO);
    pair.run(seconds(20));
    assert_eq!(pair.open_time, seconds(0));
    assert_eq!(pair.gate, GateState::Unconfirmed);
    pair.confirm(1);
    pair.until_playing();
}

#[test]
fn a_commitment_that_no_network_takes_takes_nothing_from_the_limit_of_others() {
    let mut pair = paid();
    let outpoint = channel_of(&pair).outpoint();
    assert_eq!(pair.provider.unconfirmed_limit(), sat(1_000));
    pair.chain_says(outpoint, CommitmentStatus::Missing);
    assert_eq!(
        pair.provider.unconfirmed_limit(),
        Amount::ZERO,
        "it counts nothing"
    );
    pair.chain_says(outpoint, CommitmentStatus::Mempool);
    assert_eq!(
        pair.provider.unconfirmed_limit(),
        sat(1_000),
        "and again, once it is known"
    );
    pair.confirm(1);
    assert_eq!(
        pair.provider.unconfirmed_limit(),
        Amount::ZERO,
        "all of it counts"
    );
}

#[test]
fn a_second_commitment_is_not_taken() {
    let mut pair = accepted();
    let good = commitment(&contract(50_000));
    say(&mut pair, &sent(&good, 1));
    let mut replaced = good.clone();
    replaced.output[0].value = sat(9_000);
    answered(
        &mut pair,
        "replaced after sending",
        &sent(&replaced, 1),
        "unexpected",
    );
    answered(&mut pair, "another open", &open().to_string(), "unexpected");
    assert_eq!(pair.broadcasts, [good]);
}
