//! Payments at the wrong time or place: replayed, during and after a rollover; and closes that are none.

use crate::common::pair::Pair;
use crate::common::*;
use crate::harness::*;
use serde_json::json;
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

#[test]
fn a_cooperative_close_that_nobody_would_mine_is_not_taken() {
    // It pays the provider all of its balance, but no miner: taken, it would stand in the settlement's place.
    for fee in [0, 1, 100, 203] {
        let mut pair = alone(playing());
        let channel = channel_of(&pair);
        let balance = pair.provider.balance().to_sat();
        let text = offering(&channel, &[(balance, fee)]);
        say(&mut pair, &text);
        assert_eq!(pair.closing, None, "a fee of {fee} sat");
        assert!(pair.settle_due, "it is settled instead");
    }
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let balance = pair.provider.balance().to_sat();
    let text = offering(&channel, &[(balance, 204)]);
    say(&mut pair, &text);
    let closing = pair.closing.unwrap();
    assert_eq!(closing.output[1].value, sat(balance), "one sat a byte is relayed");
}

#[test]
fn a_cooperative_close_for_less_is_not_taken() {
    let mut pair = alone(playing());
    let channel = channel_of(&pair);
    let balance = pair.provider.balance().to_sat();
    let text = offering(&channel, &[(0, 300), (1, 300), (balance - 1, 300)]);
    say(&mut pair, &text);
    assert!(pair.closing.is_none() && pair.settle_due);
}
