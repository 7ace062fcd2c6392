//! Providers that lie about a channel for another opening payment, or another budget.

use crate::common::pair::{Pair, consumer_identity, consumer_key};
use crate::common::*;
use crate::harness::*;
use serde_json::json;
use streamium_channel::bitcoin::Amount;
use streamium_channel::consumer::{ConsumerEnd, ConsumerPolicy, Past, Resumable};

/// What the consumer's driver keeps over its sessions: what each account has paid, by its present channel.
fn spent(pair: &Pair) -> Amount {
    let records = pair.consumer_records.values();
    let used_up =
        |record: &&streamium_channel::record::ConsumerRecord| !pair.used_up.contains(&record.outpoint);
    records
        .filter(used_up)
        .map(|record| record.paid + record.carried)
        .sum()
}

#[test]
fn a_provider_that_refuses_to_resume_again_and_again_earns_no_more_than_the_budget() {
    let budget = sat(5_500);
    let policy = ConsumerPolicy { budget, ..policy() };
    let mut pair = Pair::with(config(), policy, consumer_identity());
    pair.until_playing();
    let mut opened = 1;
    for _ in 0..20 {
        pair.cut();
        // "Not on record": each time another channel is asked for, with another opening payment.
        pair.provider_records.clear();
        (pair.consumed, pair.best) = (Default::default(), None);
        let mut past = pair.past(false);
        past.spent = spent(&pair);
        pair.reconnect(config(), policy, past);
        pair.run(seconds(2));
        opened = opened.max(pair.consumer_records.len());
    }
    assert_eq!(opened, 5, "one opening payment of 1,000 sat each");
    let paid: Amount = pair.consumer_records.values().map(|record| record.paid).sum();
    assert!(paid <= budget, "{paid}");
    assert!(
        matches!(pair.consumer_end, Some(ConsumerEnd::Refused(_))),
        "{:?}",
        pair.consumer_end
    );
}

/// A consumer whose account went on with a second channel, cut off, under a budget for three.
fn rolled_over() -> (Pair, ConsumerPolicy) {
    let policy = policy_of(10_000, 25_000);
    let mut pair = Pair::playing(policy);
    pair.until("the next channel", |pair| pair.provider.channels().len() == 2);
    pair.confirm(2);
    pair.until("the switch", |pair| !pair.used_up.is_empty());
    (pair, policy)
}

#[test]
fn forgetting_what_earlier_channels_paid_earns_no_second_budget() {
    let (mut pair, policy) = rolled_over();
    pair.run(seconds(5));
    pair.cut();
    let first = pair.used_up[0];
    let second = pair.consumer_record.as_ref().unwrap().outpoint;
    assert_eq!(pair.consumer_records[&second].carried, sat(9_670));
    // It settles the first channel, and then has never heard of this account: what it carried, and what it paid.
    let before = pair.consumer_records[&second].clone();
    let record = pair.provider_records.get_mut(&second).unwrap();
    (record.best, record.carried, record.consumed) = (None, Amount::ZERO, Default::default());
    (pair.best, pair.consumed) = (None, Default::default());
    let past = Past {
        spent: before.paid + before.carried,
        tolerated: Default::default(),
        resumable: vec![Resumable {
            key: consumer_key(before.key_index),
            spent: before.paid + before.carried,
            from_disk: false,
            record: before,
        }],
        ..Past::default()
    };
    // The account begins anew, which the pair would take for a ledger that goes backwards.
    pair.consumer_records.get_mut(&second).unwrap().consumed = Default::default();
    pair.reconnect(config(), policy, past);
    for _ in 0..400 {
        pair.run(seconds(1));
        pair.confirm(2);
    }
    let paid: Amount = pair.consumer_records.values().map(|record| record.paid).sum();
    assert!(pair.consumer_records[&first].paid == sat(9_670));
    assert!(paid <= policy.budget, "{paid} of {}", policy.budget);
}

#[test]
fn a_depth_that_is_no_depth_earns_one_opening_payment_at_a_time() {
    // "Your channel is a million blocks deep": it would have to be left for the next one, with its opening payment.
    let mut pair = Pair::with(config(), policy_of(10_000, 40_000), consumer_identity());
    pair.until_playing();
    for _ in 0..60 {
        pair.confirm(1);
        for outpoint in pair.provider.channels() {
            let deep = json!({
                "type": "channel", "outpoint": outpoint.to_string(),
                "state": "confirmed", "confirmations": 1_000_000,
            });
            tell(&mut pair, &deep.to_string());
        }
        pair.run(seconds(1));
        let paid: Amount = pair.consumer_records.values().map(|record| record.paid).sum();
        let ahead = paid.to_sat().saturating_sub(pair.consumed.to_msat() / 1_000);
        assert!(
            ahead <= 1_000 + 2 * 500,
            "{ahead} sat ahead after {} channels",
            pair.consumer_records.len()
        );
    }
    assert!(pair.consumer_records.len() > 2, "the lie was believed");
}
