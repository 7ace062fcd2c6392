//! A consumer whose pipeline fails at the provider.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;
use gststreamiumpay::paysink::StreamiumPaySink;

use crate::audience::{Audience, Broadcast, SHARED_LIMIT, VIDEO, ours, plain};
use crate::common::notes::Notes;
use crate::common::paid::{PaidConsumer, PaidProvider};
use crate::common::webrtc::run;

/// A second and a half of video.
const FAILS_AFTER: usize = 45;

/// The next consumer's encoder fails, once the switch is on, as encoders do: with an error, and with one for who feeds it.
fn breakable(sink: &StreamiumPaySink) -> Arc<AtomicBool> {
    let armed = Arc::<AtomicBool>::default();
    let switch = armed.clone();
    sink.children()[0].connect("consumer-pipeline-created", false, move |values| {
        if !switch.swap(false, Ordering::SeqCst) {
            return None;
        }
        let pipeline = values[2].get::<gst::Pipeline>().unwrap();
        pipeline.connect_deep_element_added(|_, _, element| {
            let klass = element
                .factory()
                .and_then(|f| f.metadata("klass").map(ToOwned::to_owned));
            if klass.is_some_and(|klass| klass.contains("Encoder/Video")) {
                fail_after(element, FAILS_AFTER);
            }
        });
        None
    });
    armed
}

fn fail_after(encoder: &gst::Element, frames: usize) {
    let encoded = AtomicUsize::new(0);
    let weak = encoder.downgrade();
    let pad = encoder.static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        if encoded.fetch_add(1, Ordering::SeqCst) < frames {
            return gst::PadProbeReturn::Ok;
        }
        if let Some(encoder) = weak.upgrade() {
            gst::element_error!(encoder, gst::StreamError::Encode, ("the encoder broke"));
        }
        info.data = None;
        info.flow_res = Err(gst::FlowError::Error);
        gst::PadProbeReturn::Handled
    });
}

/// The provider says which consumer it was, and why.
fn is_reported(notes: &mut Notes) -> String {
    let error = notes.wait("consumer-error");
    println!("{}", error.text("reason"));
    assert!(error.text("reason").contains("the encoder broke"));
    assert!(!error.text("peer").is_empty());
    error.text("session")
}

#[test]
fn a_consumers_broken_pipeline_is_seen_by_no_other() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let armed = breakable(&broadcast.sink);
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        armed.store(true, Ordering::SeqCst);
        let mut third = ours(&broadcast.link());
        third.expect(Video, 10);
        is_reported(&mut broadcast.notes);
        // It comes back by itself, to a pipeline that works.
        third.notes.wait("reconnected");
        third.expect(Video, 2 * FAILS_AFTER);
        audience.saw_nothing_of("a broken pipeline", &broadcast.taps);
        let errors = broadcast
            .notes
            .all()
            .iter()
            .filter(|note| note.name == "consumer-error");
        assert_eq!(errors.count(), 1, "it is said once");
        broadcast.notes.check();
    });
}

fn two_paying(provider: &PaidProvider, dirs: &Path) -> Audience {
    let link = provider.link();
    Audience::seated(
        ["a", "b"]
            .map(|name| PaidConsumer::funded(&link, &dirs.join(name), ""))
            .into(),
    )
}

#[test]
fn a_paying_consumers_broken_pipeline_costs_nobody_anything() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), VIDEO, SHARED_LIMIT);
        let armed = breakable(&provider.sink);
        let mut audience = two_paying(&provider, dirs.path());
        armed.store(true, Ordering::SeqCst);
        let mut third = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), "");
        third.expect(Video, 10);
        let session = is_reported(&mut provider.notes);
        let over = provider
            .notes
            .wait_for("ended", |note| note.text("session") == session);
        println!("{}", over.text("reason"));
        // It comes back and goes on with its channel.
        let resumed = third.notes.wait("resumed");
        assert_eq!(
            resumed.text("outpoint"),
            third.notes.last("payment").text("outpoint")
        );
        third.expect(Video, 2 * FAILS_AFTER);
        audience.saw_nothing_of("a paying consumer's broken pipeline", &provider.taps);
        provider.notes.check();
    });
}
