//! Paid media is given other times where there is a slate: sound and picture stay together.

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use crate::common::paid::{PaidConsumer, PaidProvider, RATE_SAT_PER_S};
use crate::common::sync::{BEEPS, FLASHES, Film, IN_SYNC_MS};
use crate::common::webrtc::run_within;

/// Twelve seconds.
const BUDGET_SAT: u64 = 12 * RATE_SAT_PER_S;
const PAUSES: u64 = 3;

/// Waits until it has been dark and silent for longer than the film ever is.
fn see_the_slate(consumer: &mut PaidConsumer) {
    const LONGER: gst::ClockTime = gst::ClockTime::from_mseconds(2_500);
    let (mut dark, mut silent) = (None, None);
    loop {
        let frame = consumer.any();
        let (since, is_live) = match frame.kind {
            Video => (&mut dark, frame.is_bright),
            Audio => (&mut silent, !frame.is_silent),
        };
        *since = (!is_live).then(|| since.unwrap_or(frame.running_time));
        let long =
            |since: Option<gst::ClockTime>| since.is_some_and(|since| frame.running_time > since + LONGER);
        if long(dark) && long(silent) {
            return;
        }
    }
}

#[test]
fn sound_and_picture_stay_together_behind_the_slate() {
    run_within(std::time::Duration::from_secs(240), || {
        let dirs = tempfile::tempdir().unwrap();
        let sources = format!("{FLASHES} sink. {BEEPS}");
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "settle-delay=60000");
        let film = Film::of(&provider.running.0);
        let settings = format!("slate=true budget={BUDGET_SAT}");
        let mut consumer = PaidConsumer::start(&provider.link(), &dirs.path().join("c"), &settings);
        see_the_slate(&mut consumer);
        consumer.fund();
        for run in 1..=1 + PAUSES {
            provider.notes.gate("open");
            let (_, out_of_sync) = film.watched(&mut consumer, gst::ClockTime::ZERO);
            println!("run {run}: the sound comes {out_of_sync} ms later than the picture");
            assert!(out_of_sync.abs() <= IN_SYNC_MS, "{out_of_sync} ms out of sync");
            provider.notes.gate("starved");
            see_the_slate(&mut consumer);
            consumer.source.set_property("budget", (run + 1) * BUDGET_SAT);
        }
        provider.notes.check();
        consumer.notes.check();
    });
}
