//! What a provider may try: every one of them holds the link's key, so its terms verify.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::harness::*;
use serde_json::{Value, json};
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, FeeRate};
use streamium_channel::consumer::{CHANNEL_TIMEOUT, ConsumerEnd, ConsumerNotice, TERMS_TIMEOUT};
use streamium_channel::fault::Fault;
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::payment::Payment;
use streamium_channel::provider::ProviderConfig;
use streamium_channel::settlement::{Claim, Settlement};

/// The last text of this type that the provider sent.
fn last(pair: &Pair, kind: &str) -> Value {
    let texts = texts(pair, "<-");
    let texts = texts
        .iter()
        .rev()
        .map(|text| serde_json::from_str::<Value>(text).unwrap());
    let mut texts = texts.filter(|text| text["type"] == kind);
    texts.next().unwrap_or_else(|| panic!("it never sent {kind}"))
}

/// The consumer, with the honest provider's words lost on the way: the test speaks in its place.
fn spoken_for(pair: &mut Pair, seconds_long: u64, mut speak: impl FnMut(&mut Pair)) {
    let end = pair.now + seconds(seconds_long);
    while pair.now < end {
        pair.drop_mail();
        speak(pair);
        pair.run(Duration::from_millis(50));
    }
}

#[test]
fn a_provider_that_takes_payment_and_sends_nothing_gets_its_opening_or_two_windows() {
    // With an opening payment at least as large as a window, and with none worth the name.
    for (opening, most) in [(1_000, 1_000), (600, 1_000), (1, 1_000)] {
        let config = ProviderConfig {
            opening: sat(opening),
            ..config()
        };
        let mut pair = Pair::with(config, policy(), consumer_identity());
        pair.media = false;
        pair.until("a payment", |pair| pair.paid > Amount::ZERO);
        let outpoint = channel_of(&pair).outpoint();
        // It claims each second as much as is just believed: 2 % and a window more than what arrived.
        spoken_for(&mut pair, 600, |pair| {
            let credit = json!({
                "type": "credit", "outpoint": outpoint.to_string(), "balance_sat": 0,
                "consumed_msat": 500_000, "gate": "starved",
            });
            tell(pair, &credit.to_string());
        });
        assert_eq!(pair.consumer_end, None, "it says nothing that is not believed");
        assert!(
            pair.paid <= sat(most),
            "{} with an opening of {opening}",
            pair.paid
        );
        assert!(pair.paid >= sat(opening));
    }
}

#[test]
fn a_count_beyond_the_drift_bound_is_never_paid() {
    let mut pair = alone(playing());
    let (outpoint, paid) = (channel_of(&pair).outpoint(), pair.paid);
    let credit = json!({
        "type": "credit", "outpoint": outpoint.to_string(), "balance_sat": 0,
        "consumed_msat": 40_000_000, "gate": "starved",
    });
    let sent = tell(&mut pair, &credit.to_string());
    assert!(
        sent.iter().all(|message| message["type"] != "payment"),
        "{sent:?}"
    );
    let drifted = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Fault(Fault::Drift { .. }));
    assert!(pair.notices.iter().any(drifted), "{:?}", pair.notices);
    assert!(sent.iter().any(|message| message["type"] == "close"), "it leaves");
    assert_eq!(pair.paid, paid);
}

#[test]
fn a_lie_about_the_balance_moves_nothing() {
    let mut pair = alone(playing());
    let outpoint = channel_of(&pair).outpoint();
    let consumed = last(&pair, "credit")["consumed_msat"].as_u64().unwrap();
    for balance in [0, 1, 49_670, u64::MAX] {
        let before = standing(&pair);
        let credit = json!({
            "type": "credit", "outpoint": outpoint.to_string(), "balance_sat": balance,
            "consumed_msat": consumed, "gate": "open",
        });
        tell(&mut pair, &credit.to_string());
        assert_eq!(standing(&pair), before, "a balance of {balance}");
        assert_eq!(pair.consumer_end, None);
    }
}

/// A consumer that waits for the answer to its `open`, with a provider that answers pings alone.
fn awaiting_accept() -> Pair {
    let mut pair = Pair::new();
    pair.until("open", |pair| {
        texts(pair, "->").iter().any(|text| text.contains("\"open\""))
    });
    pair
}

#[test]
fn a_provider_that_never_accepts_costs_nothing() {
    let mut pair = awaiting_accept();
    let since = pair.now;
    spoken_for(&mut pair, 60, |pair| {
        tell(pair, r#"{"type":"ping"}"#);
    });
    assert_eq!(
        pair.consumer_end,
        Some(ConsumerEnd::TimedOut("accepting the channel"))
    );
    assert!(
        pair.consumer_records.is_empty() && pair.broadcasts.is_empty(),
        "nothing is locked"
    );
    assert!(CHANNEL_TIMEOUT <= pair.now - since);
}

#[test]
fn a_provider_that_sends_no_terms_is_left() {
    let mut pair = Pair::new();
    spoken_for(&mut pair, 20, |pair| {
        tell(pair, r#"{"type":"pong"}"#);
    });
    assert_eq!(pair.consumer_end, Some(ConsumerEnd::TimedOut("its terms")));
    assert!(TERMS_TIMEOUT <= seconds(20) && pair.consumer_records.is_empty());
}

#[test]
fn a_provider_that_never_acknowledges_the_commitment_is_paid_nothing() {
    let mut pair = Pair::new();
    pair.until("the commitment", |pair| pair.consumer_record.is_some());
    pair.drop_mail();
    spoken_for(&mut pair, 60, |pair| {
        tell(pair, r#"{"type":"ping"}"#);
    });
    assert_eq!(
        pair.consumer_end,
        Some(ConsumerEnd::TimedOut("acknowledging the commitment"))
    );
    assert_eq!(pair.paid, Amount::ZERO);
    assert_eq!(pair.consumer_records.len(), 1, "on record, to be refunded");
    assert!(
        texts(&pair, "->")
            .iter()
            .all(|text| !text.contains("\"payment\""))
    );
}

#[test]
fn a_provider_that_rejects_a_commitment_it_was_sent_is_paid_nothing() {
    let mut pair = Pair::new();
    pair.until("the commitment", |pair| pair.consumer_record.is_some());
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    let rejected = json!({
        "type": "channel", "outpoint": outpoint.to_string(), "state": "rejected", "reason": "no",
    });
    let sent = tell(&mut pair, &rejected.to_string());
    assert!(sent.iter().any(|message| message["type"] == "close"), "{sent:?}");
    assert_eq!(pair.paid, Amount::ZERO);
    assert_eq!(pair.consumer_records.len(), 1, "on record, to be refunded");
}

#[test]
fn a_raised_price_or_longer_window_is_refused_where_it_exceeds_the_bounds() {
    // At resuming, too: an open channel is no reason to pay more.
    let dearer = [
        ProviderConfig {
            rate: Rate::new(1_000_001),
            ..config()
        },
        ProviderConfig {
            window: seconds(31),
            ..config()
        },
    ];
    for config in dearer {
        let mut pair = playing();
        pair.cut();
        let (paid, past) = (pair.paid, pair.past(false));
        pair.reconnect(config, policy(), past);
        pair.until("the end", |pair| pair.consumer_end.is_some());
        assert!(
            matches!(pair.consumer_end, Some(ConsumerEnd::Refused(_))),
            "{:?}",
            pair.consumer_end
        );
        assert_eq!((pair.paid, pair.consumer_records.len()), (paid, 1));
        assert!(texts(&pair, "->").iter().all(|text| !text.contains("\"resume\"")));
    }
}

#[test]
fn an_old_payment_that_is_settled_leaves_the_rest_to_the_consumer() {
    let pair = playing();
    let channel = channel_of(&pair);
    let provider = key(PROVIDER);
    let settle = |cumulative: u64| {
        let payment = Payment::sign(&channel, &key(CONSUMER), sat(cumulative)).unwrap();
        let claim = Claim {
            channel: &channel,
            payment: &payment,
            key: &provider,
        };
        let settlement = Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(2));
        settlement.unwrap().transaction.output[0].value
    };
    let best = pair.paid.to_sat();
    assert!(best > 1_000);
    assert_eq!(settle(best), sat(50_000 - best));
    assert_eq!(settle(1_000), sat(49_000), "it is the consumer that gains");
}

#[test]
fn nothing_of_a_provider_is_taken_for_a_message_that_is_none() {
    for (what, text) in not_messages() {
        let mut pair = alone(playing());
        let before = standing(&pair);
        let sent = tell(&mut pair, &text);
        assert_eq!(
            (&sent[0]["type"], &sent[0]["code"]),
            (&json!("error"), &json!("malformed")),
            "{what}"
        );
        assert!(
            sent.iter().any(|message| message["type"] == "close"),
            "{what}: it leaves"
        );
        assert_eq!(standing(&pair), before, "{what}");
    }
    let mut pair = alone(playing());
    let before = standing(&pair);
    let sent = tell(&mut pair, r#"{"type":"teleport"}"#);
    assert_eq!(sent[0]["code"], "unknown-type");
    assert_eq!((standing(&pair), &pair.consumer_end), (before, &None));
}

#[test]
fn a_settlement_that_is_only_said_is_not_believed() {
    let mut pair = alone(playing());
    let outpoint = channel_of(&pair).outpoint();
    let settled = json!({ "type": "settled", "outpoint": outpoint.to_string(), "txid": "07".repeat(32) });
    let before = standing(&pair);
    let sent = tell(&mut pair, &settled.to_string());
    assert_eq!(sent[0]["code"], "unexpected");
    assert_eq!((standing(&pair), pair.gate), (before, GateState::Open));
    // The chain is what ends a channel: the record stays as it is.
    assert_eq!(pair.consumer_records.len(), 1);
}
