//! What a dishonest provider can do with a payment beyond what it says: nothing. Here the provider's own
//! signature is always a good one for the changed transaction; only the consumer's stands against it.

use crate::common::{p2tr, sat};
use crate::harness::*;
use streamium_channel::bitcoin::sighash::TapSighashType;
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{Sequence, Transaction, absolute};

/// A settlement of 2,000 sat, the consumer's signature for it, and what the node takes once the provider has
/// signed again by hand: so that a refusal is the consumer's doing.
fn paid(node: &Node) -> (Open, Transaction, Vec<u8>) {
    let open = open(node);
    let payment = open.pay(2_000);
    let tx = open.settle(&payment, RATE).transaction;
    let consumer = payment.signature().to_vec();
    assert_eq!(node.accept(&open.complete(tx.clone(), &consumer)), Ok(()));
    (open, tx, consumer)
}

#[test]
fn the_provider_chooses_payout_and_fee_but_nothing_of_the_consumers() {
    let node = node();
    let (open, tx, consumer) = paid(&node);
    let changed = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = tx.clone();
        change(&mut tx);
        open.complete(tx, &consumer)
    };
    let freely = changed(&|tx| {
        tx.output[1].script_pubkey = p2tr(0x44);
        tx.output[1].value -= sat(500);
    });
    assert_eq!(node.accept(&freely), Ok(()));

    let attempts: [Attempt<'_, Transaction>; 8] = [
        ("less change", &|tx| {
            tx.output[0].value -= sat(1);
            tx.output[1].value += sat(1);
        }),
        ("more change, less payout", &|tx| {
            tx.output[0].value += sat(1);
            tx.output[1].value -= sat(1);
        }),
        ("the change elsewhere", &|tx| {
            tx.output[0].script_pubkey = p2tr(PAYOUT)
        }),
        ("the change in another place", &|tx| tx.output.swap(0, 1)),
        ("no change", &|tx| drop(tx.output.remove(0))),
        ("version 2", &|tx| tx.version = Version::TWO),
        ("a lock time", &|tx| {
            tx.lock_time = absolute::LockTime::from_consensus(1)
        }),
        ("another sequence", &|tx| tx.input[0].sequence = Sequence::MAX),
    ];
    for (attempt, change) in attempts {
        node.assert_invalid(attempt, &changed(change), INVALID_SIGNATURE);
    }
}

#[test]
fn a_payments_signature_serves_its_own_amount_only() {
    let node = node();
    let (open, tx, _) = paid(&node);
    for other in [1, 1_999, 2_001, 49_670] {
        let signature = open.pay(other).signature().to_vec();
        let tx = open.complete(tx.clone(), &signature);
        node.assert_invalid(&format!("signed for {other}"), &tx, INVALID_SIGNATURE);
    }
}

#[test]
fn a_payments_signature_serves_its_own_channel_only() {
    let node = node();
    let (open, _, consumer) = paid(&node);
    // The same keys, capacity and amount; only the outpoint differs.
    let again = self::open(&node);
    assert_eq!(again.channel.output(), open.channel.output());
    let tx = again.settle(&again.pay(2_000), RATE).transaction;
    let tx = again.complete(tx, &consumer);
    node.assert_invalid("another outpoint", &tx, INVALID_SIGNATURE);
}

#[test]
fn a_payments_signature_serves_one_sighash_type_only() {
    let node = node();
    let (open, tx, consumer) = paid(&node);
    let bare = &consumer[..64];
    let short = open.complete(tx.clone(), bare);
    node.assert_invalid("64 bytes: SIGHASH_DEFAULT", &short, INVALID_SIGNATURE);
    for kind in [0x01, 0x02, 0x03, 0x81, 0x82] {
        let tx = open.complete(tx.clone(), &[bare, &[kind]].concat());
        node.assert_invalid(&format!("{kind:#04x}"), &tx, INVALID_SIGNATURE);
    }
    for kind in [0x00, 0x04, 0x80, 0x84, 0xff] {
        let tx = open.complete(tx.clone(), &[bare, &[kind]].concat());
        node.assert_invalid(
            &format!("{kind:#04x}"),
            &tx,
            "(Invalid Schnorr signature hash type)",
        );
    }
}

#[test]
fn the_provider_can_not_do_without_the_consumers_signature() {
    let node = node();
    let (open, tx, consumer) = paid(&node);
    let empty = open.complete(tx.clone(), &[]);
    node.assert_invalid("empty", &empty, "CHECKSIGVERIFY");
    let own = tx.input[0].witness.nth(0).unwrap();
    node.assert_invalid(
        "its own twice",
        &open.complete(tx.clone(), own),
        INVALID_SIGNATURE,
    );

    // Nodes don't relay an annex, but a provider could ask a miner.
    let leaf = open.channel.script().payment();
    let mut annexed = tx;
    annexed.input[0].witness.push([0x50, 1]);
    let provider = open.sign(&annexed, leaf, &open.parties.provider, TapSighashType::Default);
    annexed.input[0].witness = leaf_witness(leaf, &[&provider, &consumer]);
    annexed.input[0].witness.push([0x50, 1]);
    node.assert_refused("an annex", &annexed, "bad-witness-");
    node.assert_no_block("an annex", &annexed, INVALID_SIGNATURE);
}
