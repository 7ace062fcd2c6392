//! Terms that lock no money.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{ConsumerEnd, ConsumerIdentity, ConsumerPolicy, Refusal};
use streamium_channel::fault::Fault;
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::link::StreamName;
use streamium_channel::money::Rate;
use streamium_channel::provider::ProviderConfig;
use streamium_channel::terms::TermsError;

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
