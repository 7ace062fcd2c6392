//! Payments at the wrong time or place: replayed, during and after a rollover; and closes that are none.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use serde_json::json;
use streamium_channel::bitcoin::FeeRate;
use streamium_channel::contract::Channel;
use streamium_channel::cooperative::Closing;
use streamium_channel::message::GateState;
use streamium_channel::provider::CommitmentStatus;

#[test]
fn a_session_that_is_replayed_opens_and_moves_nothing() {
    // Everything a consumer said on two connections, one that opened the channel and one that resumed it.
    let mut pair = playing();
    pair.cut();
    let opened = texts(&pair, "->");
    let past = pair.past(false);
    pair.reconnect(config(), policy(), past);
    pair.until_playing();
    pair.run(seconds(5));
    let resumed = texts(&pair, "->").split_off(opened.len());
    for (recording, has) in [(&opened, "\"commitment\""), (&resumed, "\"resume\"")] {
        assert!(recording.iter().any(|text| text.contains(has)), "{recording:?}");
        stranger(&mut pair);
        let before = standing(&pair);
        for text in recording {
            say(&mut pair, text);
        }
        assert_eq!(standing(&pair), before);
        assert_ne!(pair.gate, GateState::Open);
        assert!(pair.provider_end.is_some(), "{has} of another connection ends it");
        assert!(!pair.settle_due, "and the channel stays as it was");
    }
}

/// A small channel with the next one beside it, confirmed.
fn with_next() -> Pair {
    let mut pair = Pair::playing(policy_of(10_000, 40_000));
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    pair
}

#[test]
fn after_a_rollover_the_old_channel_pays_no_more() {
    let mut pair = with_next();
    pair.confirm(2);
    let first = pair.provider.channels()[0];
    let channel = pair.provider_records[&first].restore().unwrap().0;
    pair.until("the switch", |pair| pair.used_up.contains(&first));
    let mut pair = alone(pair);
    let text = payment(first, 9_670, &signed(&channel, &key(CONSUMER), 9_670));
    answered(&mut pair, "all it had", &text, "payment");
}

#[test]
fn the_next_channel_pays_only_once_the_present_one_is_confirmed() {
    let mut pair = alone(with_next());
    let [first, second] = pair.provider.channels()[..] else {
        panic!("two channels")
    };
    let effects = pair
        .provider
        .commitment_status(first, CommitmentStatus::Mempool, pair.now);
    pair.provider_effects(effects);
    let channel = pair.provider_records[&second].restore().unwrap().0;
    let key = crate::common::pair::consumer_key(pair.consumer_records[&second].key_index);
    let text = payment(second, 1_000, &signed(&channel, &key, 1_000));
    let before = standing(&pair);
    say(&mut pair, &text);
    assert_eq!(
        standing(&pair),
        before,
        "credit of a channel that a reorganisation undid is not carried"
    );
}

/// A `close` that offers the provider this much of its channel, at this fee.
fn offering(channel: &Channel, offers: &[(u64, u64)]) -> String {
    let payout = config().payout;
    let offers: Vec<_> = offers
        .iter()
        .map(|&(balance, fee)| {
            let closing = Closing {
                channel,
                balance: sat(balance),
                payout: &payout,
                fee: sat(fee),
            };
            json!({
                "outpoint": channel.outpoint().to_string(),
                "balance_sat": balance,
                "fee_sat": fee,
                "signature": closing.offer(&key(CONSUMER)).unwrap().to_string(),
            })
        })
        .collect();
    json!({ "type": "close", "reason": "x", "closing": offers }).to_string()
}

/// A session whose balance is not worth its settlement at the present fee rate of 30 sat/vB, and that balance.
fn dear() -> (Pair, Channel, u64) {
    let mut pair = alone(playing());
    pair.provider.suggest_fee_rate(FeeRate::from_sat_per_vb_u32(30));
    let (channel, balance) = (channel_of(&pair), pair.provider.balance().to_sat());
    assert!((1_000..6_480).contains(&balance), "{balance}");
    (pair, channel, balance)
}

#[test]
fn a_cooperative_close_that_nobody_would_mine_is_not_taken() {
    // It pays the provider all of its balance, but no miner now, or so much that nodes take it for a mistake.
    for fee in [0, 1, 204, 204 * 15, 204 * 30 - 1, 204 * 1_000 + 1_000] {
        let (mut pair, _, balance) = dear();
        let channel = channel_of(&pair);
        if balance + fee > 50_000 {
            continue;
        }
        say(&mut pair, &offering(&channel, &[(balance, fee)]));
        assert_eq!(pair.closing, None, "a fee of {fee} sat");
        assert!(pair.settle_due, "it is settled instead");
    }
    let (mut pair, channel, balance) = dear();
    say(&mut pair, &offering(&channel, &[(balance, 204 * 30)]));
    let closing = pair.closing.unwrap();
    assert_eq!(closing.output[1].value, sat(balance), "at the present rate");
}

#[test]
fn a_cooperative_close_of_a_balance_worth_settling_is_not_taken() {
    // The fee rate of the session's start does not count, nor does one that a server makes up.
    let (mut pair, channel, balance) = dear();
    pair.provider.suggest_fee_rate(FeeRate::from_sat_per_vb_u32(1));
    say(&mut pair, &offering(&channel, &[(balance, 204 * 30)]));
    assert!(pair.closing.is_none() && pair.settle_due);

    let mut pair = playing();
    pair.until("more than a close may take", |pair| {
        pair.provider.balance() > sat(10_000)
    });
    let mut pair = alone(pair);
    pair.provider.suggest_fee_rate(FeeRate::from_sat_per_vb_u32(100));
    let (channel, balance) = (channel_of(&pair), pair.provider.balance().to_sat());
    say(&mut pair, &offering(&channel, &[(balance, 204 * 100)]));
    assert!(pair.closing.is_none() && pair.settle_due, "{balance} sat");
}

#[test]
fn one_message_makes_one_close_a_channel_at_most() {
    for count in [2, 3, 200] {
        let (mut pair, channel, balance) = dear();
        let offers: Vec<_> = (0..count).map(|more| (balance, 204 * 30 + more)).collect();
        say(&mut pair, &offering(&channel, &offers));
        assert!(pair.closing.is_none() && pair.settle_due, "{count}");
    }
}

#[test]
fn what_nobody_knows_is_not_closed() {
    use streamium_channel::provider::CommitmentStatus::{Mempool, Missing};
    for (status, is_taken) in [(Missing, false), (Mempool, true)] {
        let (mut pair, channel, balance) = dear();
        pair.chain_says(channel.outpoint(), status);
        say(&mut pair, &offering(&channel, &[(balance, 204 * 30)]));
        assert_eq!(pair.closing.is_some(), is_taken, "{status:?}");
    }
    // Not even a word of it yet: servers have only just been told.
    let mut pair = Pair::new();
    pair.until_playing();
    let mut pair = alone(pair);
    pair.provider.suggest_fee_rate(FeeRate::from_sat_per_vb_u32(30));
    let (channel, balance) = (channel_of(&pair), pair.provider.balance().to_sat());
    say(&mut pair, &offering(&channel, &[(balance, 204 * 30)]));
    assert_eq!(pair.closing, None);
}

#[test]
fn a_cooperative_close_for_less_is_not_taken() {
    for less in [1, 1_000] {
        let (mut pair, channel, balance) = dear();
        say(&mut pair, &offering(&channel, &[(balance - less, 204 * 30)]));
        assert!(pair.closing.is_none() && pair.settle_due);
    }
    let (mut pair, channel, _) = dear();
    say(&mut pair, &offering(&channel, &[(0, 204 * 30)]));
    assert!(pair.closing.is_none() && pair.settle_due);
}
