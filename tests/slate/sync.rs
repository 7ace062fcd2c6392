//! Paid media is given other times where there is a slate: sound and picture stay together.

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use crate::common::paid::{PaidConsumer, PaidProvider, RATE_SAT_PER_S};
use crate::common::sync::{BEEPS, FLASHES, Film, IN_SYNC_MS};
use crate::common::webrtc::run_within;

/// Ten seconds.
const BUDGET_SAT: u64 = 10 * RATE_SAT_PER_S;
const PAUSES: u64 = 3;

/// Waits for more dark pictures in a row than the film has, a second's, and for silence.
fn see_the_slate(consumer: &mut PaidConsumer) {
    let (mut dark, mut silent) = (0, 0);
    while dark < 20 || silent < 20 {
        let frame = consumer.any();
        match frame.kind {
            Video if frame.is_bright => dark = 0,
            Video => dark += 1,
            Audio if frame.is_silent => silent += 1,
            Audio => silent = 0,
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
