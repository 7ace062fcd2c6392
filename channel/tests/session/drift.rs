//! What a provider counts is held against what arrived.

use crate::common::pair::Pair;
use crate::common::*;
use crate::playing;
use streamium_channel::consumer::ConsumerEnd;
use streamium_channel::fault::Fault;
use streamium_channel::message::{GateState, ProviderMessage};

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
