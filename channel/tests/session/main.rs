//! Both state machines against each other, in simulated time.

#[path = "../common/mod.rs"]
mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{
    ConsumerEnd, ConsumerIdentity, ConsumerNotice, ConsumerPolicy, Exhausted, Refusal, TERMS_TIMEOUT,
};
use streamium_channel::cooperative::Closing;
use streamium_channel::fault::Fault;
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::link::StreamName;
use streamium_channel::liveness::GONE_AFTER;
use streamium_channel::message::{ClosingOffer, ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::money::Rate;
use streamium_channel::payment::{Payment, PaymentError};
use streamium_channel::provider::{CommitmentStatus, EndReason, HELLO_TIMEOUT, ProviderConfig};
use streamium_channel::record::RecordError;
use streamium_channel::terms::TermsError;

fn playing() -> Pair {
    Pair::playing(policy())
}

#[test]
fn media_flows_from_the_first_payment_and_stays_paid_for() {
    let mut pair = Pair::new();
    assert_eq!(pair.gate, GateState::Unpaid);
    pair.until_playing();
    assert_eq!(pair.paid, sat(1_000), "the opening payment");
    pair.confirm(1);
    pair.run(seconds(100));
    assert_eq!(pair.gate, GateState::Open);
    // 100 s at 100 sat/s, one window of 5 s ahead, give or take one payment.
    let expected = 10_000 + 500;
    let paid = pair.paid.to_sat();
    assert!((expected - 150..=expected + 150).contains(&paid), "{paid}");
    assert_eq!(pair.best.unwrap().cumulative, pair.paid);
    assert!(pair.open_time >= seconds(99));
}

#[test]
fn the_budget_ends_the_stream_and_more_budget_goes_on() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the end of the budget", |pair| pair.gate == GateState::Starved);
    // 15 s are paid for; grace is half a second more.
    let open = pair.open_time.as_millis();
    assert!((15_400..=15_600).contains(&open), "{open} ms");
    assert!(
        pair.notices
            .contains(&ConsumerNotice::Exhausted(Exhausted::Budget(sat(1_500))))
    );
    assert_eq!(pair.paid, sat(1_500));
    pair.run(seconds(5));
    assert_eq!(pair.open_time.as_millis(), open, "nothing flows unpaid");

    let effects = pair.consumer.set_budget(sat(5_000), pair.now);
    pair.consumer_effects(effects);
    pair.until_playing();
    pair.run(seconds(3));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn starved_for_too_long_is_settled() {
    let mut pair = Pair::playing(policy_of(50_000, 1_500));
    pair.until("the settlement", |pair| pair.settle_due);
    assert_eq!(pair.provider_end, Some(EndReason::Starved));
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    assert!(matches!(pair.consumer_end, Some(ConsumerEnd::ProviderClosed(_))));
    let settled = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Settled { .. });
    assert!(pair.notices.iter().any(settled), "{:?}", pair.notices);
    let fault = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Fault(_));
    assert!(!pair.notices.iter().any(fault), "{:?}", pair.notices);
}

#[test]
fn an_unconfirmed_channel_gets_its_limit_and_no_more() {
    let mut pair = Pair::new();
    pair.until("the limit", |pair| pair.gate == GateState::Unconfirmed);
    let open = pair.open_time.as_millis();
    assert!(
        (10_400..=10_600).contains(&open),
        "{open} ms for 1,000 sat at 100 sat/s"
    );
    pair.confirm(1);
    assert_eq!(pair.gate, GateState::Open);
    let outpoint = pair.provider.channels()[0];
    pair.chain_says(outpoint, CommitmentStatus::Missing);
    assert_eq!(
        pair.gate,
        GateState::Unconfirmed,
        "a commitment that vanished pays for nothing"
    );
}

#[test]
fn a_pause_costs_nothing_and_play_goes_on() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.set_playing(false);
    pair.until("the pause", |pair| pair.gate == GateState::Paused);
    let (paid, consumed) = (pair.paid, pair.consumed);
    pair.run(seconds(30));
    assert_eq!((pair.paid, pair.consumed), (paid, consumed));
    pair.set_playing(true);
    pair.until_playing();
}

#[test]
fn a_provider_that_sends_no_media_gets_opening_and_window_at_most() {
    let mut pair = Pair::new();
    pair.media = false;
    pair.until_playing();
    pair.confirm(1);
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    assert!(
        matches!(pair.consumer_end, Some(ConsumerEnd::Fault(Fault::Drift { .. }))),
        "{:?}",
        pair.consumer_end
    );
    assert!(pair.paid <= sat(1_000 + 500), "{}", pair.paid);
}

#[test]
fn a_lying_count_is_noticed() {
    let mut pair = playing();
    pair.run(seconds(10));
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    let consumed_msat = 10_000_000;
    let (balance, gate) = (pair.paid, GateState::Starved);
    let paid = pair.paid;
    pair.inject_to_consumer(&ProviderMessage::Credit {
        outpoint,
        balance,
        consumed_msat,
        gate,
    });
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    assert!(matches!(
        pair.consumer_end,
        Some(ConsumerEnd::Fault(Fault::Drift {
            reported_msat: 10_000_000,
            ..
        }))
    ));
    assert_eq!(pair.paid, paid, "nothing is paid on a lie");
}

#[test]
fn a_frozen_consumer_gets_no_media_and_may_come_back() {
    let mut pair = playing();
    pair.run(seconds(10));
    let heard = pair.now;
    pair.latency = seconds(10_000);
    pair.until("silence", |pair| pair.gate == GateState::Silent);
    assert!(pair.now - heard <= seconds(5), "{:?}", pair.now - heard);
    pair.until("the end", |pair| pair.provider_end.is_some());
    assert!(pair.now - heard <= GONE_AFTER + seconds(1));
    assert_eq!(pair.provider_end, Some(EndReason::Gone));
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, true)]);
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    assert_eq!(pair.consumer_end, Some(ConsumerEnd::Gone));
}

#[test]
fn the_viewer_stops_and_everything_paid_is_due() {
    let mut pair = playing();
    pair.run(seconds(12));
    let effects = pair.consumer.close(ConsumerEnd::Stopped, pair.now);
    pair.consumer_effects(effects);
    pair.until("the settlement", |pair| pair.settle_due);
    assert_eq!(pair.gate, GateState::Closed);
    assert_eq!(pair.best.unwrap().cumulative, pair.paid);
    assert!(matches!(pair.provider_end, Some(EndReason::ConsumerClosed(_))));
    let (channel, best) = {
        let mut record = pair.provider_record.clone().unwrap();
        record.best = pair.best;
        record.restore().unwrap()
    };
    assert_eq!(
        channel.outpoint(),
        pair.consumer_record.as_ref().unwrap().outpoint
    );
    assert_eq!(best.unwrap().cumulative(), pair.paid);
}

#[test]
fn a_channel_that_never_paid_is_closed_cooperatively() {
    let mut pair = Pair::new();
    pair.until("the commitment", |pair| pair.consumer_record.is_some());
    let effects = pair.consumer.close(ConsumerEnd::Stopped, pair.now);
    pair.consumer_effects(effects);
    pair.until("the closing transaction", |pair| pair.closing.is_some());
    let tx = pair.closing.clone().unwrap();
    assert_eq!(tx.output.len(), 1);
    assert!(tx.output[0].value >= sat(49_000));
    assert!(!pair.settle_due, "there is nothing to settle");
}

#[test]
fn a_channel_that_paid_is_never_given_back_for_less() {
    let mut pair = playing();
    pair.run(seconds(3));
    let (channel, _) = pair.provider_record.as_ref().unwrap().restore().unwrap();
    let paid = pair.provider.balance();
    let offers = [sat(0), paid - sat(1)].map(|balance| {
        let payout = config().payout;
        let closing = Closing {
            channel: &channel,
            balance,
            payout: &payout,
            fee: sat(300),
        };
        let signature = closing.offer(&key(CONSUMER)).unwrap();
        ClosingOffer {
            outpoint: channel.outpoint(),
            balance,
            fee: sat(300),
            signature,
        }
    });
    pair.inject(&ConsumerMessage::Close {
        reason: "x".into(),
        closing: offers.to_vec(),
        refused_rate: None,
    });
    assert!(pair.closing.is_none() && pair.settle_due);
}

#[test]
fn near_its_deadline_a_channel_is_settled() {
    let mut pair = playing();
    pair.run(seconds(5));
    pair.confirm(288 - 37);
    assert!(!pair.settle_due);
    pair.confirm(288 - 36);
    assert!(pair.settle_due);
    assert_eq!(pair.provider_end, Some(EndReason::Deadline));
}

fn refused(identity: ConsumerIdentity) -> Option<ConsumerEnd> {
    let mut pair = Pair::with(config(), policy(), identity);
    pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
    assert!(
        pair.consumer_record.is_none() && pair.broadcasts.is_empty(),
        "nothing is locked"
    );
    pair.consumer_end
}

#[test]
fn terms_of_somebody_else_lock_no_money() {
    let good = consumer_identity();
    let terms = |error| Some(ConsumerEnd::Fault(Fault::Terms(error)));

    let mut link = good.link.clone();
    link.key = key(STRANGER).x_only_public_key().0;
    assert_eq!(
        refused(ConsumerIdentity { link, ..good.clone() }),
        terms(TermsError::Signature)
    );

    let mut link = good.link.clone();
    link.stream = StreamName::new("dogs").unwrap();
    let stream = TermsError::Stream {
        found: "cats".into(),
        wanted: "dogs".into(),
    };
    assert_eq!(refused(ConsumerIdentity { link, ..good.clone() }), terms(stream));

    let own = good.certificates.own;
    let middle = Certificates {
        own,
        peer: Bytes32::new([0xcc; 32]),
    };
    assert_eq!(
        refused(ConsumerIdentity {
            certificates: middle,
            ..good.clone()
        }),
        terms(TermsError::Certificates)
    );
    let middle = Certificates {
        own: Bytes32::new([0xcc; 32]),
        peer: good.certificates.peer,
    };
    assert_eq!(
        refused(ConsumerIdentity {
            certificates: middle,
            ..good
        }),
        terms(TermsError::Certificates)
    );
}

#[test]
fn terms_changed_on_the_way_lock_no_money() {
    // Every field of the terms is under the signature: change each in turn.
    let mut pair = Pair::new();
    pair.until("terms", |pair| {
        pair.log.iter().any(|line| line.contains("\"terms\""))
    });
    let line = pair.log.iter().find(|line| line.contains("\"terms\"")).unwrap();
    let text = line.split_once(" <- ").unwrap().1.to_owned();
    let original: serde_json::Value = serde_json::from_str(&text).unwrap();
    let fields: Vec<String> = original["terms"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields.len(), 21, "{fields:?}");
    for field in fields {
        let mut changed = original.clone();
        let value = &mut changed["terms"][&field];
        *value = match value.clone() {
            serde_json::Value::Number(n) => (n.as_u64().unwrap() + 1).into(),
            serde_json::Value::String(s) if field == "stream" => (s + "x").into(),
            // Another valid key.
            serde_json::Value::String(_) if field == "channel_key" => {
                key(STRANGER).x_only_public_key().0.to_string().into()
            }
            serde_json::Value::String(s) => {
                format!("{}{}", if s.starts_with('0') { '1' } else { '0' }, &s[1..]).into()
            }
            serde_json::Value::Array(mut list) => {
                list.pop();
                list.into()
            }
            other => panic!("{field}: {other}"),
        };
        assert_ne!(changed, original, "{field}");
        let mut pair = Pair::new();
        let effects = pair.consumer.text(&changed.to_string(), pair.now);
        pair.consumer_effects(effects);
        let end = Some(ConsumerEnd::Fault(Fault::Terms(TermsError::Signature)));
        assert_eq!(pair.consumer_end, end, "{field}");
        assert!(pair.consumer_record.is_none());
    }
}

#[test]
fn replayed_terms_lock_no_money() {
    let other = ConsumerIdentity {
        nonce: Bytes32::new([9; 32]),
        ..consumer_identity()
    };
    let mut pair = Pair::new();
    pair.until("terms", |pair| {
        pair.log.iter().any(|line| line.contains("\"terms\""))
    });
    let line = pair.log.iter().find(|line| line.contains("\"terms\"")).unwrap();
    let text = line.split_once(" <- ").unwrap().1.to_owned();
    let mut replayed = Pair::with(config(), policy(), other);
    let effects = replayed.consumer.text(&text, replayed.now);
    replayed.consumer_effects(effects);
    assert_eq!(
        replayed.consumer_end,
        Some(ConsumerEnd::Fault(Fault::Terms(TermsError::Nonce)))
    );
}

#[test]
fn terms_beyond_the_policy_are_refused_and_said() {
    let refusal = |config: ProviderConfig, policy: ConsumerPolicy| {
        let mut pair = Pair::with(config, policy, consumer_identity());
        pair.until("the consumer's end", |pair| pair.consumer_end.is_some());
        assert!(pair.consumer_record.is_none());
        match pair.consumer_end {
            Some(ConsumerEnd::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let rate = refusal(
        config(),
        ConsumerPolicy {
            max_rate: Rate::new(99_999),
            ..policy()
        },
    );
    assert_eq!(
        rate.to_string(),
        "the rate of 100000 msat/s is above max-rate (99999 msat/s)"
    );
    let window = ConsumerPolicy {
        max_window: seconds(4),
        ..policy()
    };
    assert!(matches!(refusal(config(), window), Refusal::Window { .. }));
    let opening = ConsumerPolicy {
        max_opening: sat(999),
        ..policy()
    };
    assert!(matches!(refusal(config(), opening), Refusal::Opening { .. }));
    // 3,999 sat of capacity: a quarter of it is less than the opening payment.
    let small = ConsumerPolicy {
        capacity: sat(3_999),
        ..policy()
    };
    assert!(matches!(
        refusal(
            ProviderConfig {
                min_capacity: sat(1_000),
                ..config()
            },
            small
        ),
        Refusal::Opening { .. }
    ));
    assert!(matches!(refusal(config(), small), Refusal::Capacity { .. }));
    let budget = ConsumerPolicy {
        budget: sat(999),
        ..policy()
    };
    assert!(matches!(refusal(config(), budget), Refusal::Budget { .. }));
    let delay = ConsumerPolicy {
        refund_delay: RefundDelay::new(1_009).unwrap(),
        ..policy()
    };
    assert!(matches!(refusal(config(), delay), Refusal::Delay { .. }));
    let dear = ProviderConfig {
        commitment_fee_rate_sat_per_kvb: 51_000,
        ..config()
    };
    assert!(matches!(refusal(dear, policy()), Refusal::FeeRate { .. }));
}

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
        transaction: common::commitment(&contract),
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
    pair.inject(&ConsumerMessage::Hello {
        versions: vec![1],
        chain: config().chain,
        nonce: Bytes32::new([2; 32]),
    });
    let agreed = contract(50_000);
    pair.inject(&ConsumerMessage::Open {
        capacity: agreed.capacity(),
        consumer_key: agreed.keys().consumer(),
        change_script: agreed.change().clone(),
        refund_delay: agreed.delay(),
    });
    let other = contract(49_999);
    pair.inject(&ConsumerMessage::Commitment {
        transaction: common::commitment(&other),
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
        pair.inject(&ConsumerMessage::Hello {
            versions: vec![7, 1],
            chain: config().chain,
            nonce: Bytes32::new([2; 32]),
        });
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
    pair.inject(&ConsumerMessage::Hello {
        versions: vec![2],
        chain: config().chain,
        nonce: Bytes32::new([2; 32]),
    });
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Version)));
    let mut pair = Pair::new();
    let chain = Bytes32::new([0; 32]);
    pair.inject(&ConsumerMessage::Hello {
        versions: vec![1],
        chain,
        nonce: Bytes32::new([2; 32]),
    });
    assert_eq!(pair.provider_end, Some(EndReason::Fault(Fault::Chain)));
}

#[test]
fn equal_keys_make_no_channel() {
    let mut pair = Pair::new();
    pair.latency = seconds(50);
    pair.inject(&ConsumerMessage::Hello {
        versions: vec![1],
        chain: config().chain,
        nonce: Bytes32::new([2; 32]),
    });
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

#[test]
fn silence_ends_every_step() {
    let mut pair = Pair::new();
    pair.latency = seconds(10_000);
    pair.run(HELLO_TIMEOUT + seconds(1));
    assert!(pair.provider_end.is_some() && pair.consumer_end.is_some());
    assert!(TERMS_TIMEOUT <= GONE_AFTER);
}

#[test]
fn a_free_stream_needs_no_payment_and_no_word() {
    let free = ProviderConfig {
        rate: Rate::new(0),
        ..config()
    };
    let mut pair = Pair::with(free, policy(), consumer_identity());
    assert_eq!(pair.gate, GateState::Open);
    pair.run(seconds(60));
    assert_eq!(
        (pair.gate, pair.provider_end.clone(), pair.consumer_end.clone()),
        (GateState::Open, None, None)
    );
    assert_eq!(pair.paid, sat(0));
    pair.latency = seconds(10_000);
    pair.run(seconds(60));
    assert_eq!((pair.gate, pair.provider_end.clone()), (GateState::Open, None));
}

#[test]
fn a_damaged_record_is_noticed() {
    let mut pair = playing();
    pair.run(seconds(3));
    let mut record = pair.provider_record.clone().unwrap();
    record.best = pair.best;
    record.best.as_mut().unwrap().cumulative += sat(1);
    assert_eq!(
        record.restore().unwrap_err(),
        RecordError::Payment(record.outpoint)
    );
}
