//! The refund, by us and by a wallet that knows nothing of us, and who can't have it.

use crate::common::{p2tr, sat};
use crate::harness::*;
use crate::regtest::TxStatus;
use serde_json::json;
use streamium_channel::bitcoin::secp256k1::{Keypair, Parity};
use streamium_channel::bitcoin::sighash::TapSighashType;
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{FeeRate, Network, PrivateKey, Sequence, Transaction};
use streamium_channel::refund::refund;

/// Where refunds go in these tests.
const HOME: u8 = 0x66;

const NOT_SIGNED: &str = "(Script failed an OP_CHECKSIGVERIFY operation)";

const NOT_YET: &str = "(Locktime requirement not satisfied)";

impl Open {
    fn refund(&self, fee_rate: FeeRate) -> Transaction {
        refund(&self.channel, &self.parties.consumer, &p2tr(HOME), fee_rate).expect("worth it")
    }

    fn mature(&self, node: &Node) {
        node.confirm_until(self.channel.outpoint().txid, u32::from(DELAY));
    }

    /// The refund with something changed, then signed again by `key`.
    fn changed_refund(&self, key: &Keypair, change: impl Fn(&mut Transaction)) -> Transaction {
        let mut tx = self.refund(RATE);
        change(&mut tx);
        let leaf = self.channel.script().refund();
        let signature = self.sign(&tx, leaf, key, TapSighashType::Default);
        tx.input[0].witness = leaf_witness(leaf, &[&signature]);
        tx
    }
}

#[test]
fn a_refund_is_refused_until_the_delay_has_passed_and_then_takes_everything() {
    let node = node();
    let open = open(&node);
    let tx = open.refund(RATE);
    node.confirm_until(open.channel.outpoint().txid, u32::from(DELAY) - 1);
    node.assert_refused("one block early", &tx, "non-BIP68-final");
    node.assert_no_block("one block early", &tx, "bad-txns-nonfinal");

    node.mine(1);
    assert_eq!(node.measured_vsize(&tx), 138);
    let txid = node.broadcast(&tx).unwrap();
    node.mine(1);
    assert_eq!(node.on_chain(txid, 0), sat(CAPACITY - 2 * 138));
}

#[test]
fn a_consumer_in_a_hurry_can_claim_no_shorter_delay() {
    let node = node();
    let open = open(&node);
    node.confirm_until(open.channel.outpoint().txid, u32::from(DELAY) - 1);
    let sequences = [
        ("none", Sequence::ZERO),
        ("one block less", Sequence::from_height(DELAY - 1)),
        ("a time", Sequence::from_512_second_intervals(0)),
        ("switched off", Sequence::ENABLE_RBF_NO_LOCKTIME),
    ];
    for (attempt, sequence) in sequences {
        let tx = open.changed_refund(&open.parties.consumer, |tx| tx.input[0].sequence = sequence);
        node.assert_invalid(attempt, &tx, NOT_YET);
    }
    let tx = open.changed_refund(&open.parties.consumer, |tx| tx.version = Version::ONE);
    node.assert_invalid("version 1, without relative locks", &tx, NOT_YET);
}

#[test]
fn nobody_but_the_consumer_takes_the_refund() {
    let node = node();
    let open = open(&node);
    open.mature(&node);
    assert_eq!(node.accept(&open.refund(RATE)), Ok(()));

    let providers = open.changed_refund(&open.parties.provider, |_| ());
    node.assert_invalid("signed by the provider", &providers, INVALID_SIGNATURE);
    let leaf = open.channel.script().refund();
    let mut payments = open.refund(RATE);
    payments.input[0].witness = leaf_witness(leaf, &[&open.pay(1_000).signature().to_vec()]);
    node.assert_invalid("with a payment's signature", &payments, INVALID_SIGNATURE);
    let mut unsigned = open.refund(RATE);
    unsigned.input[0].witness = leaf_witness(leaf, &[&[]]);
    node.assert_invalid("unsigned", &unsigned, NOT_SIGNED);
    let mut redirected = open.refund(RATE);
    redirected.output[0].script_pubkey = p2tr(PAYOUT);
    node.assert_invalid("redirected", &redirected, INVALID_SIGNATURE);
}

#[test]
fn after_a_settlement_there_is_nothing_to_refund_and_after_a_refund_nothing_to_settle() {
    let node = node();
    let (settled, refunded) = (open(&node), open(&node));
    node.broadcast(&settled.settle(&settled.pay(2_000), RATE).transaction)
        .unwrap();
    settled.mature(&node);
    refunded.mature(&node);
    node.broadcast(&refunded.refund(RATE)).unwrap();
    node.mine(1);

    node.assert_refused("refund", &settled.refund(RATE), "missing-inputs");
    let late = refunded.settle(&refunded.pay(2_000), RATE).transaction;
    node.assert_refused("settlement", &late, "missing-inputs");
}

#[test]
fn once_the_delay_has_passed_a_refund_can_outbid_a_settlement_that_waits() {
    let node = node();
    let open = open(&node);
    open.mature(&node);
    let settled = open.settle(&open.pay(40_000), RATE);
    let txid = node.broadcast(&settled.transaction).unwrap();
    // Why the provider settles well before.
    node.broadcast(&open.refund(FeeRate::from_sat_per_vb_u32(10)))
        .unwrap();
    assert_eq!(node.tx_status(txid), TxStatus::Unknown);
    node.mine(1);
}

/// The whole of what a person does who has descriptor, key and a node, but not this software.
fn refund_by_wallet(node: &Node, name: &str, open: &Open, destination: &str) -> serde_json::Value {
    let consumer = &open.parties.consumer;
    let wif = PrivateKey::new(consumer.secret_key(), Network::Regtest).to_wif();
    let public = consumer.x_only_public_key().0.to_string();
    let (body, _) = open.channel.script().descriptor().split_once('#').unwrap();
    let descriptor = body.replace(&public, &wif);
    let checksum = node.json(&["getdescriptorinfo", &descriptor])["checksum"].clone();
    let descriptor = format!("{descriptor}#{}", checksum.as_str().unwrap());

    let wallet = format!("-rpcwallet={name}");
    node.cli(&["createwallet", name, "false", "true", "", "false", "true"]);
    let import = json!([{"desc": descriptor, "timestamp": 0}]).to_string();
    let imported = node.json(&[&wallet, "importdescriptors", &import]);
    assert_eq!(imported[0]["success"], true, "{imported}");
    let outpoint = open.channel.outpoint();
    let input = json!({"txid": outpoint.txid, "vout": outpoint.vout, "sequence": DELAY});
    let options = json!({"inputs": [input], "fee_rate": 2}).to_string();
    let destinations = json!([destination]).to_string();
    node.json(&[
        &wallet,
        "sendall",
        &destinations,
        "null",
        "unset",
        "null",
        &options,
    ])
}

#[test]
fn a_wallet_that_knows_nothing_of_us_refunds_from_the_descriptor() {
    let node = node();
    let opened = open_many(&node, 4);
    // A descriptor names the x coordinate only; the wallet has to find the key of either parity.
    let odd = |open: &&Open| open.parties.consumer.x_only_public_key().1 == Parity::Odd;
    opened[0].mature(&node);
    for (name, open) in [
        ("even", opened.iter().find(|open| !odd(open)).unwrap()),
        ("odd", opened.iter().find(odd).unwrap()),
    ] {
        let destination = node.cli(&["-rpcwallet=miner", "getnewaddress"]);
        let answer = refund_by_wallet(&node, name, open, &destination);
        assert_eq!(answer["complete"], true, "{answer}");
        let txid = answer["txid"].as_str().unwrap().parse().unwrap();
        node.mine(1);
        assert_eq!(node.confirmations(txid), 1);
        let received = node.json(&["-rpcwallet=miner", "gettransaction", &txid.to_string()]);
        assert_eq!(received["details"][0]["address"], destination);
        let fee = sat(CAPACITY) - node.on_chain(txid, 0);
        let vsize = node.raw_tx(txid).vsize() as u64;
        // The wallet reckons with a key path's smaller witness and pays less a vB than it was told: told 1, it
        // would pay too little to be relayed.
        assert!(
            sat(vsize) < fee && fee < sat(2 * vsize),
            "{name}: {fee} for {vsize} vB"
        );
    }
}

#[test]
fn a_wallet_asked_too_early_keeps_a_refund_that_can_be_sent_when_it_is_due() {
    let node = node();
    let open = open(&node);
    node.confirm_until(open.channel.outpoint().txid, u32::from(DELAY) - 1);
    let destination = node.cli(&["-rpcwallet=miner", "getnewaddress"]);
    // It says "complete" all the same, and that the coin is spent: whoever abandons that and asks again builds the
    // same transaction, at which Bitcoin Knots 29.4.3 ends with a failed assertion.
    let answer = refund_by_wallet(&node, "early", &open, &destination);
    assert_eq!(answer["complete"], true, "{answer}");
    let txid = answer["txid"].as_str().unwrap();
    assert_eq!(node.tx_status(txid.parse().unwrap()), TxStatus::Unknown);

    node.mine(1);
    let kept = node.json(&["-rpcwallet=early", "gettransaction", txid]);
    assert_eq!(
        node.cli(&["sendrawtransaction", kept["hex"].as_str().unwrap()]),
        txid
    );
    node.mine(1);
    assert_eq!(node.confirmations(txid.parse().unwrap()), 1);
}
