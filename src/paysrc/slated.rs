//! The source's tracks with a slate: its first video and its first audio pad, there from the start.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bitcoin::Amount;
use gst::prelude::*;
use gst::subclass::prelude::ObjectSubclassExt;
use streamium_channel::link::Link;

use super::screen::{Media, Screen};
use super::{Status, StreamiumPaySrc, imp, templates};
use crate::gate::TrackKind;
use crate::report::{Report, Severity};
use crate::slate::{Identity, Track, TrackSettings};

const TRACKS: [(TrackKind, &str); 2] = [(TrackKind::Video, "video_0"), (TrackKind::Audio, "audio_0")];

/// While PAUSED or PLAYING.
pub struct Slated {
    /// Held while the tracks are told, so that they hear things in order. They wait for nothing then.
    screen: Mutex<Screen>,
    tracks: Vec<Track>,
    /// Why the stream can't be played, until that is posted as an error.
    last_words: Mutex<Option<String>>,
}

impl Slated {
    /// Adds the tracks and their pads.
    pub fn start(element: &StreamiumPaySrc, link: &Link, size: (i32, i32)) -> Result<Arc<Self>, String> {
        let identities = Identity::new(link.stream.as_str(), &TRACKS.map(|(kind, _)| kind));
        let tracks = TRACKS
            .into_iter()
            .zip(identities)
            .map(|((kind, name), identity)| {
                let settings = TrackSettings { kind, size, identity };
                Track::new(&format!("slate_{name}"), settings)
            });
        let slated = Arc::new(Self {
            screen: Mutex::new(Screen::new(link)),
            tracks: tracks.collect(),
            last_words: Mutex::default(),
        });
        slated.change(|_| None);
        if let Err(error) = slated.join(element) {
            slated.stop(element);
            return Err(error.to_string());
        }
        element.no_more_pads();
        Ok(slated)
    }

    fn join(&self, element: &StreamiumPaySrc) -> Result<(), gst::glib::BoolError> {
        for ((kind, name), track) in TRACKS.into_iter().zip(&self.tracks) {
            element.add(track)?;
            show(element, kind, name, track)?;
        }
        Ok(())
    }

    /// Takes the tracks out. Their pads are gone, and they have stopped.
    pub fn stop(&self, element: &StreamiumPaySrc) {
        for track in &self.tracks {
            let _ = track.set_state(gst::State::Null);
            let _ = element.remove(track);
        }
    }

    /// Whether the picture is linked to something that shows it.
    fn is_seen(&self) -> bool {
        self.tracks.first().and_then(Track::takes_raw) == Some(true)
    }

    pub fn state(&self, state: &str) {
        self.change(|screen| screen.state(state));
    }

    pub fn paid(&self, paid_sat: u64) {
        self.change(|screen| {
            screen.paid(Amount::from_sat(paid_sat));
            None
        });
    }

    pub fn report(&self, report: &Report) {
        self.change(|screen| screen.report(report));
    }

    /// Lets through what comes: nobody verifies it.
    pub fn admit(&self) {
        self.change(Screen::without_gate);
    }

    fn change(&self, change: impl FnOnce(&mut Screen) -> Option<Media>) {
        let mut screen = lock(&self.screen);
        let media = change(&mut screen);
        let slate = Arc::new(screen.slate());
        for track in &self.tracks {
            track.set_slate(slate.clone());
            match media {
                Some(Media::Admit) => track.admit(),
                Some(Media::Cover) => track.cover(),
                None => (),
            }
        }
    }
}

impl imp::StreamiumPaySrc {
    /// Shows the slate, if there shall be one.
    pub(super) fn start_slate(&self) -> Result<(), String> {
        let checked = self.checked()?;
        if let Some(size) = checked.slate_size {
            *imp::lock(&self.slated) = Some(Slated::start(&self.obj(), &checked.options.link, size)?);
        }
        Ok(())
    }

    pub(super) fn stop_slate(&self) {
        let slated = imp::lock(&self.slated).take();
        if let Some(slated) = slated {
            slated.stop(&self.obj());
        }
    }

    fn slated(&self) -> Option<Arc<Slated>> {
        imp::lock(&self.slated).clone()
    }

    pub(super) fn show_status(&self, old: &Status, new: &Status) {
        let Some(slated) = self.slated() else { return };
        if old.state != new.state {
            slated.state(&new.state);
        }
        if old.paid_sat != new.paid_sat {
            slated.paid(new.paid_sat);
        }
    }

    /// Answers what is to be posted. With a slate, what would end the pipeline is said when that has been read.
    pub(super) fn reported(&self, mut report: Report) -> Report {
        let Some(slated) = self.slated() else {
            return report;
        };
        slated.report(&report);
        if report.name == "ended" && report.severity == Severity::Error && slated.is_seen() {
            *lock(&slated.last_words) = report.text.take();
            report.severity = Severity::Info;
        }
        report
    }

    /// Whether there is a slate, and somebody to see it.
    pub(super) fn shows_slate(&self) -> bool {
        self.slated().is_some_and(|slated| slated.is_seen())
    }

    pub(super) fn has_last_words(&self) -> bool {
        self.slated()
            .is_some_and(|slated| lock(&slated.last_words).is_some())
    }

    /// The error that is still to be posted.
    pub(super) fn take_last_words(&self) -> Option<String> {
        lock(&self.slated()?.last_words).take()
    }

    /// With a slate the streams are ours: a player that heard of the inner decoder's would drop ours for them.
    pub(super) fn hides(&self, message: &gst::Message) -> bool {
        let of_streams = matches!(
            message.type_(),
            gst::MessageType::StreamCollection | gst::MessageType::StreamsSelected
        );
        of_streams && self.slated().is_some()
    }

    /// Nobody says what is paid for: whatever comes is shown.
    pub(super) fn show_all(&self) {
        if let Some(slated) = self.slated() {
            slated.admit();
        }
    }

    /// A paused webrtcsrc neither reads nor writes its socket: the provider would not hear that nothing is wanted,
    /// and would take us for gone. So while we are paused it goes on; what still comes waits downstream.
    pub(super) fn keep_connected(&self, keep: bool) {
        for child in self.obj().children() {
            if !child.is::<Track>() {
                child.set_locked_state(keep);
            }
        }
    }
}

fn show(
    element: &StreamiumPaySrc,
    kind: TrackKind,
    name: &str,
    track: &Track,
) -> Result<(), gst::glib::BoolError> {
    let template = templates::template(kind).ok_or_else(|| gst::glib::bool_error!("no template"))?;
    let pad = gst::GhostPad::builder_from_template(&template).name(name).build();
    track.show_as(&pad)?;
    pad.set_active(true)?;
    element.add_pad(&pad)
}

/// The track behind a pad, if it has one and downstream takes what that has to show.
pub fn track_of(pad: &gst::GhostPad) -> Option<Track> {
    pad.target()?.parent()?.downcast().ok()
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
