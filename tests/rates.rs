//! New rates while a session runs, and the application's word: both drivers on a real chain, over a connection in
//! memory. The whole, with WebRTC, is in `payment.rs`.

mod common;

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bitcoin::{OutPoint, Txid};
use common::coins::{paid_to, sat, wait_for_mempool};
use common::driver::*;
use common::reports::{flag, number, text};
use common::wait::{PATIENCE, wait_until};
use common::wire::Wire;
use gststreamiumpay::report::{Report, Severity};
use gststreamiumpay::session::consumer::Authorizer;
use gststreamiumpay::store::Store;
use streamium_channel::liveness::GONE_AFTER;
use streamium_channel::money::Rate;

const OLD: u64 = 200_000;

/// An application whose answers the test gives.
struct Application {
    asked: Receiver<Report>,
    answers: Sender<bool>,
}

impl Application {
    fn new() -> (Authorizer, Self) {
        let (ask, asked) = channel();
        let (answers, answer) = channel();
        let both = Mutex::new((ask, answer));
        let authorizer = move |report: &Report| {
            let (ask, answer) = &*both.lock().unwrap();
            ask.send(report.clone()).unwrap();
            answer.recv_timeout(PATIENCE).unwrap()
        };
        (Arc::new(authorizer), Self { asked, answers })
    }

    fn question(&self) -> Report {
        self.asked.recv_timeout(PATIENCE).unwrap()
    }

    fn answer(&self, yes: bool) {
        self.answers.send(yes).unwrap();
    }
}

/// What both have on record: paid and counted by the consumer, held and debited by the provider.
fn ledgers(stage: &Stage, outpoint: OutPoint) -> [(u64, u64); 2] {
    let store = |name| Store::open(&stage.folder(name)).unwrap();
    let ours = store("c").consumer_channel(outpoint).unwrap();
    let theirs = store("p").provider_channel(outpoint).unwrap();
    let best = theirs.record.best.unwrap().cumulative;
    [
        (ours.record.paid.to_sat(), ours.record.consumed.to_msat()),
        (best.to_sat(), theirs.record.consumed.to_msat()),
    ]
}

#[test]
fn a_rate_that_doubles_is_paid_and_both_ledgers_agree() {
    let stage = Stage::new();
    let Playing {
        provider,
        mut provided,
        consumer,
        mut consumed,
        wire,
        outpoint,
    } = stage.playing(30_000);
    provided.wait_for("payment", |report| number(report, "balance-sat") > 2_500);

    provider.inputs().rate(Rate::new(2 * OLD));
    let offered = provided.wait("rate-offered");
    assert_eq!(
        (
            number(&offered, "old-rate-msat-per-s"),
            number(&offered, "rate-msat-per-s")
        ),
        (OLD, 2 * OLD)
    );
    let said = consumed.wait("rate");
    assert!(flag(&said, "accepted"), "{said:?}");
    assert_eq!(number(&said, "rate-msat-per-s"), 2 * OLD);
    assert!(said.text.unwrap().contains("went up to 400000 msat a second"));
    let accepted = provided.wait("rate-accepted");
    assert_eq!(number(&accepted, "rate-msat-per-s"), 2 * OLD);
    // Ten seconds at the new rate.
    let from = number(&consumed.wait("payment"), "consumed-msat");
    consumed.wait_for("payment", |report| {
        number(report, "consumed-msat") > from + 20 * OLD
    });
    assert!(wire.is_open());
    let closed = provided
        .seen
        .iter()
        .filter(|report| report.name == "gate")
        .count();
    assert_eq!(closed, 1, "media never stopped");

    consumer.stop(PATIENCE);
    let settling = provided.wait("settling");
    provider.stop(PATIENCE);
    let [(paid, counted), (held, debited)] = ledgers(&stage, outpoint);
    println!(
        "the consumer paid {paid} sat for {counted} msat, the provider holds {held} sat for {debited} msat"
    );
    assert_eq!(paid, held);
    assert_eq!(
        number(&settling, "payout-sat") + number(&settling, "fee-sat"),
        held
    );
    // A second of the new rate, for what is on its way and for tracks that are taken to arrive for a second.
    assert!(counted.abs_diff(debited) <= 2 * OLD, "{counted} and {debited}");
    assert!(held * 1_000 >= debited);
}

#[test]
fn a_rate_above_max_rate_is_left_and_what_was_paid_is_settled() {
    let stage = Stage::new();
    let Playing {
        provider,
        mut provided,
        consumer,
        mut consumed,
        wire,
        outpoint,
    } = stage.playing(30_000);
    provided.wait_for("channel", |report| number(report, "confirmations") == 1);
    provided.wait_for("payment", |report| number(report, "balance-sat") > 2_500);

    provider.inputs().rate(Rate::new(1_200_000));
    let said = consumed.wait("rate");
    assert!(!flag(&said, "accepted"), "{said:?}");
    assert!(text(&said, "reason").contains("above max-rate (1000000 msat/s)"));
    let refused = provided.wait("rate-refused");
    assert!(text(&refused, "reason").contains("went up to 1200000 msat/s, above max-rate"));
    let ended = consumed.wait("ended");
    assert_eq!(ended.severity, Severity::Warning, "{ended:?}");
    let settling = provided.wait("settling");
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    let settled: Txid = text(
        consumed
            .seen
            .iter()
            .find(|report| report.name == "settled")
            .unwrap(),
        "txid",
    )
    .parse()
    .unwrap();
    assert_eq!(settled, txid, "the consumer was told before it ended");
    assert!(!wire.is_open());
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
    let [(paid, _), (held, _)] = ledgers(&stage, outpoint);
    assert_eq!(paid, held);
    wait_for_mempool(&stage.regtest, txid);
    assert_eq!(
        paid_to(&stage.regtest, txid, &stage.payout),
        sat(number(&settling, "payout-sat"))
    );
}

#[test]
fn an_application_decides_and_may_take_its_time() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (provider, mut provided) = stage.provider();
    let options = consumer_options(regtest, &stage.folder("c"), provider.public_key(), 30_000);
    let (authorizer, application) = Application::new();
    let (consumer, mut consumed) = start_asking_consumer(options, Some(authorizer));
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());
    let question = application.question();
    assert_eq!(number(&question, "rate-msat-per-s"), OLD);
    assert!(
        question
            .fields
            .iter()
            .all(|(name, _)| *name != "old-rate-msat-per-s")
    );
    // Pings are answered meanwhile: who does not is gone after ten seconds.
    let silence = provided.quiet_for("ended", GONE_AFTER + Duration::from_secs(2));
    assert!(silence, "{:?}", provided.seen);
    assert!(
        consumed
            .seen
            .iter()
            .all(|report| report.name != "funding-required")
    );
    application.answer(true);
    fund(regtest, &mut consumed);
    provided.wait("payment");

    // The same terms again need no word; another rate does.
    wire.cut();
    consumed.wait("lost");
    let wire = Wire::connect_as("again", &provider.inputs(), &consumer.inputs());
    consumed.wait("resumed");
    wait_until("media", || wire.is_open());
    provider.inputs().rate(Rate::new(OLD / 2));
    let question = application.question();
    assert_eq!(number(&question, "rate-msat-per-s"), OLD / 2);
    assert_eq!(number(&question, "old-rate-msat-per-s"), OLD);
    assert!(wire.is_open(), "the old rate holds until the answer");
    application.answer(true);
    provided.wait("rate-accepted");
    wire.cut();
    consumed.wait("lost");
    provider.inputs().rate(Rate::new(3 * OLD));
    let wire = Wire::connect_as("dearer", &provider.inputs(), &consumer.inputs());
    let question = application.question();
    assert_eq!(number(&question, "rate-msat-per-s"), 3 * OLD);
    application.answer(false);
    let ended = consumed.wait("ended");
    assert!(text(&ended, "reason").contains("authorize-terms"), "{ended:?}");
    assert!(!wire.is_open());
    assert!(application.asked.try_recv().is_err(), "nothing else was asked");
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
}

#[test]
fn an_application_that_refuses_or_panics_has_committed_nothing() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (provider, mut provided) = stage.provider();
    let refuses: Authorizer = Arc::new(|_| false);
    let panics: Authorizer = Arc::new(|_| panic!("as an application might"));
    for (name, authorizer) in [("refuses", refuses), ("panics", panics)] {
        let folder = stage.folder(name);
        let options = consumer_options(regtest, &folder, provider.public_key(), 30_000);
        let (consumer, mut consumed) = start_asking_consumer(options, Some(authorizer));
        let _wire = Wire::connect_as(name, &provider.inputs(), &consumer.inputs());
        let ended = consumed.wait("ended");
        assert_eq!(ended.severity, Severity::Error);
        let words = ended.text.clone().unwrap();
        assert!(
            words.contains("nothing was paid") && words.contains("authorize-terms"),
            "{words}"
        );
        let told = provided.wait("ended");
        assert!(
            text(&told, "reason").contains("the application does not agree"),
            "{told:?}"
        );
        consumer.stop(PATIENCE);
        for report in ["opening", "channel", "funding-required"] {
            assert!(consumed.seen.iter().all(|seen| seen.name != report), "{report}");
        }
        let store = Store::open(&folder).unwrap();
        assert!(store.unspent().unwrap().0.is_empty() && store.cut_off().unwrap().0.is_empty());
    }
    provider.stop(PATIENCE);
}
