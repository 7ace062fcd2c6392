//! The element: its pads, its states, and who may push when.
//!
//! Lock order: `outlet` is held while pushing, as a pad's stream lock is; the others are leaves, taken under it or alone.
//! Nothing that must not wait for downstream takes `outlet`: not letting through, covering, attaching or flushing.

use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::adapter::Adapter;
use super::outlet::Outlet;
use super::{CAT, TrackSettings};
use crate::gate::TrackKind;
use crate::slate::model::Slate;

#[derive(Default)]
pub struct Track {
    settings: OnceLock<TrackSettings>,
    pads: OnceLock<(gst::Pad, gst::Pad)>,
    pub(super) outlet: Mutex<Outlet>,
    pub(super) wanted: Mutex<Wanted>,
    pub(super) changed: Condvar,
    /// What is shown to those who use the whole, and is linked or not.
    pub(super) shown_as: glib::WeakRef<gst::GhostPad>,
    pub(super) raw: OnceLock<bool>,
    adapter: Mutex<Option<Adapter>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What shall happen, from any thread.
#[derive(Default)]
pub struct Wanted {
    pub stop: bool,
    pub playing: bool,
    /// Live media is let through.
    admitted: bool,
    /// Some is being shown.
    live: bool,
    /// None is shown that is from before this.
    not_before: gst::ClockTime,
    /// Downstream was flushed, and has not been told that it is over.
    pub flushed: bool,
    pub slate: Arc<Slate>,
}

#[glib::object_subclass]
impl ObjectSubclass for Track {
    const NAME: &'static str = "GstStreamiumPaySlateTrack";
    type Type = super::Track;
    type ParentType = gst::Element;
}

impl ObjectImpl for Track {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_element_flags(gst::ElementFlags::SOURCE);
        let sink = gst::Pad::builder(gst::PadDirection::Sink)
            .name("sink")
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |track| track.live(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |track| track.live_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |track| track.live_query(pad, query))
            })
            .flags(gst::PadFlags::PROXY_ALLOCATION)
            .build();
        let src = gst::Pad::builder(gst::PadDirection::Src)
            .name("src")
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |track| track.upstream_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |track| track.query(pad, query))
            })
            .build();
        let added = obj.add_pad(&sink).and_then(|()| obj.add_pad(&src));
        if added.is_err() {
            gst::error!(CAT, imp = self, "no pads");
        }
        let _ = self.pads.set((sink, src));
    }
}

impl GstObjectImpl for Track {}

impl ElementImpl for Track {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Slate track",
                "Generic",
                "Shows a picture or silence while no live media flows",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.run()?,
            gst::StateChange::PlayingToPaused => self.want(|wanted| wanted.playing = false),
            gst::StateChange::PausedToReady => self.want(|wanted| wanted.stop = true),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToPlaying => self.want(|wanted| wanted.playing = true),
            gst::StateChange::PausedToReady => self.join(),
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused => {
                return Ok(gst::StateChangeSuccess::NoPreroll);
            }
            _ => (),
        }
        Ok(success)
    }
}

impl Track {
    pub fn set_up(&self, settings: TrackSettings) {
        let _ = self.settings.set(settings);
    }

    pub fn set_outlet(&self, shown_as: &gst::GhostPad) {
        self.shown_as.set(Some(shown_as));
    }

    pub fn set_slate(&self, slate: Arc<Slate>) {
        self.want(|wanted| wanted.slate = slate);
    }

    pub fn admit(&self) {
        lock(&self.wanted).admitted = true;
    }

    pub fn cover(&self) {
        let now = self.obj().current_running_time();
        self.want(|wanted| {
            wanted.live = false;
            if std::mem::take(&mut wanted.admitted) {
                wanted.not_before = now.unwrap_or_default();
            }
        });
    }

    pub fn has_played(&self) -> bool {
        lock(&self.outlet).has_played
    }

    pub fn attach(&self, live: &gst::Pad) -> Result<(), glib::BoolError> {
        let (sink, _) = self.pads().map_err(|error| glib::bool_error!("{error}"))?;
        let _ = sink.set_active(true);
        // Where nothing is linked nothing is decoded, and nothing comes of what arrives.
        if self.takes_raw() != Some(true) {
            let linked = live.link(sink);
            return linked.map(drop).map_err(|error| glib::bool_error!("{error}"));
        }
        let kind = self
            .settings
            .get()
            .map_or(TrackKind::Video, |settings| settings.kind);
        let adapter = Adapter::insert(kind, sink)?;
        adapter.link(live)?;
        *lock(&self.adapter) = Some(adapter);
        Ok(())
    }

    pub fn detach(&self) {
        let Ok((sink, _)) = self.pads() else { return };
        let adapter = lock(&self.adapter).take();
        drop(adapter);
        if let Some(live) = sink.peer() {
            let _ = live.unlink(sink);
        }
        // Forgets what that one had sent. May wait for what is being pushed.
        let _ = sink.set_active(false);
    }

    pub fn end(&self) {
        let Ok((_, src)) = self.pads() else { return };
        let mut outlet = lock(&self.outlet);
        self.after_flush(&mut outlet);
        if let Some(settings) = self.settings.get() {
            outlet.start(src, &settings.identity);
        }
        let taken = outlet.finish(src);
        gst::debug!(CAT, imp = self, "EOS, taken: {taken}");
    }

    pub fn takes_raw(&self) -> Option<bool> {
        let outlet = self.shown_as.upgrade().filter(|outlet| outlet.is_linked())?;
        let raw = self
            .raw
            .get_or_init(|| outlet.peer_query_caps(None).can_intersect(&self.any_raw()));
        Some(*raw)
    }

    pub(super) fn pads(&self) -> Result<&(gst::Pad, gst::Pad), gst::PadLinkError> {
        self.pads.get().ok_or(gst::PadLinkError::Refused)
    }

    pub(super) fn settings(&self) -> Option<&TrackSettings> {
        self.settings.get()
    }

    /// Raw media in any memory.
    pub(super) fn any_raw(&self) -> gst::Caps {
        let name = match self.settings.get().map(|settings| settings.kind) {
            Some(TrackKind::Audio) => "audio/x-raw",
            _ => "video/x-raw",
        };
        gst::Caps::builder_full()
            .structure_with_any_features(gst::Structure::new_empty(name))
            .build()
    }

    fn want(&self, change: impl FnOnce(&mut Wanted)) {
        change(&mut lock(&self.wanted));
        self.changed.notify_all();
    }

    fn run(&self) -> Result<(), gst::StateChangeError> {
        self.want(|wanted| wanted.stop = false);
        let kind = self
            .settings
            .get()
            .map_or(TrackKind::Video, |settings| settings.kind);
        let name = match kind {
            TrackKind::Video => "slate-video",
            TrackKind::Audio => "slate-audio",
        };
        let track = self.obj().clone();
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || track.imp().fill());
        *lock(&self.thread) = Some(thread.map_err(|_| gst::StateChangeError)?);
        Ok(())
    }

    fn join(&self) {
        let thread = lock(&self.thread).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            gst::error!(CAT, imp = self, "the slate's thread panicked");
        }
    }

    /// Downstream may have been flushed, by a session that ended in a paused player.
    pub(super) fn after_flush(&self, outlet: &mut Outlet) {
        let Ok((_, src)) = self.pads() else { return };
        if std::mem::take(&mut lock(&self.wanted).flushed) {
            src.push_event(gst::event::FlushStop::new(false));
            outlet.flushed();
        }
    }
}

impl Wanted {
    /// Shows live media from this time if that is let through.
    pub fn show(&mut self, begin: gst::ClockTime) -> bool {
        let shown = self.admitted && begin >= self.not_before;
        self.live |= shown;
        shown
    }

    /// Whether nothing but live media is shown now, or nothing at all.
    pub fn needs_no_filling(&self) -> bool {
        self.live || !self.playing
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
