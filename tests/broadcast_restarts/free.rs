//! Properties, pads and the signaller between two runs.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};
use gststreamiumpay::inner::Signaller;

use crate::common::webrtc::*;

fn plays(provider: &Provider, kinds: &[gststreamiumpay::gate::TrackKind]) {
    let consumer = Consumer::ours(provider);
    for kind in kinds {
        consumer.expect(*kind, 5);
    }
    provider.running.check();
}

#[test]
fn it_streams_again_from_null_and_from_ready() {
    run(|| {
        let provider = Provider::free(&raw_both());
        for state in [gst::State::Null, gst::State::Ready] {
            plays(&provider, &[Video, Audio]);
            provider.running.0.set_state(state).unwrap();
            provider.play_again();
        }
        plays(&provider, &[Video, Audio]);
    });
}

#[test]
fn what_is_set_between_two_runs_counts_and_what_was_set_before_stays() {
    run(|| {
        let provider = Provider::start(
            &raw_both(),
            "video-caps=video/x-vp8 do-fec=false max-bitrate=2000000 video_0::msid=first",
            None,
        );
        let name = provider.inner().name();
        let signaller = provider.sink.property::<gst::glib::Object>("signaller");
        provider.stop();
        provider.sink.set_property("stream-name", "another");
        provider.sink.set_property("max-bitrate", 1_000_000_u32);
        signaller.set_property("insecure-tls", true);
        let link = provider.sink.property::<String>("link");
        assert!(link.contains("/the%20test"), "{link}");
        provider.play_again();

        let inner = provider.inner();
        assert_eq!(inner.name(), name);
        assert_eq!(
            inner.property::<gst::Caps>("video-caps").to_string(),
            "video/x-vp8"
        );
        assert!(!inner.property::<bool>("do-fec"));
        assert_eq!(inner.property::<u32>("max-bitrate"), 1_000_000);
        assert_eq!(
            inner
                .property::<gst::Structure>("meta")
                .get::<String>("name")
                .unwrap(),
            "another"
        );
        let pad = provider.sink.static_pad("video_0").unwrap();
        assert_eq!(pad.property::<String>("msid"), "first");
        let now = Signaller::of(&inner).unwrap();
        assert_eq!(*now.object(), signaller, "whoever has it has the present one");
        assert!(signaller.property::<bool>("insecure-tls"));
        let link = provider.sink.property::<String>("link");
        assert!(link.contains("/another"), "{link}");
    });
}

#[test]
fn signals_name_our_pads_and_come_once() {
    run(|| {
        let provider = Provider::free(RAW_VIDEO);
        let added = Arc::new(AtomicUsize::new(0));
        let pads: Arc<Mutex<Vec<String>>> = Arc::default();
        let counted = added.clone();
        provider.sink.connect("consumer-added", false, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            None
        });
        let names = pads.clone();
        provider.sink.connect("encoder-setup", false, move |values| {
            names.lock().unwrap().push(values[2].get().unwrap());
            Some(false.to_value())
        });
        // An application may keep what it has found in the bin: it must not answer consumers any more.
        let kept = provider.inner();
        provider.stop();
        provider.play_again();
        added.store(0, Ordering::SeqCst);
        plays(&provider, &[Video]);
        assert_eq!(added.load(Ordering::SeqCst), 1);
        assert!(pads.lock().unwrap().iter().all(|pad| pad == "video_0"));
        assert_ne!(kept, provider.inner());
        assert!(kept.parent().is_none());
    });
}

/// What a pipeline has of these elements, linked in this order, with our sink's pad at the end.
fn add_branch(provider: &Provider, launch: &str, pad: &gst::Pad) -> gst::Element {
    let branch = gst::parse::bin_from_description(launch, true).unwrap();
    provider.running.0.add(&branch).unwrap();
    branch.static_pad("src").unwrap().link(pad).unwrap();
    branch.upcast()
}

const AUDIO_BRANCH: &str = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! identity";
const VIDEO_BRANCH: &str =
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! identity";

#[test]
fn pads_come_and_go_between_two_runs() {
    run(|| {
        let provider = Provider::free(RAW_VIDEO);
        plays(&provider, &[Video]);
        provider.stop();
        let audio = provider.sink.request_pad_simple("audio_%u").unwrap();
        assert_eq!(audio.name(), "audio_0");
        add_branch(&provider, AUDIO_BRANCH, &audio);
        provider.play_again();
        plays(&provider, &[Video, Audio]);
        provider.stop();

        // Another video pad in the place of the first, whose number is not given again.
        let first = provider.sink.static_pad("video_0").unwrap();
        let source = first.peer().unwrap();
        source.unlink(&first).unwrap();
        provider.sink.release_request_pad(&first);
        let second = provider.sink.request_pad_simple("video_%u").unwrap();
        assert_eq!(second.name(), "video_1");
        source.link(&second).unwrap();
        for _ in 0..2 {
            provider.play_again();
            plays(&provider, &[Video, Audio]);
            provider.stop();
        }
        assert_eq!(provider.sink.sink_pads().len(), 2);
        assert_eq!(second.name(), "video_1");
        let third = provider.sink.request_pad_simple("video_%u").unwrap();
        assert_eq!(third.name(), "video_2");
        add_branch(&provider, VIDEO_BRANCH, &third);
        provider.play_again();
        plays(&provider, &[Video, Audio]);
    });
}
