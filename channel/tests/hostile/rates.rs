//! What either side may try with a new rate.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::harness::*;
use serde_json::{Value, json};
use streamium_channel::bitcoin::Amount;
use streamium_channel::bitcoin::key::Keypair;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, ConsumerPolicy, Refusal};
use streamium_channel::fault::Fault;
use streamium_channel::handshake::Bytes32;
use streamium_channel::message::{ProviderMessage, decode, encode};
use streamium_channel::money::Rate;
use streamium_channel::rate_offer::RateOffer;
use streamium_channel::terms::{Terms, TermsError};

fn terms(pair: &Pair) -> Terms {
    let texts = texts(pair, "<-");
    let text = texts.iter().find(|text| text.contains("\"terms\"")).unwrap();
    match decode(text) {
        Ok(ProviderMessage::Terms { terms, .. }) => *terms,
        other => panic!("{other:?}"),
    }
}

fn offer(number: u32, rate: u64) -> RateOffer {
    RateOffer {
        number,
        rate: Rate::new(rate),
        answer_ms: 120_000,
    }
}

/// An offer as it travels, signed for the session of these terms.
fn signed_offer(offer: RateOffer, terms: &Terms, key: &Keypair) -> String {
    let signature = offer.sign(terms, key);
    encode(&ProviderMessage::Rate { offer, signature }).unwrap()
}

fn offered(pair: &Pair, number: u32, rate: u64) -> String {
    signed_offer(offer(number, rate), &terms(pair), &key(IDENTITY))
}

fn answers(sent: &[Value], kind: &str) -> bool {
    sent.iter().any(|message| message["type"] == kind)
}

/// The provider alone, whose rate of 200 sat/s is offered and not answered yet.
fn offering() -> Pair {
    let mut pair = alone(playing());
    pair.set_rate(200_000);
    pair
}

fn accept(number: u32) -> String {
    json!({ "type": "accept-rate", "number": number }).to_string()
}

#[test]
fn a_rate_that_the_links_key_has_not_signed_for_this_session_is_not_taken() {
    let pair = playing();
    let ours = terms(&pair);
    let other = |change: fn(&mut Terms)| {
        let mut terms = ours.clone();
        change(&mut terms);
        terms
    };
    let good = signed_offer(offer(1, 100), &ours, &key(IDENTITY));
    let mut cases = vec![
        ("another key", signed_offer(offer(1, 100), &ours, &key(STRANGER))),
        ("another rate", good.replace("_s\":100,", "_s\":101,")),
        ("another number", good.replace("\"number\":1,", "\"number\":2,")),
        ("another time", good.replace("120000", "120001")),
    ];
    let sessions = [
        (
            "another provider's nonce",
            other(|terms| terms.provider_nonce = Bytes32::new([9; 32])),
        ),
        (
            "another consumer's nonce",
            other(|terms| terms.consumer_nonce = Bytes32::new([9; 32])),
        ),
        (
            "another certificate",
            other(|terms| terms.provider_certificate = Bytes32::new([9; 32])),
        ),
        (
            "another consumer",
            other(|terms| terms.consumer_certificate = Bytes32::new([9; 32])),
        ),
    ];
    for (what, terms) in sessions {
        cases.push((what, signed_offer(offer(1, 100), &terms, &key(IDENTITY))));
    }
    for (what, text) in cases {
        assert_ne!(text, good);
        let mut pair = alone(playing());
        let (paid, asked) = (pair.paid, pair.questions.len());
        let sent = tell(&mut pair, &text);
        assert!(
            answers(&sent, "close") && !answers(&sent, "accept-rate"),
            "{what}: {sent:?}"
        );
        let fault = ConsumerNotice::Fault(Fault::Terms(TermsError::RateSignature));
        assert!(pair.notices.contains(&fault), "{what}: {:?}", pair.notices);
        assert_eq!((pair.paid, pair.questions.len()), (paid, asked), "{what}");
    }
    let mut pair = alone(playing());
    assert!(answers(&tell(&mut pair, &good), "accept-rate"));
}

#[test]
fn a_rate_above_the_bounds_is_never_counted_or_paid() {
    for rate in [1_000_001, u64::MAX] {
        let mut pair = alone(playing());
        let (paid, text) = (pair.paid, offered(&pair, 1, rate));
        let sent = tell(&mut pair, &text);
        assert!(
            !answers(&sent, "accept-rate") && !answers(&sent, "payment"),
            "{sent:?}"
        );
        let close = sent.iter().find(|message| message["type"] == "close").unwrap();
        assert_eq!(close["refused_rate"], 1);
        assert_eq!(pair.paid, paid);
        pair.run(seconds(6));
        assert!(matches!(
            pair.consumer_end,
            Some(ConsumerEnd::RateRefused {
                refusal: Refusal::Rate { .. },
                ..
            })
        ));
    }
}

#[test]
fn a_paid_session_does_not_become_free_by_an_offer() {
    let mut pair = alone(playing());
    let text = offered(&pair, 1, 0);
    let sent = tell(&mut pair, &text);
    assert!(
        answers(&sent, "close") && !answers(&sent, "accept-rate"),
        "{sent:?}"
    );
}

#[test]
fn an_old_offer_that_is_replayed_changes_nothing() {
    let mut pair = alone(playing());
    let dear = offered(&pair, 1, 900_000);
    assert!(answers(&tell(&mut pair, &dear), "accept-rate"));
    tell(&mut pair, r#"{"type":"rate-changed","number":1}"#);
    pair.run(seconds(5));
    tell(&mut pair, r#"{"type":"ping"}"#);
    pair.run(seconds(5));
    let cheap = offered(&pair, 2, 1_000);
    assert!(answers(&tell(&mut pair, &cheap), "accept-rate"));
    tell(&mut pair, r#"{"type":"rate-changed","number":2}"#);
    let (rate, paid) = (pair.consumer.rate(), pair.paid);
    for text in [&dear, &cheap] {
        let sent = tell(&mut pair, text);
        assert!(answers(&sent, "error") && sent.len() == 1, "{sent:?}");
        assert_eq!(
            (pair.consumer.rate(), pair.paid, &pair.consumer_end),
            (rate, paid, &None)
        );
    }
}

#[test]
fn a_rate_that_nobody_took_is_not_changed_to() {
    let mut pair = alone(playing());
    pair.authorizes = None;
    let text = offered(&pair, 1, 900_000);
    tell(&mut pair, &text);
    for number in [0, 1, 2] {
        let text = json!({ "type": "rate-changed", "number": number }).to_string();
        let sent = tell(&mut pair, &text);
        assert!(answers(&sent, "error"), "{sent:?}");
        assert_eq!(pair.consumer.rate(), config().rate);
    }
}

#[test]
fn a_flood_of_rates_ends_a_session() {
    let mut pair = alone(playing());
    for number in 1..=2 {
        let text = offered(&pair, number, 100_000 + u64::from(number));
        assert!(answers(&tell(&mut pair, &text), "accept-rate"));
    }
    let text = offered(&pair, 3, 100_003);
    let sent = tell(&mut pair, &text);
    let error = sent.iter().find(|message| message["type"] == "error").unwrap();
    assert_eq!(error["code"], "flood");
    assert!(answers(&sent, "close") && !answers(&sent, "accept-rate"));
}

#[test]
fn a_provider_that_changes_its_rate_and_sends_nothing_gets_two_windows_of_what_was_taken() {
    let policy = ConsumerPolicy {
        max_rate: Rate::new(400_000),
        ..policy()
    };
    let mut pair = Pair::with(config(), policy, consumer_identity());
    pair.media = false;
    pair.until("a payment", |pair| pair.paid > Amount::ZERO);
    let outpoint = channel_of(&pair).outpoint();
    // The test speaks in the provider's place.
    let mut pair = alone(pair);
    for number in 1..=60 {
        let rate = if number % 2 == 0 { 400_000 } else { 10_000 };
        let text = offered(&pair, number, rate);
        let sent = tell(&mut pair, &text);
        assert!(
            answers(&sent, "accept-rate"),
            "offer {number}: {sent:?} {:?}",
            pair.consumer_end
        );
        let changed = json!({ "type": "rate-changed", "number": number }).to_string();
        tell(&mut pair, &changed);
        for _ in 0..12 {
            // As much as is believed, at the highest rate that it has taken.
            let credit = json!({
                "type": "credit", "outpoint": outpoint.to_string(), "balance_sat": 0,
                "consumed_msat": if number == 1 { 500_000 } else { 2_000_000 }, "gate": "starved",
            });
            tell(&mut pair, &credit.to_string());
            pair.run(seconds(1));
        }
    }
    assert_eq!(pair.consumer_end, None, "it says nothing that is not believed");
    assert_eq!(
        pair.paid,
        sat(4_000),
        "two windows of 5 s at 400 sat/s, however often it changed"
    );
}

#[test]
fn an_answer_to_a_rate_that_was_never_offered_changes_nothing() {
    for number in [0, 2, 7, u32::MAX] {
        let mut pair = offering();
        answered(&mut pair, "never offered", &accept(number), "unexpected");
        assert_eq!(pair.provider.rate(), config().rate);
    }
    let mut pair = alone(playing());
    answered(&mut pair, "nothing is offered", &accept(1), "unexpected");
}

#[test]
fn an_answer_that_is_repeated_changes_nothing() {
    let mut pair = offering();
    assert!(answers(&say(&mut pair, &accept(1)), "rate-changed"));
    answered(&mut pair, "twice", &accept(1), "unexpected");
    pair.run(seconds(1));
    say(&mut pair, r#"{"type":"ping"}"#);
    assert_eq!(pair.provider.rate(), Rate::new(200_000));
}

#[test]
fn an_old_answer_does_not_take_a_later_and_lower_rate_for_another() {
    // Of two offers the first is the cheaper one: who answers it late gets neither.
    let mut pair = alone(playing());
    pair.set_rate(10);
    for _ in 0..11 {
        pair.run(seconds(1));
        say(&mut pair, r#"{"type":"ping"}"#);
    }
    pair.set_rate(200_000);
    let sent = say(&mut pair, &accept(1));
    assert!(!answers(&sent, "rate-changed"), "{sent:?}");
    assert_eq!(pair.provider.rate(), config().rate);
}

#[test]
fn a_refusal_moves_nothing_and_ends_the_session_as_a_close_does() {
    for number in [0, 1, 9] {
        let mut pair = offering();
        let before = standing(&pair);
        let close = json!({ "type": "close", "reason": "x", "refused_rate": number });
        say(&mut pair, &close.to_string());
        assert!(pair.provider_end.is_some() && pair.settle_due);
        assert_eq!(standing(&pair), before);
        let refused = |notice: &streamium_channel::provider::ProviderNotice| {
            matches!(
                notice,
                streamium_channel::provider::ProviderNotice::RateRefused { .. }
            )
        };
        assert_eq!(pair.provider_notices.iter().any(refused), number == 1);
    }
}
