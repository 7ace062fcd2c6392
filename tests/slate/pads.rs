//! Whatever is linked to the pads: raw, encoded, one of two, of one size alone; the end of a recording.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use crate::common::frames::{is_bright, is_silent, running_time};
use crate::common::notes::Notes;
use crate::common::paid::{PaidConsumer, PaidProvider, pipeline};
use crate::common::wait::PATIENCE;
use crate::common::webrtc::{H264, Provider, RAW_AUDIO, Running, WHITE, run};

/// What has arrived at an element called `end`.
struct Arrived {
    caps: gst::Caps,
    is_bright: bool,
    is_silent: bool,
    running_time: gst::ClockTime,
}

struct Viewer {
    running: Running,
    notes: Notes,
    arrived: Receiver<Arrived>,
}

impl Viewer {
    /// `chain` follows the source, which is called `s`.
    fn start(provider: &Provider, settings: &str, chain: &str) -> Self {
        let uri = provider.uri();
        let source = format!("streamiumpaysrc name=s uri=\"{uri}\" stun-server=none {settings}");
        let pipeline = pipeline(&format!("{source} {chain}"));
        let notes = Notes::take(&pipeline, "viewer");
        let (sender, arrived) = channel();
        let sender = Mutex::new(sender);
        let end = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
        end.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                let _ = sender.lock().unwrap().send(Arrived {
                    caps: pad.current_caps().unwrap(),
                    is_bright: is_bright(buffer),
                    is_silent: is_silent(buffer),
                    running_time: running_time(pad, buffer),
                });
            }
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            running: Running(pipeline),
            notes,
            arrived,
        }
    }

    fn next(&self) -> Arrived {
        self.arrived.recv_timeout(PATIENCE).expect("something arrives")
    }

    /// Waits for a buffer of which this holds; answers those before it.
    fn until(&self, holds: impl Fn(&Arrived) -> bool) -> (Vec<Arrived>, Arrived) {
        let (mut before, until) = (Vec::new(), Instant::now() + PATIENCE);
        while Instant::now() < until {
            let arrived = self.next();
            if holds(&arrived) {
                return (before, arrived);
            }
            before.push(arrived);
        }
        panic!("it never came");
    }

    fn source(&self) -> gst::Element {
        self.running.0.by_name("s").unwrap()
    }
}

fn field(caps: &gst::Caps, name: &str) -> i32 {
    caps.structure(0).unwrap().get(name).unwrap()
}

fn name(caps: &gst::Caps) -> &str {
    caps.structure(0).unwrap().name()
}

#[test]
fn video_alone_is_linked() {
    run(|| {
        let provider = Provider::free(&format!("{WHITE}{RAW_AUDIO}"));
        let viewer = Viewer::start(
            &provider,
            "slate-size=640x360",
            "! videoconvert ! fakesink name=end",
        );
        let (slate, live) = viewer.until(|arrived| arrived.is_bright);
        assert!(slate.iter().all(|arrived| field(&arrived.caps, "width") == 640) && !slate.is_empty());
        assert_eq!(field(&live.caps, "width"), 320);
        for _ in 0..15 {
            assert!(viewer.next().is_bright, "the slate goes on beside the video");
        }
    });
}

#[test]
fn sound_alone_is_linked() {
    run(|| {
        let provider = Provider::free(&format!("{WHITE}{RAW_AUDIO}"));
        let viewer = Viewer::start(
            &provider,
            "",
            "! audioconvert ! audio/x-raw,format=S16LE ! fakesink name=end",
        );
        let first = viewer.next();
        assert!(first.is_silent && first.running_time < gst::ClockTime::from_seconds(2));
        viewer.until(|arrived| !arrived.is_silent);
    });
}

#[test]
fn who_wants_it_encoded_gets_it_encoded_and_no_slate() {
    run(|| {
        let provider = Provider::free(&format!("{H264}{RAW_AUDIO}"));
        for (wanted, got) in [
            ("! video/x-h264 ! fakesink name=end", "video/x-h264"),
            ("! rtph264depay ! h264parse ! fakesink name=end", "video/x-h264"),
            (
                "! application/x-rtp,media=video ! fakesink name=end",
                "application/x-rtp",
            ),
        ] {
            let mut viewer = Viewer::start(&provider, "", wanted);
            for _ in 0..10 {
                assert_eq!(name(&viewer.next().caps), got, "{wanted}");
            }
            let said = viewer
                .notes
                .wait_for("info", |note| note.words.contains("there is no slate"));
            assert!(said.words.contains("video_0"), "{said:?}");
        }
    });
}

#[test]
fn what_takes_one_size_alone_gets_it() {
    run(|| {
        let provider = Provider::free(WHITE);
        let chain =
            "! video/x-raw,width=480,height=480 ! videoconvert ! video/x-raw,format=I420 ! fakesink name=end";
        let viewer = Viewer::start(&provider, "", chain);
        let (slate, live) = viewer.until(|arrived| arrived.is_bright);
        assert!(!slate.is_empty());
        for arrived in slate.iter().chain([&live]) {
            assert_eq!(
                (field(&arrived.caps, "width"), field(&arrived.caps, "height")),
                (480, 480)
            );
        }
    });
}

#[test]
fn without_a_slate_the_pads_come_with_the_media() {
    run(|| {
        let provider = Provider::free(WHITE);
        let viewer = Viewer::start(&provider, "slate=false", "! videoconvert ! fakesink name=end");
        assert!(viewer.next().is_bright, "what comes first is the video");
        assert_eq!(viewer.source().src_pads().len(), 1);
    });
}

fn has_one_latency(video: &str) {
    let provider = Provider::free(&format!("{video}{RAW_AUDIO}"));
    let viewer = Viewer::start(
        &provider,
        "slate-size=640x360",
        "! videoconvert ! fakesink name=end",
    );
    let source = viewer.source();
    let names: Vec<_> = source
        .src_pads()
        .iter()
        .map(|pad| pad.name().to_string())
        .collect();
    assert_eq!(names, ["video_0", "audio_0"]);
    let latency = || {
        let mut query = gst::query::Latency::new();
        assert!(source.static_pad("video_0").unwrap().query(&mut query));
        query.result()
    };
    let before = latency();
    assert!(before.0, "it is live");
    viewer.until(|arrived| field(&arrived.caps, "width") == 320);
    assert_eq!(latency(), before);
}

#[test]
fn both_pads_are_there_from_the_start_with_a_latency_that_stays() {
    run(|| {
        has_one_latency(WHITE);
        has_one_latency(H264);
    });
}

/// As Ctrl-C with `gst-launch-1.0 -e`.
fn ends_with_its_end(wait_for_live: bool) {
    let provider = Provider::free(&format!("{WHITE}{RAW_AUDIO}"));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("recording.mkv");
    let chain = format!(
        "s. ! queue ! video/x-raw ! videoconvert ! identity name=end ! x264enc tune=zerolatency \
         speed-preset=ultrafast ! queue ! m. s. ! queue ! audio/x-raw ! audioconvert ! opusenc ! queue ! m. \
         matroskamux name=m ! filesink location={}",
        file.display()
    );
    let mut viewer = Viewer::start(&provider, "slate-size=320x240", &chain);
    viewer.until(|arrived| arrived.is_bright == wait_for_live);
    let from = viewer.next().running_time;
    viewer.until(|arrived| arrived.running_time > from + gst::ClockTime::SECOND);
    assert!(viewer.running.0.send_event(gst::event::Eos::new()));
    viewer.notes.wait("eos");
    viewer.running.0.set_state(gst::State::Null).unwrap();
    let play = pipeline(&format!(
        "filesrc location={} ! matroskademux name=d d.video_0 ! fakesink",
        file.display()
    ));
    play.set_state(gst::State::Paused).unwrap();
    let (changed, _, _) = play.state(gst::ClockTime::from_seconds(60));
    changed.unwrap();
    let length = play
        .query_duration::<gst::ClockTime>()
        .expect("a recording that was ended says how long it is");
    play.set_state(gst::State::Null).unwrap();
    assert!(length >= gst::ClockTime::SECOND, "{length}");
}

#[test]
fn a_recording_of_the_stream_ends_properly() {
    run(|| ends_with_its_end(true));
}

#[test]
fn a_recording_of_the_slate_ends_properly() {
    run(|| ends_with_its_end(false));
}

#[test]
fn a_refusal_can_be_read_before_the_error_comes() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let provider = PaidProvider::start(&dirs.path().join("p"), WHITE, "");
        let mut consumer =
            PaidConsumer::start(&provider.link(), &dirs.path().join("c"), "slate=true max-rate=1");
        let ended = consumer.notes.wait("ended");
        assert!(ended.text("reason").contains("max-rate"), "{ended:?}");
        // The slate goes on, and the pipeline with it.
        consumer.drain_queued();
        let shown = consumer.next(Video);
        assert!(shown.at > ended.at && !shown.is_bright);
        let error = consumer.notes.wait("error");
        assert!(error.words.contains("max-rate"), "{error:?}");
        assert!(error.at - ended.at > std::time::Duration::from_secs(3));
    });
}

#[test]
fn a_track_whose_name_is_taken_leaves_none_behind() {
    run(|| {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let source = gst::ElementFactory::make("streamiumpaysrc")
            .property("uri", format!("streamium://127.0.0.1:1/x?key={key}"))
            .build()
            .unwrap();
        let source = source.downcast::<gst::Bin>().unwrap();
        let taken = gst::ElementFactory::make("identity").name("slate_audio_0");
        let taken = taken.build().unwrap();
        source.add(&taken).unwrap();
        assert!(source.set_state(gst::State::Paused).is_err());
        assert_eq!(source.children(), std::slice::from_ref(&taken));
        assert!(source.src_pads().is_empty());
        source.set_state(gst::State::Null).unwrap();
        source.remove(&taken).unwrap();
        source.set_state(gst::State::Paused).unwrap();
        assert_eq!(source.src_pads().len(), 2);
        source.set_state(gst::State::Null).unwrap();
    });
}
