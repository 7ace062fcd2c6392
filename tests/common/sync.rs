//! Whether sound and picture stay together: a film of flashes and beeps, one of each every other second.
#![allow(dead_code)]

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use super::frames::{Frame, watch};
use super::paid::PaidConsumer;
use super::wait::PATIENCE;

/// Largest difference between sound and picture that nobody notices, 40 ms, and one frame: a receiver places what
/// it gets by its arrival, and a machine with other things to do encodes a frame late.
pub const IN_SYNC_MS: i64 = 40 + 67;

/// The picture turns from dark to bright or back with every fiftieth frame of the test source, after 2 s.
pub const FLASHES: &str = "videotestsrc is-live=true pattern=ball flip=true \
    ! video/x-raw,format=I420,width=320,height=240,framerate=25/1 ! videorate drop-only=true \
    ! video/x-raw,framerate=15/1 ! identity name=flashes ! ";
pub const BEEPS: &str = "audiotestsrc is-live=true wave=ticks tick-interval=2000000000 \
    ! audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2 ! identity name=beeps ! sink. ";

/// A flash and the beep next to it come within this, however busy the machine is: a beep that is a whole period off on
/// the time line does not.
const TOGETHER: Duration = Duration::from_millis(1_500);

/// How many of them are compared.
const COMPARED: usize = 3;

/// When a flash or a beep came, and its place on the time line.
type Moment = (Instant, gst::ClockTime);

/// A provider's pipeline that sends [`FLASHES`] and [`BEEPS`].
pub struct Film(Receiver<Frame>);

impl Film {
    pub fn of(pipeline: &gst::Pipeline) -> Self {
        let (sender, frames) = channel();
        for (name, kind) in [("flashes", Video), ("beeps", Audio)] {
            let pad = pipeline.by_name(name).unwrap().static_pad("src").unwrap();
            let sender = Mutex::new(sender.clone());
            watch(kind, &pad, move |frame| {
                let _ = sender.lock().unwrap().send(frame);
            });
        }
        Self(frames)
    }

    /// Watches the film for up to eight seconds, from this time on: decoders keep a picture back. Answers the frames,
    /// and how much later than it should a beep comes than its flash, in milliseconds.
    pub fn watched(&self, consumer: &mut PaidConsumer, since: gst::ClockTime) -> (Vec<Frame>, i64) {
        let (mut got, mut lags) = (Vec::new(), Vec::new());
        let until = Instant::now() + PATIENCE;
        while lags.len() < COMPARED {
            let seen = lags.len();
            assert!(Instant::now() < until, "only {seen} flashes came with a beep");
            got.push(consumer.any());
            got.retain(|frame| frame.running_time >= since);
            lags = lags_ms(&got);
        }
        let sent: Vec<Frame> = self.0.try_iter().collect();
        (got, median(lags) - median(lags_ms(&sent)))
    }
}

/// How much later each beep is than its flash.
fn lags_ms(frames: &[Frame]) -> Vec<i64> {
    let beeps = beeps(frames);
    let lag = |flash: Moment| {
        let lag = |beep: &Moment| place_ms(beep.1) - place_ms(flash.1);
        let beep = beeps.iter().min_by_key(|beep| lag(beep).abs())?;
        let apart = beep.0.max(flash.0) - beep.0.min(flash.0);
        (apart < TOGETHER).then(|| lag(beep))
    };
    flashes(frames).into_iter().filter_map(lag).collect()
}

/// The first may be where the film was joined.
fn flashes(frames: &[Frame]) -> Vec<Moment> {
    let pictures: Vec<&Frame> = frames.iter().filter(|frame| frame.kind == Video).collect();
    let pairs = pictures.windows(2);
    let turns = pairs.filter(|pair| pair[0].is_bright != pair[1].is_bright);
    turns
        .map(|pair| (pair[1].at, pair[1].running_time))
        .skip(1)
        .collect()
}

/// One may be loud in two pieces.
fn beeps(frames: &[Frame]) -> Vec<Moment> {
    let loud = frames.iter().filter_map(|frame| Some((frame.at, frame.loud_at?)));
    let mut beeps: Vec<Moment> = Vec::new();
    for (at, place) in loud {
        if beeps
            .last()
            .is_none_or(|last| place > last.1 + gst::ClockTime::from_mseconds(500))
        {
            beeps.push((at, place));
        }
    }
    beeps
}

/// For what may be negative: a difference.
pub fn place_ms(time: gst::ClockTime) -> i64 {
    i64::try_from(time.mseconds()).unwrap()
}

fn median(mut of: Vec<i64>) -> i64 {
    of.sort_unstable();
    of[of.len() / 2]
}
