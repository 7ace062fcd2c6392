//! The property `stats`, against what the elements say and against its documentation.

use bitcoin::OutPoint;
use gst::glib;
use gst::prelude::*;

use crate::common::paid::{CAPACITY_SAT, PaidConsumer, PaidProvider, RATE_SAT_PER_S, stats};
use crate::common::regtest::Regtest;
use crate::common::wait::wait_until;
use crate::common::webrtc::{H264, Provider, raw_both, run};
use crate::pages::{page, table};

pub fn number(stats: &gst::Structure, field: &str) -> u64 {
    stats
        .get(field)
        .unwrap_or_else(|error| panic!("{field}: {error}"))
}

pub fn inner(stats: &gst::Structure, field: &str) -> gst::Structure {
    stats
        .get(field)
        .unwrap_or_else(|error| panic!("{field}: {error}"))
}

/// The one session of a sink's.
fn session(stats: &gst::Structure) -> Option<gst::Structure> {
    let sessions = inner(stats, "sessions");
    let session = sessions.iter().next()?.1.get().unwrap();
    Some(session)
}

/// Waits until statistics are as they should be: they are as old as a second.
fn wait_for(
    element: &impl IsA<gst::Element>,
    what: &str,
    holds: impl Fn(&gst::Structure) -> bool,
) -> gst::Structure {
    let element = element.as_ref();
    wait_until(what, || holds(&stats(element)));
    stats(element)
}

/// The fields of a table of docs/elements.md: name without what marks it, optional, a structure.
fn documented(below: &str) -> Vec<(String, bool, bool)> {
    let rows = table(&page("docs/elements.md"), below);
    let cells = rows.iter().flat_map(|row| row[0].split(", "));
    cells
        .map(|cell| {
            let (name, mark) = cell.trim_start_matches('`').split_once('`').unwrap();
            let is_structure = name.ends_with('/');
            (name.trim_end_matches('/').to_owned(), mark == "?", is_structure)
        })
        .collect()
}

/// Every field is in the table, every field of the table is there, and the types are as it says.
fn check_documented(stats: &gst::Structure, below: &str, all: bool) {
    let fields = documented(below);
    for (name, optional, _) in &fields {
        let needed = all || !optional;
        assert!(
            !needed || stats.has_field(name),
            "{name} below {below:?} is not there: {stats}"
        );
    }
    for (name, value) in stats.iter() {
        let (_, _, is_structure) = fields
            .iter()
            .find(|(known, ..)| known == name.as_str())
            .unwrap_or_else(|| panic!("{name} is not below {below:?}"));
        let is_text = matches!(name.as_str(), "state" | "peer" | "outpoint");
        let expected = match (is_structure, is_text) {
            (true, _) => gst::Structure::static_type(),
            (_, true) => String::static_type(),
            _ => u64::static_type(),
        };
        assert_eq!(value.type_(), expected, "{name}");
    }
}

fn names(stats: &gst::Structure) -> Vec<String> {
    let mut names: Vec<_> = stats.fields().map(|name| name.to_string()).collect();
    names.sort();
    names
}

/// The names in the text of the row of this field.
fn quoted_in_row(below: &str, field: &str) -> Vec<String> {
    let rows = table(&page("docs/elements.md"), below);
    let row = rows
        .iter()
        .find(|row| row[0].starts_with(&format!("`{field}")))
        .unwrap();
    let mut names: Vec<_> = row[1].split('`').skip(1).step_by(2).map(str::to_owned).collect();
    names.sort();
    names
}

const SINK: &str = "### Statistics of streamiumpaysink";
const SOURCE: &str = "### Statistics of streamiumpaysrc";

#[test]
fn the_figures_are_those_of_the_stream() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let sources = raw_both();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "");
        let folder = dirs.path().join("c");
        let mut consumer = PaidConsumer::funded(&provider.link(), &folder, "");
        provider.notes.gate("open");
        let outpoint = provider.confirm();
        while_it_plays(&mut provider, &mut consumer, outpoint);

        consumer.stop();
        provider.notes.wait("ended");
        let settling = provider.notes.wait("settling");
        let (balance, fee) = (provider.balance(), settling.number("fee-sat"));
        wait_for(&provider.sink, "the channel to be settling", |stats| {
            number(stats, "channels-to-settle") == 1 && number(stats, "to-settle-sat") == balance
        });
        Regtest::shared().mine(6);
        provider.notes.wait("settled");
        let settled = wait_for(&provider.sink, "the channel to be settled", |stats| {
            number(stats, "channels-settled") == 1 && session(stats).is_none()
        });
        let figures = [
            "settled-sat",
            "earned-sat",
            "settlement-fees-sat",
            "to-settle-sat",
            "channels-open",
        ];
        assert_eq!(
            figures.map(|field| number(&settled, field)),
            [balance, balance, fee, 0, 0]
        );
        // A player that is closed pauses first.
        let closings = inner(&settled, "gate-closings");
        assert_eq!(number(&closings, "closed") + number(&closings, "paused"), 1);
        let left = stats(&consumer.source);
        assert_eq!(left.get::<String>("state").unwrap(), "idle");
        assert_eq!(number(&left, "paid-sat"), consumer.source.property::<u64>("paid"));
        // What was said last stays when the stream is over.
        provider.stop();
        assert_eq!(number(&stats(&provider.sink), "settled-sat"), balance);
    });
}

fn while_it_plays(provider: &mut PaidProvider, consumer: &mut PaidConsumer, outpoint: OutPoint) {
    let paying = wait_for(&provider.sink, "the session to be confirmed", |stats| {
        session(stats).is_some_and(|session| session.get("confirmations") == Ok(1_u64))
    });
    check_documented(&paying, SINK, true);
    for field in ["gate-closings", "faults"] {
        assert_eq!(names(&inner(&paying, field)), quoted_in_row(SINK, field));
    }
    let one = session(&paying).unwrap();
    check_documented(&one, "Each of `sessions/`:", true);
    assert_eq!(one.get::<String>("state").unwrap(), "open");
    assert_eq!(one.get::<String>("outpoint").unwrap(), outpoint.to_string());
    assert_eq!(number(&one, "capacity-sat"), CAPACITY_SAT);
    assert_eq!(number(&one, "rate-msat-per-s"), RATE_SAT_PER_S * 1_000);
    assert!(number(&one, "buffers-passed") > 0 && number(&one, "connected-ms") > 0);
    assert!(number(&one, "credit-ms") > 0 && number(&one, "consumed-msat") > 0);
    let figures = [
        "consumers-connected",
        "consumers-paying",
        "consumers-unpaid",
        "open-gates",
        "unconfirmed-sat",
    ];
    assert_eq!(figures.map(|field| number(&paying, field)), [1, 1, 0, 1, 0]);
    assert_eq!(number(&paying, "earned-sat"), number(&one, "balance-sat"));
    assert_eq!(number(&paying, "electrum-servers-up"), 1);
    let theirs = provider.sink.property::<gst::Structure>("stats");
    assert!(theirs.n_fields() > 1, "webrtcsink's own are there too: {theirs}");

    let playing = wait_for(&consumer.source, "the consumer to have confirmed", |stats| {
        let channel = stats.get::<gst::Structure>("channel");
        channel.is_ok_and(|channel| channel.get("confirmations") == Ok(1_u64))
    });
    check_documented(&playing, SOURCE, true);
    let channel = inner(&playing, "channel");
    assert_eq!(names(&channel), quoted_in_row(SOURCE, "channel"));
    assert_eq!(channel.get::<String>("outpoint").unwrap(), outpoint.to_string());
    let (paid, left) = (number(&playing, "paid-sat"), number(&playing, "budget-left-sat"));
    assert_eq!(paid + left, CAPACITY_SAT, "the budget is the capacity");
    let wallet = inner(&playing, "wallet");
    let documented = quoted_in_row(SOURCE, "wallet");
    assert!(
        names(&wallet).iter().all(|name| documented.contains(name)),
        "{wallet}"
    );
    assert!(
        number(&wallet, "confirmed-sat") + number(&wallet, "unconfirmed-sat") > 0,
        "{wallet}"
    );
    for track in ["video_0", "audio_0"] {
        assert!(number(&inner(&inner(&playing, "tracks"), track), "buffers") > 0);
    }
}

#[test]
fn a_free_stream_has_figures_too() {
    run(|| {
        let provider = Provider::free(H264);
        let sink = &provider.sink;
        let consumer = crate::common::webrtc::Consumer::ours(&provider);
        consumer.expect(gststreamiumpay::gate::TrackKind::Video, 5);
        let stats = wait_for(sink, "the consumer to be counted", |stats| {
            number(stats, "open-gates") == 1
        });
        check_documented(&stats, SINK, false);
        let figures = [
            "consumers-connected",
            "consumers-paying",
            "consumers-unpaid",
            "earned-sat",
            "electrum-servers",
        ];
        assert_eq!(figures.map(|field| number(&stats, field)), [1, 0, 0, 0, 0]);
    });
}

#[test]
fn elements_that_never_ran_have_figures() {
    crate::common::webrtc::init();
    for (name, below) in [("streamiumpaysink", SINK), ("streamiumpaysrc", SOURCE)] {
        let element = gst::ElementFactory::make(name).build().unwrap();
        check_documented(&stats(&element), below, false);
        let structure: glib::Value = element.property_value("stats");
        assert!(structure.get::<gst::Structure>().is_ok());
    }
}
