//! Commitments that don't confirm: lifted by a child, or voided by a conflict.

use bitcoin::Amount;
use gststreamiumpay::refund::Position;
use gststreamiumpay::wallet::SEED_FILE;

use crate::common::regtest::{Regtest, TxStatus};
use crate::viewer::*;

/// What miners take, in sat/vB; commitments of these tests pay 2.
const MINED: u64 = 5;

fn is_mined(regtest: &Regtest, opened: &Opened) -> bool {
    matches!(
        regtest.tx_status(opened.outpoint().txid),
        TxStatus::Confirmed { .. }
    )
}

/// Mines a block, and lets the viewer see it.
fn pass_block(viewer: &mut Viewer, regtest: &Regtest) {
    regtest.mine(1);
    let tip = regtest.cli(&["getbestblockhash"]).parse().unwrap();
    viewer.until("the block", |viewer| {
        viewer.runner.wallet.is_synced_to(tip) && viewer.runner.is_done()
    });
}

/// Miners that want more than it pays leave a commitment where it is.
fn stuck(regtest: &Regtest, viewer: &mut Viewer, dir: &std::path::Path) -> Opened {
    configure(regtest, &format!("blockmintxfee={:.8}\n", MINED as f64 * 1e-5));
    let opened = viewer.open_channel(dir, RATE);
    viewer.until("the commitment in the mempool", |viewer| {
        viewer.position(&opened) == Some(Position::Unconfirmed) && viewer.runner.is_done()
    });
    for _ in 0..5 {
        pass_block(viewer, regtest);
    }
    assert!(!is_mined(regtest, &opened), "it must be stuck without a child");
    assert_eq!(viewer.children(&opened), [], "five blocks are too early");
    opened
}

fn lift_until_mined(regtest: &Regtest, viewer: &mut Viewer, opened: &Opened) {
    for _ in 0..30 {
        pass_block(viewer, regtest);
        if is_mined(regtest, opened) {
            return;
        }
    }
    panic!("it never confirmed; said: {:#?}", viewer.reports);
}

/// What parent and child pay together, in sat/vB, rounded down.
fn package_rate(opened: &Opened, fee: Amount, child: &bitcoin::Transaction) -> u64 {
    let size = opened.commitment.vsize() + child.vsize();
    (opened.commitment_fee + fee).to_sat() / size as u64
}

#[test]
fn a_stuck_commitment_is_lifted_by_its_change_until_it_is_mined() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 70_000);
    let opened = stuck(regtest, &mut viewer, dir.path());
    let balance = viewer.runner.wallet.balance();
    lift_until_mined(regtest, &mut viewer, &opened);

    let made = viewer
        .runner
        .store
        .consumer_channel(opened.outpoint())
        .unwrap()
        .children;
    // 2, then 3, 4.5 and 6.75 sat/vB: each replaces the one before.
    assert_eq!(made.len(), 3);
    let rates: Vec<u64> = made
        .iter()
        .map(|made| package_rate(&opened, made.fee, &made.tx))
        .collect();
    assert_eq!(rates, [3, 4, 6]);
    for made in &made[..2] {
        assert_eq!(regtest.tx_status(made.tx.compute_txid()), TxStatus::Unknown);
    }
    let last = &made[2];
    assert!(matches!(
        regtest.tx_status(last.tx.compute_txid()),
        TxStatus::Confirmed { .. }
    ));
    assert!(made.iter().all(|made| made.tx.input.len() == 1));
    viewer.until("the change, less the child's fee", |viewer| {
        viewer.runner.wallet.balance().confirmed == balance.unconfirmed - last.fee
    });
    // Once it is buried, nothing is set aside any more.
    regtest.mine(5);
    viewer.until("nothing reserved", |viewer| {
        viewer.runner.wallet.balance().reserved == Amount::ZERO
    });
}

#[test]
fn a_child_takes_another_coin_where_the_change_is_too_small() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    // The first is just enough for the channel; the second is all there is beside.
    viewer.fund(regtest, 51_900);
    viewer.fund(regtest, 9_000);
    let opened = stuck(regtest, &mut viewer, dir.path());
    assert_eq!(opened.commitment.input.len(), 1);
    lift_until_mined(regtest, &mut viewer, &opened);
    let children = viewer.children(&opened);
    let coins: Vec<usize> = children.iter().map(|child| child.input.len()).collect();
    assert_eq!(coins, [1, 1, 2], "{children:#?}");
}

#[test]
fn a_child_survives_a_restart() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 70_000);
    let opened = stuck(regtest, &mut viewer, dir.path());
    pass_block(&mut viewer, regtest);
    let first = viewer.children(&opened);
    assert_eq!(first.len(), 1);
    drop(viewer);
    // The blocks pass while nobody looks; the clock goes on from the record.
    regtest.mine(6);
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.until("a better child", |viewer| viewer.children(&opened).len() == 2);
    let second = &viewer.children(&opened)[1];
    assert_eq!(first[0].output[0].script_pubkey, second.output[0].script_pubkey);
    viewer.until("the answer", |viewer| viewer.runner.is_done());
    assert_eq!(regtest.tx_status(second.compute_txid()), TxStatus::InMempool);
}

#[test]
fn a_voided_commitment_keeps_its_coins_until_the_conflict_is_buried() {
    let regtest = &Regtest::start();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 30_000);
    viewer.fund(regtest, 31_000);
    // The same seed on another machine, against all advice, spends one of the two coins.
    std::fs::copy(dir.path().join(SEED_FILE), other.path().join(SEED_FILE)).unwrap();
    let away = regtest.cli(&["-rpcwallet=miner", "getnewaddress"]);
    let opened = viewer.open_channel(dir.path(), RATE);
    assert_eq!(opened.commitment.input.len(), 2);
    command(regtest, other.path(), &["withdraw", &away, "--amount-sat=25000"]);
    regtest.mine(1);
    for confirmations in 1..6 {
        let height = regtest.height();
        viewer.until("the block", |viewer| {
            viewer.runner.tip_height() == Some(height) && viewer.runner.is_done()
        });
        assert_eq!(
            viewer.position(&opened),
            Some(Position::Missing),
            "{confirmations}"
        );
        let reserved = viewer.runner.wallet.balance().reserved.to_sat();
        assert!(
            [30_000, 31_000].contains(&reserved),
            "{confirmations}: {reserved}"
        );
        regtest.mine(1);
    }
    viewer.until("its end", |viewer| viewer.position(&opened).is_none());
    assert_eq!(viewer.state(&opened), "void");
    assert_eq!(viewer.said("void"), 1);
    let balance = viewer.runner.wallet.balance();
    assert_eq!(balance.reserved, Amount::ZERO);
    let fee = Amount::from_sat(61_000 - 25_000) - balance.confirmed;
    assert!(fee < Amount::from_sat(500), "only a fee is gone: {fee}");
}

#[test]
fn a_commitment_below_what_the_mempool_takes_locks_nothing_and_loses_nothing() {
    let regtest = &Regtest::start();
    let dir = tempfile::tempdir().unwrap();
    let mut viewer = Viewer::open(regtest, dir.path());
    viewer.fund(regtest, 70_000);
    configure(regtest, "persistmempool=0\nminrelaytxfee=0.00005\n");
    let opened = viewer.open_channel(dir.path(), RATE);
    for _ in 0..7 {
        pass_block(&mut viewer, regtest);
        assert_eq!(viewer.position(&opened), Some(Position::Missing));
    }
    assert_eq!(
        viewer.children(&opened),
        [],
        "no node would take it without its parent"
    );
    assert_eq!(viewer.runner.wallet.balance().reserved, Amount::from_sat(70_000));
    let error =
        viewer
            .runner
            .wallet
            .build_commitment(opened.channel.script().script_pubkey(), CAPACITY, RATE);
    assert!(error.is_err(), "its coins are not spent by another");
    // When fees fall, it is taken after all.
    let conf = regtest.data_dir().join("node/bitcoin.conf");
    let text = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, text.replace("minrelaytxfee=0.00005\n", "")).unwrap();
    configure(regtest, "");
    regtest.mine(1);
    viewer.until("the commitment in the mempool", |viewer| {
        viewer.position(&opened) == Some(Position::Unconfirmed)
    });
}
