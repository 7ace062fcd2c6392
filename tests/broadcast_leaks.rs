//! A broadcast that is stopped and started again and again leaves nothing behind. Alone in its process, so that nobody
//! else's threads and files are counted.

mod common;

use std::time::Duration;

use common::child::Launched;
use common::footprint::{Footprint, growth_kb};
use common::paid::PaidProvider;
use common::regtest::Regtest;
use common::webrtc::*;
use gst::prelude::*;

const ROUNDS: usize = 20;
/// After so many rounds every cache is full and every pool has its threads.
const WARM: usize = 5;
/// Of what is allocated. More than GStreamer itself leaves of a run, far less than a leaked session has.
const MAX_GROWTH_KB: f64 = 100.0;

#[test]
fn twenty_runs_leave_nothing_behind() {
    run_within(Duration::from_secs(900), || {
        free_and_watched();
        paid_and_alone();
        stopped_at_once();
    });
}

/// Each run is watched until both media have come, and ends under its viewer, who is in a process of his own.
fn free_and_watched() {
    let provider = Provider::start(
        &format!("{RAW_VIDEO} {RAW_AUDIO}"),
        "metrics-address=127.0.0.1:0",
        None,
    );
    let mut inners = Vec::new();
    let mut warm = None;
    for round in 1..=ROUNDS {
        let mut viewer = Launched::start(&["-v"], &viewer(&provider.uri()));
        viewer.wait_for("video: last-message = chain");
        viewer.wait_for("audio: last-message = chain");
        provider.running.check();
        inners.push(provider.inner().downgrade());
        provider.stop();
        drop(viewer);
        if round == WARM {
            warm = Some(Footprint::settled());
        }
        println!("free, round {round}: {}", Footprint::now());
        if round < ROUNDS {
            provider.play_again();
        }
    }
    drop(provider);
    let warm = warm.unwrap();
    let end = Footprint::back_to(warm);
    println!("free: after {WARM} rounds {warm}; after {ROUNDS} {end}");
    let grown_kb = growth_kb(warm, end, ROUNDS - WARM);
    println!("{grown_kb:.1} kB a round");
    assert!(grown_kb < MAX_GROWTH_KB, "{grown_kb} kB a round");
    let alive = inners.iter().filter(|inner| inner.upgrade().is_some()).count();
    assert_eq!(alive, 0, "webrtcsinks of earlier runs");
}

/// In a process of its own. What passes is printed.
fn viewer(uri: &str) -> String {
    format!(
        "streamiumpaysrc name=source uri={uri} stun-server=none slate=false \
         source.video_0 ! videoconvert ! identity name=video silent=false ! fakesink \
         source.audio_0 ! audioconvert ! identity name=audio silent=false ! fakesink"
    )
}

/// With driver, store, Electrum connection and metrics.
fn paid_and_alone() {
    let dir = tempfile::tempdir().unwrap();
    Regtest::shared();
    let mut provider = PaidProvider::start(dir.path(), RAW_VIDEO, "metrics-address=127.0.0.1:0");
    let mut warm = None;
    for round in 1..=ROUNDS {
        provider
            .notes
            .wait_for("signalling", |note| note.flag("reachable"));
        provider.stop();
        if round == WARM {
            warm = Some(Footprint::settled());
        }
        println!("paid, round {round}: {}", Footprint::now());
        if round < ROUNDS {
            provider.play_again();
        }
    }
    let warm = warm.unwrap();
    let end = Footprint::back_to(warm);
    println!("paid: after {WARM} rounds {warm}; after {ROUNDS} {end}");
    let grown_kb = growth_kb(warm, end, ROUNDS - WARM);
    println!("{grown_kb:.1} kB a round");
    assert!(grown_kb < MAX_GROWTH_KB, "{grown_kb} kB a round");
}

/// Before webrtcsink has found out what it can encode to.
fn stopped_at_once() {
    let before = Footprint::settled();
    let provider = Provider::free(RAW_VIDEO);
    for round in 1..=ROUNDS {
        provider.stop();
        println!("stopped at once, round {round}: {}", Footprint::now());
        provider.play_again();
    }
    drop(provider);
    println!(
        "stopped at once: before {before}; after {}",
        Footprint::back_to(before)
    );
}
