//! From hello to the first payment: what opens no channel.

use crate::common::pair::Pair;
use crate::common::*;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::fault::Fault;
use streamium_channel::handshake::Bytes32;
use streamium_channel::message::ConsumerMessage;
use streamium_channel::payment::Payment;
use streamium_channel::provider::EndReason;

#[test]
fn the_first_payment_covers_its_settlement() {
    let mut pair = Pair::new();
    pair.until("the commitment", |pair| pair.provider_record.is_some());
    let (channel, _) = pair.provider_record.as_ref().unwrap().restore().unwrap();
    let signature = Payment::sign(&channel, &key(CONSUMER), sat(999))
        .unwrap()
        .signature();
    pair.inject(&ConsumerMessage::Payment {
        outpoint: channel.outpoint(),
        cumulative: sat(999),
        signature,
    });
    let opening = Fault::Opening {
        offered: sat(999),
        opening: sat(1_000),
    };
    assert_eq!(pair.provider_end, Some(EndReason::Fault(opening)));
}

#[test]
fn a_wrong_commitment_opens_nothing() {
    let mut pair = Pair::new();
    pair.latency = seconds(50);
    pair.inject(&hello(vec![1], config().chain));
    let agreed = contract(50_000);
    pair.inject(&ConsumerMessage::Open {
        capacity: agreed.capacity(),
        consumer_key: agreed.keys().consumer(),
        change_script: agreed.change().clone(),
        refund_delay: agreed.delay(),
    });
    let other = contract(49_999);
    pair.inject(&ConsumerMessage::Commitment {
        transaction: commitment(&other),
        output: 1,
    });
    assert!(matches!(
        pair.provider_end,
        Some(EndReason::Fault(Fault::Commitment(_)))
    ));
    assert!(pair.provider_record.is_none() && pair.broadcasts.is_empty());
}

#[test]
fn an_open_outside_the_terms_is_refused() {
    let attempt = |capacity: u64, delay: u16| {
        let mut pair = Pair::new();
        pair.latency = seconds(50);
        pair.inject(&hello(vec![7, 1], config().chain));
        pair.inject(&ConsumerMessage::Open {
            capacity: sat(capacity),
            consumer_key: key(CONSUMER).x_only_public_key().0,
            change_script: contract(50_000).change().clone(),
            refund_delay: RefundDelay::new(delay).unwrap(),
        });
        pair.provider_end
    };
    assert_eq!(attempt(50_000, 288), None);
    for (capacity, delay) in [(3_999, 288), (1_000_001, 288), (50_000, 1_009)] {
        assert!(attempt(capacity, delay).is_some(), "{capacity} {delay}");
    }
    let mut pair = Pair::new();
    pair.inject(&hello(vec![2], config().chain));
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Version)));
    let mut pair = Pair::new();
    let chain = Bytes32::new([0; 32]);
    pair.inject(&hello(vec![1], chain));
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Chain)));
}

#[test]
fn equal_keys_make_no_channel() {
    let mut pair = Pair::new();
    pair.latency = seconds(50);
    pair.inject(&hello(vec![1], config().chain));
    pair.inject(&ConsumerMessage::Open {
        capacity: sat(50_000),
        consumer_key: key(PROVIDER).x_only_public_key().0,
        change_script: contract(50_000).change().clone(),
        refund_delay: RefundDelay::new(288).unwrap(),
    });
    assert!(matches!(
        pair.provider_end,
        Some(EndReason::Fault(Fault::Keys(_)))
    ));
}
