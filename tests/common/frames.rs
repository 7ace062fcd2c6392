//! What comes out of a source, decoded.
#![allow(dead_code)]

use std::time::Instant;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind;

/// A buffer of raw media.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    pub kind: TrackKind,
    pub at: Instant,
    pub running_time: gst::ClockTime,
    pub is_bright: bool,
    /// Of raw sound.
    pub is_silent: bool,
    /// Where its first loud sample is, of sound in S16LE.
    pub loud_at: Option<gst::ClockTime>,
}

impl Frame {
    fn of(kind: TrackKind, pad: &gst::Pad, buffer: &gst::BufferRef) -> Self {
        let begin = running_time(pad, buffer);
        let loud_after = match kind {
            TrackKind::Video => None,
            TrackKind::Audio => loud_after(pad, buffer),
        };
        Self {
            kind,
            at: Instant::now(),
            running_time: begin,
            is_bright: is_bright(buffer),
            is_silent: is_silent(buffer),
            loud_at: loud_after.map(|after| begin + after),
        }
    }
}

/// Reports each buffer of raw media at a pad.
pub fn watch(kind: TrackKind, pad: &gst::Pad, report: impl Fn(Frame) + Send + Sync + 'static) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        if let Some(gst::PadProbeData::Buffer(buffer)) = &info.data {
            report(Frame::of(kind, pad, buffer));
        }
        gst::PadProbeReturn::Ok
    });
}

/// Decodes what comes out of `pad`, and reports each buffer.
pub fn play(pipeline: &gst::Pipeline, pad: &gst::Pad, report: impl Fn(Frame) + Send + Sync + 'static) {
    let Some(kind) = TrackKind::from_name(&pad.name()) else {
        return;
    };
    let launch = match kind {
        TrackKind::Video => "queue ! videoconvert ! fakesink name=end async=false sync=false",
        TrackKind::Audio => {
            "queue ! audioconvert ! audio/x-raw,format=S16LE ! fakesink name=end async=false sync=false"
        }
    };
    let bin = gst::parse::bin_from_description(launch, true).unwrap();
    watch(
        kind,
        &bin.by_name("end").unwrap().static_pad("sink").unwrap(),
        report,
    );
    pipeline.add(&bin).unwrap();
    bin.sync_state_with_parent().unwrap();
    pad.link(&bin.static_pad("sink").unwrap()).unwrap();
}

/// A buffer's place on its pipeline's time line.
pub fn running_time(pad: &gst::Pad, buffer: &gst::BufferRef) -> gst::ClockTime {
    let segment = pad.sticky_event::<gst::event::Segment>(0);
    let segment = segment.and_then(|event| event.segment().downcast_ref::<gst::ClockTime>().cloned());
    segment
        .and_then(|segment| segment.to_running_time(buffer.pts()))
        .unwrap_or(gst::ClockTime::ZERO)
}

/// Whether a picture in I420 is bright in the middle: the brightness comes first and is two thirds of it.
pub fn is_bright(buffer: &gst::BufferRef) -> bool {
    let mut middle = [0];
    buffer.copy_to_slice(buffer.size() / 3, &mut middle).is_ok() && middle[0] > 128
}

/// Whether sound is nothing but zeros.
pub fn is_silent(buffer: &gst::BufferRef) -> bool {
    buffer.map_readable().unwrap().iter().all(|byte| *byte == 0)
}

/// How long after its beginning sound is loud, if it is.
fn loud_after(pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<gst::ClockTime> {
    const LOUD: u16 = 6_000;
    let caps = pad.current_caps()?;
    let info = gst_audio::AudioInfo::from_caps(&caps).ok()?;
    let map = buffer.map_readable().ok()?;
    let mut samples = map.chunks_exact(2);
    let first = samples.position(|two| i16::from_le_bytes([two[0], two[1]]).unsigned_abs() > LOUD)?;
    let frames = first as u64 / u64::from(info.channels());
    Some(gst::ClockTime::from_nseconds(
        frames * 1_000_000_000 / u64::from(info.rate()),
    ))
}
