//! Handlers of the user's in a running broadcast.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gst::prelude::*;
use gststreamiumpay::data_channel::DataChannelEvent;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use crate::common::wait::PATIENCE;
use crate::common::webrtc::{
    Consumer, Event, H264, Provider, RAW_AUDIO, RAW_VIDEO, Recorder, begun, channel_event, raw_both, run,
};

/// A filter that counts what comes in.
fn counting(count: &Arc<AtomicUsize>) -> gst::Element {
    let filter = gst::ElementFactory::make("identity").build().unwrap();
    let count = count.clone();
    let types = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    filter.static_pad("sink").unwrap().add_probe(types, move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        gst::PadProbeReturn::Ok
    });
    filter
}

/// Puts counting filters into everything that is for a consumer, and none into discovery.
fn filter_for_consumers(sink: &gst::Element) -> (Arc<AtomicUsize>, Receiver<(String, String)>) {
    let count = Arc::new(AtomicUsize::new(0));
    let (sender, asked) = channel();
    let (counted, sender): (_, Mutex<Sender<_>>) = (count.clone(), Mutex::new(sender));
    sink.connect("request-encoded-filter", false, move |values| {
        let consumer = values[1].get::<Option<String>>().unwrap();
        let filter = consumer.map(|consumer| {
            let pad = values[2].get::<String>().unwrap();
            let _ = sender.lock().unwrap().send((consumer, pad));
            counting(&counted)
        });
        Some(filter.to_value())
    });
    (count, asked)
}

fn sees_nothing_of_a_closed_gate(sources: &str) {
    let (provider, events) = Provider::hooked(sources);
    let (count, asked) = filter_for_consumers(provider.sink.upcast_ref());
    let consumer = Consumer::plain(&provider);
    let session = begun(&events);
    assert_eq!(channel_event(&events), DataChannelEvent::Open);
    let mut pads = [(); 2].map(|()| asked.recv_timeout(PATIENCE).expect("a filter is asked for"));
    pads.sort();
    let of = |pad: &str| (session.peer.clone(), pad.to_owned());
    assert_eq!(pads, [of("audio_0"), of("video_0")]);
    // There is no event for nothing happening, so this takes its time; sources go on meanwhile.
    assert_eq!(consumer.last_before_quiet(Duration::from_secs(2)), None);
    let stats = session.gate.stats();
    assert!(stats.passed == 0 && stats.dropped > 20, "{stats:?}");
    assert_eq!(count.load(Ordering::SeqCst), 0);

    session.gate.open();
    consumer.expect(Video, 5);
    consumer.expect(Audio, 5);
    assert!(
        count.load(Ordering::SeqCst) >= 10,
        "the filter is in the way of what is paid"
    );
}

#[test]
fn a_filter_sees_nothing_of_raw_media_while_the_gate_is_closed() {
    run(|| sees_nothing_of_a_closed_gate(&raw_both()));
}

#[test]
fn a_filter_sees_nothing_of_encoded_media_while_the_gate_is_closed() {
    run(|| sees_nothing_of_a_closed_gate(&format!("{H264}{RAW_AUDIO}")));
}

#[test]
fn handlers_hear_of_consumers_and_their_parts() {
    run(|| {
        let (provider, events) = Provider::hooked(RAW_VIDEO);
        let (sender, heard) = channel();
        let sender = Arc::new(Mutex::new(sender));
        for signal in [
            "consumer-pipeline-created",
            "consumer-added",
            "encoder-setup",
            "payloader-setup",
            "consumer-removed",
        ] {
            let sender = sender.clone();
            let answers = signal.ends_with("setup");
            provider.sink.connect(signal, false, move |values| {
                if matches!(signal, "consumer-pipeline-created" | "consumer-added") {
                    // docs/elements.md says that these may ask.
                    let element = values[0].get::<gst::Element>().unwrap();
                    element.property::<gst::Structure>("stats");
                    element.emit_by_name::<Vec<String>>("get-sessions", &[]);
                }
                let _ = sender
                    .lock()
                    .unwrap()
                    .send((signal, values[1].get::<String>().unwrap()));
                answers.then(|| false.to_value())
            });
        }
        let consumer = Consumer::plain(&provider);
        let session = begun(&events);
        session.gate.open();
        consumer.expect(Video, 5);
        drop(consumer);
        let mut order = Vec::new();
        while order.last() != Some(&"consumer-removed") {
            let (signal, who) = heard.recv_timeout(PATIENCE).expect("the consumer is removed");
            if who == session.peer {
                order.push(signal);
            }
        }
        order.dedup();
        let expected = [
            "consumer-pipeline-created",
            "consumer-added",
            "encoder-setup",
            "payloader-setup",
            "consumer-removed",
        ];
        assert_eq!(order, expected);
    });
}

/// A source has a webrtcsrc for each connection: its signals are forwarded from each.
#[test]
fn a_sources_filter_is_asked_for_on_each_connection() {
    run(|| {
        let (provider, events) = Provider::hooked(RAW_VIDEO);
        let count = Arc::new(AtomicUsize::new(0));
        let (sender, asked) = channel();
        let source = Consumer::element(&provider);
        // Nobody here asks for terms before pictures are shown.
        source.set_hooks(Recorder::new().0);
        let (counted, sender) = (count.clone(), Mutex::new(sender));
        source.connect("request-encoded-filter", false, move |values| {
            let _ = sender.lock().unwrap().send(values[2].get::<String>().unwrap());
            Some(counting(&counted).to_value())
        });
        let consumer = Consumer::start(source.upcast());
        for connection in 1..=2 {
            let session = begun_again(&events);
            session.gate.open();
            assert_eq!(
                asked.recv_timeout(PATIENCE).expect("a filter is asked for"),
                "video_0"
            );
            let before = count.load(Ordering::SeqCst);
            consumer.expect(Video, 10);
            assert!(count.load(Ordering::SeqCst) > before, "connection {connection}");
            session.end();
        }
    });
}

/// The next session, whatever is heard of the last meanwhile.
fn begun_again<S>(events: &Receiver<Event<S>>) -> S {
    loop {
        match events.recv_timeout(PATIENCE).expect("a session begins") {
            Event::Begun(session) => return session,
            _ => continue,
        }
    }
}
