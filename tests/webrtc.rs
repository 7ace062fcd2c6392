//! Both elements over real WebRTC: free streams, gates, the data channel, certificates, ends.

mod common;
#[path = "webrtc/reconnect.rs"]
mod reconnect;
#[path = "webrtc/tls.rs"]
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::wait::PATIENCE;
use common::webrtc::{
    Consumer, Event, H264, Provider, RAW_AUDIO, RAW_VIDEO, Recorder, begun, channel_event, raw_both, run,
};
use gst::glib;
use gst::prelude::*;
use gststreamiumpay::data_channel::{DataChannelError, DataChannelEvent, MAX_MESSAGE_LEN};
use gststreamiumpay::gate::TrackKind::{Audio, Video};
use gststreamiumpay::paysink::Track;

fn reaches_both(sources: &str, kinds: &[gststreamiumpay::gate::TrackKind]) {
    let provider = Provider::free(sources);
    let plain = Consumer::plain(&provider);
    let ours = Consumer::ours(&provider);
    for consumer in [&plain, &ours] {
        for kind in kinds {
            consumer.expect(*kind, 15);
        }
        consumer.running.check();
    }
    provider.running.check();
}

#[test]
fn a_free_stream_of_raw_video_and_audio() {
    run(|| reaches_both(&raw_both(), &[Video, Audio]));
}

#[test]
fn a_free_stream_of_video_alone() {
    run(|| reaches_both(RAW_VIDEO, &[Video]));
}

#[test]
fn a_free_stream_of_audio_alone() {
    run(|| reaches_both(RAW_AUDIO, &[Audio]));
}

#[test]
fn a_free_stream_of_encoded_video() {
    run(|| reaches_both(&format!("{H264}{RAW_AUDIO}"), &[Video, Audio]));
}

/// Adds up the RTP packets that a webrtcbin has received.
fn packets_received(webrtcbin: &gst::Element) -> u64 {
    let (sender, stats) = channel();
    let promise = gst::Promise::with_change_func(move |reply| {
        let total = match reply {
            Ok(Some(stats)) => stats.iter().filter_map(|(_, value)| inbound_packets(value)).sum(),
            _ => 0,
        };
        let _ = sender.send(total);
    });
    webrtcbin.emit_by_name::<()>("get-stats", &[&None::<gst::Pad>, &promise]);
    stats.recv_timeout(PATIENCE).expect("webrtcbin has statistics")
}

fn inbound_packets(value: &glib::SendValue) -> Option<u64> {
    let entry = value.get::<gst::Structure>().ok()?;
    let kind = entry.get::<gst_webrtc::WebRTCStatsType>("type").ok()?;
    (kind == gst_webrtc::WebRTCStatsType::InboundRtp).then(|| entry.get::<u64>("packets-received").ok())?
}

/// Counts the buffers that consumers' encoders get; discovery's, which run before any consumer, are not meant.
fn count_encoder_input(provider: &Provider) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    provider.inner().connect("encoder-setup", false, move |values| {
        let consumer = values[1].get::<String>().unwrap();
        let encoder = values[3].get::<gst::Element>().unwrap();
        if consumer != "discovery" {
            let counter = counter.clone();
            let pad = encoder.static_pad("sink").unwrap();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                counter.fetch_add(1, Ordering::SeqCst);
                gst::PadProbeReturn::Ok
            });
        }
        Some(false.to_value())
    });
    count
}

fn nothing_passes_a_closed_gate(sources: &str, encodes: bool) {
    let (provider, events) = Provider::hooked(sources);
    let encoded = count_encoder_input(&provider);
    let (sender, webrtcbins) = channel();
    let sender = std::sync::Mutex::new(sender);
    let consumer = Consumer::plain_prepared(&provider, |signaller| {
        signaller.connect("webrtcbin-ready", move |values| {
            let _ = sender
                .lock()
                .unwrap()
                .send(values[1].get::<gst::Element>().unwrap());
        });
    });
    let session = begun(&events);
    assert_eq!(channel_event(&events), DataChannelEvent::Open);
    let webrtcbin = webrtcbins.recv_timeout(PATIENCE).unwrap();

    // The transport is up; there is no event for nothing happening, so this takes its time.
    assert_eq!(consumer.last_before_quiet(Duration::from_secs(2)), None);
    assert_eq!(packets_received(&webrtcbin), 0);
    assert_eq!(encoded.load(Ordering::SeqCst), 0);
    let stats = session.gate.stats();
    assert!(stats.passed == 0 && stats.dropped > 20, "{stats:?}");

    // The same measures see media when there is some.
    session.gate.open();
    consumer.expect(Video, 5);
    consumer.expect(Audio, 5);
    assert!(packets_received(&webrtcbin) > 0);
    assert!(encoded.load(Ordering::SeqCst) > 0 || !encodes);
    println!("closed for 2 s: {stats:?}, 0 packets, 0 frames encoded");
}

#[test]
fn nothing_passes_a_closed_gate_of_raw_video() {
    run(|| nothing_passes_a_closed_gate(&raw_both(), true));
}

#[test]
fn nothing_passes_a_closed_gate_of_encoded_video() {
    run(|| nothing_passes_a_closed_gate(&format!("{H264}{RAW_AUDIO}"), false));
}

#[test]
fn a_paid_stream_that_nothing_drives_stays_closed() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        // No server answers there, so no session gets as far as terms.
        let settings = format!(
            "rate=5 network=regtest payout-address=bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080 \
             electrum-url=tcp://127.0.0.1:1 data-dir={}",
            dir.path().display()
        );
        let provider = Provider::start(RAW_VIDEO, &settings, None);
        let (consumer, events) = Consumer::hooked(&provider);
        begun(&events);
        assert_eq!(channel_event(&events), DataChannelEvent::Open);
        assert_eq!(consumer.last_before_quiet(Duration::from_secs(1)), None);
    });
}

fn stops_and_restarts(sources: &str) {
    let (provider, events) = Provider::hooked(sources);
    let (consumer, _consumer_events) = Consumer::hooked(&provider);
    let session = begun(&events);
    assert_eq!(channel_event(&events), DataChannelEvent::Open);
    for opening in 1..=5 {
        let opened = Instant::now();
        session.gate.open();
        let first = consumer.next(Video) - opened;
        consumer.expect(Video, 20);
        consumer.expect(Audio, 5);
        // At another point between two audio buffers each time, or the answer would depend on that point.
        std::thread::sleep(Duration::from_millis(4 * opening));
        let closed = Instant::now();
        session.gate.close();
        let last = consumer.last_before_quiet(Duration::from_secs(1));
        let last = last.map_or(Duration::ZERO, |last| last.saturating_duration_since(closed));
        println!("opening {opening}: first frame after {first:?}; last buffer {last:?} after closing");
        // What was under way at the closing may still come.
        assert!(last < Duration::from_secs(3), "media {last:?} after closing");
        assert!(
            first < Duration::from_secs(20),
            "first frame only after {first:?}"
        );
    }
    consumer.running.check();
    provider.running.check();
}

#[test]
fn raw_media_stops_and_restarts_with_the_gate() {
    run(|| stops_and_restarts(&raw_both()));
}

#[test]
fn encoded_media_stops_and_restarts_with_the_gate() {
    run(|| stops_and_restarts(&format!("{H264}{RAW_AUDIO}")));
}

#[test]
fn both_sides_talk_and_see_the_same_certificates() {
    run(|| {
        let (provider, provider_events) = Provider::hooked(&raw_both());
        let (_consumer, consumer_events) = Consumer::hooked(&provider);
        let at_provider = begun(&provider_events);
        let at_consumer = begun(&consumer_events);
        assert_eq!(channel_event(&provider_events), DataChannelEvent::Open);
        assert_eq!(channel_event(&consumer_events), DataChannelEvent::Open);

        for message in ["{}".to_owned(), "é".repeat(100), "x".repeat(MAX_MESSAGE_LEN)] {
            at_provider.send(&message).unwrap();
            assert_eq!(
                channel_event(&consumer_events),
                DataChannelEvent::Message(message.clone())
            );
            at_consumer.send(&message).unwrap();
            assert_eq!(
                channel_event(&provider_events),
                DataChannelEvent::Message(message)
            );
        }
        let too_long = at_provider.send(&"x".repeat(MAX_MESSAGE_LEN + 1));
        assert!(matches!(too_long, Err(DataChannelError::TooLong { .. })));

        let (ours, theirs) = (
            at_provider.certificates().unwrap(),
            at_consumer.certificates().unwrap(),
        );
        assert_eq!((ours.own, ours.peer), (theirs.peer, theirs.own));
        let tracks = [(Video, "VP8"), (Audio, "OPUS")];
        let tracks = tracks.map(|(kind, encoding)| Track {
            kind,
            encoding: encoding.to_owned(),
        });
        assert_eq!(at_provider.tracks(), tracks);
        assert!(at_consumer.arrivals().iter().all(|arrival| arrival.count == 0));
    });
}

#[test]
fn arrivals_are_recorded_track_by_track() {
    run(|| {
        let provider = Provider::free(&raw_both());
        let (consumer, events) = Consumer::hooked(&provider);
        let session = begun(&events);
        consumer.expect(Video, 5);
        consumer.expect(Audio, 5);
        let arrivals = session.arrivals();
        for kind in [Video, Audio] {
            let arrival = arrivals.iter().find(|arrival| arrival.kind == kind).unwrap();
            let age = gststreamiumpay::boottime::now() - arrival.last.unwrap();
            assert!(
                arrival.count >= 5 && age < Duration::from_secs(20),
                "{arrival:?}, {age:?} ago"
            );
        }
    });
}

#[test]
fn an_ended_session_is_the_end_of_the_stream_if_nothing_is_tried_again() {
    run(|| {
        let (provider, provider_events) = Provider::hooked(&raw_both());
        let (hooks, consumer_events) = Recorder::new();
        let source = Consumer::element(&provider);
        source.set_hooks(hooks);
        source.set_property("reconnect-timeout", 0u32);
        let consumer = Consumer::start(source.upcast());
        let at_provider = begun(&provider_events);
        let at_consumer = begun(&consumer_events);
        at_provider.gate.open();
        consumer.expect(Video, 5);
        consumer.expect(Audio, 5);
        let started = Instant::now();
        at_provider.end();
        consumer.running.wait_for(gst::MessageType::Eos);
        println!("EOS {:?} after the provider ended the session", started.elapsed());
        assert_eq!(over(&provider_events), at_provider.id);
        assert_eq!(over(&consumer_events), at_consumer.id);
        provider.running.check();
    });
}

/// As `gst-launch-1.0 -e` does on Ctrl-C: a recording must get its end, whether media flows or not.
#[test]
fn eos_from_outside_ends_session_and_stream() {
    run(|| {
        for flows in [true, false] {
            let (provider, provider_events) = Provider::hooked(&raw_both());
            let (consumer, consumer_events) = Consumer::hooked(&provider);
            let at_provider = begun(&provider_events);
            let at_consumer = begun(&consumer_events);
            at_provider.gate.open();
            consumer.expect(Video, 5);
            consumer.expect(Audio, 5);
            if !flows {
                at_provider.gate.close();
                consumer.last_before_quiet(Duration::from_secs(1));
            }
            assert!(consumer.running.0.send_event(gst::event::Eos::new()));
            consumer.running.wait_for(gst::MessageType::Eos);
            assert_eq!(over(&provider_events), at_provider.id);
            assert_eq!(over(&consumer_events), at_consumer.id);
            provider.running.check();
        }
    });
}

fn over<S>(events: &std::sync::mpsc::Receiver<Event<S>>) -> String {
    loop {
        match events.recv_timeout(PATIENCE) {
            Ok(Event::Over(id)) => return id,
            Ok(_) => (),
            Err(error) => panic!("the session never ended: {error}"),
        }
    }
}

#[test]
fn a_consumer_that_leaves_is_reported() {
    run(|| {
        let (provider, events) = Provider::hooked(RAW_VIDEO);
        let consumer = Consumer::ours(&provider);
        let session = begun(&events);
        assert_eq!(channel_event(&events), DataChannelEvent::Open);
        drop(consumer);
        assert_eq!(over(&events), session.id);
        // Nobody hears it, but it must not hurt.
        let _ = session.send("too late");
        provider.running.check();
    });
}

#[test]
fn the_next_producer_of_a_name_is_tried() {
    run(|| {
        let first = Provider::free(RAW_VIDEO);
        let (hooks, first_sessions) = Recorder::new();
        let second = Provider::at(first.port, RAW_VIDEO, Some(hooks));
        let (consumer, events) = Consumer::hooked(&first);
        let one = begun(&events);
        one.try_next_producer();
        let two = loop {
            match events
                .recv_timeout(PATIENCE)
                .expect("the other producer is tried")
            {
                Event::Begun(session) => break session,
                _ => continue,
            }
        };
        assert_ne!(one.producer, two.producer);
        // Whichever of the two is left: the stream comes.
        if let Ok(Event::Begun(session)) = first_sessions.recv_timeout(PATIENCE) {
            session.gate.open();
        }
        consumer.expect(Video, 5);
        for running in [&first.running, &second.running, &consumer.running] {
            running.check();
        }
    });
}

#[test]
fn one_unlinked_track_does_not_end_the_other() {
    run(|| {
        let provider = Provider::free(&raw_both());
        let launch = format!(
            "streamiumpaysrc uri={} stun-server=none slate=false ! videoconvert ! fakesink name=end sync=false async=false",
            provider.uri()
        );
        let pipeline = gst::parse::launch(&launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let (sender, frames) = channel();
        let sender = std::sync::Mutex::new(sender);
        let end = pipeline.by_name("end").unwrap().static_pad("sink").unwrap();
        end.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            let _ = sender.lock().unwrap().send(());
            gst::PadProbeReturn::Ok
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        let consumer = common::webrtc::Running(pipeline);
        for frame in 0..45 {
            frames
                .recv_timeout(PATIENCE)
                .unwrap_or_else(|error| panic!("frame {frame}: {error}"));
        }
        consumer.check();
    });
}

#[test]
fn starting_and_stopping_leaves_nothing_hanging() {
    run(|| {
        let (provider, events) = Provider::hooked(RAW_VIDEO);
        for _ in 0..10 {
            let consumer = Consumer::ours(&provider);
            let session = begun(&events);
            drop(consumer);
            assert_eq!(over(&events), session.id);
        }
        provider.running.check();
    });
}

#[test]
fn what_is_set_wrong_is_said_in_a_sentence() {
    run(|| {
        let cases = [
            ("streamiumpaysink rate=5", "payout-address"),
            ("streamiumpaysink network=mainnet", "bitcoin"),
            ("streamiumpaysink congestion-control=magic", "congestion-control"),
            (
                "streamiumpaysink stun-server=run-signalling-server=true",
                "stun-server",
            ),
            ("streamiumpaysrc", "uri"),
            ("streamiumpaysrc uri=http://example.org/x", "streamium"),
        ];
        for (launch, word) in cases {
            let pipeline = gst::parse::launch(&format!("{launch} name=x")).unwrap();
            let bus = pipeline.bus().unwrap_or_else(|| {
                let bus = gst::Bus::new();
                pipeline.set_bus(Some(&bus));
                bus
            });
            assert!(pipeline.set_state(gst::State::Ready).is_err(), "{launch}");
            let message = bus
                .pop_filtered(&[gst::MessageType::Error])
                .expect("an error message");
            let gst::MessageView::Error(error) = message.view() else {
                unreachable!()
            };
            assert!(error.error().matches(gst::ResourceError::Settings));
            assert!(
                error.error().to_string().contains(word),
                "{launch}: {}",
                error.error()
            );
            pipeline.set_state(gst::State::Null).unwrap();
        }
    });
}
