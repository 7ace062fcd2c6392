//! What may spend a channel, and what a server can make up.

mod common;

use common::*;
use streamium_channel::bitcoin::{FeeRate, OutPoint, Sequence, Transaction, TxIn, Witness};
use streamium_channel::cooperative::Closing;
use streamium_channel::payment::Payment;
use streamium_channel::refund::refund;
use streamium_channel::settlement::{Claim, Settlement};
use streamium_channel::spender::may_spend;

fn settlement() -> Transaction {
    let channel = channel(50_000);
    let payment = Payment::sign(&channel, &key(CONSUMER), sat(9_000)).unwrap();
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &key(PROVIDER),
    };
    let made = Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(2));
    made.unwrap().transaction
}

fn close() -> Transaction {
    let (channel, payout) = (channel(50_000), p2tr(0x77));
    let closing = Closing {
        channel: &channel,
        balance: sat(700),
        payout: &payout,
        fee: sat(300),
    };
    let offer = closing.offer(&key(CONSUMER)).unwrap();
    closing.complete(&offer, sat(700), &key(PROVIDER)).unwrap()
}

fn taken_back() -> Transaction {
    let rate = FeeRate::from_sat_per_vb_u32(2);
    refund(&channel(50_000), &key(CONSUMER), &p2tr(0x66), rate).unwrap()
}

fn other_input() -> TxIn {
    TxIn {
        previous_output: outpoint(0x31),
        sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
        ..TxIn::default()
    }
}

fn with_witness(mut tx: Transaction, change: impl Fn(Vec<Vec<u8>>) -> Vec<Vec<u8>>) -> Transaction {
    tx.input[0].witness = Witness::from_slice(&change(tx.input[0].witness.to_vec()));
    tx
}

#[test]
fn settlements_closes_and_refunds_may_spend_a_channel() {
    for (what, tx) in [
        ("settlement", settlement()),
        ("close", close()),
        ("refund", taken_back()),
    ] {
        assert!(may_spend(&channel(50_000), &tx), "{what}");
    }
}

#[test]
fn a_settlement_of_several_channels_may_as_far_as_can_be_told() {
    // The consumer's own signature can be told: the provider's commits to what others spend.
    let mut batch = settlement();
    batch.input.push(other_input());
    batch.output.insert(1, batch.output[0].clone());
    assert!(may_spend(&channel(50_000), &batch));
    let forged = with_witness(batch.clone(), |mut witness| {
        witness[1][3] ^= 1;
        witness
    });
    assert!(!may_spend(&channel(50_000), &forged));
    batch.output[0].value -= sat(1);
    assert!(
        !may_spend(&channel(50_000), &batch),
        "another change than was signed"
    );
}

#[test]
fn what_is_not_signed_as_the_leaf_asks_spends_nothing() {
    let channel = channel(50_000);
    for (what, tx) in [
        ("settlement", settlement()),
        ("close", close()),
        ("refund", taken_back()),
    ] {
        let elements = tx.input[0].witness.len();
        let bare = with_witness(tx.clone(), |_| Vec::new());
        assert!(!may_spend(&channel, &bare), "{what} without a witness");
        for index in 0..elements {
            let changed = with_witness(tx.clone(), |mut witness| {
                witness[index][5] ^= 1;
                witness
            });
            assert!(
                !may_spend(&channel, &changed),
                "{what} with another element {index}"
            );
            let empty = with_witness(tx.clone(), |mut witness| {
                witness[index].clear();
                witness
            });
            assert!(!may_spend(&channel, &empty), "{what} without element {index}");
            let short = with_witness(tx.clone(), |mut witness| {
                witness.remove(index);
                witness
            });
            assert!(
                !may_spend(&channel, &short),
                "{what} with element {index} left out"
            );
        }
        let mut elsewhere = tx.clone();
        elsewhere.output[0].script_pubkey = p2tr(STRANGER);
        assert!(!may_spend(&channel, &elsewhere), "{what} to somebody else");
        let mut other = tx.clone();
        other.input[0].previous_output = OutPoint::new(channel.outpoint().txid, 7);
        assert!(!may_spend(&channel, &other), "{what} of another output");
    }
}
