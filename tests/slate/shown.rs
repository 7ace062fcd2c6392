//! What the slate says in a real paid stream, from the funding address to the end.

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use super::pictures::{keep, scan};
use crate::common::frames::is_bright;
use crate::common::paid::{PaidConsumer, PaidProvider};
use crate::common::wait::PATIENCE;
use crate::common::webrtc::{RAW_AUDIO, run};

const SMPTE: &str = "videotestsrc is-live=true pattern=smpte75 \
    ! video/x-raw,format=I420,width=640,height=360,framerate=15/1 ! sink. ";

/// The pictures of a running source.
struct Screen(Receiver<(gst::Buffer, gst::Caps)>);

impl Screen {
    fn of(source: &gst::Element) -> Self {
        let (sender, pictures) = channel();
        let sender = Mutex::new(sender);
        let pad = source.static_pad("video_0").expect("there from the start");
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                let _ = sender
                    .lock()
                    .unwrap()
                    .send((buffer.clone(), pad.current_caps().unwrap()));
            }
            gst::PadProbeReturn::Ok
        });
        Self(pictures)
    }

    /// The next picture of which this holds; it is kept under this name.
    fn wait(&self, name: &str, holds: impl Fn(&gst::Buffer, &gst::Caps) -> bool) {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (picture, caps) = self
                .0
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no picture: {name}"));
            if holds(&picture, &caps) {
                return keep(&picture, &caps, name);
            }
        }
    }

    fn forget(&self) {
        while self.0.try_recv().is_ok() {}
    }
}

fn width(caps: &gst::Caps) -> i32 {
    caps.structure(0).unwrap().get("width").unwrap()
}

/// The test picture has a bright bar on the left, where the slate has its background.
fn is_paid(picture: &gst::Buffer, _: &gst::Caps) -> bool {
    is_bright(picture)
}

#[test]
fn a_phone_can_scan_it_and_the_film_begins() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let sources = format!("{SMPTE}{RAW_AUDIO}");
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "settle-delay=60000");
        let mut consumer =
            PaidConsumer::start(&provider.link(), &dirs.path().join("c"), "slate=true budget=1000");
        let screen = Screen::of(&consumer.source);
        screen.wait("1-looking", |_, caps| width(caps) == 1280);
        let asked = consumer.notes.wait("funding-required");
        let (address, uri) = (asked.text("address"), asked.text("uri"));
        let scanned = std::cell::RefCell::new(String::new());
        screen.wait("2-funding", |picture, caps| {
            scanned.replace(scan(picture, caps).unwrap_or_default());
            !scanned.borrow().is_empty()
        });
        // The same link, with fewer dots.
        assert_eq!(scanned.borrow().to_lowercase(), uri.to_lowercase());
        assert!(scanned.borrow().contains(&address.to_uppercase()) && scanned.borrow().contains("?amount="));
        crate::common::regtest::Regtest::shared().fund(
            &address.parse::<bitcoin::Address<_>>().unwrap().assume_checked(),
            crate::common::coins::sat(asked.number("amount-sat")),
        );
        consumer.notes.gate("open");
        screen.wait("3-paid", is_paid);
        consumer.expect(Video, 5);
        consumer.notes.gate("starved");
        screen.wait("4-out-of-budget", |picture, caps| {
            !is_bright(picture) && width(caps) == 640
        });
        screen.forget();
        consumer.source.set_property("budget", 3_000u64);
        screen.wait("5-paid-again", is_paid);
        provider.notes.check();
        consumer.notes.check();
    });
}
