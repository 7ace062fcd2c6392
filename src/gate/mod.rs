//! The gate: the switch through which one consumer's media flows only when it is open.
//!
//! It knows open and closed, and nothing of money. It sits on the source pad of each `appsrc` of a consumer's
//! pipeline, so that behind a closed gate neither an encoder nor a payloader sees a buffer.
//!
//! What reopening means for each kind of track:
//!
//! - encoded video: a key frame is asked for upstream, and delta units are dropped until it comes; before it
//!   H.264 decodes to nothing and VP8 to garbage.
//! - raw video: the first frame goes at once, and the encoder is told to make it a key frame.
//! - audio: waits for the first video frame of the same opening, so that both resume together; if none comes
//!   within [`AUDIO_WAIT`] it goes alone.

mod keyframe;
mod track;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

pub use keyframe::{KEY_FRAME_INTERVAL, KeyFrameLimiter};
use track::Track;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpaygate",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay gate"),
    )
});

/// How long audio waits for the first video frame of an opening.
pub const AUDIO_WAIT: Duration = Duration::from_secs(2);

/// A key frame that was asked for and has not come is asked for again after this long: an encoder that was
/// not running yet, or a lossy ingest, may have swallowed the request.
pub const KEY_FRAME_RETRY: Duration = Duration::from_secs(2);

/// What a probe answers to throw away what it has looked at. Not `Drop`: on 1.22 GStreamer then unrefs data that
/// the bindings have taken already, with a critical for each.
pub const DISCARD: gst::PadProbeReturn = gst::PadProbeReturn::Handled;

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackKind {
    Video,
    Audio,
}

impl TrackKind {
    /// By the name of a pad or of an `appsrc`, which webrtcsink names after the pad: `video_0`, `audio_1`.
    pub fn from_name(name: &str) -> Option<Self> {
        if name.starts_with("video_") {
            Some(Self::Video)
        } else if name.starts_with("audio_") {
            Some(Self::Audio)
        } else {
            None
        }
    }
}

/// Buffers since the gate was made, all tracks together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GateStats {
    pub passed: u64,
    pub dropped: u64,
}

/// Called with the track whose buffer was the first to pass after an opening. It runs in the streaming thread
/// and must return at once.
type FirstBuffer = Box<dyn Fn(TrackKind) + Send + Sync>;

/// One consumer's gate. Closed when made. Cheap to clone; all clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<Inner>);

struct Inner {
    /// Counts openings and closings: odd is open. One number, so that a buffer sees the gate's state and the
    /// opening it belongs to in one load, and a closing takes effect for the very next buffer.
    epoch: AtomicU64,
    /// The last opening of which a buffer was reported to `first_buffer`.
    reported: AtomicU64,
    /// The last opening in which a video frame passed.
    video_passed: AtomicU64,
    passed: AtomicU64,
    dropped: AtomicU64,
    expects_video: bool,
    audio_wait: Duration,
    /// Lock order: alone; neither is held while a pad is called.
    tracks: Mutex<Vec<Arc<Track>>>,
    first_buffer: Mutex<Option<Arc<FirstBuffer>>>,
}

impl Gate {
    /// A closed gate for a stream with these tracks.
    pub fn new(tracks: impl IntoIterator<Item = TrackKind>) -> Self {
        Self::with_audio_wait(tracks, AUDIO_WAIT)
    }

    /// Like [`Gate::new`], with another bound on how long audio waits for video.
    pub fn with_audio_wait(tracks: impl IntoIterator<Item = TrackKind>, audio_wait: Duration) -> Self {
        Self(Arc::new(Inner {
            epoch: AtomicU64::new(0),
            reported: AtomicU64::new(0),
            video_passed: AtomicU64::new(0),
            passed: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            expects_video: tracks.into_iter().any(|kind| kind == TrackKind::Video),
            audio_wait,
            tracks: Mutex::default(),
            first_buffer: Mutex::default(),
        }))
    }

    /// Lets media through from the next buffer on, from a key frame on. Safe in any thread, webrtcbin's
    /// callbacks included.
    pub fn open(&self) {
        let opened = self
            .0
            .epoch
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |epoch| {
                (!is_open(epoch)).then_some(epoch.wrapping_add(1))
            });
        let Ok(before) = opened else { return };
        gst::debug!(CAT, "opened");
        let tracks: Vec<_> = lock(&self.0.tracks).clone();
        for track in tracks {
            track.opened(before.wrapping_add(1));
        }
    }

    /// Stops media with the very next buffer.
    pub fn close(&self) {
        let closed = self
            .0
            .epoch
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |epoch| {
                is_open(epoch).then_some(epoch.wrapping_add(1))
            });
        if closed.is_ok() {
            gst::debug!(CAT, "closed");
        }
    }

    pub fn is_open(&self) -> bool {
        is_open(self.epoch())
    }

    pub fn stats(&self) -> GateStats {
        GateStats {
            passed: self.0.passed.load(Ordering::Relaxed),
            dropped: self.0.dropped.load(Ordering::Relaxed),
        }
    }

    /// Sets what is told when the first buffer passes after an opening; once an opening.
    pub fn on_first_buffer(&self, callback: impl Fn(TrackKind) + Send + Sync + 'static) {
        *lock(&self.0.first_buffer) = Some(Arc::new(Box::new(callback)));
    }

    /// Guards every `appsrc` that is, or will be, added to a consumer's pipeline.
    pub fn attach(&self, pipeline: &impl IsA<gst::Bin>) {
        let gate = self.clone();
        pipeline
            .as_ref()
            .connect_element_added(move |_, element| gate.guard(element));
        let mut present = pipeline.as_ref().iterate_elements();
        while let Ok(Some(element)) = present.next() {
            self.guard(&element);
        }
    }

    /// Guards one pad: the source pad of what feeds a consumer's encoder or payloader.
    pub fn attach_pad(&self, pad: &gst::Pad, kind: TrackKind) {
        let track = Arc::new(Track::new(kind, pad));
        lock(&self.0.tracks).push(track.clone());
        let mask = gst::PadProbeType::BUFFER
            | gst::PadProbeType::BUFFER_LIST
            | gst::PadProbeType::EVENT_DOWNSTREAM
            | gst::PadProbeType::EVENT_UPSTREAM;
        let gate = self.clone();
        pad.add_probe(mask, move |pad, info| gate.probe(&track, pad, info));
    }

    fn guard(&self, element: &gst::Element) {
        if element.factory().is_none_or(|factory| factory.name() != "appsrc") {
            return;
        }
        let name = element.name();
        let Some(pad) = element.static_pad("src") else {
            return;
        };
        // An appsrc of another name would be one we do not know the purpose of. Guard it too: what is closed
        // must not leak because webrtcsink has changed a name.
        let kind = TrackKind::from_name(&name).unwrap_or(TrackKind::Audio);
        gst::debug!(CAT, obj = element, "guarding {kind:?}");
        self.attach_pad(&pad, kind);
    }

    fn probe(&self, track: &Track, pad: &gst::Pad, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
        match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                if self.admit(track, pad, buffer) {
                    gst::PadProbeReturn::Ok
                } else {
                    DISCARD
                }
            }
            Some(gst::PadProbeData::BufferList(list)) => {
                let admitted: gst::BufferList = std::mem::replace(list, gst::BufferList::new())
                    .iter_owned()
                    .filter_map(|mut buffer| self.admit(track, pad, &mut buffer).then_some(buffer))
                    .collect();
                if admitted.is_empty() {
                    return DISCARD;
                }
                *list = admitted;
                gst::PadProbeReturn::Ok
            }
            Some(gst::PadProbeData::Event(event)) => self.event(track, event),
            _ => gst::PadProbeReturn::Ok,
        }
    }

    fn event(&self, track: &Track, event: &gst::Event) -> gst::PadProbeReturn {
        match event.view() {
            gst::EventView::Caps(caps) => track.caps_changed(caps.caps()),
            // A consumer that gets no media has no use for a key frame, and the encoder may be everyone's.
            gst::EventView::CustomUpstream(_)
                if !self.is_open() && gst_video::ForceKeyUnitEvent::is(event) =>
            {
                return DISCARD;
            }
            _ => (),
        }
        gst::PadProbeReturn::Ok
    }

    /// Decides on one buffer and counts it.
    fn admit(&self, track: &Track, pad: &gst::Pad, buffer: &mut gst::Buffer) -> bool {
        let epoch = self.epoch();
        let pass = is_open(epoch) && (track.resumed_in(epoch) || self.resume(track, pad, epoch, buffer));
        let counter = if pass { &self.0.passed } else { &self.0.dropped };
        counter.fetch_add(1, Ordering::Relaxed);
        if !pass {
            track.dropped_one();
        }
        pass
    }

    /// Decides whether `track` may start again with this buffer in the opening `epoch`.
    fn resume(&self, track: &Track, pad: &gst::Pad, epoch: u64, buffer: &mut gst::Buffer) -> bool {
        let ready = match track.kind {
            TrackKind::Video if track.is_encoded(pad) => {
                let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
                if delta {
                    track.ask_for_key_frame(pad, epoch);
                }
                !delta
            }
            TrackKind::Video => {
                track.make_key_frame(pad);
                true
            }
            TrackKind::Audio => {
                !self.0.expects_video
                    || self.0.video_passed.load(Ordering::SeqCst) == epoch
                    || track.waited(epoch) >= self.0.audio_wait
            }
        };
        if !ready {
            return false;
        }
        if track.kind == TrackKind::Video {
            self.0.video_passed.store(epoch, Ordering::SeqCst);
        }
        if track.resume(epoch) {
            buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
        }
        self.report(track.kind, epoch);
        true
    }

    fn report(&self, kind: TrackKind, epoch: u64) {
        if self.0.reported.swap(epoch, Ordering::SeqCst) == epoch {
            return;
        }
        gst::debug!(CAT, "first buffer after opening: {kind:?}");
        let callback = lock(&self.0.first_buffer).clone();
        if let Some(callback) = callback {
            callback(kind);
        }
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }
}

fn is_open(epoch: u64) -> bool {
    epoch % 2 == 1
}

/// A poisoned lock guards nothing here that could be half written: take it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("open", &self.is_open())
            .field("stats", &self.stats())
            .finish()
    }
}

/// What upstream is sent to ask for a key frame. All headers, since a decoder that has seen nothing yet needs
/// them.
fn key_frame_request() -> gst::Event {
    gst_video::UpstreamForceKeyUnitEvent::builder()
        .all_headers(true)
        .build()
}

/// A weak reference to a pad that is only ever upgraded.
type WeakPad = glib::WeakRef<gst::Pad>;
