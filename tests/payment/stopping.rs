//! Every way in which a broadcast can end while a viewer pays: what was paid is on record, and settled at the next
//! start.

use std::path::Path;
use std::time::Duration;

use bitcoin::{OutPoint, Txid};
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;
use rusqlite::{Connection, OpenFlags};
use rustix::process::Signal;

use crate::common::child::Launched;
use crate::common::coins::{new_address, sat};
use crate::common::paid::{CAPACITY_SAT, PaidConsumer, PaidProvider, paid_provider};
use crate::common::regtest::Regtest;
use crate::common::wait::wait_until;
use crate::common::webrtc::{RAW_VIDEO, free_port, run};

/// A payment is on disk at the latest this long after it came: the group commit, and what a busy machine adds.
const RECORDED_AFTER: Duration = Duration::from_millis(1_000);

/// Plays against a provider, ends it with `stop`, and looks at its folder and at the chain.
fn nothing_is_lost(folder: &Path, link: &str, payout: &bitcoin::Address, stop: impl FnOnce()) {
    let regtest = Regtest::shared();
    let viewer = tempfile::tempdir().unwrap();
    let mut consumer = PaidConsumer::funded(link, viewer.path(), "reconnect-timeout=0");
    consumer.expect(Video, 5);
    let paid = consumer
        .notes
        .wait_for("payment", |note| note.number("paid-sat") > 1_000);
    let outpoint: OutPoint = paid.text("outpoint").parse().unwrap();
    // Later than any commit of it.
    let later = consumer
        .notes
        .wait_for("payment", |note| note.at > paid.at + RECORDED_AFTER);
    stop();
    let (least, most) = (paid.number("paid-sat"), {
        consumer.stop();
        consumer.source.property::<u64>("paid")
    });
    let balance = balance(folder, outpoint);
    println!(
        "{least} sat paid {:?} before the end, {most} sat in all; {balance} sat on record",
        later.at - paid.at
    );
    assert!((least..=most).contains(&balance), "{least}, {balance}, {most}");
    drop(consumer);

    // Whose consumer was cut off may come back for that long.
    let settings = format!("payout-address={payout} settle-delay=1000");
    let mut next = PaidProvider::start(folder, RAW_VIDEO, &settings);
    assert_eq!(next.sink.property::<u64>("earned"), balance);
    regtest.mine(1);
    let txid = spender(regtest, outpoint);
    let tx = regtest.raw_tx(txid);
    let input = tx
        .input
        .iter()
        .position(|input| input.previous_output == outpoint);
    assert_eq!(
        tx.output[input.unwrap()].value,
        sat(CAPACITY_SAT - balance),
        "the change is the capacity less the balance"
    );
    let to_payout = tx
        .output
        .iter()
        .find(|output| output.script_pubkey == payout.script_pubkey());
    println!("settled in {txid}: {} to the provider", to_payout.unwrap().value);
    regtest.mine(1);
    next.notes.check();
}

fn balance(folder: &Path, outpoint: OutPoint) -> u64 {
    let file = folder.join("channels.sqlite");
    let db = Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    db.query_row(
        "SELECT balance_sat FROM provider_channel WHERE outpoint = ?1",
        [outpoint.to_string()],
        |row| row.get(0),
    )
    .unwrap()
}

/// The transaction in the mempool that spends an output.
fn spender(regtest: &Regtest, outpoint: OutPoint) -> Txid {
    let question = serde_json::json!([{"txid": outpoint.txid, "vout": outpoint.vout}]).to_string();
    let mut found = None;
    wait_until("a settlement in the mempool", || {
        let answer: serde_json::Value =
            serde_json::from_str(&regtest.cli(&["gettxspendingprevout", &question])).unwrap();
        found = answer[0]["spendingtxid"]
            .as_str()
            .map(|txid| txid.parse().unwrap());
        found.is_some()
    });
    found.unwrap()
}

/// A provider in a process of its own, ended by a signal.
fn signalled(options: &[&str], signal: Signal, exits_by_itself: bool) {
    let dir = tempfile::tempdir().unwrap();
    let payout = new_address(Regtest::shared());
    let launch = paid_provider(dir.path(), free_port(), &payout, "", RAW_VIDEO);
    let mut provider = Launched::start(options, &launch);
    let link = provider.link();
    nothing_is_lost(dir.path(), &link, &payout, || {
        provider.signal(signal);
        let status = provider.wait();
        println!("{status}");
        assert_eq!(status.code().is_some(), exits_by_itself, "{status}");
    });
}

#[test]
fn an_interrupt() {
    run(|| signalled(&[], Signal::INT, true));
}

#[test]
fn an_interrupt_with_an_end_of_stream() {
    run(|| signalled(&["-e"], Signal::INT, true));
}

#[test]
fn a_termination() {
    run(|| signalled(&[], Signal::TERM, false));
}

#[test]
fn a_kill() {
    run(|| signalled(&[], Signal::KILL, false));
}

#[test]
fn the_end_of_the_source_and_null() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(dir.path(), RAW_VIDEO, "");
        let (link, payout) = (provider.link(), provider.payout.clone());
        nothing_is_lost(dir.path(), &link, &payout, || {
            assert!(provider.running.0.send_event(gst::event::Eos::new()));
            provider.notes.wait("eos");
            provider.stop();
        });
    });
}

#[test]
fn null_alone() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let provider = PaidProvider::start(dir.path(), RAW_VIDEO, "");
        let (link, payout) = (provider.link(), provider.payout.clone());
        nothing_is_lost(dir.path(), &link, &payout, || provider.stop());
    });
}
