//! What is no payment, out of place, no message, or too much.

use crate::common::*;
use crate::playing;
use streamium_channel::fault::Fault;
use streamium_channel::handshake::Bytes32;
use streamium_channel::message::{ConsumerMessage, GateState};
use streamium_channel::payment::{Payment, PaymentError};
use streamium_channel::provider::EndReason;

#[test]
fn a_provider_takes_no_payment_that_is_not_one() {
    let attempt = |amount: u64, make: &dyn Fn(&streamium_channel::contract::Channel) -> Payment| {
        let mut pair = playing();
        pair.run(seconds(10));
        let (channel, _) = pair.provider_record.as_ref().unwrap().restore().unwrap();
        let before = (pair.best, pair.provider.balance());
        let signature = make(&channel).signature();
        let outpoint = channel.outpoint();
        pair.inject(&ConsumerMessage::Payment {
            outpoint,
            cumulative: sat(amount),
            signature,
        });
        assert_eq!((pair.best, pair.provider.balance()), before, "nothing moved");
        pair.provider_end
    };
    let fault = |error| Some(EndReason::Fault(Fault::Payment(error)));
    let signed =
        |by: u8, amount: u64| move |channel: &_| Payment::sign(channel, &key(by), sat(amount)).unwrap();

    assert_eq!(
        attempt(1, &signed(CONSUMER, 1)),
        None,
        "a lower one is answered, and that is all"
    );
    let bad = PaymentError::Signature(sat(9_000));
    assert_eq!(attempt(9_000, &signed(STRANGER, 9_000)), fault(bad));
    assert_eq!(attempt(9_000, &signed(CONSUMER, 8_999)), fault(bad));
    let beyond = PaymentError::OutOfRange {
        cumulative: sat(49_671),
        payable: sat(49_670),
    };
    assert_eq!(attempt(49_671, &signed(CONSUMER, 49_670)), fault(beyond));
}

#[test]
fn messages_out_of_place_change_nothing() {
    let mut pair = playing();
    pair.run(seconds(2));
    let balance = pair.provider.balance();
    let outpoint = outpoint(99);
    let (channel, _) = pair.provider_record.as_ref().unwrap().restore().unwrap();
    let signature = Payment::sign(&channel, &key(CONSUMER), sat(9_000))
        .unwrap()
        .signature();
    pair.inject(&ConsumerMessage::Payment {
        outpoint,
        cumulative: sat(9_000),
        signature,
    });
    let contract = contract(50_000);
    pair.inject(&ConsumerMessage::Commitment {
        transaction: commitment(&contract),
        output: 1,
    });
    pair.inject(&ConsumerMessage::Hello {
        versions: vec![1],
        chain: config().chain,
        nonce: Bytes32::new([3; 32]),
    });
    let effects = pair.provider.text(r#"{"type":"teleport"}"#, pair.now);
    pair.provider_effects(effects);
    assert_eq!(
        (pair.provider.balance(), pair.provider_end.clone(), pair.gate),
        (balance, None, GateState::Open)
    );
    assert!(pair.log.iter().any(|line| line.contains("unknown-type")));
    pair.run(seconds(5));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn garbage_ends_a_session_and_keeps_what_was_paid() {
    for text in [
        "",
        "{",
        "[]",
        &"x".repeat(70_000),
        r#"{"type":"payment","outpoint":7}"#,
    ] {
        let mut pair = playing();
        pair.run(seconds(3));
        let balance = pair.provider.balance();
        let effects = pair.provider.text(text, pair.now);
        pair.provider_effects(effects);
        assert!(matches!(
            pair.provider_end,
            Some(EndReason::Fault(Fault::Malformed(_)))
        ));
        assert!(pair.settle_due && pair.best.unwrap().cumulative == balance);
        assert_eq!(pair.gate, GateState::Closed);
    }
}

#[test]
fn a_flood_ends_a_session() {
    let mut pair = playing();
    for _ in 0..200 {
        let effects = pair.provider.text(r#"{"type":"ping"}"#, pair.now);
        pair.provider_effects(effects);
    }
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Flood)));
}
