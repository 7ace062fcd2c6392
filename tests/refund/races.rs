//! Refund and settlement at the same time: what the servers know first is accepted, whoever made it.

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::hashes::{Hash, sha256};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, Script, Transaction, TxIn, TxOut, absolute};
use gststreamiumpay::refund::{PATIENCE_BLOCKS, Position, Runner};
use serde_json::json;

use crate::common::driver::chain_at;
use crate::liar::Liar;

use crate::common::regtest::{Regtest, TxStatus};
use crate::viewer::*;

const PAID: u64 = 4_000;

/// Its change, exactly.
fn change() -> Amount {
    CAPACITY - Amount::from_sat(PAID)
}

#[test]
fn a_settlement_that_is_there_first_is_not_competed_with() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    let rest = viewer.runner.wallet.spendable();
    regtest.mine(u32::from(DELAY) - 2);
    let settlement = opened.settlement(PAID, RATE);
    let txid = regtest.broadcast(&settlement).unwrap();
    viewer.until_closing(&opened, txid, 0, false);
    // The refund leaf opens while the settlement waits.
    mine_empty(regtest, 1);
    viewer.until("a look at the last block", |viewer| viewer.runner.is_done());
    assert_eq!(viewer.refunds(&opened), []);
    assert_eq!(regtest.tx_status(txid), TxStatus::InMempool);

    regtest.mine(1);
    viewer.until_closing(&opened, txid, 1, false);
    viewer.until("the change", |viewer| {
        viewer.runner.wallet.spendable() == rest + change()
    });
    regtest.mine(10);
    viewer.until_closing(&opened, txid, 11, false);
    assert_eq!(viewer.state(&opened), "open", "watched a while longer");
    regtest.mine(1);
    viewer.until("the end", |viewer| viewer.position(&opened).is_none());
    assert_eq!(viewer.state(&opened), "spent");
    assert_eq!(viewer.said("refund"), 0);
}

#[test]
fn a_settlement_that_outbids_the_refund_ends_it_and_a_lost_one_brings_it_back() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    let rest = viewer.runner.wallet.spendable();
    regtest.mine(u32::from(DELAY) - 1);
    viewer.until("a refund", |viewer| viewer.refunds(&opened).len() == 1);
    let refund = viewer.refunds(&opened)[0].compute_txid();
    viewer.until_closing(&opened, refund, 0, true);

    let settlement = opened.settlement(PAID, FeeRate::from_sat_per_vb_u32(15));
    let settled = regtest.broadcast(&settlement).unwrap();
    assert_eq!(regtest.tx_status(refund), TxStatus::Unknown, "replaced");
    viewer.until_closing(&opened, settled, 0, false);
    regtest.mine(1);
    viewer.until_closing(&opened, settled, 1, false);
    viewer.until("the change", |viewer| {
        viewer.runner.wallet.spendable() == rest + change()
    });
    assert_eq!(viewer.refunds(&opened).len(), 1, "nothing bids against it");

    // A reorganisation drops it, and its provider is gone: the refund is handed out again.
    configure(regtest, "persistmempool=0\n");
    reorganise(regtest, 1);
    until_pending(&mut viewer, regtest, refund);
    viewer.until_closing(&opened, refund, 0, true);
    let gone = regtest.try_cli(&["getmempoolentry", &settled.to_string()]);
    assert!(
        gone.is_err(),
        "the settlement would not be in the mempool of a node that lost it"
    );
    regtest.mine(1);
    viewer.until_closing(&opened, refund, 1, true);
    let value = viewer.refunds(&opened)[0].output[0].value;
    viewer.until("the refund", |viewer| {
        viewer.runner.wallet.spendable() == rest + value
    });
}

#[test]
fn a_refund_that_is_mined_first_stays() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    let rest = viewer.runner.wallet.spendable();
    regtest.mine(u32::from(DELAY) - 2);
    viewer.until("one block to go", |viewer| {
        viewer.position(&opened) == Some(Position::Locked { blocks: 1 })
    });
    assert_eq!(viewer.refunds(&opened), [], "one block early");
    regtest.mine(1);
    viewer.until("a refund", |viewer| viewer.refunds(&opened).len() == 1);
    let refund = viewer.refunds(&opened)[0].clone();
    viewer.until_closing(&opened, refund.compute_txid(), 0, true);
    regtest.mine(1);
    assert!(
        regtest
            .broadcast(&opened.settlement(PAID, FeeRate::from_sat_per_vb_u32(15)))
            .is_err()
    );
    viewer.until_closing(&opened, refund.compute_txid(), 1, true);
    let fee = CAPACITY - refund.output[0].value;
    assert_eq!(
        fee,
        Amount::from_sat(refund.vsize() as u64),
        "1 sat/vB, as the node relays"
    );
    viewer.until("the refund", |viewer| {
        viewer.runner.wallet.spendable() == rest + CAPACITY - fee
    });
}

/// As Electrum names a script.
fn script_hash(script: &Script) -> String {
    let hash = sha256::Hash::hash(script.as_bytes()).to_byte_array();
    hash.iter().rev().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_spend_that_a_server_makes_up_keeps_no_refund_back() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    drop(viewer);
    // A transaction that nobody has signed: its id is as good as any.
    let made_up = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: opened.outpoint(),
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: CAPACITY - Amount::from_sat(500),
            script_pubkey: opened.channel.contract().change().script().clone(),
        }],
    };
    let (txid, told) = (made_up.compute_txid().to_string(), serialize_hex(&made_up));
    let watched = script_hash(opened.channel.script().script_pubkey());
    let liar = Liar::before(regtest.electrum_url());
    liar.lies(move |method, params, said| match method {
        "blockchain.scripthash.get_history" if params[0] == watched => {
            let mut history = said.as_array()?.clone();
            history.push(json!({ "tx_hash": txid, "height": 0, "fee": 500 }));
            Some(json!(history))
        }
        "blockchain.transaction.get" if params[0] == txid => Some(json!(told)),
        _ => None,
    });
    let servers = format!("{},{}", liar.url(), regtest.electrum_url());
    let mut viewer = Viewer {
        runner: Runner::open(dir.path(), &chain_at(&servers), MAX_RATE).unwrap(),
        reports: Vec::new(),
    };
    regtest.mine(u32::from(DELAY) - 1);
    viewer.until("a refund", |viewer| viewer.refunds(&opened).len() == 1);
    let refund = viewer.refunds(&opened)[0].compute_txid();
    until_pending(&mut viewer, regtest, refund);
}

#[test]
fn a_settlement_that_nobody_mines_is_waited_for_as_long_as_is_stated() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    regtest.mine(u32::from(DELAY) - 2);
    let txid = regtest.broadcast(&opened.settlement(PAID, RATE)).unwrap();
    viewer.until_closing(&opened, txid, 0, false);
    let passes = |viewer: &mut Viewer| {
        mine_empty(regtest, 1);
        let tip = regtest.cli(&["getbestblockhash"]).parse().unwrap();
        viewer.until("the block", |viewer| {
            viewer.runner.wallet.is_synced_to(tip) && viewer.runner.is_done()
        });
    };
    // The first of them opens the refund leaf.
    passes(&mut viewer);
    passes(&mut viewer);
    for _ in 2..PATIENCE_BLOCKS {
        passes(&mut viewer);
    }
    assert_eq!(viewer.refunds(&opened), [], "it is waited for");
    passes(&mut viewer);
    passes(&mut viewer);
    assert_eq!(viewer.refunds(&opened).len(), 1);
    // It is refused while the settlement pays more, and bids half as much again every six blocks.
    for _ in 0..30 {
        passes(&mut viewer);
        if regtest.tx_status(txid) == TxStatus::Unknown {
            let newest = viewer.refunds(&opened).last().unwrap().compute_txid();
            return until_pending(&mut viewer, regtest, newest);
        }
    }
    panic!("the refund never took its place; said: {:#?}", viewer.reports);
}
