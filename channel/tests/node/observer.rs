//! What someone without keys can do to a settlement on its way to a block: nothing. Everything here is refused
//! by consensus, so no miner can do it either.

use crate::common::{p2tr, sat};
use crate::harness::*;
use streamium_channel::bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{Sequence, Transaction, TxOut, Witness, absolute};

/// A settlement as it is seen in the mempool, which the node would take.
fn seen(node: &Node) -> (Open, Transaction) {
    let open = open(node);
    let tx = open.settle(&open.pay(2_000), RATE).transaction;
    assert_eq!(node.accept(&tx), Ok(()));
    (open, tx)
}

#[test]
fn an_observer_can_change_no_output() {
    let node = node();
    let (_, tx) = seen(&node);
    let own = p2tr(0x44);
    let attempts: [Attempt<'_, Vec<TxOut>>; 6] = [
        ("redirect the payout", &|out| out[1].script_pubkey = own.clone()),
        ("redirect the change", &|out| out[0].script_pubkey = own.clone()),
        ("drop the payout", &|out| drop(out.pop())),
        ("leave more to the miner", &|out| out[1].value -= sat(1)),
        ("swap the outputs", &|out| out.swap(0, 1)),
        ("add an output", &|out| {
            out[1].value -= sat(330);
            out.push(TxOut {
                value: sat(330),
                script_pubkey: own.clone(),
            });
        }),
    ];
    for (attempt, change) in attempts {
        let mut tx = tx.clone();
        change(&mut tx.output);
        node.assert_invalid(attempt, &tx, INVALID_SIGNATURE);
    }
}

#[test]
fn an_observer_can_change_nothing_else_either() {
    let node = node();
    let (_, tx) = seen(&node);
    let attempts: [Attempt<'_, Transaction>; 4] = [
        ("version 2", &|tx| tx.version = Version::TWO),
        ("a lock time", &|tx| {
            tx.lock_time = absolute::LockTime::from_consensus(1)
        }),
        ("final", &|tx| tx.input[0].sequence = Sequence::MAX),
        ("no replacement", &|tx| {
            tx.input[0].sequence = Sequence::ENABLE_LOCKTIME_NO_RBF
        }),
    ];
    for (attempt, change) in attempts {
        let mut tx = tx.clone();
        change(&mut tx);
        node.assert_invalid(attempt, &tx, INVALID_SIGNATURE);
    }
}

#[test]
fn an_observer_can_not_even_change_the_witness() {
    let node = node();
    let (_, tx) = seen(&node);
    let good = tx.input[0].witness.to_vec();
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let (mut tx, mut items) = (tx.clone(), good.clone());
        change(&mut items);
        tx.input[0].witness = Witness::from_slice(&items);
        tx
    };

    // Nodes don't relay an annex; a miner could include it, were it not signed that there is none.
    let annex = with(&|items| items.push(vec![0x50]));
    node.assert_refused("an annex", &annex, "bad-witness-");
    node.assert_no_block("an annex", &annex, INVALID_SIGNATURE);

    let extra = with(&|items| items.insert(0, vec![1]));
    node.assert_invalid(
        "an extra item",
        &extra,
        "(Stack size must be exactly one after execution)",
    );
    let typed = with(&|items| items[0].push(0));
    node.assert_invalid("an explicit SIGHASH_DEFAULT", &typed, "hash type)");
    let typed = with(&|items| items[0].push(1));
    node.assert_invalid("the provider's as SIGHASH_ALL", &typed, INVALID_SIGNATURE);
    let control = with(&|items| items[3][0] ^= 1);
    node.assert_invalid("the other parity", &control, "(Witness program hash mismatch)");
}

#[test]
fn the_consumers_signature_alone_moves_nothing() {
    let node = node();
    let (open, tx) = seen(&node);
    let leaf = open.channel.script().payment();
    let consumer = open.pay(2_000).signature().to_vec();
    let with = |provider: Option<&[u8]>| {
        let stack: Vec<&[u8]> = provider.into_iter().chain([&consumer[..]]).collect();
        let mut tx = tx.clone();
        tx.input[0].witness = leaf_witness(leaf, &stack);
        tx
    };
    node.assert_invalid(
        "no item",
        &with(None),
        "(Operation not valid with the current stack size)",
    );
    node.assert_invalid("empty", &with(Some(&[])), FALSE_AT_END);
    node.assert_invalid("the consumer's twice", &with(Some(&consumer)), INVALID_SIGNATURE);
    node.assert_invalid("of no key", &with(Some(&[0x5a; 64])), INVALID_SIGNATURE);
    node.assert_invalid(
        "too short",
        &with(Some(&[0x5a; 63])),
        "(Invalid Schnorr signature size)",
    );
}

#[test]
fn nobody_spends_by_the_key_path() {
    let node = node();
    let (open, mut tx) = seen(&node);
    let spent = [open.channel.output()];
    let hash = SighashCache::new(&tx)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&spent), TapSighashType::Default)
        .unwrap();
    for key in [&open.parties.consumer, &open.parties.provider] {
        tx.input[0].witness = Witness::from_slice(&[sign_hash(hash, key)]);
        node.assert_invalid("by a channel key", &tx, INVALID_SIGNATURE);
    }
    tx.input[0].witness = Witness::from_slice(&[[0x5a; 64]]);
    node.assert_invalid("by no key", &tx, INVALID_SIGNATURE);
}
