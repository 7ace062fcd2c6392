//! Payments, settlements, refunds and cooperative closes: each rule, and what it refuses. That the network's own
//! rules agree is shown on a node, in `node/`.

mod common;

use common::*;
use proptest::prelude::*;
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{FeeRate, ScriptBuf, Sequence, Witness, absolute};
use streamium_channel::commitment::{self, CommitmentError};
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::cooperative::{Closing, ClosingError};
use streamium_channel::money::CHANGE_DUST;
use streamium_channel::payment::{Payment, PaymentError, PaymentSignature, SignatureFormError};
use streamium_channel::refund::{RefundError, refund};
use streamium_channel::settlement::{
    Claim, MAX_SETTLEMENT_CHANNELS, MAX_SETTLEMENT_VB, SINGLE_SETTLEMENT_VB, Settlement, SettlementError,
};

const RATE: FeeRate = FeeRate::from_sat_per_vb_u32(2);

fn pay(channel: &Channel, amount: u64) -> Payment {
    Payment::sign(channel, &key(CONSUMER), sat(amount)).unwrap()
}

#[test]
fn a_payment_is_checked_against_its_own_channel_and_amount() {
    let channel = channel(50_000);
    let payment = pay(&channel, 1_234);
    assert_eq!(
        Payment::check(&channel, sat(1_234), payment.signature()),
        Ok(payment)
    );

    let signature = Err(PaymentError::Signature(sat(1_235)));
    assert_eq!(
        Payment::check(&channel, sat(1_235), payment.signature()),
        signature
    );
    let elsewhere = Channel::new(contract(50_000), outpoint(8)).unwrap();
    assert!(matches!(
        Payment::check(&elsewhere, sat(1_234), payment.signature()),
        Err(PaymentError::Signature(_))
    ));
    let larger = Channel::new(contract(50_001), outpoint(7)).unwrap();
    assert!(matches!(
        Payment::check(&larger, sat(1_234), payment.signature()),
        Err(PaymentError::Signature(_))
    ));
    let strangers = Payment::sign(&channel, &key(STRANGER), sat(1_234)).unwrap();
    assert!(matches!(
        Payment::check(&channel, sat(1_234), strangers.signature()),
        Err(PaymentError::Signature(_))
    ));
}

#[test]
fn a_payment_leaves_the_consumer_its_least_change() {
    let channel = channel(50_000);
    for amount in [0, 49_671, 50_000, 50_001, u64::MAX] {
        let out_of_range = PaymentError::OutOfRange {
            cumulative: sat(amount),
            payable: sat(49_670),
        };
        assert_eq!(
            Payment::sign(&channel, &key(CONSUMER), sat(amount)),
            Err(out_of_range)
        );
        let signature = pay(&channel, 1).signature();
        assert_eq!(
            Payment::check(&channel, sat(amount), signature),
            Err(out_of_range)
        );
    }
    assert_eq!(pay(&channel, 49_670).cumulative(), sat(49_670));
}

#[test]
fn only_65_bytes_that_end_in_0x83_are_a_payment_signature() {
    let bytes = pay(&channel(50_000), 1).signature().to_vec();
    assert_eq!(PaymentSignature::from_slice(&bytes).unwrap().to_vec(), bytes);
    assert_eq!(
        PaymentSignature::from_slice(&bytes[..64]),
        Err(SignatureFormError::Length)
    );
    assert_eq!(PaymentSignature::from_slice(&[]), Err(SignatureFormError::Length));
    for kind in [0x00, 0x01, 0x02, 0x03, 0x81, 0x82] {
        let mut other = bytes.clone();
        other[64] = kind;
        assert_eq!(
            PaymentSignature::from_slice(&other),
            Err(SignatureFormError::SighashType(kind))
        );
    }
}

#[test]
fn a_settlement_pays_the_change_in_full_and_takes_the_fee_from_the_provider() {
    let channel = channel(50_000);
    let payment = pay(&channel, 2_000);
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &key(PROVIDER),
    };
    let settlement = Settlement::new(&[claim], &p2tr(0x77), RATE).unwrap();
    let tx = &settlement.transaction;
    assert_eq!((tx.version, tx.lock_time), (Version(3), absolute::LockTime::ZERO));
    assert_eq!(tx.input[0].sequence, Sequence(0xffff_fffd));
    assert_eq!(
        (tx.output[0].value, &tx.output[0].script_pubkey),
        (sat(48_000), &p2tr(0x55))
    );
    assert_eq!(
        (tx.output[1].value, &tx.output[1].script_pubkey),
        (sat(2_000) - settlement.fee, &p2tr(0x77))
    );
    assert_eq!(tx.vsize() as u64, SINGLE_SETTLEMENT_VB);
    assert_eq!(settlement.fee, sat(2 * SINGLE_SETTLEMENT_VB));
    assert_eq!(
        tx.input[0].witness.nth(0).unwrap().len(),
        64,
        "the provider signs with SIGHASH_DEFAULT"
    );
    assert_eq!(tx.input[0].witness.nth(1).unwrap().len(), 65);
}

#[test]
fn as_many_channels_as_promised_fit_one_settlement() {
    let channels: Vec<_> = (0..=MAX_SETTLEMENT_CHANNELS as u8)
        .map(|byte| Channel::new(contract(50_000), outpoint(byte)).unwrap())
        .collect();
    let payments: Vec<_> = channels.iter().map(|channel| pay(channel, 1_000)).collect();
    let key = key(PROVIDER);
    let claims: Vec<_> = channels
        .iter()
        .zip(&payments)
        .map(|(channel, payment)| Claim {
            channel,
            payment,
            key: &key,
        })
        .collect();
    let settlement = Settlement::new(&claims[1..], &p2tr(0x77), RATE).unwrap();
    assert!(settlement.transaction.vsize() as u64 <= MAX_SETTLEMENT_VB);
    assert_eq!(settlement.payout + settlement.fee, sat(65_000));
    assert_eq!(
        Settlement::new(&claims, &p2tr(0x77), RATE),
        Err(SettlementError::Count(66))
    );
    assert_eq!(
        Settlement::new(&[], &p2tr(0x77), RATE),
        Err(SettlementError::Count(0))
    );
}

#[test]
fn what_is_not_worth_settling_is_said_with_figures() {
    let channel = channel(50_000);
    let payment = pay(&channel, 700);
    let provider = key(PROVIDER);
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &provider,
    };
    let error = Settlement::new(&[claim], &p2tr(0x77), RATE).unwrap_err();
    assert_eq!(
        error,
        SettlementError::NotWorthIt {
            balance: sat(700),
            fee: sat(410),
            dust: sat(330)
        }
    );
    assert_eq!(
        Settlement::new(&[claim], &p2tr(0x77), FeeRate::MAX),
        Err(SettlementError::FeeRate)
    );
    let wrong = Claim {
        key: &key(STRANGER),
        ..claim
    };
    assert!(matches!(
        Settlement::new(&[wrong], &p2tr(0x77), RATE),
        Err(SettlementError::Key(_))
    ));
}

#[test]
fn a_refund_waits_for_the_delay_and_takes_everything() {
    let channel = channel(50_000);
    let tx = refund(&channel, &key(CONSUMER), &p2tr(0x55), RATE).unwrap();
    assert_eq!(
        (tx.version, tx.input[0].sequence),
        (Version::TWO, Sequence::from_height(288))
    );
    assert_eq!(tx.output[0].value, sat(50_000 - 2 * tx.vsize() as u64));
    assert!(matches!(
        refund(&channel, &key(STRANGER), &p2tr(0x55), RATE),
        Err(RefundError::Key(_))
    ));
    let dear = FeeRate::from_sat_per_vb_u32(1_000);
    assert!(matches!(
        refund(&channel, &key(CONSUMER), &p2tr(0x55), dear),
        Err(RefundError::NotWorthIt { .. })
    ));
}

#[test]
fn a_cooperative_close_never_costs_the_provider_anything() {
    let channel = channel(50_000);
    let payout = p2tr(0x77);
    let closing = Closing {
        channel: &channel,
        balance: sat(1_000),
        payout: &payout,
        fee: sat(300),
    };
    let offer = closing.offer(&key(CONSUMER)).unwrap();
    let tx = closing.complete(&offer, sat(1_000), &key(PROVIDER)).unwrap();
    assert_eq!(
        tx.output.iter().map(|o| o.value).collect::<Vec<_>>(),
        [sat(48_700), sat(1_000)]
    );

    let lower = ClosingError::Lower {
        offered: sat(1_000),
        balance: sat(1_001),
    };
    assert_eq!(closing.complete(&offer, sat(1_001), &key(PROVIDER)), Err(lower));
    let cheaper = Closing {
        fee: sat(200),
        ..closing
    };
    assert_eq!(
        cheaper.complete(&offer, sat(1_000), &key(PROVIDER)),
        Err(ClosingError::Signature)
    );
    let strangers = closing.offer(&key(STRANGER)).unwrap();
    assert_eq!(
        closing.complete(&strangers, sat(1_000), &key(PROVIDER)),
        Err(ClosingError::Signature)
    );
    let tiny = Closing {
        balance: sat(100),
        ..closing
    };
    let tx = tiny
        .complete(&tiny.offer(&key(CONSUMER)).unwrap(), sat(100), &key(PROVIDER))
        .unwrap();
    assert_eq!(tx.output.len(), 1, "a payout below dust would not be relayed");
    let all = Closing {
        balance: sat(49_600),
        ..closing
    };
    assert!(matches!(all.transaction(), Err(ClosingError::NoChange { .. })));
}

#[test]
fn a_commitment_is_taken_only_if_it_is_exactly_what_was_agreed() {
    let contract = contract(50_000);
    let good = common::commitment(&contract);
    let channel = commitment::check(&contract, &good, 1, Some(100)).unwrap();
    assert_eq!(
        (channel.outpoint().txid, channel.outpoint().vout),
        (good.compute_txid(), 1)
    );

    let refused = |change: &dyn Fn(&mut streamium_channel::bitcoin::Transaction), vout: u32| {
        let mut tx = good.clone();
        change(&mut tx);
        commitment::check(&contract, &tx, vout, Some(100)).unwrap_err()
    };
    assert_eq!(refused(&|_| (), 2), CommitmentError::NoOutput(2));
    assert_eq!(refused(&|_| (), u32::MAX), CommitmentError::NoOutput(u32::MAX));
    let wrong_value = |found| CommitmentError::Value {
        found: sat(found),
        capacity: sat(50_000),
    };
    assert_eq!(refused(&|_| (), 0), wrong_value(10_000));
    assert_eq!(
        refused(&|tx| tx.output[1].value = sat(49_999), 1),
        wrong_value(49_999)
    );
    assert_eq!(
        refused(&|tx| tx.output[1].script_pubkey = p2tr(1), 1),
        CommitmentError::Script
    );
    assert_eq!(
        refused(&|tx| tx.version = Version::ONE, 1),
        CommitmentError::Version(1)
    );
    assert_eq!(
        refused(&|tx| tx.version = Version(3), 1),
        CommitmentError::Version(3)
    );
    assert_eq!(
        refused(&|tx| tx.input[0].witness = Witness::new(), 1),
        CommitmentError::Malleable(0)
    );
    assert_eq!(
        refused(
            &|tx| tx.input[0].script_sig = ScriptBuf::from_bytes(vec![0x51]),
            1
        ),
        CommitmentError::Malleable(0)
    );
    assert_eq!(refused(&|tx| tx.input.clear(), 1), CommitmentError::Malleable(0));
    let lock = |n| absolute::LockTime::from_consensus(n);
    assert_eq!(
        refused(&|tx| tx.lock_time = lock(102), 1),
        CommitmentError::NotFinal(102)
    );
    assert_eq!(
        refused(&|tx| tx.lock_time = lock(1_600_000_000), 1),
        CommitmentError::NotFinal(1_600_000_000)
    );

    let mut locked = good.clone();
    locked.lock_time = lock(101);
    assert!(
        commitment::check(&contract, &locked, 1, Some(100)).is_ok(),
        "our server may be a block behind"
    );
    assert!(commitment::check(&contract, &locked, 1, None).is_err());
    locked.lock_time = lock(u32::MAX);
    locked.input[0].sequence = Sequence::MAX;
    assert!(
        commitment::check(&contract, &locked, 1, Some(100)).is_ok(),
        "the lock is switched off"
    );
}

#[test]
fn a_channel_can_always_pay_something() {
    for capacity in [0, 1, 330, u64::MAX] {
        let parts = contract(50_000);
        let made = Contract::new(
            *parts.keys(),
            parts.delay(),
            sat(capacity),
            parts.change().clone(),
        );
        assert!(made.is_err(), "{capacity}");
    }
    assert_eq!(contract(331).payable(), sat(1));
}

proptest! {
    #[test]
    fn every_payable_amount_settles_without_loss(capacity in 331u64..10_000_000, part in 0.0f64..=1.0, rate in 0u32..50) {
        let channel = Channel::new(contract(capacity), outpoint(7)).unwrap();
        let payable = channel.contract().payable().to_sat();
        let amount = ((payable as f64 * part) as u64).clamp(1, payable);
        let payment = pay(&channel, amount);
        prop_assert_eq!(Payment::check(&channel, sat(amount), payment.signature()), Ok(payment));
        let provider = key(PROVIDER);
        let claim = Claim { channel: &channel, payment: &payment, key: &provider };
        match Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(rate)) {
            Ok(settled) => {
                let change = settled.transaction.output[0].value;
                prop_assert!(change >= CHANGE_DUST);
                prop_assert_eq!(change + settled.payout + settled.fee, sat(capacity));
            }
            Err(SettlementError::NotWorthIt { balance, fee, dust }) => prop_assert!(balance < fee + dust),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn a_changed_signature_is_never_accepted(byte in 0usize..64, bit in 0u8..8, amount in 1u64..49_670) {
        let channel = channel(50_000);
        let mut bytes = pay(&channel, amount).signature().to_vec();
        bytes[byte] ^= 1 << bit;
        let changed = PaymentSignature::from_slice(&bytes).unwrap();
        prop_assert!(Payment::check(&channel, sat(amount), changed).is_err());
    }
}
