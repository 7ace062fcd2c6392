//! Refund and settlement at the same time: what the servers know first is accepted, whoever made it.

use bitcoin::{Amount, FeeRate};
use gststreamiumpay::refund::Position;

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
