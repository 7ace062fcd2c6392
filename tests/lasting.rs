//! Channels that outlast connections, crashes and one another, on a real chain.

mod common;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::{OutPoint, Txid};
use common::driver::*;
use common::regtest::Regtest;

fn outpoint_of(report: &gststreamiumpay::report::Report) -> OutPoint {
    text(report, "outpoint").parse().unwrap()
}

/// What a crash would leave of a data folder.
fn copy_of(folder: &Path, within: &Path) -> PathBuf {
    let copy = within.join("after-the-crash");
    std::fs::create_dir(&copy).unwrap();
    let files = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.is_file()) {
        std::fs::copy(&path, copy.join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn a_lost_connection_costs_no_transaction() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), provider.public_key(), 20_000);
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    let outpoint = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, outpoint.txid);
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
        paid_to(regtest, txid, &payout),
        sat(number(&settling, "payout-sat"))
    );
}

#[test]
fn a_provider_that_died_goes_on_with_its_channels() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let folder = dirs.path().join("p");
    let payout = new_address(regtest);
    let (first, mut provided) = provider(regtest, &folder, &payout);
    let key = first.public_key();
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), key, 30_000);
    let wire = Wire::connect(&first.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    let outpoint = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, outpoint.txid);
    let paid = provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    // As if it had been killed now: what its disk has at this moment, and no word to anybody.
    let folder = copy_of(&folder, dirs.path());
    wire.cut();
    consumed.wait("lost");

    let (second, mut provided) = provider(regtest, &folder, &payout);
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
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let folder = dirs.path().join("c");
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let key = provider.public_key();
    let (first, mut consumed) = consumer(regtest, &folder, key, 30_000);
    let wire = Wire::connect(&provider.inputs(), &first.inputs());
    fund(regtest, &mut consumed);
    let outpoint = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, outpoint.txid);
    provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    let folder = copy_of(&folder, dirs.path());
    wire.cut();
    provided.wait("ended");

    let (second, mut consumed) = consumer(regtest, &folder, key, 30_000);
    let wire = Wire::connect_as("again", &provider.inputs(), &second.inputs());
    assert_eq!(outpoint_of(&consumed.wait("resumed")), outpoint);
    wait_until("media", || wire.is_open());
    second.stop(PATIENCE);
    provider.stop(PATIENCE);
}

#[test]
fn the_newest_session_has_the_channel() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let key = provider.public_key();
    let (first, mut consumed) = consumer(regtest, &dirs.path().join("c"), key, 30_000);
    let old = Wire::connect(&provider.inputs(), &first.inputs());
    fund(regtest, &mut consumed);
    let outpoint = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, outpoint.txid);
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
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let mut options = provider_options(regtest, &dirs.path().join("p"), &payout);
    if let Some(paid) = &mut options.paid {
        paid.settle.settle_delay = Duration::from_secs(2);
    }
    let (provider, mut provided) = start_provider(options);
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), provider.public_key(), 20_000);
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    let outpoint = outpoint_of(&provided.wait("payment"));
    confirm_txid(regtest, outpoint.txid);
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
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let mut options = consumer_options(regtest, &dirs.path().join("c"), provider.public_key(), 30_000);
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
