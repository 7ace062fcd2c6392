//! Payments that are none.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use serde_json::json;
use streamium_channel::bitcoin::sighash::TapSighashType;
use streamium_channel::bitcoin::transaction::Version;
use streamium_channel::bitcoin::{ScriptBuf, Sequence, Transaction, absolute};
use streamium_channel::consumer::ConsumerEnd;
use streamium_channel::contract::Channel;
use streamium_channel::message::GateState;
use streamium_channel::script::Leaf;

const ACP_SINGLE: TapSighashType = TapSighashType::SinglePlusAnyoneCanPay;

/// On a playing channel: a signature that ends the session.
fn refused(what: &str, cumulative: u64, code: &str, make: impl Fn(&Channel) -> Vec<u8>) {
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let text = payment(channel.outpoint(), cumulative, &make(&channel));
    ended(&mut pair, what, &text, code);
}

fn with_byte(mut signature: Vec<u8>, byte: u8) -> Vec<u8> {
    signature.push(byte);
    signature
}

#[test]
fn a_lower_payment_is_answered_and_the_best_one_stays() {
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let balance = pair.provider.balance().to_sat();
    for lower in [balance - 1, 1_000, 1] {
        let text = payment(
            channel.outpoint(),
            lower,
            &signed(&channel, &key(CONSUMER), lower),
        );
        answered(&mut pair, "a good signature over less", &text, "payment");
    }
    let text = payment(channel.outpoint(), 0, &signed(&channel, &key(CONSUMER), 1));
    answered(&mut pair, "nothing", &text, "payment");
}

#[test]
fn a_payment_again_has_no_effect() {
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let balance = pair.provider.balance().to_sat();
    let text = payment(
        channel.outpoint(),
        balance,
        &signed(&channel, &key(CONSUMER), balance),
    );
    let before = standing(&pair);
    for _ in 0..10 {
        let sent = say(&mut pair, &text);
        assert_eq!(sent.len(), 1, "{sent:?}");
        assert_eq!(
            (&sent[0]["type"], &sent[0]["balance_sat"]),
            (&json!("credit"), &json!(balance))
        );
    }
    assert_eq!(standing(&pair), before);
}

#[test]
fn no_more_can_be_paid_than_the_channel_holds() {
    // Really signed, for a change below its dust limit, of nothing, and for what the channel does not have.
    for cumulative in [49_671, 49_999, 50_000, 50_001, u64::MAX] {
        refused("above the capacity", cumulative, "payment", |channel| {
            let tx = unbounded(channel, cumulative);
            let leaf = channel.script().payment();
            let signature = sign(channel, &tx, &key(CONSUMER), Some(leaf), None, ACP_SINGLE);
            with_byte(signature, 0x83)
        });
    }
    // By hand and by the crate it is the same signature, so the hand's are refused for the amount alone.
    let channel = channel(50_000);
    let leaf = channel.script().payment();
    let by_hand = sign(
        &channel,
        &unbounded(&channel, 9_000),
        &key(CONSUMER),
        Some(leaf),
        None,
        ACP_SINGLE,
    );
    assert_eq!(with_byte(by_hand, 0x83), signed(&channel, &key(CONSUMER), 9_000));
}

#[test]
fn an_amount_that_is_no_amount_ends_it() {
    for amount in [
        json!(-1),
        json!(9_000.5),
        json!("9000"),
        json!(1e30),
        json!(null),
        json!([9_000]),
    ] {
        let mut pair = alone(playing());
        let channel = channel_of(&pair);
        let signature = signed(&channel, &key(CONSUMER), 9_000);
        let text = payment(channel.outpoint(), amount.clone(), &signature);
        ended(&mut pair, &amount.to_string(), &text, "malformed");
    }
}

#[test]
fn a_payment_of_another_channel_is_none_here() {
    // The same keys, capacity and amount; only the output differs.
    let elsewhere = Channel::new(contract(50_000), outpoint(0x99)).unwrap();
    refused("signed for another output", 9_000, "payment", |_| {
        signed(&elsewhere, &key(CONSUMER), 9_000)
    });
    let mut pair = alone(playing());
    let signature = signed(&elsewhere, &key(CONSUMER), 9_000);
    let text = payment(elsewhere.outpoint(), 9_000, &signature);
    answered(&mut pair, "named as what it is", &text, "payment");
    let larger = Channel::new(contract(50_001), channel_of(&pair).outpoint()).unwrap();
    refused("signed for another capacity", 9_000, "payment", |_| {
        signed(&larger, &key(CONSUMER), 9_000)
    });
}

#[test]
fn a_signature_with_another_sighash_byte_is_not_even_one() {
    let kinds = [
        (TapSighashType::Default, 0x00),
        (TapSighashType::All, 0x01),
        (TapSighashType::None, 0x02),
        (TapSighashType::Single, 0x03),
        (TapSighashType::AllPlusAnyoneCanPay, 0x81),
        (TapSighashType::NonePlusAnyoneCanPay, 0x82),
    ];
    for (kind, byte) in kinds {
        let make = |channel: &Channel| {
            let tx = unbounded(channel, 9_000);
            sign(
                channel,
                &tx,
                &key(CONSUMER),
                Some(channel.script().payment()),
                None,
                kind,
            )
        };
        refused("what it really is", 9_000, "malformed", |channel| {
            with_byte(make(channel), byte)
        });
        refused("called SINGLE|ANYONECANPAY", 9_000, "payment", |channel| {
            with_byte(make(channel), 0x83)
        });
    }
    // A good one whose byte says something else.
    for byte in [0x00, 0x01, 0x02, 0x03, 0x81, 0x82, 0x84, 0xff] {
        refused("another byte", 9_000, "malformed", |channel| {
            let mut signature = signed(channel, &key(CONSUMER), 9_000);
            signature[64] = byte;
            signature
        });
    }
}

#[test]
fn a_signature_of_another_length_is_none() {
    let full = |channel: &Channel| signed(channel, &key(CONSUMER), 9_000);
    refused("64 bytes of SIGHASH_DEFAULT", 9_000, "malformed", |channel| {
        let tx = unbounded(channel, 9_000);
        let leaf = channel.script().payment();
        sign(
            channel,
            &tx,
            &key(CONSUMER),
            Some(leaf),
            None,
            TapSighashType::Default,
        )
    });
    refused("without its byte", 9_000, "malformed", |channel| {
        full(channel)[..64].to_vec()
    });
    refused("empty", 9_000, "malformed", |_| Vec::new());
    refused("66 bytes", 9_000, "malformed", |channel| {
        with_byte(full(channel), 0x83)
    });
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let text = payment(channel.outpoint(), 9_000, &full(&channel)).replace("83\"", "8g\"");
    ended(&mut pair, "not hexadecimal", &text, "malformed");
}

#[test]
fn a_signature_of_another_state_is_refused() {
    for other in [1, 8_999, 9_001, 49_670] {
        refused("another amount", 9_000, "payment", |channel| {
            signed(channel, &key(CONSUMER), other)
        });
    }
    refused("another key", 9_000, "payment", |channel| {
        signed(channel, &key(STRANGER), 9_000)
    });
    refused("the provider's key", 9_000, "payment", |channel| {
        signed(channel, &key(PROVIDER), 9_000)
    });
}

#[test]
fn a_signature_over_another_transaction_is_refused() {
    type Change = fn(&mut Transaction);
    let changes: [(&str, Change); 7] = [
        ("version 2", |tx| tx.version = Version::TWO),
        ("a lock time", |tx| {
            tx.lock_time = absolute::LockTime::from_consensus(1)
        }),
        ("final", |tx| tx.input[0].sequence = Sequence::MAX),
        ("locked for a block", |tx| {
            tx.input[0].sequence = Sequence::from_height(1)
        }),
        ("one sat more for the consumer", |tx| tx.output[0].value += sat(1)),
        ("the change elsewhere", |tx| {
            tx.output[0].script_pubkey = p2tr(0x66)
        }),
        ("no script for the change", |tx| {
            tx.output[0].script_pubkey = ScriptBuf::new()
        }),
    ];
    for (what, change) in changes {
        refused(what, 9_000, "payment", |channel| {
            let mut tx = unbounded(channel, 9_000);
            change(&mut tx);
            let leaf = channel.script().payment();
            with_byte(
                sign(channel, &tx, &key(CONSUMER), Some(leaf), None, ACP_SINGLE),
                0x83,
            )
        });
    }
}

#[test]
fn a_signature_with_an_annex_or_for_another_leaf_is_refused() {
    let make = |channel: &Channel, leaf: Option<&Leaf>, annex: Option<&[u8]>| {
        let tx = unbounded(channel, 9_000);
        with_byte(sign(channel, &tx, &key(CONSUMER), leaf, annex, ACP_SINGLE), 0x83)
    };
    for annex in [&[0x50, 1][..], &[0x50]] {
        refused("an annex", 9_000, "payment", |channel| {
            make(channel, Some(channel.script().payment()), Some(annex))
        });
    }
    refused("the refund leaf", 9_000, "payment", |channel| {
        make(channel, Some(channel.script().refund()), None)
    });
    refused("the key path", 9_000, "payment", |channel| {
        make(channel, None, None)
    });
}

#[test]
fn a_payment_after_the_close_is_not_heard() {
    let mut pair = playing();
    let effects = pair.consumer.close(ConsumerEnd::Stopped, pair.now);
    pair.consumer_effects(effects);
    pair.until("the settlement", |pair| pair.settle_due);
    let channel = channel_of(&pair);
    let before = standing(&pair);
    let text = payment(
        channel.outpoint(),
        9_000,
        &signed(&channel, &key(CONSUMER), 9_000),
    );
    assert!(say(&mut pair, &text).is_empty());
    assert_eq!((standing(&pair), pair.gate), (before, GateState::Closed));
}

#[test]
fn a_payment_before_there_is_a_channel_is_answered() {
    let mut pair = alone(Pair::new());
    let channel = channel(50_000);
    let text = payment(
        channel.outpoint(),
        9_000,
        &signed(&channel, &key(CONSUMER), 9_000),
    );
    answered(&mut pair, "before hello", &text, "unexpected");
}
