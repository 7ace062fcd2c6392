//! A consumer whose record knows less than its provider: it came back from its backup, or from an older copy.

use crate::common::pair::{Pair, consumer_identity};
use crate::common::*;
use crate::{playing, reconnect};
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::consumer::ConsumerNotice;
use streamium_channel::fault::Fault;
use streamium_channel::message::{GateState, ProviderMessage};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::ProviderConfig;
use streamium_channel::record::ConsumerRecord;

/// What a backup knows of a channel: nothing that came after its opening.
fn forgotten(record: &mut ConsumerRecord) {
    (record.paid, record.carried, record.consumed) = (Amount::ZERO, Amount::ZERO, Msat::ZERO);
    record.rate = Rate::default();
}

fn present(pair: &Pair) -> OutPoint {
    let records = pair.consumer_records.keys();
    let mut open = records.filter(|outpoint| !pair.used_up.contains(outpoint));
    *open.next().unwrap()
}

/// Cut off, with nothing but the backup of the channel in use.
fn restored(pair: &mut Pair) -> OutPoint {
    pair.cut();
    let outpoint = present(pair);
    pair.consumer_records.retain(|of, _| *of == outpoint);
    forgotten(pair.consumer_records.get_mut(&outpoint).unwrap());
    outpoint
}

fn goes_on(pair: &mut Pair) {
    pair.until("media again", |pair| pair.gate == GateState::Open);
    pair.run(seconds(20));
    assert_eq!((&pair.consumer_end, pair.gate), (&None, GateState::Open));
    assert!(pair.faults().is_empty(), "{:?}", pair.faults());
}

#[test]
fn a_channel_from_its_backup_goes_on_and_its_record_knows_again() {
    let mut pair = playing();
    pair.run(seconds(200));
    let paid = pair.paid;
    let outpoint = restored(&mut pair);
    reconnect(&mut pair, true);
    goes_on(&mut pair);
    assert!(
        pair.paid >= paid && pair.paid < paid + sat(3_500),
        "{} after {paid}",
        pair.paid
    );
    assert!(pair.consumer_records[&outpoint].has_figures());
    // It was taken up, and not tolerated: what later connections may differ by is all there still.
    for _ in 0..3 {
        pair.cut();
        reconnect(&mut pair, false);
        goes_on(&mut pair);
    }
}

#[test]
fn a_channel_that_carries_what_earlier_ones_paid_comes_back_from_its_backup() {
    let wide = policy_of(10_000, 60_000);
    let mut pair = Pair::playing(wide);
    while pair.used_up.len() < 2 {
        pair.run(seconds(1));
        pair.confirm(2);
    }
    pair.run(seconds(10));
    let outpoint = restored(&mut pair);
    let past = pair.past(true);
    pair.reconnect(config(), wide, past);
    goes_on(&mut pair);
    assert_eq!(pair.consumer_records[&outpoint].carried, sat(2 * 9_670));
}

#[test]
fn a_record_of_an_older_copy_goes_on() {
    let mut pair = playing();
    pair.run(seconds(20));
    let outpoint = present(&pair);
    let older = pair.consumer_records[&outpoint].clone();
    pair.run(seconds(200));
    pair.cut();
    pair.consumer_records.insert(outpoint, older);
    reconnect(&mut pair, true);
    goes_on(&mut pair);
}

/// What a provider may say to a consumer that knows nothing.
fn answers(pair: &mut Pair, consumed: Msat) {
    let outpoint = restored(pair);
    reconnect(pair, true);
    pair.until("resume", |pair| pair.sent("\"resume\"") > 0);
    pair.drop_mail();
    let best = pair.provider_records[&outpoint].best.unwrap();
    pair.inject_to_consumer(&ProviderMessage::Resumed {
        outpoint,
        balance: best.cumulative,
        signature: Some(best.signature),
        carried: Amount::ZERO,
        consumed_msat: consumed.to_msat(),
        payout_script: p2tr(0x77),
    });
}

#[test]
fn a_lie_to_one_that_knows_nothing_earns_no_more_than_a_window() {
    let mut pair = playing();
    pair.run(seconds(100));
    let paid = pair.paid;
    // All that was paid is said to be consumed: the last thing that could be believed.
    answers(&mut pair, Msat::from(paid));
    pair.media = false;
    pair.latency = seconds(1_000_000);
    let outpoint = present(&pair);
    for _ in 0..20 {
        let state = streamium_channel::message::ChannelState::Confirmed { confirmations: 1 };
        pair.inject_to_consumer(&ProviderMessage::Channel { outpoint, state });
        pair.run(seconds(1));
    }
    assert!(pair.paid <= paid + sat(500), "{} after {paid}", pair.paid);

    let mut pair = playing();
    pair.run(seconds(100));
    let paid = pair.paid;
    answers(&mut pair, Msat::from(paid + sat(10_000)));
    let drifted = |notice: &ConsumerNotice| matches!(notice, ConsumerNotice::Fault(Fault::Drift { .. }));
    assert!(pair.notices.iter().any(drifted), "{:?}", pair.notices);
}

#[test]
fn one_that_knows_its_figures_believes_none_beyond_them() {
    // Much is prepaid, and little has arrived.
    let config = ProviderConfig {
        opening: sat(4_900),
        ..config()
    };
    let mut pair = Pair::with(config, policy(), consumer_identity());
    pair.until_playing();
    pair.confirm(1);
    pair.run(seconds(3));
    pair.cut();
    let outpoint = present(&pair);
    let record = pair.provider_records.get_mut(&outpoint).unwrap();
    record.consumed = Msat::new(4_900_000);
    pair.consumed = record.consumed;
    reconnect(&mut pair, true);
    pair.until("the end", |pair| pair.consumer_end.is_some());
    assert_eq!(
        pair.faults().len(),
        1,
        "what is on record is a count to hold it against"
    );
}
