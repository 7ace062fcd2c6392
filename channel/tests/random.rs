//! Both machines under random sequences of everything that can happen to them. Nothing may panic, and what is about
//! money holds at every step.

mod common;

use common::pair::{Pair, consumer_identity};
use common::*;
use proptest::prelude::*;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{Arrivals, ConsumerEffect, ConsumerEnd};
use streamium_channel::message::{
    ChannelState, ConsumerMessage, ErrorCode, GateState, ProviderMessage, encode,
};
use streamium_channel::payment::Payment;
use streamium_channel::provider::{CommitmentStatus, EndReason, Keep, ProviderEffect};

/// What can happen to a provider's session.
#[derive(Clone, Debug)]
enum Happening {
    Hello {
        version: u16,
    },
    Open {
        capacity: u64,
        delay: u16,
        equal_keys: bool,
    },
    Commitment {
        capacity: u64,
        output: u32,
    },
    Payment {
        amount: u64,
        by: u8,
        of: u64,
    },
    Simple(u8),
    Garbage(String),
    NotText,
    Status(u8, u32),
    Time(u64),
    Disconnect,
    Stop,
}

fn happening() -> impl Strategy<Value = Happening> {
    let amount = prop_oneof![
        0u64..60_000,
        Just(1_000),
        Just(49_670),
        Just(49_671),
        Just(u64::MAX)
    ];
    prop_oneof![
        2 => prop_oneof![Just(1u16), any::<u16>()].prop_map(|version| Happening::Hello { version }),
        2 => (prop_oneof![Just(50_000u64), any::<u64>()], prop_oneof![Just(288u16), 144u16..=4_032], any::<bool>())
            .prop_map(|(capacity, delay, equal)| Happening::Open { capacity, delay, equal_keys: equal && delay != 288 }),
        2 => (prop_oneof![3 => Just(50_000u64), 1 => 331u64..100_000], prop_oneof![3 => Just(1u32), 1 => any::<u32>()])
            .prop_map(|(capacity, output)| Happening::Commitment { capacity, output }),
        8 => (amount.clone(), prop_oneof![6 => Just(CONSUMER), 1 => Just(STRANGER)], amount, any::<bool>())
            .prop_map(|(amount, by, other, honest)| Happening::Payment { amount, by, of: if honest { amount } else { other } }),
        4 => (0u8..7).prop_map(Happening::Simple),
        1 => "\\PC{0,40}".prop_map(Happening::Garbage),
        1 => Just(Happening::NotText),
        3 => (0u8..3, 1u32..400).prop_map(|(kind, n)| Happening::Status(kind, n)),
        8 => prop_oneof![4 => 0u64..3_000, 1 => 0u64..100_000].prop_map(Happening::Time),
        1 => Just(Happening::Disconnect),
        1 => Just(Happening::Stop),
    ]
}

/// The first steps of an honest session, so that most runs get somewhere, then anything.
fn sequence() -> impl Strategy<Value = Vec<Happening>> {
    let honest = [
        Happening::Hello { version: 1 },
        Happening::Open {
            capacity: 50_000,
            delay: 288,
            equal_keys: false,
        },
        Happening::Commitment {
            capacity: 50_000,
            output: 1,
        },
        Happening::Payment {
            amount: 1_000,
            by: CONSUMER,
            of: 1_000,
        },
    ];
    (0..=honest.len(), proptest::collection::vec(happening(), 0..40))
        .prop_map(move |(take, tail)| honest.iter().take(take).cloned().chain(tail).collect())
}

fn apply(pair: &mut Pair, happening: &Happening) -> Vec<ProviderEffect> {
    let now = pair.now;
    let text = match happening {
        Happening::Hello { version } => hello(vec![*version], config().chain),
        Happening::Open {
            capacity,
            delay,
            equal_keys,
        } => ConsumerMessage::Open {
            capacity: sat(*capacity),
            consumer_key: key(if *equal_keys { PROVIDER } else { CONSUMER })
                .x_only_public_key()
                .0,
            change_script: contract(50_000).change().clone(),
            refund_delay: RefundDelay::new(*delay).unwrap(),
        },
        Happening::Commitment { capacity, output } => ConsumerMessage::Commitment {
            transaction: commitment(&contract(*capacity)),
            output: *output,
        },
        Happening::Payment { amount, by, of } => {
            let channel = match &pair.provider_record {
                Some(record) => record.restore().unwrap().0,
                None => channel(50_000),
            };
            let Ok(signed) = Payment::sign(&channel, &key(*by), sat(*of)) else {
                return Vec::new();
            };
            let (outpoint, signature) = (channel.outpoint(), signed.signature());
            ConsumerMessage::Payment {
                outpoint,
                cumulative: sat(*amount),
                signature,
            }
        }
        Happening::Simple(kind) => match kind {
            0 => ConsumerMessage::Pause,
            1 => ConsumerMessage::Play,
            2 => ConsumerMessage::Ping,
            3 => ConsumerMessage::Pong,
            4 => ConsumerMessage::Error {
                code: ErrorCode::Other,
                words: "x".into(),
            },
            5 => ConsumerMessage::Close {
                reason: "x".into(),
                closing: Vec::new(),
                refused_rate: None,
            },
            _ => return pair.provider.text(r#"{"type":"teleport"}"#, now),
        },
        Happening::Garbage(text) => return pair.provider.text(text, now),
        Happening::NotText => return pair.provider.not_text(now),
        Happening::Status(kind, confirmations) => {
            let status = match kind {
                0 => CommitmentStatus::Missing,
                1 => CommitmentStatus::Mempool,
                _ => CommitmentStatus::Confirmed {
                    confirmations: *confirmations,
                },
            };
            let outpoint = pair.provider_record.as_ref().map(|record| record.outpoint);
            let outpoint = outpoint.unwrap_or_else(outpoint_of_nobody);
            return pair.provider.commitment_status(outpoint, status, now);
        }
        Happening::Time(ms) => {
            pair.now += std::time::Duration::from_millis(*ms);
            return pair.provider.tick(pair.now);
        }
        Happening::Disconnect => return pair.provider.disconnected(now),
        Happening::Stop => return pair.provider.close(EndReason::Stopping, now),
    };
    pair.provider.text(&encode(&text).unwrap(), now)
}

fn outpoint_of_nobody() -> streamium_channel::bitcoin::OutPoint {
    outpoint(0xee)
}

/// A provider alone.
fn provider() -> Pair {
    let mut pair = Pair::new();
    pair.latency = seconds(1_000_000);
    pair
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_provider_never_gives_media_or_settles_without_a_valid_payment(steps in sequence()) {
        let mut pair = provider();
        for step in &steps {
            let ended = pair.provider.has_ended();
            let effects = apply(&mut pair, step);
            prop_assert!(!ended || effects.is_empty(), "an ended session does nothing: {effects:?}");
            if matches!(step, Happening::Time(_)) {
                let next = pair.provider.next(pair.now);
                prop_assert!(next.is_none_or(|at| at > pair.now), "the driver would spin: {next:?}");
            }
            // `provider_effects` asserts that ledger and balance never go back, and that records come first.
            pair.provider_effects(effects);
            let best = pair.provider_record.clone().and_then(|mut record| {
                record.best = pair.best;
                // Whatever is on record can be settled.
                record.restore().expect("a stored payment is valid").1
            });
            let balance = best.map_or(sat(0), |best| best.cumulative());
            prop_assert_eq!(pair.provider.balance(), balance, "what counts is on record");
            prop_assert!(balance <= sat(49_670));
            if pair.gate == GateState::Open {
                prop_assert!(balance >= config().opening, "media without a payment");
                prop_assert!(pair.provider_end.is_none(), "media after the end");
            }
            prop_assert!(!pair.settle_due || balance > sat(0), "nothing to settle");
        }
        // An open end is closed by its time-outs.
        for _ in 0..400 {
            pair.now += seconds(10);
            let effects = pair.provider.tick(pair.now);
            pair.provider_effects(effects);
        }
        prop_assert!(pair.provider.has_ended());
        let kept = pair.released.iter().any(|(_, keep)| *keep != Keep::Due);
        prop_assert_eq!(pair.settle_due || kept, !pair.released.is_empty() && (kept || pair.provider.balance() > sat(0)));
        prop_assert!(pair.provider_record.is_none() || pair.released.len() == 1, "what was opened is let go of once");
    }

    #[test]
    fn a_consumer_never_pays_more_than_its_bounds(steps in proptest::collection::vec((0u8..14, any::<u32>()), 0..60)) {
        let mut pair = Pair::with(config(), policy(), consumer_identity());
        pair.until("media", |pair| pair.gate == GateState::Open);
        pair.latency = seconds(1_000_000);
        let outpoint = pair.consumer_record.as_ref().unwrap().outpoint;
        let mut arrived = pair.open_time;
        for (kind, number) in steps {
            let (now, gate) = (pair.now, GateState::Starved);
            let send = |pair: &mut Pair, message: &ProviderMessage| pair.consumer.text(&encode(message).unwrap(), now);
            let effects = match kind {
                0..=4 => {
                    let time = std::time::Duration::from_millis(u64::from(number % 2_000));
                    pair.now += time;
                    if kind < 3 {
                        arrived += time;
                        pair.consumer.media(Arrivals { audio: Some(pair.now), video: Some(pair.now) });
                    }
                    pair.consumer.tick(pair.now)
                }
                5 | 6 => {
                    let consumed_msat = u64::from(number) * 20;
                    send(&mut pair, &ProviderMessage::Credit { outpoint, balance: sat(0), consumed_msat, gate })
                }
                7 => {
                    let state = ChannelState::Confirmed { confirmations: number };
                    send(&mut pair, &ProviderMessage::Channel { outpoint, state })
                }
                8 => send(&mut pair, &ProviderMessage::Ping),
                9 => pair.consumer.set_playing(number % 2 == 0, now),
                10 => send(&mut pair, &ProviderMessage::Accept { payout_script: p2tr(1) }),
                11 => pair.consumer.text("{", now),
                12 if number % 4 == 0 => pair.consumer.close(ConsumerEnd::Stopped, now),
                _ => pair.consumer.funded(now),
            };
            let ended = pair.consumer.has_ended();
            pair.consumer_effects(effects.clone());
            let paid_after_end = effects.iter().any(|effect| {
                matches!(effect, ConsumerEffect::Send(ConsumerMessage::Payment { .. }))
            });
            prop_assert!(!ended || !paid_after_end);
            // What arrived, two per cent, a window of drift, the window ahead, a track's interval; rounded up. And
            // never less than the opening payment.
            let seconds = arrived.as_secs_f64() * 1.02 + 5.0 + 5.0 + 1.1;
            let bound = sat((seconds * 100.0) as u64 + 1).max(sat(1_000));
            prop_assert!(pair.paid <= bound, "{} for {:?}", pair.paid, arrived);
            prop_assert!(pair.paid <= policy().budget);
        }
    }
}
