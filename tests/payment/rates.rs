//! The price changes while viewers watch, and applications that decide about it.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use bitcoin::OutPoint;
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;
use gststreamiumpay::store::Store;

use crate::common::coins::{sat, wait_for_mempool};
use crate::common::notes::Note;
use crate::common::paid::{CAPACITY_SAT, PaidConsumer, PaidProvider, RATE_SAT_PER_S, prefund};
use crate::common::regtest::Regtest;
use crate::common::wait::{PATIENCE, wait_until};
use crate::common::webrtc::{RAW_VIDEO, run};

const OLD: u64 = RATE_SAT_PER_S * 1_000;
const NEW: u64 = 2 * OLD;

fn rates(note: &Note) -> (u64, u64) {
    (note.number("old-rate-msat-per-s"), note.number("rate-msat-per-s"))
}

#[test]
fn one_viewer_pays_the_double_rate_and_another_leaves() {
    run(|| {
        let regtest = Regtest::shared();
        let dirs = tempfile::tempdir().unwrap();
        let (of_provider, of_payer, of_leaver) = (
            dirs.path().join("p"),
            dirs.path().join("payer"),
            dirs.path().join("leaver"),
        );
        // First, since it mines.
        prefund(&of_payer);
        prefund(&of_leaver);
        // Enough for both before their channels are confirmed.
        let mut provider = PaidProvider::start(&of_provider, RAW_VIDEO, "unconfirmed-limit=20000");
        let mut leaver = PaidConsumer::start(&provider.link(), &of_leaver, "max-rate=300000");
        let left: OutPoint = leaver.notes.wait("payment").text("outpoint").parse().unwrap();
        leaver.expect(Video, 5);
        let mut payer = PaidConsumer::start(&provider.link(), &of_payer, "");
        let outpoint: OutPoint = payer.notes.wait("payment").text("outpoint").parse().unwrap();
        payer.expect(Video, 5);
        for txid in [left.txid, outpoint.txid] {
            wait_for_mempool(regtest, txid);
        }
        regtest.mine(1);
        for channel in [left, outpoint] {
            wait_until("the confirmation", || {
                provider.notes.all().iter().any(|note| {
                    note.name == "channel"
                        && note.text("outpoint") == channel.to_string()
                        && note.number("confirmations") > 0
                })
            });
        }

        provider.sink.set_property("rate", NEW);
        let said = payer.notes.wait("rate");
        assert!(said.flag("accepted"));
        assert_eq!(rates(&said), (OLD, NEW));
        assert_eq!(rates(&provider.notes.wait("rate-accepted")), (OLD, NEW));
        let said = leaver.notes.wait("rate");
        assert!(!said.flag("accepted"));
        assert!(said.text("reason").contains("above max-rate (300000 msat/s)"));
        let warning = leaver.notes.wait("warning");
        assert!(
            warning.words.contains("went up to 400000 msat/s, above max-rate"),
            "{warning:?}"
        );
        leaver.notes.wait("eos");
        leaver.notes.check();

        // Ten seconds at the new rate, without a gap in what is paid for.
        let from = payer.notes.wait("payment").number("consumed-msat");
        payer
            .notes
            .wait_for("payment", |note| note.number("consumed-msat") > from + 10 * NEW);
        payer.drain_queued();
        payer.expect(Video, 10);
        assert!(
            payer
                .notes
                .all()
                .iter()
                .all(|note| note.name != "gate" || note.text("state") == "open")
        );
        assert_eq!(provider.sink.property::<u64>("rate"), NEW);
        payer.stop();
        leaver.stop();
        for channel in [left, outpoint] {
            wait_until("the settlement", || {
                provider.notes.all().iter().any(|note| {
                    note.name == "settling" && note.text("outpoint").contains(&channel.to_string())
                })
            });
        }
        provider.stop();
        provider.notes.check();

        for (folder, channel) in [(of_payer, outpoint), (of_leaver, left)] {
            let ours = Store::open(&folder).unwrap().consumer_channel(channel).unwrap();
            let theirs = Store::open(&of_provider)
                .unwrap()
                .provider_channel(channel)
                .unwrap();
            let held = theirs.record.best.unwrap().cumulative;
            let (counted, debited) = (ours.record.consumed.to_msat(), theirs.record.consumed.to_msat());
            println!(
                "{channel}: {} paid, {held} held; {counted} msat counted, {debited} msat debited",
                ours.record.paid
            );
            // What was on its way when the viewer left may not have been read any more.
            assert!(ours.record.paid >= held && held <= sat(CAPACITY_SAT));
            // The second that a track is taken to arrive, and one that is on its way.
            assert!(counted.abs_diff(debited) <= 2 * NEW, "{counted} and {debited}");
            assert!(held.to_sat() * 1_000 + OLD >= debited);
        }
    });
}

#[test]
fn a_rate_that_can_not_be_is_said_and_the_old_one_stays() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "opening=0");
        for (wrong, words) in [
            (
                0_u64,
                "rate can't go from 200000 to 0 msat/s while the stream runs",
            ),
            (
                100_000_000_000,
                "rate 100000000000 msat/s is too high for max-capacity (1000000 sat)",
            ),
        ] {
            provider.sink.set_property("rate", wrong);
            let warning = provider.notes.wait("warning");
            assert!(warning.words.contains(words), "{warning:?}");
            assert_eq!(provider.sink.property::<u64>("rate"), OLD);
        }
        provider.sink.set_property("rate", NEW);
        assert_eq!(provider.sink.property::<u64>("rate"), NEW);
        // Who comes now gets it with the terms.
        let folder = dirs.path().join("c");
        let mut consumer = PaidConsumer::funded(&provider.link(), &folder, "");
        assert_eq!(consumer.notes.wait("terms").number("rate-msat-per-s"), NEW);
        consumer.expect(Video, 5);
        assert!(!consumer.notes.said("rate"), "nothing has changed for it");
        consumer.stop();
        provider.stop();
    });
}

/// A viewer with money whose application may connect to what it is asked.
fn about_to_ask(provider: &PaidProvider, folder: &Path) -> PaidConsumer {
    prefund(folder);
    PaidConsumer::prepare_paid(&provider.link(), folder, "")
}

#[test]
fn an_application_that_refuses_the_terms_commits_nothing() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let folder = dirs.path().join("c");
        let mut consumer = about_to_ask(&provider, &folder);
        // The first that says no decides; those after it are not asked.
        let (asked, questions) = channel();
        for (index, answer) in [true, false, true].into_iter().enumerate() {
            let asked = Mutex::new(asked.clone());
            consumer.source.connect("authorize-terms", false, move |values| {
                let terms = values[1].get::<gst::Structure>().unwrap();
                asked.lock().unwrap().send((index, terms)).unwrap();
                Some(answer.to_value())
            });
        }
        consumer.play();
        let (first, terms) = questions.recv_timeout(PATIENCE).unwrap();
        assert_eq!(first, 0);
        assert_eq!(terms.name(), "streamium-pay/terms");
        assert_eq!(terms.get::<u64>("rate-msat-per-s").unwrap(), OLD);
        assert_eq!(terms.get::<u64>("opening-sat").unwrap(), 800);
        assert_eq!(terms.get::<u64>("window-ms").unwrap(), 3_000);
        assert_eq!(terms.get::<String>("stream").unwrap(), "the test");
        assert_eq!(questions.recv_timeout(PATIENCE).unwrap().0, 1);
        let error = consumer.notes.wait("error");
        assert!(
            error.words.contains("authorize-terms") && error.words.contains("nothing was paid"),
            "{error:?}"
        );
        let ended = provider.notes.wait("ended");
        assert!(
            ended.text("reason").contains("the application does not agree"),
            "{ended:?}"
        );
        consumer.stop();
        assert!(questions.try_recv().is_err(), "the third was not asked");
        for name in ["opening", "channel", "payment"] {
            assert!(!consumer.notes.said(name), "{name}");
        }
        assert!(Store::open(&folder).unwrap().unspent().unwrap().0.is_empty());
        provider.stop();
    });
}

#[test]
fn an_application_may_ask_a_person_and_stop_meanwhile() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let consumer = about_to_ask(&provider, &dirs.path().join("c"));
        let (asked, question) = channel();
        let (answer, answered) = channel::<bool>();
        let both = Mutex::new((asked, answered));
        consumer.source.connect("authorize-terms", false, move |_| {
            let (asked, answered) = &*both.lock().unwrap();
            asked.send(()).unwrap();
            Some(answered.recv_timeout(PATIENCE).unwrap().to_value())
        });
        consumer.play();
        question.recv_timeout(PATIENCE).unwrap();
        // The dialog is open. Nobody waits for it.
        let (done, stopped) = channel();
        let pipeline = consumer.running.0.clone();
        std::thread::spawn(move || {
            pipeline.set_state(gst::State::Null).unwrap();
            done.send(()).unwrap();
        });
        stopped.recv_timeout(Duration::from_secs(30)).unwrap();
        answer.send(true).unwrap();
        let (result, state, _) = consumer.running.0.state(gst::ClockTime::NONE);
        result.unwrap();
        assert_eq!(state, gst::State::Null);
        provider.stop();
    });
}
