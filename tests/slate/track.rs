//! One track by itself, with live media made by hand: what passes, and when.

use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind;
use gststreamiumpay::slate::{Identity, Slate, Track, TrackSettings};

use crate::common::frames::is_bright;
use crate::common::wait::PATIENCE;
use crate::common::webrtc::{Running, init};

const WIDTH: usize = 160;
const HEIGHT: usize = 120;
/// Live media arrives this late.
const BEHIND: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// What the sink gets: a picture, or an event of this type.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Got {
    Picture { is_live: bool, at: gst::ClockTime },
    Event(gst::EventType),
}

struct Bench {
    running: Running,
    track: Track,
    live: gst_app::AppSrc,
    got: Receiver<Got>,
    all: Vec<Got>,
}

impl Bench {
    fn start() -> Self {
        init();
        let pipeline = gst::Pipeline::new();
        let bin = gst::Bin::new();
        let caps = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, WIDTH as u32, HEIGHT as u32);
        let caps = caps.build().unwrap().to_caps().unwrap();
        let live = gst_app::AppSrc::builder()
            .caps(&caps)
            .format(gst::Format::Time)
            .is_live(true)
            .build();
        let identity = Identity::new("a bench", &[TrackKind::Video]).remove(0);
        let track = Track::new(
            "track",
            TrackSettings {
                kind: TrackKind::Video,
                size: (WIDTH as i32, HEIGHT as i32),
                identity,
            },
        );
        track.set_slate(Arc::new(Slate::default()));
        bin.add(&track).unwrap();
        bin.add(&live).unwrap();
        let outlet = gst::GhostPad::builder(gst::PadDirection::Src)
            .name("video_0")
            .build();
        track.show_as(&outlet).unwrap();
        bin.add_pad(&outlet).unwrap();
        let sink = gst::ElementFactory::make("fakesink")
            .property("sync", false)
            .property("async", false);
        let sink = sink.build().unwrap();
        pipeline.add(&bin).unwrap();
        pipeline.add(&sink).unwrap();
        outlet.link(&sink.static_pad("sink").unwrap()).unwrap();
        track.attach(&live.static_pad("src").unwrap()).unwrap();
        let got = watch(&sink);
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            running: Running(pipeline),
            track,
            live,
            got,
            all: Vec::new(),
        }
    }

    fn now(&self) -> gst::ClockTime {
        self.running.0.current_running_time().unwrap()
    }

    /// A white picture that arrived then.
    fn arrives(&self, at: gst::ClockTime) {
        let mut buffer = gst::Buffer::from_mut_slice(vec![235_u8; WIDTH * HEIGHT * 3 / 2]);
        buffer.get_mut().unwrap().set_pts(at);
        self.live.push_buffer(buffer).unwrap();
    }

    /// One that arrived just now, but for the jitter buffer.
    fn arrives_now(&self) {
        self.arrives(self.now() - BEHIND);
    }

    /// Waits for a picture of this sort, while live ones arrive if they shall.
    fn until(&mut self, is_live: bool, arriving: bool) {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            if arriving {
                self.arrives_now();
            }
            let got = self.got.recv_timeout(Duration::from_millis(50));
            self.all.extend(got.iter());
            if matches!(got, Ok(Got::Picture { is_live: live, .. }) if live == is_live) {
                return;
            }
        }
        panic!("no such picture: {is_live}");
    }

    /// Everything that comes for a while, while live ones arrive if they shall: there is no event for what does not come.
    fn meanwhile(&mut self, arriving: bool) -> Vec<Got> {
        let until = Instant::now() + Duration::from_millis(800);
        let mut all = Vec::new();
        while Instant::now() < until {
            if arriving {
                self.arrives_now();
            }
            all.extend(self.got.recv_timeout(Duration::from_millis(50)));
        }
        self.all.extend(&all);
        all
    }

    fn count(&self, wanted: gst::EventType) -> usize {
        self.all.iter().filter(|got| **got == Got::Event(wanted)).count()
    }
}

fn watch(sink: &gst::Element) -> Receiver<Got> {
    let (sender, got) = channel();
    let sender = Mutex::new(sender);
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    sink.static_pad("sink").unwrap().add_probe(mask, move |_, info| {
        let got = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => Got::Picture {
                is_live: is_bright(buffer),
                at: buffer.pts().unwrap(),
            },
            Some(gst::PadProbeData::Event(event)) => Got::Event(event.type_()),
            _ => return gst::PadProbeReturn::Ok,
        };
        let _ = sender.lock().unwrap().send(got);
        gst::PadProbeReturn::Ok
    });
    got
}

fn pictures(all: &[Got]) -> Vec<bool> {
    let live = |got: &Got| match got {
        Got::Picture { is_live, .. } => Some(*is_live),
        Got::Event(_) => None,
    };
    all.iter().filter_map(live).collect()
}

#[test]
fn live_media_is_shown_from_when_it_may_be_to_when_it_may_not() {
    let mut bench = Bench::start();
    bench.until(false, false);
    let before = pictures(&bench.meanwhile(true));
    assert!(
        before.len() > 3 && !before.contains(&true),
        "shown before it may be: {before:?}"
    );
    bench.track.admit();
    bench.until(true, true);
    assert!(bench.track.has_played());
    // A stall: the last picture stays.
    assert!(
        !pictures(&bench.meanwhile(false)).contains(&false),
        "the slate is shown in a stall"
    );
    let playing = pictures(&bench.meanwhile(true));
    assert!(
        playing.len() > 3 && !playing.contains(&false),
        "the slate goes on beside it: {playing:?}"
    );

    bench.track.cover();
    let covered_at = bench.now();
    bench.until(false, true);
    let covered = pictures(&bench.meanwhile(true));
    assert!(
        covered.len() > 3 && !covered.contains(&true),
        "shown although covered: {covered:?}"
    );

    bench.track.admit();
    bench.arrives(covered_at - gst::ClockTime::from_mseconds(50));
    let old = pictures(&bench.meanwhile(false));
    assert!(
        !old.is_empty() && !old.contains(&true),
        "what arrived before it was covered is shown: {old:?}"
    );
    bench.until(true, true);

    let times = bench.all.iter().filter_map(|got| match got {
        Got::Picture { at, .. } => Some(*at),
        Got::Event(_) => None,
    });
    let times: Vec<_> = times.collect();
    assert!(times.is_sorted_by(|a, b| a < b), "times go back");
    assert_eq!(
        (
            bench.count(gst::EventType::StreamStart),
            bench.count(gst::EventType::Segment)
        ),
        (1, 1)
    );
}

#[test]
fn nothing_comes_after_the_end() {
    let mut bench = Bench::start();
    bench.until(false, false);
    bench.track.end();
    let after = bench.meanwhile(true);
    let end = after
        .iter()
        .position(|got| *got == Got::Event(gst::EventType::Eos))
        .expect("the end is told");
    assert_eq!(pictures(&after[end..]), Vec::<bool>::new());
    assert_eq!(bench.count(gst::EventType::Eos), 1);
}
