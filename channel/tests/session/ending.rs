//! How a session ends, and what becomes of the channel.

use crate::common::pair::Pair;
use crate::common::*;
use crate::playing;
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, TERMS_TIMEOUT};
use streamium_channel::cooperative::Closing;
use streamium_channel::liveness::GONE_AFTER;
use streamium_channel::message::{ClosingOffer, ConsumerMessage, GateState};
use streamium_channel::provider::{EndReason, HELLO_TIMEOUT, Keep};
use streamium_channel::record::RecordError;

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
    assert_eq!(pair.released, [(outpoint, Keep::SettleDelay)]);
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
    pair.until("the commitment", |pair| pair.provider_record.is_some());
    pair.confirm(1);
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
    pair.provider
        .suggest_fee_rate(streamium_channel::bitcoin::FeeRate::from_sat_per_vb_u32(30));
    let offers = [sat(0)].map(|balance| {
        let payout = config().payout;
        let closing = Closing {
            channel: &channel,
            balance,
            payout: &payout,
            fee: sat(204 * 30),
        };
        let signature = closing.offer(&key(CONSUMER)).unwrap();
        ClosingOffer {
            outpoint: channel.outpoint(),
            balance,
            fee: sat(204 * 30),
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

#[test]
fn silence_ends_every_step() {
    let mut pair = Pair::new();
    pair.latency = seconds(10_000);
    pair.run(HELLO_TIMEOUT + seconds(1));
    assert!(pair.provider_end.is_some() && pair.consumer_end.is_some());
    assert!(TERMS_TIMEOUT <= GONE_AFTER);
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
