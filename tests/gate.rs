//! The gate on pads of its own: what passes, when, and what is asked of encoders.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gst_check::Harness;
use gststreamiumpay::gate::{Gate, GateStats, KeyFrameLimiter, TrackKind};

const RAW_VIDEO: &str = "video/x-raw,format=I420,width=16,height=16,framerate=30/1";
const H264: &str = "video/x-h264,stream-format=byte-stream,alignment=au";
const RAW_AUDIO: &str = "audio/x-raw,format=S16LE,rate=48000,channels=2,layout=interleaved";

/// A track behind a gate: what is pushed in comes out if it passes.
fn track(gate: &Gate, kind: TrackKind, caps: &str) -> Harness {
    gst::init().unwrap();
    let mut harness = Harness::new("identity");
    harness.set_src_caps_str(caps);
    gate.attach_pad(&harness.element().unwrap().static_pad("src").unwrap(), kind);
    // Events from before are of no interest.
    while harness.try_pull_event().is_some() {}
    while harness.try_pull_upstream_event().is_some() {}
    harness
}

fn buffer(index: u64, delta: bool) -> gst::Buffer {
    let mut buffer = gst::Buffer::with_size(16).unwrap();
    let inner = buffer.get_mut().unwrap();
    inner.set_pts(gst::ClockTime::from_mseconds(index * 33));
    if delta {
        inner.set_flags(gst::BufferFlags::DELTA_UNIT);
    }
    buffer
}

fn key(index: u64) -> gst::Buffer {
    buffer(index, false)
}

fn delta(index: u64) -> gst::Buffer {
    buffer(index, true)
}

/// Pushes one buffer and gives it back if it passed. The harness pushes in this thread, so what has not come
/// out by then never will.
fn through(harness: &mut Harness, buffer: gst::Buffer) -> Option<gst::Buffer> {
    assert_eq!(
        harness.push(buffer),
        Ok(gst::FlowSuccess::Ok),
        "a dropped buffer is no error upstream"
    );
    harness.try_pull()
}

fn requests_upstream(harness: &mut Harness) -> usize {
    std::iter::from_fn(|| harness.try_pull_upstream_event())
        .filter(|event| gst_video::ForceKeyUnitEvent::is(event))
        .count()
}

fn requests_downstream(harness: &mut Harness) -> usize {
    std::iter::from_fn(|| harness.try_pull_event())
        .filter(|event| gst_video::ForceKeyUnitEvent::is(event))
        .count()
}

#[test]
fn a_closed_gate_drops_everything() {
    let gate = Gate::new([TrackKind::Video, TrackKind::Audio]);
    let mut video = track(&gate, TrackKind::Video, RAW_VIDEO);
    let mut audio = track(&gate, TrackKind::Audio, RAW_AUDIO);
    assert!(!gate.is_open());
    for index in 0..10 {
        assert!(through(&mut video, key(index)).is_none());
        assert!(through(&mut audio, key(index)).is_none());
    }
    assert_eq!(
        gate.stats(),
        GateStats {
            passed: 0,
            dropped: 20
        }
    );
    assert_eq!(requests_upstream(&mut video), 0);
    assert_eq!(requests_downstream(&mut video), 0);
}

#[test]
fn closing_takes_effect_for_the_very_next_buffer() {
    let gate = Gate::new([TrackKind::Video]);
    let mut video = track(&gate, TrackKind::Video, RAW_VIDEO);
    for round in 0..20 {
        gate.open();
        assert!(through(&mut video, key(3 * round)).is_some());
        assert!(through(&mut video, key(3 * round + 1)).is_some());
        gate.close();
        assert!(through(&mut video, key(3 * round + 2)).is_none());
    }
    assert_eq!(
        gate.stats(),
        GateStats {
            passed: 40,
            dropped: 20
        }
    );
}

#[test]
fn raw_video_reopens_at_once_and_on_a_key_frame() {
    let gate = Gate::new([TrackKind::Video]);
    let mut video = track(&gate, TrackKind::Video, RAW_VIDEO);
    assert!(through(&mut video, key(0)).is_none());
    for index in 1..3 {
        gate.open();
        let first = through(&mut video, key(2 * index)).expect("the first frame passes");
        assert!(
            first.flags().contains(gst::BufferFlags::DISCONT),
            "there was a gap"
        );
        assert_eq!(requests_downstream(&mut video), 1, "the encoder is told");
        let second = through(&mut video, key(2 * index + 1)).expect("so does the second");
        assert!(!second.flags().contains(gst::BufferFlags::DISCONT));
        assert_eq!(requests_downstream(&mut video), 0, "and not again");
        gate.close();
        assert!(through(&mut video, key(2 * index + 1)).is_none());
    }
    assert_eq!(requests_upstream(&mut video), 0);
}

#[test]
fn encoded_video_waits_for_a_key_frame_and_asks_for_it_once() {
    let gate = Gate::new([TrackKind::Video]);
    let mut video = track(&gate, TrackKind::Video, H264);
    assert!(
        through(&mut video, key(0)).is_none(),
        "closed is closed, key frame or not"
    );
    for opening in 1..3 {
        gate.open();
        assert_eq!(
            requests_upstream(&mut video),
            1,
            "asked on opening, before any buffer"
        );
        for index in 0..5 {
            assert!(through(&mut video, delta(opening * 10 + index)).is_none());
        }
        assert_eq!(requests_upstream(&mut video), 0, "but only once");
        let first = through(&mut video, key(opening * 10 + 5)).expect("the key frame passes");
        assert!(first.flags().contains(gst::BufferFlags::DISCONT));
        assert!(through(&mut video, delta(opening * 10 + 6)).is_some());
        gate.close();
        assert!(through(&mut video, delta(opening * 10 + 7)).is_none());
    }
}

#[test]
fn a_gate_that_is_open_already_asks_with_the_first_delta_unit() {
    let gate = Gate::new([TrackKind::Video]);
    gate.open();
    let mut video = track(&gate, TrackKind::Video, H264);
    assert!(through(&mut video, delta(0)).is_none());
    assert!(through(&mut video, delta(1)).is_none());
    assert_eq!(requests_upstream(&mut video), 1);
    let first = through(&mut video, key(2)).expect("the key frame passes");
    assert!(
        first.flags().contains(gst::BufferFlags::DISCONT),
        "two were dropped"
    );
}

#[test]
fn without_video_audio_does_not_wait() {
    let gate = Gate::new([TrackKind::Audio]);
    let mut audio = track(&gate, TrackKind::Audio, RAW_AUDIO);
    gate.open();
    let first = through(&mut audio, key(0)).expect("audio passes");
    assert!(
        !first.flags().contains(gst::BufferFlags::DISCONT),
        "nothing was dropped before"
    );
}

#[test]
fn audio_waits_for_video() {
    let gate = Gate::new([TrackKind::Video, TrackKind::Audio]);
    let mut video = track(&gate, TrackKind::Video, H264);
    let mut audio = track(&gate, TrackKind::Audio, RAW_AUDIO);
    for _ in 0..2 {
        gate.open();
        assert!(through(&mut audio, key(0)).is_none());
        assert!(through(&mut video, delta(0)).is_none());
        assert!(through(&mut audio, key(1)).is_none());
        assert!(through(&mut video, key(1)).is_some());
        assert!(through(&mut audio, key(2)).is_some());
        gate.close();
        assert!(through(&mut audio, key(3)).is_none());
    }
}

#[test]
fn audio_goes_alone_if_no_video_comes() {
    let wait = Duration::from_millis(50);
    let gate = Gate::with_audio_wait([TrackKind::Video, TrackKind::Audio], wait);
    let mut audio = track(&gate, TrackKind::Audio, RAW_AUDIO);
    gate.open();
    let opened = Instant::now();
    assert!(through(&mut audio, key(0)).is_none(), "it waits first");
    while through(&mut audio, key(1)).is_none() {
        assert!(opened.elapsed() < Duration::from_secs(20), "audio never passed");
        std::thread::yield_now();
    }
    assert!(opened.elapsed() >= wait);
}

#[test]
fn the_first_buffer_of_each_opening_is_reported_once() {
    let gate = Gate::new([TrackKind::Video, TrackKind::Audio]);
    let mut video = track(&gate, TrackKind::Video, RAW_VIDEO);
    let mut audio = track(&gate, TrackKind::Audio, RAW_AUDIO);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let sink = seen.clone();
    gate.on_first_buffer(move |kind| sink.lock().unwrap().push(kind));
    through(&mut video, key(0));
    assert!(seen.lock().unwrap().is_empty());
    for opening in 1..4 {
        gate.open();
        for index in 0..3 {
            through(&mut video, key(index));
            through(&mut audio, key(index));
        }
        gate.close();
        assert_eq!(*seen.lock().unwrap(), vec![TrackKind::Video; opening]);
    }
}

#[test]
fn who_gets_no_media_can_not_ask_for_key_frames() {
    let gate = Gate::new([TrackKind::Video]);
    let mut video = track(&gate, TrackKind::Video, H264);
    let ask = || gst_video::UpstreamForceKeyUnitEvent::builder().build();
    video.push_upstream_event(ask());
    assert_eq!(requests_upstream(&mut video), 0);
    gate.open();
    assert_eq!(requests_upstream(&mut video), 1, "the gate's own");
    video.push_upstream_event(ask());
    assert_eq!(requests_upstream(&mut video), 1);
}

#[test]
fn a_buffer_list_is_judged_buffer_by_buffer() {
    gst::init().unwrap();
    let received = Arc::new(AtomicUsize::new(0));
    let counter = received.clone();
    let sink = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_list_function(move |_, _, list| {
            counter.fetch_add(list.len(), Ordering::SeqCst);
            Ok(gst::FlowSuccess::Ok)
        })
        .build();
    let source = gst::Pad::builder(gst::PadDirection::Src).build();
    source.link(&sink).unwrap();
    sink.set_active(true).unwrap();
    source.set_active(true).unwrap();
    assert!(source.push_event(gst::event::StreamStart::new("test")));
    assert!(source.push_event(gst::event::Caps::new(&H264.parse::<gst::Caps>().unwrap())));
    assert!(source.push_event(gst::event::Segment::new(
        &gst::FormattedSegment::<gst::ClockTime>::new()
    )));

    let gate = Gate::new([TrackKind::Video]);
    gate.attach_pad(&source, TrackKind::Video);
    let list = || {
        [delta(0), delta(1), key(2), delta(3)]
            .into_iter()
            .collect::<gst::BufferList>()
    };
    assert_eq!(source.push_list(list()), Ok(gst::FlowSuccess::Ok));
    assert_eq!(received.load(Ordering::SeqCst), 0);
    gate.open();
    assert_eq!(source.push_list(list()), Ok(gst::FlowSuccess::Ok));
    assert_eq!(received.load(Ordering::SeqCst), 2, "from the key frame on");
    assert_eq!(source.push_list(list()), Ok(gst::FlowSuccess::Ok));
    assert_eq!(received.load(Ordering::SeqCst), 6);
    assert_eq!(
        gate.stats(),
        GateStats {
            passed: 6,
            dropped: 6
        }
    );
}

#[test]
fn many_key_frame_requests_become_few_but_none_is_lost() {
    gst::init().unwrap();
    let mut harness = Harness::new("identity");
    harness.set_src_caps_str(H264);
    while harness.try_pull_upstream_event().is_some() {}
    let pad = harness.element().unwrap().static_pad("sink").unwrap();
    let interval = Duration::from_millis(200);
    KeyFrameLimiter::install_with(&pad, interval);

    let started = Instant::now();
    for _ in 0..50 {
        pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
    }
    let asked_in = started.elapsed();
    assert_eq!(requests_upstream(&mut harness), 1, "the first goes at once");
    // Waits for it, for up to a minute.
    let later = harness.pull_upstream_event().expect("the others are not lost");
    assert!(gst_video::ForceKeyUnitEvent::is(&later));
    assert!(
        started.elapsed() + Duration::from_millis(5) >= interval,
        "but come together later"
    );
    assert_eq!(requests_upstream(&mut harness), 0);
    assert!(
        asked_in < interval,
        "this machine was too slow for the test to mean anything"
    );
}
