//! The slate makes way for the paid video, and comes back, in a real paid stream.

use std::time::Duration;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{self, Audio, Video};

use crate::common::frames::Frame;
use crate::common::paid::{PaidConsumer, PaidProvider};
use crate::common::webrtc::{RAW_AUDIO, WHITE, run};

const BUDGET_SAT: u64 = 1_000;

/// Live media, and no slate and no silence.
fn is_live(frame: &Frame) -> bool {
    match frame.kind {
        Video => frame.is_bright,
        Audio => !frame.is_silent,
    }
}

/// Collects what comes until live media of both kinds has, or slate and silence of both.
fn until(consumer: &mut PaidConsumer, all: &mut Vec<Frame>, live: bool) {
    let mut missing = vec![Video, Audio];
    while !missing.is_empty() {
        let frame = consumer.any();
        missing.retain(|kind| *kind != frame.kind || is_live(&frame) != live);
        all.push(frame);
    }
}

fn of(kind: TrackKind, all: &[Frame]) -> Vec<Frame> {
    all.iter().filter(|frame| frame.kind == kind).copied().collect()
}

/// The time from the last buffer before each change to the first after it.
fn changes(track: &[Frame]) -> Vec<(bool, Duration)> {
    let pairs = track.iter().zip(track.iter().skip(1));
    let changes = pairs.filter(|(before, after)| is_live(before) != is_live(after));
    changes
        .map(|(before, after)| (is_live(after), (after.running_time - before.running_time).into()))
        .collect()
}

#[test]
fn the_slate_makes_way_for_paid_media_and_comes_back() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let sources = format!("{WHITE}{RAW_AUDIO}");
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "settle-delay=60000");
        let settings = format!("slate=true budget={BUDGET_SAT}");
        let mut consumer = PaidConsumer::start(&provider.link(), &dirs.path().join("c"), &settings);
        let mut all = Vec::new();
        until(&mut consumer, &mut all, false);
        let asked = consumer.fund();
        consumer.notes.gate("open");
        until(&mut consumer, &mut all, true);
        consumer.notes.wait("exhausted");
        consumer.notes.gate("starved");
        until(&mut consumer, &mut all, false);
        consumer.source.set_property("budget", 3 * BUDGET_SAT);
        provider.notes.gate("open");
        until(&mut consumer, &mut all, true);
        consumer.stop();

        let (video, audio) = (of(Video, &all), of(Audio, &all));
        for track in [&video, &audio] {
            let kind = track[0].kind;
            assert!(
                track.is_sorted_by(|a, b| a.running_time < b.running_time),
                "{kind:?} goes back"
            );
            let changes = changes(track);
            println!("{kind:?}: {changes:?}");
            let turns: Vec<bool> = changes.iter().map(|(live, _)| *live).collect();
            assert_eq!(turns, [true, false, true], "{kind:?} flickers");
        }
        assert!(asked.number("buys-ms") > 0);
        provider.notes.check();
        consumer.notes.check();
    });
}

#[test]
fn a_paused_player_keeps_its_last_picture() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let sources = format!("{WHITE}{RAW_AUDIO}");
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "");
        let mut consumer = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), "slate=true");
        until(&mut consumer, &mut Vec::new(), true);
        consumer.running.0.set_state(gst::State::Paused).unwrap();
        provider.notes.gate("paused");
        // What was on its way when it was paused has come.
        consumer.drain(Duration::from_secs(1));
        consumer.running.0.set_state(gst::State::Playing).unwrap();
        let reopened = provider.notes.gate("open");
        let mut shown = Vec::new();
        while shown.last().is_none_or(|frame: &Frame| frame.at < reopened.at) {
            shown.push(consumer.next(Video));
        }
        assert!(
            shown.iter().all(|frame| frame.is_bright),
            "the slate was shown in between"
        );
        consumer.stop();
        provider.notes.check();
        consumer.notes.check();
    });
}
