//! The next channel takes over.

use crate::common::pair::{Pair, consumer_key};
use crate::common::*;
use std::time::Duration;
use streamium_channel::bitcoin::OutPoint;
use streamium_channel::consumer::ConsumerNotice;
use streamium_channel::fault::Fault;
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage, decode};
use streamium_channel::money::Rate;
use streamium_channel::payment::Payment;
use streamium_channel::provider::{ChannelFacts, CommitmentStatus, NotResumable, ProviderEffect};
use streamium_channel::terms::Terms;

/// A small channel at 100 sat a second, and a budget for several.
fn rolling(capacity: u64, budget: u64) -> Pair {
    Pair::playing(policy_of(capacity, budget))
}

#[test]
fn the_next_channel_takes_over_and_media_never_stops() {
    let mut pair = rolling(10_000, 40_000);
    let start = pair.now;
    let first = pair.consumer_record.as_ref().unwrap().outpoint;
    while pair.now < start + seconds(300) {
        pair.run(seconds(1));
        pair.confirm(2);
        assert_eq!(pair.gate, GateState::Open, "after {:?}", pair.now - start);
    }
    assert!(
        pair.consumer_records.len() >= 4,
        "{}",
        pair.consumer_records.len()
    );
    assert_eq!(
        pair.provider_records[&first].best.unwrap().cumulative,
        sat(9_670),
        "to the last sat"
    );
    assert!(pair.used_up.contains(&first));
    // Five minutes at 100 sat a second, one window ahead: nothing is paid twice.
    let paid: u64 = pair
        .provider_records
        .values()
        .filter_map(|r| r.best)
        .map(|b| b.cumulative.to_sat())
        .sum();
    let opening = 1_000;
    assert!((30_000..=31_000 + opening).contains(&paid), "{paid}");
    let faults = pair
        .notices
        .iter()
        .filter(|n| matches!(n, ConsumerNotice::Fault(_)))
        .count();
    assert_eq!(faults, 0, "{:?}", pair.notices);
}

#[test]
fn no_next_channel_is_opened_beyond_the_budget() {
    let mut pair = rolling(10_000, 10_600);
    pair.until("exhaustion", |pair| {
        pair.notices
            .iter()
            .any(|n| matches!(n, ConsumerNotice::Exhausted(_)))
    });
    assert_eq!(pair.consumer_records.len(), 1);
    assert_eq!(pair.paid, sat(9_670));
}

#[test]
fn an_old_channel_is_left_for_the_next_before_its_deadline() {
    let mut pair = rolling(1_000_000, 2_000_000);
    pair.run(seconds(10));
    let first = pair.provider.channels()[0];
    // The first ages, the second is confirmed: twelve blocks before the provider must settle.
    pair.chain_says(
        first,
        CommitmentStatus::Confirmed {
            confirmations: 288 - 36 - 12,
        },
    );
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    let second = pair.provider.channels()[1];
    pair.chain_says(second, CommitmentStatus::Confirmed { confirmations: 9 });
    pair.run(seconds(5));
    assert_eq!(pair.provider.channels()[0], first, "there is time yet");
    pair.chain_says(
        first,
        CommitmentStatus::Confirmed {
            confirmations: 288 - 36 - 3,
        },
    );
    pair.until("the switch", |pair| pair.provider.channels() == [second]);
    pair.run(seconds(5));
    assert_eq!((pair.gate, pair.provider_end.clone()), (GateState::Open, None));
    assert_eq!(pair.used_up, [first]);
}

/// The last terms that were sent.
fn last_terms(pair: &Pair) -> Terms {
    let is = |line: &&String| line.contains("\"terms\"");
    let line = pair.log.iter().rfind(is).unwrap();
    match decode(line.split_once(" <- ").unwrap().1).unwrap() {
        ProviderMessage::Terms { terms, .. } => *terms,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_price_raised_in_mid_stream_is_refused_and_said() {
    type Change = fn(&mut Terms);
    let changes: [(&str, Change); 4] = [
        ("rate", |terms| {
            terms.rate = Rate::new(terms.rate.msat_per_s() + 1)
        }),
        ("tracks", |terms| terms.tracks.truncate(1)),
        ("window", |terms| terms.window_ms += 1),
        ("opening payment", |terms| terms.opening += sat(1)),
    ];
    for (what, change) in changes {
        let mut pair = Pair::playing(policy_of(10_000, 40_000));
        pair.until("renew", |pair| pair.sent("\"renew\"") > 0);
        pair.run(Duration::from_millis(50));
        pair.drop_mail();
        let mut dearer = last_terms(&pair);
        change(&mut dearer);
        let signature = dearer.sign(&key(IDENTITY));
        let terms = Box::new(dearer);
        pair.inject_to_consumer(&ProviderMessage::Terms { terms, signature });
        let refused = ConsumerNotice::Fault(Fault::Renewal(what));
        assert!(pair.notices.contains(&refused), "{what}: {:?}", pair.notices);
        pair.until("exhaustion", |pair| {
            pair.notices
                .iter()
                .any(|n| matches!(n, ConsumerNotice::Exhausted(_)))
        });
        assert_eq!(pair.consumer_records.len(), 1, "nothing was locked for it");
        assert_eq!(pair.paid, sat(9_670), "what had been agreed was used to its end");
    }
}

/// A pair whose next channel is ready and not used yet.
fn with_next() -> Pair {
    let mut pair = rolling(10_000, 40_000);
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    pair.confirm(2);
    pair
}

#[test]
fn payments_for_the_wrong_channel_change_nothing_during_a_rollover() {
    let mut pair = with_next();
    let [first, second] = pair.provider.channels()[..] else {
        panic!("two channels")
    };
    pair.latency = seconds(1_000_000);
    let key_of = |outpoint| pair.consumer_records[&outpoint].key_index;
    let channel_of = |outpoint| pair.provider_records[&outpoint].restore().unwrap().0;
    let keys = [first, second].map(|outpoint| consumer_key(key_of(outpoint)));
    let channels = [first, second].map(channel_of);
    let records = pair.provider_records.clone();
    // The signature of one channel for the other, either way; an opening too small.
    let wrong = [
        (first, &channels[1], &keys[1], 9_500, 9_500),
        (second, &channels[0], &keys[0], 9_500, 9_500),
        (second, &channels[1], &keys[0], 9_500, 9_500),
        (second, &channels[1], &keys[1], 999, 999),
        (second, &channels[1], &keys[1], 9_500, 9_499),
    ];
    for (outpoint, channel, key, cumulative, signed) in wrong {
        let mut pair = with_next();
        pair.latency = seconds(1_000_000);
        let signature = Payment::sign(channel, key, sat(signed)).unwrap().signature();
        let text = streamium_channel::message::encode(&ConsumerMessage::Payment {
            outpoint,
            cumulative: sat(cumulative),
            signature,
        });
        let effects = pair.provider.text(&text.unwrap(), pair.now);
        let moved = |effect: &ProviderEffect| matches!(effect, ProviderEffect::Switch { .. });
        assert!(!effects.iter().any(moved), "{effects:?}");
        pair.provider_effects(effects);
        for (outpoint, record) in &records {
            assert_eq!(pair.provider_records[outpoint].best, record.best);
        }
    }
}

#[test]
fn a_used_up_channel_is_never_resumed_and_its_credit_counts_once() {
    let mut pair = rolling(10_000, 40_000);
    let first = pair.consumer_record.as_ref().unwrap().outpoint;
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    pair.confirm(2);
    pair.until("the switch", |pair| pair.used_up.contains(&first));
    pair.cut();
    let record = pair.provider_records[&pair.provider_record.as_ref().unwrap().outpoint].clone();
    assert_eq!(record.carried, sat(9_670));
    let mut past = pair.past(false);
    past.resumable.insert(
        0,
        streamium_channel::consumer::Resumable {
            record: pair.consumer_records[&first].clone(),
            key: key(CONSUMER),
            spent: sat(0),
            from_disk: false,
        },
    );
    pair.reconnect(config(), policy(), past);
    pair.until("media again", |pair| pair.gate == GateState::Open);
    assert!(
        pair.notices.iter().any(
            |notice| matches!(notice, ConsumerNotice::NotResumed { outpoint, .. } if *outpoint == first)
        )
    );
}

#[test]
fn a_next_channel_that_is_resumed_before_its_first_payment_takes_the_debt_along_and_ends_the_former_one() {
    let mut pair = with_next();
    let [first, second] = pair.provider.channels()[..] else {
        panic!("two channels")
    };
    // Nothing more is paid: credit and grace of the first are used up.
    let effects = pair.consumer.set_budget(pair.paid, pair.now);
    pair.consumer_effects(effects);
    pair.until("starvation", |pair| pair.gate == GateState::Starved);
    pair.cut();
    let debt = pair.provider_records[&first].debt();
    assert!(debt.to_msat() > 25_000, "{debt:?}");
    let mut past = pair.past(false);
    past.resumable
        .retain(|resumable| resumable.record.outpoint == second);
    pair.reconnect(config(), policy_of(10_000, 40_000), past);
    pair.until("media again", |pair| pair.gate == GateState::Open);
    assert!(pair.provider_records[&second].consumed >= debt, "debt stays");
    assert_eq!(pair.provider_records[&first].went_on_to, Some(second));
    assert!(pair.faults().is_empty(), "{:?}", pair.faults());
}

#[test]
fn a_next_channel_whose_account_went_on_with_another_is_not_resumed() {
    let pair = with_next();
    let [first, second] = pair.provider.channels()[..] else {
        panic!("two channels")
    };
    let record = pair.provider_records[&second].clone();
    let mut former = pair.provider_records[&first].clone();
    let facts = ChannelFacts::default();
    assert_eq!(record.check_resumable(Some(&former), &facts), Ok(()));
    let left = Err(NotResumable::LeftBehind(second));
    assert_eq!(record.check_resumable(None, &facts), left, "not on record");
    former.went_on_to = Some(OutPoint::null());
    assert_eq!(record.check_resumable(Some(&former), &facts), left);
    former.went_on_to = Some(second);
    assert_eq!(record.check_resumable(Some(&former), &facts), Ok(()));
}

#[test]
fn what_is_settling_spent_or_too_old_is_not_resumed() {
    let pair = with_next();
    let record = pair.provider_records[&pair.provider.channels()[0]].clone();
    let last = record.contract.delay().last_usable_confirmation();
    let facts = |confirmations, spent_by, is_settling| ChannelFacts {
        confirmations,
        spent_by,
        is_settling,
    };
    assert_eq!(record.check_resumable(None, &facts(last, None, false)), Ok(()));
    let txid = record.outpoint.txid;
    for bad in [
        facts(0, None, true),
        facts(0, Some(txid), false),
        facts(last + 1, None, false),
    ] {
        assert!(record.check_resumable(None, &bad).is_err(), "{bad:?}");
    }
}
