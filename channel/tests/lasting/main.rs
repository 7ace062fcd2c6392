//! Channels that outlast a connection, and sessions that outlast a channel: resuming and rollover.

#[path = "../common/mod.rs"]
mod common;

use common::pair::Pair;
use common::*;
use std::time::Duration;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, ConsumerPolicy, Past};
use streamium_channel::fault::Fault;
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage, decode};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::{CommitmentStatus, EndReason, ProviderEffect};
use streamium_channel::resume::Challenge;
use streamium_channel::terms::Terms;

fn playing() -> Pair {
    Pair::playing(policy())
}

fn reconnect(pair: &mut Pair, from_disk: bool) {
    let past = pair.past(from_disk);
    pair.reconnect(config(), policy(), past);
}

#[test]
fn an_open_channel_goes_on_without_a_transaction_and_keeps_the_account() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.cut();
    let (best, consumed) = (pair.best.unwrap(), pair.consumed);
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.released, [(outpoint, true)]);
    assert_eq!(pair.gate, GateState::Closed);

    let broadcasts = pair.broadcasts.len();
    pair.now += seconds(30);
    reconnect(&mut pair, false);
    let before = pair.now;
    pair.until("media again", |pair| pair.gate == GateState::Open);
    assert!(pair.now - before < Duration::from_millis(500));
    assert_eq!(pair.broadcasts.len(), broadcasts, "nothing on the chain");
    assert!(pair.best.unwrap().cumulative >= best.cumulative);
    assert!(pair.consumed >= consumed, "what was consumed is kept");
    assert!(
        pair.consumed < consumed.plus(Msat::new(100_000)),
        "and no more than it"
    );
    pair.run(seconds(20));
    assert_eq!(pair.gate, GateState::Open);
    // Forty seconds of media, one window ahead.
    let paid = pair.best.unwrap().cumulative.to_sat();
    assert!((4_300..=4_800).contains(&paid), "{paid}");
}

#[test]
fn debt_is_kept_by_reconnecting() {
    let mut pair = playing();
    pair.run(seconds(12));
    // The consumer stops paying without a word: credit and grace run out.
    let effects = pair.consumer.set_budget(pair.paid, pair.now);
    pair.consumer_effects(effects);
    pair.until("starvation", |pair| pair.gate == GateState::Starved);
    let debt = pair.consumed.minus(Msat::from(pair.best.unwrap().cumulative));
    assert!(debt >= Msat::new(49_000), "{debt:?}");
    for _ in 0..5 {
        pair.cut();
        let (open, past) = (pair.open_time, pair.past(false));
        let broke = ConsumerPolicy {
            budget: pair.paid,
            ..policy()
        };
        pair.reconnect(config(), broke, past);
        pair.run(seconds(3));
        assert_eq!(pair.open_time, open, "no media for a debtor");
    }
}

#[test]
fn a_lost_payment_is_sent_again() {
    let mut pair = playing();
    pair.run(seconds(20));
    pair.cut();
    // The provider's disk lost the last of them: it has committed once in a quarter of a second.
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    let older = {
        let record = &pair.provider_records[&outpoint];
        let (channel, _) = record.restore().unwrap();
        Payment::sign(&channel, &key(CONSUMER), sat(1_500)).unwrap()
    };
    pair.provider_records.get_mut(&outpoint).unwrap().best = Some(older.into());
    let signed = pair.consumer_records[&outpoint].paid;
    assert!(signed > sat(1_500));
    reconnect(&mut pair, false);
    pair.until("the payment again", |pair| {
        pair.best.is_some_and(|best| best.cumulative >= signed)
    });
    pair.run(seconds(10));
    assert_eq!(pair.gate, GateState::Open);
}

#[test]
fn a_consumer_that_crashed_goes_on_within_what_it_had_not_written_down() {
    let mut pair = playing();
    pair.run(seconds(300));
    pair.cut();
    let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
    for _ in 0..20 {
        // Each crash loses what was counted since the last payment.
        let record = pair.consumer_records.get_mut(&outpoint).unwrap();
        record.consumed = record.consumed.minus(Msat::new(100_000));
        reconnect(&mut pair, true);
        pair.until("media again", |pair| pair.gate == GateState::Open);
        pair.run(seconds(2));
        assert_eq!(pair.consumer_end, None);
        pair.cut();
    }
}

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
fn a_channel_that_is_not_on_record_is_opened_anew() {
    let mut pair = playing();
    pair.run(seconds(5));
    pair.cut();
    pair.provider_records.clear();
    pair.consumed = Msat::ZERO;
    reconnect(&mut pair, false);
    pair.until("media through another channel", |pair| {
        pair.gate == GateState::Open
    });
    assert!(
        pair.notices
            .iter()
            .any(|n| matches!(n, ConsumerNotice::NotResumed { .. }))
    );
    assert_eq!(pair.consumer_records.len(), 2);
}

#[test]
fn what_was_paid_before_counts_against_the_budget() {
    let mut pair = playing();
    pair.run(seconds(30));
    pair.cut();
    let spent = pair.paid;
    pair.provider_records.clear();
    (pair.consumed, pair.best) = (Msat::ZERO, None);
    let past = pair.past(false);
    let tight = ConsumerPolicy {
        budget: spent + sat(1_500),
        ..policy()
    };
    pair.reconnect(config(), tight, past);
    pair.until("the end of the budget", |pair| {
        pair.notices
            .iter()
            .any(|n| matches!(n, ConsumerNotice::Exhausted(_)))
    });
    pair.run(seconds(30));
    assert_eq!(pair.paid, sat(1_500), "the rest of the budget, no more");
}

#[test]
fn a_paused_player_stays_paused_on_the_next_connection() {
    let mut pair = playing();
    pair.run(seconds(10));
    pair.set_playing(false);
    pair.run(seconds(1));
    pair.cut();
    let (open, past) = (pair.open_time, pair.past(false));
    pair.reconnect(config(), policy(), past);
    pair.set_playing(false);
    pair.run(seconds(5));
    // It had credit left, so media would flow if the provider did not know.
    assert!(
        pair.open_time - open <= Duration::from_millis(200),
        "{:?}",
        pair.open_time - open
    );
    pair.set_playing(true);
    pair.until("media", |pair| pair.gate == GateState::Open);
}

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
    let keys = [first, second].map(|outpoint| common::pair::consumer_key(key_of(outpoint)));
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
fn the_newest_session_has_the_channel_and_the_older_is_told() {
    let mut pair = playing();
    pair.run(seconds(10));
    let outpoint = pair.provider.channels()[0];
    let effects = pair.provider.supersede(outpoint, pair.now);
    let told =
        |effect: &ProviderEffect| matches!(effect, ProviderEffect::Send(ProviderMessage::Close { .. }));
    let released = |effect: &ProviderEffect| matches!(effect, ProviderEffect::Release { .. });
    assert!(effects.iter().any(told), "{effects:?}");
    assert!(!effects.iter().any(released), "the other session has it");
    pair.provider_effects(effects);
    assert_eq!(pair.provider_end, Some(EndReason::Superseded));
    assert_eq!(pair.gate, GateState::Closed);
    pair.until("the end", |pair| pair.consumer_end.is_some());
    assert!(matches!(pair.consumer_end, Some(ConsumerEnd::ProviderClosed(_))));
}

#[test]
fn the_deadline_by_the_clock_ends_a_session_whose_chain_is_out_of_reach() {
    let mut pair = playing();
    pair.run(seconds(5));
    let outpoint = pair.provider.channels()[0];
    let effects = pair.provider.age(outpoint, 288 - 37, pair.now);
    assert!(effects.is_empty());
    let effects = pair.provider.age(outpoint, 288 - 36, pair.now);
    pair.provider_effects(effects);
    assert_eq!(pair.provider_end, Some(EndReason::Deadline));
    assert!(pair.settle_due);
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
