//! One pipeline goes to PLAYING and NULL again and again, and keeps nothing of it: threads, open files, memory. In a process
//! of its own, or the figures would be others' too.

mod common;

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use common::child::broadcaster;
use common::footprint::{Footprint, growth_kb};
use common::frames;
use common::paid::pipeline;
use common::wait::PATIENCE;
use common::webrtc::{RAW_AUDIO, Running, WHITE, free_port, init};
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind;

/// Pools of threads, registries and caches fill up in the first rounds.
const WARM_UP: usize = 5;
const ROUNDS: usize = 20;
/// GStreamer 1.22 keeps 25 to 40 kB of each run, of ours there is nothing in it: the names of a session's SDP attributes,
/// which have its SSRCs in them and are entered into GLib's table of names for good, and two caps of the query by which
/// webrtcsrc finds out whether to decode. A session that is kept is ten times as much.
const MAX_GROWTH_KB: f64 = 120.0;

fn watch(pipeline: &gst::Pipeline) -> Receiver<bool> {
    let (sender, pictures) = channel();
    let sender = Mutex::new(sender);
    let end = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
    frames::watch(TrackKind::Video, &end, move |frame| {
        let _ = sender.lock().unwrap().send(frame.is_bright);
    });
    pictures
}

/// The pads go with each end and come with each start, as those of any source that has them only sometimes.
fn link_when_added(pipeline: &gst::Pipeline) {
    let weak = pipeline.downgrade();
    pipeline.by_name("s").unwrap().connect_pad_added(move |_, pad| {
        let Some(pipeline) = weak.upgrade() else { return };
        let queue = pipeline.by_name(&pad.name()).unwrap();
        pad.link(&queue.static_pad("sink").unwrap()).unwrap();
    });
}

/// To the first picture, which is the slate's unless the machine is busy, or to the video behind it; and back.
fn round(pipeline: &gst::Pipeline, frames: &Receiver<bool>, to_video: bool) {
    let until = Instant::now() + PATIENCE;
    pipeline.set_state(gst::State::Playing).unwrap();
    while !frames.recv_timeout(PATIENCE).expect("pictures come") && to_video {
        assert!(Instant::now() < until, "the slate makes no way");
    }
    pipeline.set_state(gst::State::Null).unwrap();
    while frames.try_recv().is_ok() {}
}

#[test]
fn twenty_restarts_leave_nothing_behind() {
    init();
    let dir = tempfile::tempdir().unwrap();
    // What that keeps of its consumers is another matter: tests/broadcast_leaks.rs.
    let mut provider = broadcaster(
        &[],
        "the test",
        dir.path(),
        free_port(),
        &format!("{WHITE}{RAW_AUDIO}"),
    );
    let uri = provider.link();
    let running = Running(pipeline(&format!(
        "streamiumpaysrc name=s uri=\"{uri}\" network=regtest stun-server=none queue name=video_0 ! videoconvert \
         ! fakesink name=end queue name=audio_0 ! audioconvert ! fakesink"
    )));
    link_when_added(&running.0);
    let frames = watch(&running.0);
    for n in 0..WARM_UP {
        round(&running.0, &frames, n % 4 != 3);
    }
    let before = Footprint::settled();
    for n in 0..ROUNDS {
        round(&running.0, &frames, n % 4 != 3);
    }
    let after = Footprint::back_to(before);
    let growth_kb = growth_kb(before, after, ROUNDS);
    println!("before: {before}; after {ROUNDS} more rounds: {after}; {growth_kb:.1} kB a round");
    assert!(growth_kb < MAX_GROWTH_KB, "{growth_kb} kB a round");
}
