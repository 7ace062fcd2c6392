//! Reorganisations of 1 to 6 blocks, with the mempool lost each time, so that what comes back was handed out again.

use gststreamiumpay::refund::Position;

use crate::common::regtest::Regtest;
use crate::viewer::*;

fn deepen(regtest: &Regtest, blocks: u32) {
    if blocks > 0 {
        regtest.mine(blocks);
    }
}

#[test]
fn a_commitment_that_is_reorganised_away_is_handed_out_again_and_its_delay_counted_anew() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    configure(regtest, "persistmempool=0\n");
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    for depth in 1..=6 {
        deepen(regtest, depth - 1);
        let blocks = u32::from(DELAY) - depth;
        viewer.until("its depth", |viewer| {
            viewer.position(&opened) == Some(Position::Locked { blocks })
        });
        reorganise(regtest, depth);
        until_pending(&mut viewer, regtest, opened.outpoint().txid);
        viewer.until("the commitment in the mempool again", |viewer| {
            viewer.position(&opened) == Some(Position::Unconfirmed)
        });
        assert_eq!(viewer.children(&opened), [], "it is not stuck");
        regtest.mine(1);
        let blocks = u32::from(DELAY) - 1;
        viewer.until("its confirmation", |viewer| {
            viewer.position(&opened) == Some(Position::Locked { blocks })
        });
    }
}

#[test]
fn a_refund_that_is_reorganised_away_is_handed_out_again() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    configure(regtest, "persistmempool=0\n");
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir.path());
    let rest = viewer.runner.wallet.spendable();
    regtest.mine(u32::from(DELAY) - 1);
    viewer.until("a refund", |viewer| viewer.refunds(&opened).len() == 1);
    let refund = viewer.refunds(&opened)[0].clone();
    let txid = refund.compute_txid();
    viewer.until_closing(&opened, txid, 0, true);
    regtest.mine(1);
    for depth in 1..=6 {
        deepen(regtest, depth - 1);
        viewer.until_closing(&opened, txid, depth, true);
        reorganise(regtest, depth);
        until_pending(&mut viewer, regtest, txid);
        viewer.until_closing(&opened, txid, 0, true);
        regtest.mine(1);
        viewer.until_closing(&opened, txid, 1, true);
    }
    regtest.mine(11);
    viewer.until("the end", |viewer| viewer.position(&opened).is_none());
    assert_eq!(viewer.state(&opened), "spent");
    assert_eq!(
        viewer.refunds(&opened),
        std::slice::from_ref(&refund),
        "it was always this one"
    );
    viewer.until("the money", |viewer| {
        viewer.runner.wallet.spendable() == rest + refund.output[0].value
    });
}
