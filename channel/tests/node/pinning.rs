//! What the consumer's change can do to a settlement that waits: version 3 (BIP431) bounds it.

use crate::common::{key, p2tr, sat};
use crate::harness::*;
use crate::regtest::TxStatus;
use streamium_channel::bitcoin::sighash::{Prevouts, SighashCache, TapSighashType};
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{
    Amount, FeeRate, OutPoint, Sequence, Transaction, TxIn, TxOut, Witness, absolute,
};
use streamium_channel::settlement::Settlement;

/// The largest version-3 child of an unconfirmed parent.
const MAX_CHILD_VB: u64 = 1_000;

/// The consumer's spend of its change of an unconfirmed settlement, of `outputs` outputs: 43 vB each.
fn child(settled: &Transaction, version: Version, outputs: u64, fee: Amount) -> Transaction {
    let change = settled.output[0].clone();
    let input = TxIn {
        previous_output: OutPoint::new(settled.compute_txid(), 0),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    };
    let output = TxOut {
        value: (change.value - fee) / outputs,
        script_pubkey: p2tr(0x66),
    };
    let mut tx = Transaction {
        version,
        lock_time: absolute::LockTime::ZERO,
        input: vec![input],
        output: vec![output; outputs as usize],
    };
    let hash = SighashCache::new(&tx)
        .taproot_key_spend_signature_hash(0, &Prevouts::All(&[change]), TapSighashType::Default)
        .expect("a signature hash");
    tx.input[0].witness = Witness::from_slice(&[sign_hash(hash, &key(CHANGE))]);
    tx
}

/// An unconfirmed settlement.
fn waiting(node: &Node) -> (Open, Settlement) {
    let open = open(node);
    let settled = open.settle(&open.pay(20_000), RATE);
    node.broadcast(&settled.transaction).unwrap();
    (open, settled)
}

#[test]
fn a_child_of_the_consumers_change_is_small_and_alone_and_of_version_3() {
    let node = node();
    let (_, settled) = waiting(&node);
    let child = |version, outputs| child(&settled.transaction, version, outputs, sat(2_500));

    let large = child(Version(3), 22);
    assert!(large.vsize() as u64 > MAX_CHILD_VB);
    node.assert_refused("more than 1,000 vB", &large, TRUC);
    node.assert_refused("version 2", &child(Version::TWO, 1), TRUC);
    let small = child(Version(3), 21);
    assert_eq!(node.measured_vsize(&small), 971);

    node.broadcast(&small).unwrap();
    let mut grandchild = self::child(&small, Version(3), 1, sat(400));
    grandchild.output[0].script_pubkey = p2tr(0x67);
    node.assert_refused("a chain of three", &grandchild, TRUC);
    node.mine(1);
}

#[test]
fn the_provider_evicts_a_pinning_child_for_what_the_child_pays() {
    let node = node();
    let (open, settled) = waiting(&node);
    // The worst: as large as can be, and paying so little a vB that no miner takes it for its own sake.
    let child = child(&settled.transaction, Version(3), 21, sat(1_000));
    let child_txid = node.broadcast(&child).unwrap();
    let child_fee = node.mempool_fee(child_txid);

    // Rules 3 and 4 of BIP125: all that is evicted, and the relay fee for what replaces it.
    let bound = settled.fee + child_fee + sat(settled.transaction.vsize() as u64);
    let settled_again = |fee: Amount| {
        let rate = FeeRate::from_sat_per_kwu(fee.to_sat() * 1_000 / (4 * settled.transaction.vsize() as u64));
        let again = open.settle(&open.pay(20_000), rate);
        assert_eq!(again.fee, fee);
        again
    };
    let too_little = settled_again(bound - sat(1));
    node.assert_refused("one satoshi less", &too_little.transaction, "insufficient fee");
    let enough = settled_again(bound);
    let txid = node.broadcast(&enough.transaction).unwrap();
    for evicted in [settled.transaction.compute_txid(), child_txid] {
        assert_eq!(node.tx_status(evicted), TxStatus::Unknown);
    }
    node.mine(1);
    assert_eq!(node.on_chain(txid, 0), sat(CAPACITY - 20_000));
}
