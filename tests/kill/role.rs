//! What the children do: one pipeline each, and what it says and gets as lines for the parent.

use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};

use gst::prelude::*;

use crate::common::webrtc::init;
use crate::process::{LAUNCH, MARK, ROLE};

/// Why a child ends by itself.
enum Over {
    /// The parent asks for it.
    Asked,
    /// The stream has ended.
    Ended,
}

#[test]
#[ignore = "started by the other test, in a process of its own"]
fn plays() {
    let (Ok(role), Ok(launch)) = (std::env::var(ROLE), std::env::var(LAUNCH)) else {
        return;
    };
    init();
    let (over, when_over) = channel();
    let pipeline = match role.as_str() {
        "provider" => gst::parse::launch(&launch).unwrap().downcast().unwrap(),
        _ => player(&launch),
    };
    listen(&pipeline, over.clone());
    std::thread::spawn(move || {
        // Its end is the sign to end, and comes too if the parent dies.
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = over.send(Over::Asked);
    });
    if pipeline.set_state(gst::State::Playing).is_err() {
        println!("{MARK}over it does not start");
    } else if let Some(sink) = pipeline.by_name("sink") {
        println!(
            "{MARK}link {}",
            sink.property::<Option<String>>("link").unwrap_or_default()
        );
    }
    if let Ok(Over::Ended) = when_over.recv() {
        println!("{MARK}over the stream has ended");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A source whose tracks are decoded and thrown away.
fn player(launch: &str) -> gst::Pipeline {
    let source = gst::parse::launch(launch).unwrap();
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source).unwrap();
    // Whatever reaches the process has arrived: what a kill leaves in its buffers is not the provider's doing.
    pipeline.connect_deep_element_added(|_, _, element| {
        if element
            .factory()
            .is_some_and(|factory| factory.name() == "rtpjitterbuffer")
        {
            count(&element.static_pad("sink").unwrap());
        }
    });
    let weak = pipeline.downgrade();
    source.connect_pad_added(move |_, pad| {
        if let Some(pipeline) = weak.upgrade() {
            let end = gst::parse::bin_from_description(
                "queue ! audioconvert ! fakesink name=end async=false sync=false",
                true,
            );
            let bin = end.unwrap();
            pipeline.add(&bin).unwrap();
            bin.sync_state_with_parent().unwrap();
            pad.link(&bin.static_pad("sink").unwrap()).unwrap();
        }
    });
    pipeline
}

/// What a packet of Opus holds, as webrtcsink makes them.
const PACKET_NS: u64 = 20_000_000;

/// Says how much has arrived in all, in nanoseconds.
fn count(pad: &gst::Pad) {
    let total = AtomicU64::new(0);
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        println!(
            "{MARK}arrived {}",
            total.fetch_add(PACKET_NS, Ordering::SeqCst) + PACKET_NS
        );
        gst::PadProbeReturn::Ok
    });
}

fn listen(pipeline: &gst::Pipeline, over: Sender<Over>) {
    let over = Mutex::new(over);
    pipeline.bus().unwrap().set_sync_handler(move |_, message| {
        match message.view() {
            gst::MessageView::Element(element) => {
                if let Some(note) = element
                    .structure()
                    .filter(|note| note.name().starts_with("streamium-pay/"))
                {
                    println!("{MARK}note {note}");
                }
            }
            gst::MessageView::Error(error) => {
                println!("{MARK}error {}", error.error());
                let _ = over.lock().unwrap().send(Over::Ended);
            }
            gst::MessageView::Eos(_) => {
                let _ = over.lock().unwrap().send(Over::Ended);
            }
            _ => (),
        }
        gst::BusSyncReply::Drop
    });
}
