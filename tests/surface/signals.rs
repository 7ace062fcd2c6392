//! The forwarded signals against those of the live inner elements, and who answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use glib::subclass::SignalId;
use glib::translate::{FromGlib, IntoGlib};
use gst::glib;
use gst::prelude::*;
use gststreamiumpay::inner::make_sink;

use crate::common::webrtc::{Consumer, Provider, RAW_VIDEO, begun, run};
use crate::{inside, pairs};

/// The signals that a type has over any bin's.
fn own_signals(of: glib::Type) -> Vec<SignalId> {
    let types = std::iter::successors(Some(of), |type_| type_.parent());
    types
        .take_while(|type_| *type_ != gst::Bin::static_type())
        .flat_map(declared)
        .collect()
}

fn declared(of: glib::Type) -> Vec<SignalId> {
    let mut count = 0;
    // SAFETY: `of` is a registered type, and what is returned are `count` ids, which are ours to free.
    unsafe {
        let ids = glib::gobject_ffi::g_signal_list_ids(of.into_glib(), &mut count);
        let list = (0..count as usize)
            .map(|at| SignalId::from_glib(*ids.add(at)))
            .collect();
        glib::ffi::g_free(ids.cast());
        list
    }
}

/// A type as ours declares it: one of the inner element's own would clash.
fn generic(type_: glib::Type) -> glib::Type {
    if type_.is_a(glib::Type::FLAGS) {
        glib::Type::U32
    } else {
        type_
    }
}

#[test]
fn every_signal_is_there_with_the_same_types() {
    run(|| {
        for pair in pairs() {
            for theirs in own_signals(pair.inner.type_()) {
                let name = theirs.name();
                let ours = SignalId::lookup(name, pair.ours.type_());
                let (ours, theirs) = (
                    ours.unwrap_or_else(|| panic!("no {name}")).query(),
                    theirs.query(),
                );
                let types = |query: &glib::subclass::SignalQuery| -> Vec<_> {
                    query.param_types().iter().map(|of| generic(of.type_())).collect()
                };
                assert_eq!(types(&ours), types(&theirs), "{name}");
                assert_eq!(ours.return_type().type_(), theirs.return_type().type_(), "{name}");
                let told = glib::SignalFlags::ACTION
                    | glib::SignalFlags::DETAILED
                    | glib::SignalFlags::RUN_FIRST
                    | glib::SignalFlags::RUN_LAST
                    | glib::SignalFlags::RUN_CLEANUP
                    | glib::SignalFlags::NO_RECURSE;
                assert_eq!(ours.flags() & told, theirs.flags() & told, "{name}");
            }
            for row in pair.signals.0 {
                assert!(
                    SignalId::lookup(row.name, pair.inner.type_()).is_some(),
                    "{} is no more",
                    row.name
                );
            }
        }
    });
}

/// The inner element emits it; nobody listens to ours.
fn caps_for(sink: &gst::Element, bitrate: i32) -> gst::Caps {
    let caps = gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", 1280)
        .field("height", 720)
        .field("framerate", gst::Fraction::new(30, 1))
        .build();
    let info = gst_video::VideoInfo::from_caps(&caps).unwrap();
    let id = SignalId::lookup("configure-mitigation-caps", sink.type_()).unwrap();
    let modes = id.query().param_types()[3].type_();
    let modes = glib::FlagsClass::with_type(modes).unwrap();
    let modes = modes
        .builder()
        .set_by_nick("downscaled")
        .set_by_nick("downsampled")
        .build()
        .unwrap();
    let values = ["video_0".to_value(), info.to_value(), bitrate.to_value(), modes];
    let answer = sink.emit_by_name_with_values("configure-mitigation-caps", &values);
    answer.unwrap().get().unwrap()
}

fn bitrates(sink: &gst::Element) -> i32 {
    let given = gst::Structure::builder("webrtcsink/encoder-bitrates")
        .field("video_0", 1_000i32)
        .build();
    let answer: Option<gst::Structure> =
        sink.emit_by_name("define-encoder-bitrates", &[&"consumer", &1_000i32, &given]);
    answer.unwrap().get("video_0").unwrap()
}

#[test]
fn without_a_listener_the_inner_elements_defaults_hold() {
    run(|| {
        let ours = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
        let (plain, inner) = (make_sink().unwrap(), inside(&ours).unwrap());
        let expected = [100_000, 500_000, 5_000_000].map(|bitrate| caps_for(&plain, bitrate));
        assert_ne!(
            expected[0], expected[2],
            "a default that is always the same shows nothing"
        );
        assert_eq!(
            [100_000, 500_000, 5_000_000].map(|bitrate| caps_for(&inner, bitrate)),
            expected
        );
        assert_eq!(bitrates(&inner), bitrates(&plain));
        let filter = |sink: &gst::Element| {
            let caps = gst::Caps::new_empty_simple("video/x-vp8");
            sink.emit_by_name::<Option<gst::Element>>(
                "request-encoded-filter",
                &[&"consumer", &"video_0", &caps],
            )
        };
        assert_eq!((filter(&inner), filter(&plain)), (None, None));
    });
}

#[test]
fn a_listeners_answer_is_the_inner_elements() {
    run(|| {
        let ours = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
        let inner = inside(&ours).unwrap();
        let (shared, chosen) = (
            2_000i32,
            gst::Caps::builder("video/x-raw").field("height", 123).build(),
        );
        let id = ours.connect("define-encoder-bitrates", false, move |values| {
            let mut bitrates = values[3].get::<gst::Structure>().unwrap();
            bitrates.set("video_0", shared);
            Some(bitrates.to_value())
        });
        let answer = chosen.clone();
        ours.connect("configure-mitigation-caps", false, move |values| {
            assert_eq!(values[4].get::<u32>().unwrap(), 3, "both modes");
            Some(answer.to_value())
        });
        assert_eq!((bitrates(&inner), caps_for(&inner, 100_000)), (shared, chosen));
        ours.disconnect(id);
        assert_eq!(bitrates(&inner), 1_000);
    });
}

/// webrtcsink would panic over both: caps without a structure, and a handler in Python that returns nothing.
#[test]
fn a_listener_without_an_answer_leaves_it_to_the_inner_element() {
    run(|| {
        let ours = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
        let inner = inside(&ours).unwrap();
        let caps = caps_for(&inner, 100_000);
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        ours.connect("define-encoder-bitrates", false, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Some(None::<gst::Structure>.to_value())
        });
        let counter = asked.clone();
        ours.connect("configure-mitigation-caps", false, move |_| {
            counter.fetch_add(1, Ordering::SeqCst);
            Some(gst::Caps::new_empty().to_value())
        });
        assert_eq!((bitrates(&inner), caps_for(&inner, 100_000)), (1_000, caps));
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    });
}

/// webrtcsink's own part of encoder-setup gives the encoder its start bitrate.
#[test]
fn encoder_setup_ends_with_the_first_true() {
    run(|| {
        let ours = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
        let inner = inside(&ours).unwrap();
        let set_up = || {
            let encoder = gst::ElementFactory::make("vp8enc").build().unwrap();
            let before: i32 = encoder.property("target-bitrate");
            let done: bool = inner.emit_by_name("encoder-setup", &[&"consumer", &"video_0", &encoder]);
            (done, encoder.property::<i32>("target-bitrate") != before)
        };
        assert_eq!(set_up(), (false, true), "nobody listens");
        let asked = Arc::new(AtomicUsize::new(0));
        let answer = |says: bool| {
            let asked = asked.clone();
            move |_: &[glib::Value]| {
                asked.fetch_add(1, Ordering::SeqCst);
                Some(says.to_value())
            }
        };
        ours.connect("encoder-setup", false, answer(false));
        assert_eq!(set_up(), (false, true), "it says false");
        ours.connect("encoder-setup", false, answer(true));
        ours.connect("encoder-setup", false, answer(true));
        assert_eq!(set_up(), (true, false), "one says true");
        assert_eq!(asked.load(Ordering::SeqCst), 1 + 2, "the third is not asked");
    });
}

#[test]
fn sessions_are_listed() {
    run(|| {
        let (provider, events) = Provider::hooked(RAW_VIDEO);
        assert!(
            provider
                .sink
                .emit_by_name::<Vec<String>>("get-sessions", &[])
                .is_empty()
        );
        let _consumer = Consumer::plain(&provider);
        let session = begun(&events);
        let listed: Vec<String> = provider.sink.emit_by_name("get-sessions", &[]);
        assert_eq!(listed, std::slice::from_ref(&session.id));
        let stats = provider.sink.property::<gst::Structure>("stats");
        assert!(stats.has_field(&session.id), "{stats}");
    });
}
