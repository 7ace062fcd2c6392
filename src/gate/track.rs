//! What a gate remembers of one track.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::{CAT, KEY_FRAME_RETRY, TrackKind, WeakPad, key_frame_request, lock};

const UNKNOWN: u8 = 0;
const RAW: u8 = 1;
const ENCODED: u8 = 2;

pub(super) struct Track {
    pub kind: TrackKind,
    pad: WeakPad,
    /// One of the constants above.
    form: AtomicU8,
    /// The last opening in which a buffer of this track passed.
    resumed: AtomicU64,
    /// Whether a buffer has been dropped since one last passed.
    gap: AtomicBool,
    waiting: Mutex<Waiting>,
}

/// What happened while waiting to resume in one opening.
#[derive(Default)]
struct Waiting {
    epoch: u64,
    asked: Option<Instant>,
    since: Option<Instant>,
}

impl Waiting {
    /// The state for this opening; another opening's is forgotten.
    fn of(&mut self, epoch: u64) -> &mut Self {
        if self.epoch != epoch {
            *self = Self {
                epoch,
                ..Self::default()
            };
        }
        self
    }
}

impl Track {
    pub fn new(kind: TrackKind, pad: &gst::Pad) -> Self {
        Self {
            kind,
            pad: pad.downgrade(),
            form: AtomicU8::new(UNKNOWN),
            resumed: AtomicU64::new(0),
            gap: AtomicBool::new(false),
            waiting: Mutex::default(),
        }
    }

    pub fn resumed_in(&self, epoch: u64) -> bool {
        self.resumed.load(Ordering::SeqCst) == epoch
    }

    /// Marks the track as flowing; says whether buffers were dropped before.
    pub fn resume(&self, epoch: u64) -> bool {
        self.resumed.store(epoch, Ordering::SeqCst);
        self.gap.swap(false, Ordering::Relaxed)
    }

    pub fn dropped_one(&self) {
        self.gap.store(true, Ordering::Relaxed);
    }

    /// Asks for the key frame an opening needs right away, rather than with the next frame.
    pub fn opened(&self, epoch: u64) {
        let Some(pad) = self.pad.upgrade() else { return };
        if self.kind == TrackKind::Video && self.is_encoded(&pad) {
            self.ask_for_key_frame(&pad, epoch);
        }
    }

    /// How long this track has been waiting in this opening; the first call starts the count, since an opening
    /// may be older than the track.
    pub fn waited(&self, epoch: u64) -> Duration {
        lock(&self.waiting)
            .of(epoch)
            .since
            .get_or_insert_with(Instant::now)
            .elapsed()
    }

    /// Asks upstream for a key frame, once an opening, and again only if none has come for long.
    pub fn ask_for_key_frame(&self, pad: &gst::Pad, epoch: u64) {
        {
            let mut waiting = lock(&self.waiting);
            let waiting = waiting.of(epoch);
            if waiting
                .asked
                .is_some_and(|asked| asked.elapsed() < KEY_FRAME_RETRY)
            {
                return;
            }
            waiting.asked = Some(Instant::now());
        }
        gst::debug!(CAT, obj = pad, "asking for a key frame");
        // The appsrc itself answers false; webrtcsink carries the event further with a probe on this pad.
        pad.send_event(key_frame_request());
    }

    /// Tells the encoder behind `pad` to make the next frame a key frame.
    pub fn make_key_frame(&self, pad: &gst::Pad) {
        let event = gst_video::DownstreamForceKeyUnitEvent::builder()
            .all_headers(true)
            .build();
        if !pad.push_event(event) {
            gst::debug!(CAT, obj = pad, "nothing downstream took the key frame request");
        }
    }

    pub fn caps_changed(&self, caps: &gst::CapsRef) {
        self.form.store(form_of(caps), Ordering::Relaxed);
    }

    /// Encoded, as far as is known. A track whose caps are unknown counts as encoded: waiting for a key frame
    /// is right for both, since no raw frame is a delta unit.
    pub fn is_encoded(&self, pad: &gst::Pad) -> bool {
        let mut form = self.form.load(Ordering::Relaxed);
        if form == UNKNOWN {
            form = pad.current_caps().map_or(UNKNOWN, |caps| form_of(&caps));
            self.form.store(form, Ordering::Relaxed);
        }
        form != RAW
    }
}

fn form_of(caps: &gst::CapsRef) -> u8 {
    match caps.structure(0) {
        Some(structure) if structure.name().ends_with("/x-raw") => RAW,
        Some(_) => ENCODED,
        None => UNKNOWN,
    }
}
