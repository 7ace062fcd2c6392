//! The address and the commitment transaction, as the node's own wallet sees and makes them.

use crate::harness::*;
use serde_json::json;
use streamium_channel::bitcoin::consensus::encode::deserialize_hex;
use streamium_channel::bitcoin::{OutPoint, Transaction};
use streamium_channel::commitment::{self, CommitmentError};
use streamium_channel::contract::Contract;

#[test]
fn the_node_derives_our_address_and_checksum_from_the_descriptor() {
    let node = node();
    let contract = contract(&parties(0), CAPACITY);
    let script = contract.script().unwrap();
    let (body, checksum) = script
        .descriptor()
        .split_once('#')
        .expect("it carries a checksum");

    let info = node.json(&["getdescriptorinfo", body]);
    assert_eq!(info["checksum"], checksum);
    assert_eq!(info["descriptor"], script.descriptor());
    assert_eq!(
        (&info["issolvable"], &info["isrange"]),
        (&json!(true), &json!(false))
    );

    let address = address(&contract).to_string();
    assert_eq!(
        node.json(&["deriveaddresses", script.descriptor()]),
        json!([address])
    );
    let valid = node.json(&["validateaddress", &address]);
    assert_eq!(
        (&valid["isvalid"], &valid["witness_version"]),
        (&json!(true), &json!(1))
    );
    assert_eq!(valid["scriptPubKey"], script.script_pubkey().to_hex_string());
}

/// A confirmed coin behind an address of this kind, in a wallet of that name: the miner's own wallet must not
/// get a legacy coin, or it would fund other tests' channels from it.
fn coin(node: &Node, kind: &str) -> OutPoint {
    node.cli(&["createwallet", kind]);
    let address = node.cli(&[&format!("-rpcwallet={kind}"), "getnewaddress", "", kind]);
    let pays = json!([{ address: "0.001" }]).to_string();
    // The miner's change would follow the recipient's kind.
    let options = json!({"change_type": "bech32"}).to_string();
    let sent = node.json(&[
        "-rpcwallet=miner",
        "send",
        &pays,
        "null",
        "unset",
        "null",
        &options,
    ]);
    node.mine(1);
    let tx = node.raw_tx(sent["txid"].as_str().expect("an id").parse().expect("an id"));
    let vout = tx
        .output
        .iter()
        .position(|output| output.value.to_sat() == 100_000);
    OutPoint::new(tx.compute_txid(), vout.expect("the coin") as u32)
}

/// The commitment as a wallet with such a coin makes it, not yet sent.
fn wallet_made(node: &Node, contract: &Contract, kind: &str) -> Transaction {
    let coin = coin(node, kind);
    let coins = json!([{"txid": coin.txid, "vout": coin.vout}]).to_string();
    let pays = json!([{ address(contract).to_string(): btc(contract.capacity()) }]).to_string();
    let wallet = |args: &[&str]| node.json(&[&[&*format!("-rpcwallet={kind}")], args].concat());
    let funded = wallet(&["walletcreatefundedpsbt", &coins, &pays]);
    let signed = wallet(&["walletprocesspsbt", funded["psbt"].as_str().expect("a PSBT")]);
    assert_eq!(signed["complete"], true);
    deserialize_hex(signed["hex"].as_str().expect("it is final")).expect("a transaction")
}

#[test]
fn a_commitment_of_a_native_segwit_wallet_is_taken_by_us_and_by_the_node() {
    let node = node();
    let contract = contract(&parties(0), CAPACITY);
    for kind in ["bech32", "bech32m"] {
        let tx = wallet_made(&node, &contract, kind);
        let channel = checked(&node, &contract, &tx);
        assert_eq!(node.broadcast(&tx), Ok(channel.outpoint().txid), "{kind}");
    }
}

#[test]
fn a_commitment_whose_id_could_still_change_is_taken_by_the_node_but_not_by_us() {
    let node = node();
    let contract = contract(&parties(0), CAPACITY);
    for kind in ["legacy", "p2sh-segwit"] {
        let tx = wallet_made(&node, &contract, kind);
        assert_eq!(node.accept(&tx), Ok(()), "{kind}");
        let refused = commitment::check(&contract, &tx, 0, Some(node.height())).unwrap_err();
        assert_eq!(refused, CommitmentError::Malleable(0), "{kind}");
    }
}
