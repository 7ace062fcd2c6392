//! What either side proves, or has to be believed, when a channel goes on.

use crate::common::pair::Pair;
use crate::common::*;
use crate::{playing, reconnect};
use streamium_channel::consumer::{ConsumerNotice, Past};
use streamium_channel::fault::Fault;
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::provider::EndReason;
use streamium_channel::resume::Challenge;

/// A consumer with its channel, cut off, and its provider about to answer `resume` with this.
fn answered(answer: impl Fn(&mut ProviderMessage)) -> Pair {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.cut();
    reconnect(&mut pair, false);
    pair.until("resumed", |pair| {
        pair.log.iter().any(|line| line.contains("\"resumed\""))
    });
    let line = pair
        .log
        .iter()
        .rev()
        .find(|line| line.contains("\"resumed\""))
        .unwrap();
    let (_, text) = line.split_once(" <- ").unwrap();
    let mut message = streamium_channel::message::decode(text).unwrap();
    answer(&mut message);
    pair.drop_mail();
    pair.inject_to_consumer(&message);
    pair
}

#[test]
fn a_provider_that_lies_about_the_account_is_left() {
    let honest = answered(|_| ());
    assert_eq!(honest.consumer_end, None);
    let paid = honest.consumer_record.as_ref().unwrap().outpoint;
    type Lie = fn(&mut ProviderMessage);
    let lies: [(&str, Lie); 5] = [
        ("a balance nobody signed", |message| {
            if let ProviderMessage::Resumed { balance, .. } = message {
                *balance += sat(1);
            }
        }),
        ("a balance without a signature", |message| {
            if let ProviderMessage::Resumed { signature, .. } = message {
                *signature = None;
            }
        }),
        ("more consumed than arrived", |message| {
            if let ProviderMessage::Resumed { consumed_msat, .. } = message {
                *consumed_msat += 950_000;
            }
        }),
        ("another credit carried", |message| {
            if let ProviderMessage::Resumed { carried, .. } = message {
                *carried += sat(1);
            }
        }),
        ("another channel", |message| {
            if let ProviderMessage::Resumed { outpoint: of, .. } = message {
                *of = outpoint(0xee);
            }
        }),
    ];
    for (what, lie) in lies {
        let mut pair = answered(lie);
        let payments = |pair: &Pair| {
            pair.log
                .iter()
                .filter(|line| line.contains("\"payment\""))
                .count()
        };
        let before = payments(&pair);
        pair.run(seconds(2));
        assert_eq!(payments(&pair), before, "{what}: paid");
        assert_eq!(
            pair.consumer_records[&paid].paid, honest.consumer_records[&paid].paid,
            "{what}"
        );
        let noticed = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Fault(_));
        assert!(pair.notices.iter().any(noticed), "{what}: {:?}", pair.notices);
    }
}

#[test]
fn nobody_resumes_another_ones_channel() {
    let mut pair = playing();
    pair.run(seconds(20));
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    pair.cut();
    let records = pair.provider_records.clone();
    // A stranger with the channel's id, with an own key; and with a proof that was seen on another connection.
    let terms = {
        let line = pair.log.iter().find(|line| line.contains("\"terms\"")).unwrap();
        let text = line.split_once(" <- ").unwrap().1;
        match streamium_channel::message::decode(text).unwrap() {
            ProviderMessage::Terms { terms, .. } => *terms,
            other => panic!("{other:?}"),
        }
    };
    let seen = Challenge::of(&terms, outpoint).sign(&key(CONSUMER));
    let forged = |nonce| {
        let mut terms = terms.clone();
        terms.provider_nonce = nonce;
        Challenge::of(&terms, outpoint).sign(&key(STRANGER))
    };
    let nonce = streamium_channel::handshake::Bytes32::new([0x81; 32]);
    for signature in [seen, forged(nonce)] {
        pair.reconnect(config(), policy(), Past::default());
        pair.until("terms", |pair| {
            pair.consumer_record.is_some() && pair.log.last().is_some_and(|l| l.contains("open"))
        });
        pair.drop_mail();
        pair.inject(&ConsumerMessage::Resume { outpoint, signature });
        assert_eq!(
            pair.provider_end,
            Some(EndReason::Fault(Fault::Proof(outpoint))),
            "{:?}",
            pair.log.last()
        );
        assert_ne!(pair.gate, GateState::Open);
        assert_eq!(pair.provider_records, records, "nothing moved");
    }
}

#[test]
fn a_challenge_binds_every_part_of_the_connection() {
    let terms = {
        let mut pair = Pair::new();
        pair.until("terms", |pair| {
            pair.log.iter().any(|line| line.contains("\"terms\""))
        });
        let line = pair.log.iter().find(|line| line.contains("\"terms\"")).unwrap();
        match streamium_channel::message::decode(line.split_once(" <- ").unwrap().1).unwrap() {
            ProviderMessage::Terms { terms, .. } => *terms,
            other => panic!("{other:?}"),
        }
    };
    let challenge = Challenge::of(&terms, outpoint(7));
    let signature = challenge.sign(&key(CONSUMER));
    let consumer = key(CONSUMER).x_only_public_key().0;
    assert!(challenge.is_signed_by(&signature, &consumer));
    let other = streamium_channel::handshake::Bytes32::new([0x99; 32]);
    let changed = [
        Challenge {
            outpoint: outpoint(8),
            ..challenge
        },
        Challenge {
            outpoint: streamium_channel::bitcoin::OutPoint {
                vout: 0,
                ..outpoint(7)
            },
            ..challenge
        },
        Challenge {
            provider_certificate: other,
            ..challenge
        },
        Challenge {
            consumer_certificate: other,
            ..challenge
        },
        Challenge {
            provider_nonce: other,
            ..challenge
        },
        Challenge {
            consumer_nonce: other,
            ..challenge
        },
    ];
    for changed in changed {
        assert!(!changed.is_signed_by(&signature, &consumer), "{changed:?}");
    }
}
