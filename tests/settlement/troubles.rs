//! Reorganisations, refunds and restarts.

use bitcoin::{FeeRate, OutPoint};
use gststreamiumpay::store::{NewSettlement, ProviderChannelState, SettlementKind};
use streamium_channel::payment::Payment;
use streamium_channel::refund::refund;

use crate::common::coins::reorganise;
use crate::common::regtest::{Regtest, TxStatus};
use crate::folder::*;

#[test]
fn a_settlement_that_a_reorganisation_takes_out_is_settled_all_the_same() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let mut engine = folder.engine(regtest);
    // Six confirmations are final; a reorganisation of six blocks takes out one with five.
    for depth in 1..=6 {
        engine.stop();
        let channels = folder.channels(regtest, &[20_000, 20_000], 1_008, 12);
        engine = folder.engine(regtest);
        let tx = engine.settling(regtest);
        assert_eq!(tx.input.len(), 2);
        let txid = tx.compute_txid();
        regtest.mine(1);
        mine_empty(regtest, depth.min(5) - 1);
        assert!(matches!(regtest.tx_status(txid), TxStatus::Confirmed { .. }));
        // Only what has been seen in a block can be seen to leave it.
        engine.wait("confirmed");
        let outpoint = channels[0].outpoint();
        reorganise(regtest, depth);
        engine.wait("reorganised");
        wait_for_mempool(regtest, txid);
        regtest.mine(6);
        engine.wait_for("settled", |report| outpoint_of(report) == outpoint);
        for channel in &channels {
            wait_until("the other to be closed", || {
                folder.state(channel.outpoint()) == ProviderChannelState::Settled
            });
        }
    }
}

#[test]
fn a_commitment_that_a_reorganisation_takes_out_is_settled_when_it_is_back() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    for depth in 1..=6 {
        let outpoint = folder.channels(regtest, &[20_000], 1_008, depth)[0].outpoint();
        let mut engine = folder.engine(regtest);
        let txid = engine.settling(regtest).compute_txid();
        reorganise(regtest, depth);
        assert_eq!(regtest.tx_status(outpoint.txid), TxStatus::InMempool);
        regtest.mine(1);
        assert!(matches!(
            regtest.tx_status(outpoint.txid),
            TxStatus::Confirmed { .. }
        ));
        // Mined with it, or handed out again.
        wait_until("the settlement", || regtest.tx_status(txid) != TxStatus::Unknown);
        regtest.mine(7);
        engine.wait_for("settled", |report| outpoint_of(report) == outpoint);
        engine.stop();
    }
}

/// A batch of three in the mempool whose first channel's refund leaf has opened while no engine ran.
fn late_batch(
    regtest: &Regtest,
    folder: &Folder,
) -> (Vec<streamium_channel::contract::Channel>, Vec<OutPoint>) {
    let raced = folder.channels(regtest, &[30_000], 144, 6);
    let others = folder.channels(regtest, &[20_000, 20_000], 1_008, 6);
    let mut engine = folder.engine(regtest);
    let batch = engine.settling(regtest);
    assert_eq!(batch.input.len(), 3);
    engine.stop();
    let confirmations = match regtest.tx_status(raced[0].outpoint().txid) {
        TxStatus::Confirmed { confirmations } => confirmations,
        other => panic!("{other:?}"),
    };
    mine_empty(regtest, 144 - confirmations);
    (raced, outpoints(&others))
}

fn refunded(regtest: &Regtest, channel: &streamium_channel::contract::Channel) -> bitcoin::Txid {
    let rate = FeeRate::from_sat_per_vb_u32(20);
    let tx = refund(channel, &consumer(), &p2tr(0x33), rate).unwrap();
    regtest
        .broadcast(&tx)
        .expect("it replaces the batch, which pays less")
}

#[test]
fn a_refund_in_the_mempool_is_out_bid_and_the_rest_of_its_batch_settles_anew() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let (raced, others) = late_batch(regtest, &folder);
    let refund = refunded(regtest, &raced[0]);
    regtest.wait_for_electrum();

    let mut engine = folder.engine(regtest);
    let (first, second) = (engine.settling(regtest), engine.settling(regtest));
    let mut found = [inputs(&first), inputs(&second)];
    found.sort_by_key(Vec::len);
    assert_eq!(found, [outpoints(&raced), others.clone()]);
    assert_eq!(regtest.tx_status(refund), TxStatus::Unknown, "replaced");
    regtest.mine(6);
    for _ in 0..3 {
        engine.wait("settled");
    }
    for outpoint in others.iter().chain(&outpoints(&raced)) {
        assert_eq!(folder.state(*outpoint), ProviderChannelState::Settled);
    }
}

#[test]
fn a_refund_in_a_block_is_lost_and_the_rest_of_its_batch_settles_anew() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let (raced, others) = late_batch(regtest, &folder);
    refunded(regtest, &raced[0]);
    regtest.mine(1);

    let mut engine = folder.engine(regtest);
    assert_eq!(inputs(&engine.settling(regtest)), others);
    regtest.mine(6);
    for _ in 0..3 {
        engine.wait("settled");
    }
    assert_eq!(folder.state(raced[0].outpoint()), ProviderChannelState::Lost);
    for outpoint in others {
        assert_eq!(folder.state(outpoint), ProviderChannelState::Settled);
    }
}

#[test]
fn what_was_recorded_and_not_handed_out_when_the_power_failed_is_handed_out() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let channels = folder.channels(regtest, &[20_000], 1_008, 1);
    // Any transaction that spends it will do: the record is what counts.
    let mut engine = folder.engine(regtest);
    let tx = engine.settling(regtest);
    engine.stop();
    let outpoint = channels[0].outpoint();
    let other = Folder::new();
    std::fs::copy(folder.path().join("seed"), other.path().join("seed")).unwrap();
    let stored = folder.store().provider_channel(outpoint).unwrap();
    let mut store = other.store();
    store.insert_provider_channel(&stored.record).unwrap();
    let best = Payment::sign(&channels[0], &consumer(), sat(20_000)).unwrap();
    store
        .save_accounts(&[streamium_channel::provider::AccountRecord {
            outpoint,
            best: Some(best.into()),
            carried: bitcoin::Amount::ZERO,
            consumed: stored.record.consumed,
        }])
        .unwrap();
    store
        .insert_settlement(&NewSettlement {
            kind: SettlementKind::Settlement,
            transaction: &tx,
            channels: &[outpoint],
            payout: tx.output[1].value,
            fee: sat(fee(&tx)),
            payout_address: None,
            payout_index: None,
            made_height: regtest.height(),
        })
        .unwrap();
    drop(store);
    // A node that has never seen it.
    forget_mempool(regtest);
    assert_eq!(regtest.tx_status(tx.compute_txid()), TxStatus::Unknown);
    let engine = other.engine(regtest);
    wait_for_mempool(regtest, tx.compute_txid());
    engine.stop();
    assert_eq!(other.variants(outpoint), [tx], "and no other was made");
}

/// Restarts the node without what waits in its mempool.
fn forget_mempool(regtest: &Regtest) {
    regtest.stop_node();
    for entry in walk(regtest.data_dir()) {
        if entry.file_name().is_some_and(|name| name == "mempool.dat") {
            std::fs::remove_file(entry).unwrap();
        }
    }
    regtest.start_node();
    wait_until("the node", || {
        regtest
            .try_cli(&["getblockcount"])
            .is_ok_and(|count| count != "0")
    });
    regtest.wait_for_electrum();
}

fn walk(dir: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.is_dir() {
            true => walk(&path),
            false => vec![path],
        })
        .collect()
}
