//! A real server whose answers are changed on the way.

use std::time::Duration;

use bitcoin::block::Header;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, BlockHash, CompactTarget, ScriptBuf, Transaction, Txid};
use gststreamiumpay::chain::{Chain, ChainEvent, UnreachableReason};
use serde_json::{Value, json};

use crate::common::coins::new_address;
use crate::common::regtest::Regtest;
use crate::liar::Liar;
use crate::watcher::{Watcher, quick};
use crate::{signed_payment, strangers_address};

/// A liar before the shared server, and a watcher who knows no other.
pub fn alone() -> (&'static Regtest, Liar, Watcher) {
    let regtest = Regtest::shared();
    let liar = Liar::before(regtest.electrum_url());
    let watcher = Watcher::start(&liar.url());
    (regtest, liar, watcher)
}

/// An address with a confirmed payment, and the height of it.
fn paid_address(regtest: &Regtest) -> (Address, Txid, u32) {
    let address = strangers_address();
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    regtest.mine(1);
    (address, txid, block_of(regtest, txid))
}

fn block_of(regtest: &Regtest, txid: Txid) -> u32 {
    let tx: Value =
        serde_json::from_str(&regtest.cli(&["getrawtransaction", &txid.to_string(), "true"])).unwrap();
    let header = regtest.cli(&["getblockheader", tx["blockhash"].as_str().unwrap()]);
    let header: Value = serde_json::from_str(&header).unwrap();
    header["height"].as_u64().unwrap().try_into().unwrap()
}

/// Lists of transactions with other heights.
pub fn with_heights(height: u32) -> impl FnMut(&str, &Value, &Value) -> Option<Value> {
    move |method, _, said| {
        let mut said = said.clone();
        if method != "blockchain.scripthash.get_history" {
            return None;
        }
        for entry in said.as_array_mut()? {
            entry["height"] = json!(height);
        }
        Some(said)
    }
}

pub fn wrong_answer(watcher: &Watcher) -> String {
    match watcher.unreachable().1 {
        UnreachableReason::WrongAnswer { words } => words,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_height_that_is_too_low_is_not_believed() {
    let (regtest, liar, watcher) = alone();
    let (address, txid, height) = paid_address(regtest);
    let script = address.script_pubkey();
    liar.lies(with_heights(height - 50));
    watcher.chain.watch(&script);
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!(
        (seen[0].txid, seen[0].height),
        (txid, None),
        "unconfirmed, not missing"
    );
    let (server, words) = watcher.disagreement();
    assert_eq!(server.to_string(), liar.url());
    assert!(
        words.contains(&format!("{txid} is in block {}", height - 50)),
        "{words}"
    );

    // It mends its ways with the next answer.
    liar.tells_the_truth();
    regtest.fund(&address, Amount::from_sat(60_000));
    let seen = watcher.script(&script, |transactions| {
        transactions.iter().any(|tx| tx.height.is_some())
    });
    assert_eq!(seen[0].height, Some(height));
    assert_eq!(watcher.agreement().to_string(), liar.url());
}

#[test]
fn a_height_that_is_too_high_is_not_believed() {
    let (regtest, liar, watcher) = alone();
    let address = strangers_address();
    let script = address.script_pubkey();
    let beyond = regtest.height() + 1_000;
    liar.lies(with_heights(beyond));
    watcher.chain.watch(&script);
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!((seen[0].txid, seen[0].height), (txid, None));
    let (_, words) = watcher.disagreement();
    assert!(words.contains(&format!("{txid} is in block {beyond}")), "{words}");
}

#[test]
fn an_unconfirmed_transaction_is_not_confirmed_by_a_refused_proof() {
    let (regtest, liar, watcher) = alone();
    let address = strangers_address();
    let script = address.script_pubkey();
    liar.lies(with_heights(regtest.height()));
    watcher.chain.watch(&script);
    regtest.fund(&address, Amount::from_sat(50_000));
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!(seen[0].height, None);
    watcher.disagreement();
}

#[test]
fn a_transaction_that_does_not_exist_is_not_confirmed() {
    let (regtest, liar, watcher) = alone();
    // In order in itself, and pays the script; it was never handed out.
    let script = ScriptBuf::new_p2a();
    let mut made_up = signed_payment(regtest, "0.0009", 1.0);
    made_up.output[0].script_pubkey = script.clone();
    let (txid, height) = (made_up.compute_txid(), regtest.height());
    liar.lies(move |method, params, said| match method {
        "blockchain.scripthash.subscribe" if !params.is_null() => Some(json!("00".repeat(32))),
        "blockchain.scripthash.get_history" => Some(json!([{"tx_hash": txid, "height": height}])),
        "blockchain.transaction.get" if said.is_null() => Some(json!(serialize_hex(&made_up))),
        _ => None,
    });
    watcher.chain.watch(&script);
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!((seen[0].txid, seen[0].height), (txid, None));
    watcher.disagreement();
}

#[test]
fn a_wrong_proof_costs_the_connection_and_confirms_nothing() {
    let wrongs: [fn(&mut Value); 3] = [
        |proof| proof["merkle"][0] = json!("11".repeat(32)),
        |proof| proof["pos"] = json!(proof["pos"].as_u64().unwrap() ^ 1),
        |proof| proof["merkle"] = json!([]),
    ];
    for wrong in wrongs {
        let (regtest, liar, watcher) = alone();
        let (address, ..) = paid_address(regtest);
        let script = address.script_pubkey();
        liar.lies(move |method, _, said| {
            let mut said = said.clone();
            (method == "blockchain.transaction.get_merkle").then(|| wrong(&mut said))?;
            Some(said)
        });
        watcher.chain.watch(&script);
        let mut heights = Vec::new();
        let why = watcher.wait("end", |event| match event {
            ChainEvent::Script { transactions, .. } => {
                heights.extend(transactions.iter().map(|tx| tx.height));
                None
            }
            ChainEvent::Unreachable { why, .. } => Some(why),
            _ => None,
        });
        assert!(matches!(why, UnreachableReason::WrongAnswer { .. }), "{why:?}");
        assert_eq!(heights, [None]);
        // Honest again, it is believed again.
        liar.tells_the_truth();
        watcher.script(&script, |transactions| transactions[0].height.is_some());
    }
}

#[test]
fn a_transaction_of_64_bytes_never_counts_as_confirmed() {
    let regtest = Regtest::start();
    let watcher = Watcher::start(regtest.electrum_url());
    // A real one, in a real block: one native segwit input, one output with a script of four bytes.
    let address = new_address(&regtest);
    let script = address.script_pubkey();
    let funding = regtest.fund(&address, Amount::from_sat(50_000));
    regtest.mine(1);
    let vout = regtest
        .raw_tx(funding)
        .output
        .iter()
        .position(|output| output.script_pubkey == script)
        .unwrap();
    let raw = regtest.cli(&[
        "createrawtransaction",
        &json!([{"txid": funding, "vout": vout}]).to_string(),
        &json!([{"data": "0102"}]).to_string(),
    ]);
    let signed = regtest.cli(&["-rpcwallet=miner", "signrawtransactionwithwallet", &raw]);
    let signed: Value = serde_json::from_str(&signed).unwrap();
    let hex = signed["hex"].as_str().unwrap();
    let tx: Transaction = deserialize_hex(hex).unwrap();
    assert_eq!(tx.base_size(), 64);
    let to = new_address(&regtest).to_string();
    regtest.cli(&["generateblock", &to, &json!([hex]).to_string()]);
    regtest.wait_for_electrum();

    watcher.chain.watch(&script);
    let seen = watcher.script(&script, |transactions| {
        transactions.len() == 2 && transactions.iter().any(|tx| tx.height.is_some())
    });
    let height_of = |txid| seen.iter().find(|tx| tx.txid == txid).unwrap().height;
    assert!(height_of(funding).is_some());
    assert_eq!(height_of(tx.compute_txid()), None);
    let (_, words) = watcher.disagreement();
    assert!(words.contains(&tx.compute_txid().to_string()), "{words}");
}

/// The header with a change, mined again if it shall have work.
pub fn changed(hex: &Value, change: impl Fn(&mut Header), has_work: bool) -> String {
    let mut header: Header = deserialize_hex(hex.as_str().unwrap()).unwrap();
    change(&mut header);
    while header.target().is_met_by(header.block_hash()) != has_work {
        header.nonce += 1;
    }
    serialize_hex(&header)
}

/// The newest block, as it is told at first and in notifications, with its header changed.
fn with_newest(
    change: impl Fn(&mut Header) + Clone + Send + 'static,
    has_work: bool,
) -> impl FnMut(&str, &Value, &Value) -> Option<Value> {
    move |method, params, said| {
        let mut said = said.clone();
        if method != "blockchain.headers.subscribe" {
            return None;
        }
        let newest = match params.is_null() {
            true => &mut said[0],
            false => &mut said,
        };
        newest["hex"] = json!(changed(&newest["hex"], change.clone(), has_work));
        Some(said)
    }
}

#[test]
fn a_newest_header_that_can_t_be_true_costs_the_connection() {
    type Change = fn(&mut Header);
    let cases: [(Change, bool, &str); 3] = [
        (|header| header.time += 1, false, "has not the work it claims"),
        (
            |header| header.bits = CompactTarget::from_consensus(0x207f_fffe),
            true,
            "has difficulty bits 207ffffe where 207fffff is required",
        ),
        (
            |header| header.prev_blockhash = BlockHash::all_zeros(),
            true,
            "its newest block is not in its chain",
        ),
    ];
    for (change, has_work, expected) in cases {
        let (regtest, liar, watcher) = alone();
        watcher.reachable();
        liar.lies(with_newest(change, has_work));
        regtest.mine(1);
        let words = wrong_answer(&watcher);
        assert!(words.contains(expected), "{words}");
        liar.tells_the_truth();
        watcher.reachable();
    }
}

#[test]
fn headers_of_the_past_that_can_t_be_true_cost_the_connection() {
    let regtest = Regtest::shared();
    let liar = Liar::before(regtest.electrum_url());
    type Change = fn(&mut Header);
    let changes: [(Change, bool, &str); 3] = [
        (|header| header.time += 1, false, "has not the work"),
        (
            |header| header.bits = CompactTarget::from_consensus(0x207f_fffe),
            true,
            "difficulty bits",
        ),
        (
            |header| header.prev_blockhash = BlockHash::all_zeros(),
            true,
            "does not link",
        ),
    ];
    for (change, has_work, expected) in changes {
        liar.lies(move |method, _, said| {
            let mut said = said.clone();
            if method != "blockchain.block.headers" {
                return None;
            }
            // Protocol 1.6 has a list, before it one text.
            if let Some(list) = said["headers"].as_array_mut() {
                list[20] = json!(changed(&list[20], change, has_work));
            } else {
                let hex = said["hex"].as_str().unwrap();
                let one = changed(&json!(hex[20 * 160..21 * 160]), change, has_work);
                said["hex"] = json!([&hex[..20 * 160], &one, &hex[21 * 160..]].concat());
            }
            Some(said)
        });
        let watcher = Watcher::start(&liar.url());
        let words = wrong_answer(&watcher);
        assert!(words.contains(expected), "{words}");
        assert!(watcher.chain.tip().is_none());
    }
}

#[test]
fn a_frozen_tip_is_noticed_beside_an_honest_server() {
    let regtest = Regtest::shared();
    let liar = Liar::before(regtest.electrum_url());
    let watcher = Watcher::start(&format!("{} {}", liar.url(), regtest.electrum_url()));
    watcher.reachable();
    watcher.reachable();
    let old = regtest
        .electrum_call("blockchain.headers.subscribe", json!([]))
        .unwrap();
    liar.lies(move |method, params, _| match method {
        "blockchain.headers.subscribe" if params.is_null() => Some(json!([old])),
        "blockchain.headers.subscribe" => Some(old.clone()),
        _ => None,
    });
    regtest.mine(6);
    let (server, words) = watcher.disagreement();
    assert_eq!(server.to_string(), liar.url());
    assert!(words.contains("behind the best known"), "{words}");
    liar.tells_the_truth();
    regtest.mine(1);
    assert_eq!(watcher.agreement().to_string(), liar.url());
}

#[test]
fn one_honest_server_is_enough() {
    let regtest = Regtest::shared();
    let liar = Liar::before(regtest.electrum_url());
    // It hides what it should list.
    liar.lies(|method, _, _| (method == "blockchain.scripthash.get_history").then(|| json!([])));
    let watcher = Watcher::start(&format!("{} {}", liar.url(), regtest.electrum_url()));
    let (address, txid, height) = paid_address(regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    let seen = watcher.script(&script, |transactions| {
        transactions.iter().any(|tx| tx.height.is_some())
    });
    assert_eq!((seen[0].txid, seen[0].height), (txid, Some(height)));
}

#[test]
fn a_chain_of_less_work_does_not_count() {
    let (longer, shorter) = (Regtest::start(), Regtest::start());
    longer.mine(3);
    let watcher = Watcher::start(&format!("{} {}", shorter.electrum_url(), longer.electrum_url()));
    let (server, words) = watcher.disagreement();
    assert_eq!(server.to_string(), shorter.electrum_url());
    assert!(words.contains("another chain"), "{words}");
    // What is confirmed there only, is unconfirmed.
    let address = strangers_address();
    let script = address.script_pubkey();
    shorter.fund(&address, Amount::from_sat(50_000));
    shorter.mine(1);
    watcher.chain.watch(&script);
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!(seen[0].height, None);
    // The shorter becomes the longer one.
    shorter.mine(5);
    watcher.script(&script, |transactions| transactions[0].height.is_some());
    assert_eq!(watcher.disagreement().0.to_string(), longer.electrum_url());
}

#[test]
fn a_disagreement_is_given_time() {
    let (regtest, liar, _) = alone();
    let timing = gststreamiumpay::chain::Timing {
        disagreement: Duration::from_secs(3600),
        ..quick()
    };
    let watcher = Watcher::start_with(&liar.url(), "", timing);
    let (address, _, height) = paid_address(regtest);
    liar.lies(with_heights(height - 50));
    watcher.chain.watch(&address.script_pubkey());
    watcher.script(&address.script_pubkey(), |transactions| transactions.len() == 1);
    let more = watcher.events.recv_timeout(Duration::from_secs(1));
    assert!(!matches!(more, Ok(ChainEvent::Disagreement { .. })), "{more:?}");
}
