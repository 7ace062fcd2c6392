//! Free streams, restarts, what is set wrong, and where the time goes at the start.

use std::time::{Duration, Instant};

use bitcoin::{OutPoint, Txid};
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use super::folders::{KEY, PAYOUT};
use crate::common::coins::{paid_to, sat, wait_for_mempool};
use crate::common::notes::Notes;
use crate::common::paid::{PaidConsumer, PaidProvider};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{RAW_VIDEO, Running, raw_both, run};

#[test]
fn a_free_stream_costs_nothing_and_says_so() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let free = "rate=0 payout-address=\"\" electrum-url=\"\"";
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &raw_both(), free);
        let mut consumer = PaidConsumer::start_with(&provider.link(), "");
        let terms = consumer.notes.wait("terms");
        assert_eq!(terms.number("rate-msat-per-s"), 0);
        consumer
            .notes
            .wait_for("info", |note| note.words.contains("is free"));
        consumer.expect(Video, 20);
        consumer.expect(Audio, 20);
        assert_eq!(consumer.source.property::<String>("state"), "playing");
        assert_eq!(consumer.source.property::<u64>("paid"), 0);
        for name in ["funding-required", "opening", "channel", "payment"] {
            assert!(!consumer.notes.said(name) && !provider.notes.said(name), "{name}");
        }
        consumer.notes.check();
        provider.notes.check();
    });
}

#[test]
fn a_paid_stream_without_an_electrum_server_is_an_error() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let mut consumer = PaidConsumer::start_with(&provider.link(), "max-rate=1000000");
        let error = consumer.notes.wait("error");
        println!("{}", error.words);
        assert!(error.words.contains("electrum-url"), "{}", error.words);
        assert!(!consumer.notes.said("opening") && !provider.notes.said("channel"));
        provider.notes.check();
    });
}

#[test]
fn what_was_not_confirmed_when_the_broadcast_ended_is_settled_by_the_next() {
    run(|| {
        let regtest = Regtest::shared();
        let dirs = tempfile::tempdir().unwrap();
        let folder = dirs.path().join("p");
        let mut first = PaidProvider::start(&folder, RAW_VIDEO, "");
        let mut consumer = PaidConsumer::funded(&first.link(), &dirs.path().join("c"), "");
        let paid = first
            .notes
            .wait_for("payment", |note| note.number("balance-sat") > 800);
        consumer.expect(Video, 5);
        let outpoint: OutPoint = paid.text("outpoint").parse().unwrap();
        let (link, payout) = (first.link(), first.payout.clone());
        let stopping = Instant::now();
        first.stop();
        println!("the provider stopped in {:?}", stopping.elapsed());
        let balance = first.balance();
        assert!(!first.notes.said("settling"));
        consumer.notes.wait("ended");
        consumer.stop();
        drop(first);

        wait_for_mempool(regtest, outpoint.txid);
        let mut second = PaidProvider::start(&folder, RAW_VIDEO, &format!("payout-address={payout}"));
        let key = |link: &str| link[link.find("key=").unwrap()..].to_owned();
        assert_eq!(
            key(&second.link()),
            key(&link),
            "the same folder has the same key"
        );
        assert_eq!(second.sink.property::<u64>("earned"), balance);
        second.notes.wait("waiting");
        regtest.mine(1);
        let settling = second.notes.wait("settling");
        assert_eq!(settling.text("outpoint").parse::<OutPoint>().unwrap(), outpoint);
        let txid: Txid = settling.text("txid").parse().unwrap();
        wait_for_mempool(regtest, txid);
        let value = sat(settling.number("payout-sat"));
        assert_eq!(value + sat(settling.number("fee-sat")), sat(balance));
        assert_eq!(paid_to(regtest, txid, &payout), value);
        regtest.mine(1);
        second.notes.check();
    });
}

/// Starts an element alone; answers what it says if it refuses.
pub fn refused(launch: &str, state: gst::State) -> String {
    let pipeline = gst::Pipeline::new();
    let element = gst::parse::launch(launch).unwrap_or_else(|error| panic!("{launch}: {error}"));
    pipeline.add(&element).unwrap();
    let mut notes = Notes::take(&pipeline, "element");
    let running = Running(pipeline);
    assert!(running.0.set_state(state).is_err(), "it starts: {launch}");
    notes.last("error").words
}

#[test]
fn what_is_set_wrong_is_said_in_a_sentence() {
    const SIGNET: &str = "tb1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqlqt9zj";
    run(|| {
        let sink = |settings: &str| format!("streamiumpaysink network=regtest {settings}");
        let paid = |settings: &str| {
            sink(&format!(
                "rate=5 payout-address={PAYOUT} electrum-url=tcp://127.0.0.1:1 {settings}"
            ))
        };
        let src = |settings: &str| {
            format!("streamiumpaysrc network=regtest uri=streamium://h:1/a?key={KEY} {settings}")
        };
        let table = [
            (sink("rate=5"), "payout-address is not set"),
            (sink(&format!("payout-address={PAYOUT}")), "rate is 0"),
            (
                paid(&format!("payout-address={SIGNET}")),
                "is not of network regtest",
            ),
            (paid("payout-address=nonsense"), "is no address"),
            (paid("electrum-url=\"\""), "needs electrum-url"),
            (paid("electrum-url=http://h:1"), "electrum-url"),
            (paid("electrum-url=tcp://h"), "electrum-url"),
            (paid("electrum-proxy=h:9050"), "electrum-proxy"),
            (paid("network=bitcoin"), "is not of network bitcoin"),
            (paid("network=mainnet"), "network can't be \"mainnet\""),
            (paid("grace=6000 window=5000"), "grace is 6000"),
            (paid("min-capacity=9 max-capacity=8"), "min-capacity is 9"),
            (
                paid("unconfirmed-limit=9 unconfirmed-total=8"),
                "unconfirmed-limit is 9",
            ),
            (paid("opening=9 min-capacity=1 max-capacity=8"), "opening is 9"),
            (sink("stream-name=\"\""), "the stream name is empty"),
            (sink("link-address=ws://x"), "link-address"),
            ("streamiumpaysrc".to_owned(), "uri is not set"),
            (
                "streamiumpaysrc uri=http://h:1/a".to_owned(),
                "begins with streamium://",
            ),
            ("streamiumpaysrc uri=streamium://h:1/a".to_owned(), "no key="),
            ("streamiumpaysrc uri=streamium://h/a?key=1".to_owned(), "port"),
            (src("network=main"), "network can't be \"main\""),
            (src("electrum-url=nonsense"), "electrum-url"),
            (
                src("payment-interval=9000 max-window=8000"),
                "payment-interval is 9000",
            ),
        ];
        for (launch, words) in table {
            let said = refused(&launch, gst::State::Ready);
            assert!(said.contains(words), "{launch}: {said}");
        }
    });
}

#[test]
fn from_the_money_to_the_first_picture() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &raw_both(), "");
        let mut consumer = PaidConsumer::start(&provider.link(), &dirs.path().join("c"), "");
        let started = Instant::now();
        let asked = consumer.fund();
        let sent = Instant::now();
        let open = provider.notes.gate("open");
        let session = open.text("session");
        let frame = consumer.next(Video);
        let seen = |name: &str, notes: &mut Notes| {
            let found = notes
                .all()
                .iter()
                .find(|note| note.name == name)
                .map(|note| note.at);
            found.unwrap_or_else(|| panic!("{name} was never said"))
        };
        let funded = seen("funded", &mut consumer.notes);
        let tap = provider.taps.of(&session);
        let steps = [
            ("the funds are seen in the wallet", funded),
            ("the channel is proposed", seen("opening", &mut consumer.notes)),
            (
                "accepted, built, signed, on record",
                seen("channel", &mut consumer.notes),
            ),
            (
                "the provider has checked and recorded it",
                seen("channel", &mut provider.notes),
            ),
            (
                "the first payment is signed",
                seen("payment", &mut consumer.notes),
            ),
            ("it is checked", seen("payment", &mut provider.notes)),
            ("the gate is open", open.at),
            ("a buffer has passed it", tap.passed[0].at),
            ("the first RTP packet leaves", tap.rtp[0]),
            ("the first picture is decoded", frame.at),
        ];
        println!(
            "asked for {} sat {:?} after the start",
            asked.number("amount-sat"),
            asked.at - started
        );
        let mut before = sent;
        for (what, at) in steps {
            println!(
                "{:>6} ms  {what}",
                at.saturating_duration_since(before).as_millis()
            );
            before = at;
        }
        let paid_for = frame.at - funded;
        println!(
            "{:>6} ms from funds seen to the first picture",
            paid_for.as_millis()
        );
        assert!(paid_for < Duration::from_secs(20), "{paid_for:?}");
    });
}
