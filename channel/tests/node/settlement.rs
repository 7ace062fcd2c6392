//! Settlement of one channel and of many.

use crate::common::{p2tr, sat};
use crate::harness::*;
use crate::regtest::TxStatus;
use streamium_channel::bitcoin::sighash::TapSighashType;
use streamium_channel::bitcoin::{FeeRate, ScriptBuf, Transaction, TxOut};
use streamium_channel::money::CHANGE_DUST;
use streamium_channel::payment::{Payment, PaymentError};
use streamium_channel::settlement::{
    MAX_SETTLEMENT_CHANNELS, MAX_SETTLEMENT_VB, SINGLE_SETTLEMENT_VB, Settlement, SettlementError,
};

#[test]
fn a_settlement_pays_on_chain_exactly_what_the_payment_says() {
    let node = node();
    for kind in ["bech32m", "bech32"] {
        let open = open(&node);
        let settled = open.settle_to(&open.pay(2_000), &node.miner_script(kind));
        let vsize = node.measured_vsize(&settled.transaction);
        assert_eq!(settled.fee, sat(2 * vsize), "{kind}");

        let txid = node.broadcast(&settled.transaction).unwrap();
        assert_eq!(node.mempool_fee(txid), settled.fee);
        node.mine(1);
        assert_eq!(node.confirmations(txid), 1);
        assert_eq!(node.on_chain(txid, 0), sat(CAPACITY - 2_000));
        assert_eq!(node.on_chain(txid, 1), sat(2_000) - settled.fee);
        assert_eq!(node.raw_tx(txid), settled.transaction);
    }
}

#[test]
fn the_node_measures_the_size_that_we_reckon_with_for_each_kind_of_payout() {
    let node = node();
    let open = open(&node);
    let payment = open.pay(2_000);
    for (kind, vsize) in [
        ("bech32m", SINGLE_SETTLEMENT_VB),
        ("bech32", 193),
        ("p2sh-segwit", 194),
        ("legacy", 196),
    ] {
        let settled = open.settle_to(&payment, &node.miner_script(kind));
        assert_eq!(node.measured_vsize(&settled.transaction), vsize, "{kind}");
    }
}

#[test]
fn a_settlement_waits_for_the_commitments_first_confirmation() {
    let node = node();
    let open = unconfirmed(&node);
    let settled = open.settle(&open.pay(2_000), RATE).transaction;
    // Version 3 may not spend an unconfirmed version 2 (BIP431).
    node.assert_refused("an unconfirmed commitment", &settled, TRUC);
    node.mine(1);
    assert_eq!(node.accept(&settled), Ok(()));
}

fn batch(opened: &[Open], payments: &[Payment], fee_rate: FeeRate) -> Result<Settlement, SettlementError> {
    let claims = opened
        .iter()
        .zip(payments)
        .map(|(open, payment)| open.claim(payment));
    Settlement::new(&claims.collect::<Vec<_>>(), &p2tr(PAYOUT), fee_rate)
}

/// The provider's signatures for a batch with something changed.
fn signed_again(opened: &[Open], payments: &[Payment], tx: &mut Transaction) {
    let spent: Vec<_> = opened.iter().map(|open| open.channel.output()).collect();
    for (input, (open, payment)) in opened.iter().zip(payments).enumerate() {
        let leaf = open.channel.script().payment();
        let provider = sign(
            tx,
            input,
            &spent,
            leaf,
            &open.parties.provider,
            TapSighashType::Default,
        );
        tx.input[input].witness = leaf_witness(leaf, &[&provider, &payment.signature().to_vec()]);
    }
}

fn three(node: &Node) -> (Vec<Open>, Vec<Payment>) {
    let opened = open_many(node, 3);
    let amounts = [1_000, 2_000, 49_670];
    let payments = opened.iter().zip(amounts).map(|(open, amount)| open.pay(amount));
    let payments = payments.collect();
    (opened, payments)
}

#[test]
fn three_channels_settle_in_one_transaction() {
    let node = node();
    let (opened, payments) = three(&node);
    let settled = batch(&opened, &payments, RATE).unwrap();
    assert_eq!(node.measured_vsize(&settled.transaction), 506);

    let txid = node.broadcast(&settled.transaction).unwrap();
    node.mine(1);
    let found: Vec<_> = (0..4).map(|vout| node.on_chain(txid, vout)).collect();
    assert_eq!(
        found,
        [sat(49_000), sat(48_000), CHANGE_DUST, sat(52_670) - settled.fee]
    );
}

#[test]
fn a_batch_can_be_neither_taken_apart_nor_mixed_up() {
    let node = node();
    let (opened, payments) = three(&node);
    let settled = batch(&opened, &payments, RATE).unwrap().transaction;
    assert_eq!(node.accept(&settled), Ok(()));

    let changed = |change: &dyn Fn(&mut Transaction)| {
        let mut tx = settled.clone();
        change(&mut tx);
        tx
    };
    let without_one = changed(&|tx| {
        tx.input.remove(0);
        tx.output.remove(0);
        tx.output[2].value -= sat(1_000);
    });
    node.assert_invalid(
        "a channel and its payment left out",
        &without_one,
        INVALID_SIGNATURE,
    );
    let reordered = changed(&|tx| {
        tx.input.swap(0, 1);
        tx.output.swap(0, 1);
    });
    node.assert_invalid("another order", &reordered, INVALID_SIGNATURE);

    // Even the provider, who signs anew, can't give one consumer's change to another.
    let mut mixed = changed(&|tx| tx.output.swap(0, 1));
    signed_again(&opened, &payments, &mut mixed);
    node.assert_invalid("changes swapped", &mixed, INVALID_SIGNATURE);
}

#[test]
fn the_provider_alone_bumps_the_fee_of_a_whole_batch() {
    let node = node();
    let (opened, payments) = three(&node);
    let first = batch(&opened, &payments, RATE).unwrap();
    let replaced = node.broadcast(&first.transaction).unwrap();

    for (rate, too_little) in [(250, "half the fee rate"), (550, "less than a relay fee more")] {
        let lower = batch(&opened, &payments, FeeRate::from_sat_per_kwu(rate)).unwrap();
        node.assert_refused(too_little, &lower.transaction, "insufficient fee");
    }
    let bumped = batch(&opened, &payments, FeeRate::from_sat_per_vb_u32(4)).unwrap();
    let txid = node.broadcast(&bumped.transaction).unwrap();
    assert_eq!(node.tx_status(replaced), TxStatus::Unknown);
    assert_eq!(node.tx_status(txid), TxStatus::InMempool);
    assert_eq!(bumped.transaction.output[..3], first.transaction.output[..3]);
    assert_eq!(bumped.payout, first.payout - (bumped.fee - first.fee));
    node.mine(1);
    assert_eq!(node.on_chain(txid, 3), bumped.payout);
}

#[test]
fn as_many_channels_as_we_promise_settle_in_one_transaction() {
    let node = node();
    let opened = open_many(&node, MAX_SETTLEMENT_CHANNELS as u8);
    let payments: Vec<_> = opened.iter().map(|open| open.pay(1_000)).collect();
    let settled = batch(&opened, &payments, RATE).unwrap();
    let vsize = node.measured_vsize(&settled.transaction);
    assert!(vsize <= MAX_SETTLEMENT_VB, "{vsize}");
    assert_eq!(vsize, 9_853);

    // The limit is the network's, and one more channel, of about 150 vB, would be beyond it.
    let mut larger = settled.transaction.clone();
    for _ in 0..4 {
        larger.output[65].value -= sat(330);
        larger.output.push(TxOut {
            value: sat(330),
            script_pubkey: p2tr(PAYOUT),
        });
    }
    signed_again(&opened, &payments, &mut larger);
    assert_eq!(larger.vsize() as u64, vsize + 4 * 43);
    node.assert_refused("more than 10,000 vB", &larger, TRUC);

    let txid = node.broadcast(&settled.transaction).unwrap();
    node.mine(1);
    assert_eq!(node.on_chain(txid, opened.len()), settled.payout);
}

#[test]
fn all_that_a_channel_can_pay_settles_and_its_least_change_is_not_dust() {
    let node = node();
    let open = open(&node);
    let payable = open.channel.contract().payable();
    let settled = open.settle(&open.pay(payable.to_sat()), RATE);
    let txid = node.broadcast(&settled.transaction).unwrap();
    node.mine(1);
    assert_eq!(node.on_chain(txid, 0), CHANGE_DUST);
}

#[test]
fn a_change_one_below_the_least_would_be_dust() {
    let node = node();
    let open = open(&node);
    let payable = open.channel.contract().payable();
    let beyond = Payment::sign(&open.channel, &open.parties.consumer, payable + sat(1));
    assert!(matches!(beyond, Err(PaymentError::OutOfRange { .. })));

    // By hand, since the crate refuses.
    let mut tx = open.settle(&open.pay(payable.to_sat()), RATE).transaction;
    tx.output[0].value -= sat(1);
    let leaf = open.channel.script().payment();
    let single = TapSighashType::SinglePlusAnyoneCanPay;
    let consumer = open.sign(&tx, leaf, &open.parties.consumer, single);
    let tx = open.complete(tx, &consumer);
    node.assert_refused("a change of 329 sat", &tx, "dust");
    assert_eq!(
        node.consensus(&tx),
        Ok(()),
        "it is policy, not a broken signature"
    );
}

#[test]
fn the_least_balance_that_we_settle_is_relayed() {
    let node = node();
    let open = open(&node);
    let fee = RATE.fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
    let payout: ScriptBuf = p2tr(PAYOUT);
    let least = (fee + payout.minimal_non_dust()).to_sat();
    assert_eq!(least, 740);

    let settled = open.settle(&open.pay(least), RATE);
    assert_eq!(settled.payout, sat(330));
    assert_eq!(node.accept(&settled.transaction), Ok(()));
    let less = open.pay(least - 1);
    let refused = Settlement::new(&[open.claim(&less)], &payout, RATE);
    assert!(matches!(refused, Err(SettlementError::NotWorthIt { .. })));
}
