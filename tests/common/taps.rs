//! Taps in a provider's session pipelines: what passes the gate, what encoders get, what leaves the machine.
#![allow(dead_code)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind;

use super::frames::running_time;

/// A buffer that has passed the gate.
#[derive(Clone, Copy, Debug)]
pub struct Passed {
    pub at: Instant,
    pub kind: TrackKind,
    pub is_key_frame: bool,
    pub running_time: gst::ClockTime,
}

/// What was seen of one session.
#[derive(Clone, Debug, Default)]
pub struct Tap {
    pub passed: Vec<Passed>,
    /// When an RTP packet (retransmissions and error correction too) went to the network's socket.
    pub rtp: Vec<Instant>,
    /// How many buffers encoders got.
    pub encoded: usize,
}

/// The taps of all sessions of a provider, by session id.
#[derive(Clone, Default)]
pub struct Taps(Arc<Mutex<HashMap<String, Tap>>>);

impl Taps {
    /// Into every session pipeline of this webrtcsink. Before it starts.
    pub fn install(inner: &gst::Element) -> Self {
        let taps = Self::default();
        let all = taps.clone();
        inner.connect("consumer-pipeline-created", false, move |values| {
            let pipeline = values[2].get::<gst::Pipeline>().unwrap();
            let id = pipeline.name().trim_start_matches("session-pipeline-").to_owned();
            all.change(&id, |_| ());
            all.watch(&pipeline, id);
            None
        });
        taps
    }

    pub fn of(&self, session: &str) -> Tap {
        self.0.lock().unwrap().get(session).cloned().unwrap_or_default()
    }

    pub fn sessions(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Tap)) {
        change(self.0.lock().unwrap().entry(id.to_owned()).or_default());
    }

    fn watch(&self, pipeline: &gst::Pipeline, id: String) {
        let taps = self.clone();
        pipeline.connect_deep_element_added(move |_, _, element| {
            let Some(factory) = element.factory() else { return };
            let klass = factory.metadata("klass").unwrap_or_default().to_owned();
            match factory.name().as_str() {
                "appsrc" => taps.watch_gate(element, &id),
                "nicesink" => taps.watch_socket(element, &id),
                _ if klass.contains("Encoder") && !klass.contains("Network") => {
                    taps.watch_encoder(element, &id)
                }
                _ => (),
            }
        });
    }

    /// The gate is on the source pad, so what reaches the pad after it has passed.
    fn watch_gate(&self, appsrc: &gst::Element, id: &str) {
        let Some(kind) = TrackKind::from_name(&appsrc.name()) else {
            return;
        };
        let (taps, id) = (self.clone(), id.to_owned());
        appsrc.static_pad("src").unwrap().connect_linked(move |_, peer| {
            let (taps, id) = (taps.clone(), id.clone());
            peer.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
                if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
                    let passed = Passed {
                        at: Instant::now(),
                        kind,
                        is_key_frame: !buffer.flags().contains(gst::BufferFlags::DELTA_UNIT),
                        running_time: running_time(pad, buffer),
                    };
                    taps.change(&id, |tap| tap.passed.push(passed));
                }
                gst::PadProbeReturn::Ok
            });
        });
    }

    fn watch_encoder(&self, encoder: &gst::Element, id: &str) {
        let (taps, id) = (self.clone(), id.to_owned());
        let Some(pad) = encoder.static_pad("sink") else {
            return;
        };
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
            taps.change(&id, |tap| tap.encoded += 1);
            gst::PadProbeReturn::Ok
        });
    }

    fn watch_socket(&self, sink: &gst::Element, id: &str) {
        let (taps, id) = (self.clone(), id.to_owned());
        let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
        sink.static_pad("sink").unwrap().add_probe(mask, move |_, info| {
            let packets = match &info.data {
                Some(gst::PadProbeData::Buffer(buffer)) => usize::from(is_rtp(buffer)),
                Some(gst::PadProbeData::BufferList(list)) => {
                    list.iter().filter(|buffer| is_rtp(buffer)).count()
                }
                _ => 0,
            };
            let now = Instant::now();
            taps.change(&id, |tap| tap.rtp.extend(std::iter::repeat_n(now, packets)));
            gst::PadProbeReturn::Ok
        });
    }
}

/// RFC 5764 and 5761: 128 to 191 is RTP or RTCP, and of these a second byte from 192 to 223 is RTCP.
fn is_rtp(buffer: &gst::BufferRef) -> bool {
    let mut start = [0; 2];
    buffer.copy_to_slice(0, &mut start).is_ok()
        && (128..=191).contains(&start[0])
        && !(192..=223).contains(&start[1])
}
