//! Channels that outlast connections, crashes and one another, on a real chain.

mod common;

use std::path::PathBuf;
use std::time::Duration;

use bitcoin::{OutPoint, Txid};
use common::coins::{paid_to, sat, wait_for_mempool};
use common::driver::*;
use common::reports::{number, outpoint_of, text};
use common::wait::{PATIENCE, wait_until};
use common::wire::Wire;
use gststreamiumpay::refund::{backup, restore};
use gststreamiumpay::store::{Role, Store};
use gststreamiumpay::wallet::Seed;

/// What a crash would leave of a data folder.
fn copy_of(stage: &Stage, folder: &str) -> PathBuf {
    let copy = stage.folder("after-the-crash");
    std::fs::create_dir(&copy).unwrap();
    let files = std::fs::read_dir(stage.folder(folder))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.is_file()) {
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn a_lost_connection_costs_no_transaction() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let Playing {
        provider,
        mut provided,
        consumer,
        mut consumed,
        wire,
        outpoint,
    } = stage.playing(20_000);
    provided.wait_for("channel", |report| number(report, "confirmations") == 1);
    wire.cut();
    consumed.wait("lost");
    provided.wait("ended");
    let blocks = regtest.cli(&["getmempoolinfo"]);

    let before = std::time::Instant::now();
    let wire = Wire::connect_as("again", &provider.inputs(), &consumer.inputs());
    assert_eq!(outpoint_of(&consumed.wait("resumed")), outpoint);
    wait_until("media", || wire.is_open());
    println!("from reconnect to media: {} ms", before.elapsed().as_millis());
    assert_eq!(outpoint_of(&provided.wait("resumed")), outpoint);
    let resumed = provided.wait_for("payment", |_| true);
    assert_eq!(outpoint_of(&resumed), outpoint);
    assert_eq!(regtest.cli(&["getmempoolinfo"]), blocks, "nothing on the chain");
    consumer.stop(PATIENCE);
    let settling = provided.wait("settling");
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    wait_for_mempool(regtest, txid);
    provider.stop(PATIENCE);
    assert_eq!(
        paid_to(regtest, txid, &stage.payout),
        sat(number(&settling, "payout-sat"))
    );
}

#[test]
fn a_provider_that_died_goes_on_with_its_channels() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let Playing {
        provider: _first,
        mut provided,
        consumer,
        mut consumed,
        wire,
        outpoint,
    } = stage.playing(30_000);
    let paid = provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    // As if it had been killed now: what its disk has at this moment, and no word to anybody.
    let folder = copy_of(&stage, "p");
    wire.cut();
    consumed.wait("lost");

    let (second, mut provided) = provider(regtest, &folder, &stage.payout);
    let wire = Wire::connect_as("again", &second.inputs(), &consumer.inputs());
    let resumed = provided.wait("resumed");
    assert_eq!(outpoint_of(&resumed), outpoint);
    // Payments of the last quarter of a second may have been lost; the next one heals that.
    assert!(number(&resumed, "balance-sat") > 0);
    let paid = number(&paid, "balance-sat");
    provided.wait_for("payment", |report| number(report, "balance-sat") > paid);
    wait_until("media", || wire.is_open());
    consumer.stop(PATIENCE);
    let settling = provided.wait("settling");
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    wait_for_mempool(regtest, txid);
    second.stop(PATIENCE);
}

#[test]
fn a_consumer_that_died_goes_on_with_its_channel() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let Playing {
        provider,
        mut provided,
        consumer: _first,
        consumed: _consumed,
        wire,
        outpoint,
    } = stage.playing(30_000);
    provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    let folder = copy_of(&stage, "c");
    wire.cut();
    provided.wait("ended");

    let (second, mut consumed) = consumer(regtest, &folder, provider.public_key(), 30_000);
    let wire = Wire::connect_as("again", &provider.inputs(), &second.inputs());
    assert_eq!(outpoint_of(&consumed.wait("resumed")), outpoint);
    wait_until("media", || wire.is_open());
    second.stop(PATIENCE);
    provider.stop(PATIENCE);
}

#[test]
fn a_channel_restored_from_its_backup_goes_on() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let Playing {
        provider,
        mut provided,
        consumer: first,
        consumed: _consumed,
        wire,
        outpoint,
    } = stage.playing(30_000);
    let paid = provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    wire.cut();
    provided.wait("ended");
    first.stop(PATIENCE);
    // Another machine, with the seed and the channel's file.
    let seed = Seed::load(&stage.folder("c")).unwrap().unwrap();
    let file = backup::path(&stage.folder("c"), outpoint);
    let folder = stage.folder("restored");
    let restored = restore::restore(&folder, bitcoin::Network::Regtest, &[file], Some(&seed));
    assert_eq!(restored.unwrap(), [outpoint]);

    let (second, mut consumed) = consumer(regtest, &folder, provider.public_key(), 30_000);
    let wire = Wire::connect_as("again", &provider.inputs(), &second.inputs());
    let resumed = consumed.wait("resumed");
    assert_eq!(outpoint_of(&resumed), outpoint);
    assert!(number(&resumed, "paid-sat") >= number(&paid, "balance-sat"));
    wait_until("media", || wire.is_open());
    let paid = number(&resumed, "paid-sat");
    provided.wait_for("payment", |report| number(report, "balance-sat") > paid + 500);
    // It was taken up once: now the record knows, and the next connection needs no trust.
    wire.cut();
    provided.wait("ended");
    let wire = Wire::connect_as("once more", &provider.inputs(), &second.inputs());
    wait_until("media", || wire.is_open());
    second.stop(PATIENCE);
    provider.stop(PATIENCE);
    let store = Store::open(&folder).unwrap();
    let record = store.consumer_channel(outpoint).unwrap().record;
    assert!(record.has_figures() && record.agreed.is_some());
}

#[test]
fn who_opens_no_channel_uses_up_no_key_and_no_script() {
    let stage = Stage::new();
    let (provider, mut provided) = stage.provider();
    let (consumer, mut consumed) = stage.consumer(provider.public_key(), 20_000);
    let mut connect = |id: &str| {
        let wire = Wire::connect_as(id, &provider.inputs(), &consumer.inputs());
        provided.wait("offered");
        consumed.wait("terms");
        wire.cut();
        provided.wait("ended");
        consumed.wait("lost");
    };
    for n in 0..5 {
        connect(&format!("session {n}"));
    }
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
    let mut store = Store::open(&stage.folder("c")).unwrap();
    assert_eq!(store.next_key_index(Role::Consumer).unwrap(), 0);
}

#[test]
fn the_newest_session_has_the_channel() {
    let stage = Stage::new();
    let Playing {
        provider,
        mut provided,
        consumer: first,
        mut consumed,
        wire: old,
        outpoint,
    } = stage.playing(30_000);
    wait_until("media", || old.is_open());
    // The consumer's network is gone for the consumer only: the provider still holds the old connection.
    first.inputs().disconnected("session");
    consumed.wait("lost");
    let new = Wire::connect_as("again", &provider.inputs(), &first.inputs());
    assert_eq!(outpoint_of(&consumed.wait("resumed")), outpoint);
    wait_until("media on the new connection", || new.is_open());
    wait_until("the end of the old one", || !old.is_open());
    let ended = provided.wait("ended");
    assert_eq!(text(&ended, "session"), "session");
    first.stop(PATIENCE);
    provided.wait("settling");
    provider.stop(PATIENCE);
}

#[test]
fn a_consumer_that_does_not_come_back_is_settled() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let mut options = provider_options(regtest, &stage.folder("p"), &stage.payout);
    if let Some(paid) = &mut options.paid {
        paid.settle.settle_delay = Duration::from_secs(2);
    }
    let provider = start_provider(options);
    let consumer = stage.consumer(provider.0.public_key(), 20_000);
    let Playing {
        provider,
        mut provided,
        consumer,
        mut consumed,
        wire,
        outpoint,
    } = Playing::start(regtest, provider, consumer);
    wire.cut();
    let settling = provided.wait("settling");
    assert_eq!(outpoint_of(&settling), outpoint);
    // Too late: another channel would have to be opened, for which there are no funds.
    let _again = Wire::connect_as("again", &provider.inputs(), &consumer.inputs());
    consumed.wait("not-resumed");
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
}

#[test]
fn the_next_channel_is_opened_on_the_chain_and_the_last_one_settled_while_media_flows() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (provider, mut provided) = stage.provider();
    let mut options = consumer_options(regtest, &stage.folder("c"), provider.public_key(), 30_000);
    options.policy.capacity = sat(10_000);
    let (consumer, mut consumed) = start_consumer(options);
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    // A person who means to watch for long sends more than is asked for.
    let address = text(
        consumed
            .seen
            .iter()
            .find(|report| report.name == "funding-required")
            .unwrap(),
        "address",
    );
    let address = address.parse::<bitcoin::Address<_>>().unwrap().assume_checked();
    regtest.fund(&address, sat(50_000));
    let first = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, first.txid);
    wait_until("media", || wire.is_open());
    consumed.wait("renewing");
    let second = provided.wait_for("channel", |report| outpoint_of(report) != first);
    confirm_txid(regtest, outpoint_of(&second).txid);
    let settling = provided.wait_for("settling", |report| outpoint_of(report) == first);
    let left = provided.seen.iter().find(|report| report.name == "rolled-over");
    assert_eq!(text(left.unwrap(), "from").parse::<OutPoint>().unwrap(), first);
    let drained = sat(number(&settling, "payout-sat") + number(&settling, "fee-sat"));
    assert_eq!(drained, sat(10_000 - 330), "to the last sat");
    assert!(wire.is_open(), "media never stops");
    consumer.stop(PATIENCE);
    provided.wait_for("settling", |report| outpoint_of(report) == outpoint_of(&second));
    provider.stop(PATIENCE);
}
