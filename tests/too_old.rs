//! What is said where the installed webrtcsink is too old. In a process of its own, since the stand-ins take the place
//! of webrtcsink.

#[path = "too_old/fakes.rs"]
mod fakes;

use std::sync::{Mutex, PoisonError};

use fakes::{AgedSink, AncientSink};
use gst::prelude::*;

/// Makes one of our sinks, with `T` as the webrtcsink that is installed.
fn beside<T: StaticType + IsA<gst::Element>>(body: impl FnOnce(&gst::Element, &gst::Bus)) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    gst::init().unwrap();
    gststreamiumpay::plugin_register_static().unwrap();
    if let Some(last) = gst::ElementFactory::find("webrtcsink") {
        gst::Registry::get().remove_feature(&last);
        // Its elements' class keeps pointing there.
        std::mem::forget(last);
    }
    gst::Element::register(None, "webrtcsink", gst::Rank::NONE, T::static_type()).unwrap();
    let sink = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    body(&sink, &bus);
    sink.set_state(gst::State::Null).unwrap();
}

fn refusal(sink: &gst::Element, bus: &gst::Bus) -> String {
    assert!(sink.set_state(gst::State::Ready).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("it says why");
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!(),
    }
}

fn mentions(said: &str, words: &[&str]) {
    println!("{said}");
    for word in words {
        assert!(said.contains(word), "no \"{word}\" in: {said}");
    }
}

#[test]
fn what_is_needed_and_missing_is_named_with_the_remedy() {
    beside::<AncientSink>(|sink, bus| {
        let words = [
            "installed webrtcsink",
            "signal",
            "consumer-pipeline-created",
            "too old",
            "Install gst-plugins-rs",
        ];
        mentions(&refusal(sink, bus), &words);
        // Nothing of it may bring the process down meanwhile.
        assert!(sink.emit_by_name::<Vec<String>>("get-sessions", &[]).is_empty());
        assert!(sink.request_pad_simple("video_%u").is_none());
    });
}

#[test]
fn one_that_is_old_does_as_long_as_nothing_new_is_asked_of_it() {
    beside::<AgedSink>(|sink, bus| {
        sink.set_state(gst::State::Ready).unwrap();
        let complaints = [gst::MessageType::Error, gst::MessageType::Warning];
        assert!(bus.pop_filtered(&complaints).is_none());
        assert!(sink.emit_by_name::<Vec<String>>("get-sessions", &[]).is_empty());
        assert!(
            sink.property::<gst::Structure>("stats")
                .has_field("streamium-pay")
        );
        assert!(!sink.property::<bool>("run-web-server") && sink.property::<bool>("do-fec"));
    });
}

#[test]
fn a_property_that_it_lacks_is_an_error_if_it_is_set() {
    beside::<AgedSink>(|sink, bus| {
        sink.set_property("run-web-server", true);
        let words = [
            "run-web-server",
            "installed webrtcsink",
            "no such property",
            "Update gst-plugins-rs",
        ];
        mentions(&refusal(sink, bus), &words);
    });
    beside::<AgedSink>(|sink, bus| {
        sink.set_property("do-fec", false);
        mentions(&refusal(sink, bus), &["do-fec", "of this type"]);
    });
}

#[test]
fn a_signal_that_it_lacks_is_a_warning_if_somebody_listens() {
    beside::<AgedSink>(|sink, bus| {
        sink.connect("encoder-setup", false, |_| Some(true.to_value()));
        sink.connect("request-encoded-filter", false, |_| {
            Some(None::<gst::Element>.to_value())
        });
        sink.connect("consumer-added", false, |_| None);
        sink.set_state(gst::State::Ready).unwrap();
        let message = bus
            .pop_filtered(&[gst::MessageType::Warning])
            .expect("it says so");
        let gst::MessageView::Warning(warning) = message.view() else {
            unreachable!()
        };
        let said = warning.error().to_string();
        mentions(
            &said,
            &[
                "encoder-setup, request-encoded-filter",
                "installed webrtcsink",
                "Update gst-plugins-rs",
            ],
        );
        assert!(!said.contains("consumer-added"), "{said}");
    });
}
