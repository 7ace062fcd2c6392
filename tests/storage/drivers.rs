//! What both drivers do on a real chain when their disk fails during a paid session: media stops rather than money being
//! lost.

use std::path::Path;
use std::time::Duration;

use bitcoin::{Address, Amount};
use gststreamiumpay::report::{Report, Severity};
use gststreamiumpay::session::provider::ProviderHandle;
use gststreamiumpay::store::{STORE_FILE, Store};
use rusqlite::Connection;

use crate::common::coins::{new_address, sat};
use crate::common::driver::{Playing, consumer, provider_options, start_provider};
use crate::common::regtest::Regtest;
use crate::common::reports::{Reports, number};
use crate::common::wait::{PATIENCE, wait_until};
use crate::full::{Filler, small_disk, with_own_mounts};

/// A provider that settles soon after a connection was lost.
fn hasty_provider(regtest: &Regtest, dir: &Path, payout: &Address) -> (ProviderHandle, Reports) {
    let mut options = provider_options(regtest, dir, payout);
    if let Some(paid) = &mut options.paid {
        paid.settle.settle_delay = Duration::from_secs(2);
        paid.settle.batch_delay = Duration::ZERO;
    }
    start_provider(options)
}

/// A paid session that plays, on a chain that ends with it.
fn playing(provider_dir: &Path, consumer_dir: &Path) -> (Regtest, Playing) {
    let regtest = Regtest::start();
    let payout = new_address(&regtest);
    let provider = hasty_provider(&regtest, provider_dir, &payout);
    let consumer = consumer(&regtest, consumer_dir, provider.0.public_key(), 20_000);
    let mut playing = Playing::start(&regtest, provider, consumer);
    let is_paid = |report: &Report| number(report, "balance-sat") > 2_500;
    playing.provided.wait_for("payment", is_paid);
    (regtest, playing)
}

/// The highest payment that the provider has said it holds.
fn balance(provided: &Reports) -> Amount {
    let payments = provided.seen.iter().filter(|report| report.name == "payment");
    let balances = payments.map(|report| number(report, "balance-sat"));
    sat(balances.max().unwrap_or(0))
}

/// What is on record at the provider.
fn recorded_balance(dir: &Path) -> Amount {
    let (channels, damaged) = Store::open(dir).unwrap().unsettled().unwrap();
    assert!(damaged.is_empty() && channels.len() <= 1, "{damaged:?}");
    let best = channels.first().and_then(|stored| stored.record.best);
    best.map_or(Amount::ZERO, |best| best.cumulative)
}

/// What is on record at the consumer.
fn recorded_paid(dir: &Path) -> Amount {
    let (channels, damaged) = Store::open(dir).unwrap().unspent().unwrap();
    assert!(damaged.is_empty() && channels.len() == 1, "{damaged:?}");
    channels[0].record.paid
}

fn words(report: &Report) -> String {
    println!("{}", report.text.clone().unwrap_or_default());
    report.text.clone().unwrap_or_default()
}

#[test]
fn media_stops_when_the_providers_disk_is_full() {
    with_own_mounts("full-disk-provider");
}

pub fn provider_on_a_small_disk(dir: &Path) {
    small_disk(dir, 32_768);
    let elsewhere = tempfile::tempdir().unwrap();
    let (_regtest, mut playing) = playing(dir, &elsewhere.path().join("c"));
    let before = recorded_balance(dir);
    let filler = Filler::fill(dir);
    let failed = playing.provided.wait("store-failed");
    assert_eq!(failed.severity, Severity::Error);
    assert!(words(&failed).contains("full"), "{failed:?}");
    playing.provided.wait("ended");
    assert!(
        !playing.wire.is_open(),
        "media flows although nothing can be recorded"
    );
    let held = balance(&playing.provided);
    playing.consumed.wait("ended");

    drop(filler);
    playing.consumer.stop(PATIENCE);
    playing.provider.stop(PATIENCE);
    let recorded = recorded_balance(dir);
    println!("{before} on record before, {recorded} after, {held} held when the disk was full");
    assert!(recorded >= before && recorded <= held);
    // What could not be recorded is what a second of media costs.
    assert!(held - recorded <= sat(300), "{recorded} of {held}");
    assert!(recorded_paid(&elsewhere.path().join("c")) >= held);
    // With the disk back all that is on record is settled, without a restart.
    let settling = playing.provided.wait("settling");
    assert_eq!(
        number(&settling, "payout-sat") + number(&settling, "fee-sat"),
        recorded.to_sat()
    );
}

#[test]
fn nothing_is_paid_when_the_consumers_disk_is_full() {
    with_own_mounts("full-disk-consumer");
}

pub fn consumer_on_a_small_disk(dir: &Path) {
    small_disk(dir, 32_768);
    let elsewhere = tempfile::tempdir().unwrap();
    let provider_dir = elsewhere.path().join("p");
    let (_regtest, mut playing) = playing(&provider_dir, dir);
    let filler = Filler::fill(dir);
    let ended = playing.consumed.wait("ended");
    assert_eq!(ended.severity, Severity::Error);
    assert!(words(&ended).contains("full"), "{ended:?}");
    wait_until("the end of the media", || !playing.wire.is_open());
    let settling = playing.provided.wait("settling");
    let settled = sat(number(&settling, "payout-sat") + number(&settling, "fee-sat"));
    assert_eq!(
        settled,
        balance(&playing.provided),
        "all that was acknowledged is settled"
    );

    drop(filler);
    playing.consumer.stop(PATIENCE);
    // The record can be read again, and says no less.
    let recorded = recorded_paid(dir);
    println!("{recorded} on record as paid, {settled} settled");
    assert!(recorded >= settled, "paid without a record");
    playing.provider.stop(PATIENCE);
}

#[test]
fn a_store_that_another_program_locks_stops_media_and_loses_no_channel() {
    let dirs = tempfile::tempdir().unwrap();
    let dir = dirs.path().join("p");
    let (_regtest, mut playing) = playing(&dir, &dirs.path().join("c"));
    let before = recorded_balance(&dir);
    let other = Connection::open(dir.join(STORE_FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE;").unwrap();
    let failed = playing.provided.wait("store-failed");
    assert!(words(&failed).contains("locked"), "{failed:?}");
    let due = |report: &Report| words(report).contains("The end of channel");
    playing.provided.wait_for("store-failed", due);
    // Now the other program is done, and the channel is settled although it could not be recorded as due.
    other.execute_batch("COMMIT;").unwrap();
    let settling = playing.provided.wait("settling");
    assert!(!playing.wire.is_open());
    playing.consumer.stop(PATIENCE);
    playing.provider.stop(PATIENCE);
    let recorded = recorded_balance(&dir);
    println!("{before} on record before, {recorded} after");
    assert!(recorded >= before, "the channel was given up");
    assert_eq!(
        number(&settling, "payout-sat") + number(&settling, "fee-sat"),
        recorded.to_sat()
    );
}
