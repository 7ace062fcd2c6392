//! A provider that takes payment and sends what is no media.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use crate::common::paid::{PaidConsumer, PaidProvider, RATE_SAT_PER_S};
use crate::common::webrtc::{RAW_VIDEO, run};

/// Overwrites what RTP packets carry, from the moment that the switch is on. Their headers stay good.
fn spoil(element: &gst::Element, spoiled: &Arc<AtomicBool>) {
    let (Some(pad), spoiled) = (element.static_pad("src"), spoiled.clone()) else {
        return;
    };
    let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    pad.add_probe(mask, move |_, info| {
        if spoiled.load(Ordering::SeqCst) {
            match &mut info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => overwrite(buffer.make_mut()),
                Some(gst::PadProbeData::BufferList(list)) => list.make_mut().foreach_mut(|mut buffer, _| {
                    overwrite(buffer.make_mut());
                    std::ops::ControlFlow::Continue(Some(buffer))
                }),
                _ => (),
            }
        }
        gst::PadProbeReturn::Ok
    });
}

fn overwrite(buffer: &mut gst::BufferRef) {
    let mut map = buffer.map_writable().unwrap();
    let header = header_length(&map);
    if let Some(payload) = header.and_then(|header| map.get_mut(header..)) {
        payload.fill(0xff);
    }
}

/// Of an RTP packet, with contributing sources and extension (RFC 3550, section 5.1).
fn header_length(packet: &[u8]) -> Option<usize> {
    let first = *packet.first()?;
    let fixed = 12 + 4 * usize::from(first & 0x0f);
    if first & 0x10 == 0 {
        return Some(fixed);
    }
    let words = u16::from_be_bytes([*packet.get(fixed + 2)?, *packet.get(fixed + 3)?]);
    Some(fixed + 4 + 4 * usize::from(words))
}

#[test]
fn a_provider_that_sends_junk_is_paid_no_more_than_a_window_for_it() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let spoiled = Arc::<AtomicBool>::default();
        let switch = spoiled.clone();
        provider.sink.children()[0].connect("consumer-pipeline-created", false, move |values| {
            let pipeline = values[2].get::<gst::Pipeline>().unwrap();
            let switch = switch.clone();
            pipeline.connect_deep_element_added(move |_, _, element| {
                let klass = element
                    .factory()
                    .and_then(|f| f.metadata("klass").map(ToOwned::to_owned));
                if klass.is_some_and(|klass| klass.contains("Payloader")) {
                    spoil(element, &switch);
                }
            });
            None
        });
        let mut consumer = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), "");
        consumer.expect(Video, 30);
        provider.confirm();
        let before = consumer.notes.last("payment").number("paid-sat");
        spoiled.store(true, Ordering::SeqCst);
        // The packets come as before; what comes out of them does not count, and the provider's count is not believed.
        let ended = consumer.notes.wait("ended");
        println!("{}", ended.text("reason"));
        let after = consumer.notes.last("payment").number("paid-sat");
        println!(
            "{} sat paid for junk, at {RATE_SAT_PER_S} sat a second",
            after - before
        );
        // Two windows of three seconds, a second until silence counts, and 2 % of what came before.
        let most = 7 * RATE_SAT_PER_S + before / 50;
        assert!(after - before <= most, "{before} {after}");
    });
}
