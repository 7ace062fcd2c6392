//! Navigation events: from the consumer's pipeline to the provider's, and by the interface.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};

use gst::prelude::*;
use gst_video::NavigationEvent;
use gst_video::prelude::NavigationExt;
use gststreamiumpay::gate::TrackKind::Video;

use crate::common::wait::PATIENCE;
use crate::common::webrtc::{Consumer, Provider, RAW_VIDEO, run};
use crate::inside;

/// The keys that reach the sources of a broadcast.
fn keys(sink: &gst::Element) -> Receiver<String> {
    let (sender, keys) = channel();
    let sender = Mutex::new(sender);
    let source = sink.static_pad("video_0").unwrap().peer().unwrap();
    source.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
        if let Some(event) = info.event()
            && let Ok(NavigationEvent::KeyPress { key, .. }) = NavigationEvent::parse(event)
        {
            let _ = sender.lock().unwrap().send(key);
        }
        gst::PadProbeReturn::Ok
    });
    keys
}

fn press(key: &str) -> gst::Event {
    gst::event::Navigation::new(NavigationEvent::new_key_press(key).structure())
}

fn travels(property: &str) {
    let provider = Provider::start(RAW_VIDEO, &format!("{property}=true"), None);
    let keys = keys(provider.sink.upcast_ref());
    let source = Consumer::element(&provider);
    source.set_property(property, true);
    let consumer = Consumer::start(source.upcast());
    consumer.expect(Video, 5);
    let next = || keys.recv_timeout(PATIENCE).expect("the key arrives");

    // As an application does that has the element, and as a video sink does downstream.
    assert!(consumer.source.send_event(press("a")));
    assert_eq!(next(), "a");
    let peer = consumer.source.static_pad("video_0").unwrap().peer().unwrap();
    peer.push_event(press("b"));
    assert_eq!(next(), "b");
    // webrtcsrc would panic over it.
    let bad = gst::event::Navigation::new(gst::Structure::new_empty("nonsense"));
    assert!(!consumer.source.send_event(bad));
    consumer.running.check();
    provider.running.check();
}

#[test]
fn keys_travel_to_the_provider() {
    run(|| travels("enable-data-channel-navigation"));
}

#[test]
fn keys_travel_to_the_provider_by_the_control_channel() {
    run(|| travels("enable-control-data-channel"));
}

#[test]
fn the_sink_takes_navigation_by_the_interface() {
    run(|| {
        let provider = Provider::free(RAW_VIDEO);
        let keys = keys(provider.sink.upcast_ref());
        let navigation = provider.sink.dynamic_cast_ref::<gst_video::Navigation>().unwrap();
        navigation.send_event(press("c").structure().unwrap().to_owned());
        assert_eq!(keys.recv_timeout(PATIENCE).unwrap(), "c");
    });
}

/// The stream's id is read on our pad while webrtcsrc's is behind it.
#[test]
fn a_source_pads_properties_are_the_inner_pads() {
    run(|| {
        let provider = Provider::free(RAW_VIDEO);
        let consumer = Consumer::ours(&provider);
        consumer.expect(Video, 1);
        let proxy = consumer.source.dynamic_cast_ref::<gst::ChildProxy>().unwrap();
        let ours = proxy.child_property::<Option<String>>("video_0::msid");
        let inner = inside(&consumer.source).unwrap();
        let theirs = inner
            .static_pad("video_0")
            .unwrap()
            .property::<Option<String>>("msid");
        assert!(ours.is_some() && ours == theirs, "{ours:?}, {theirs:?}");
    });
}
