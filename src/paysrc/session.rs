//! A consumer's session: what its driver is told, and what it may do.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::control::Commander;
use crate::boottime;
use crate::data_channel::{
    CertificateError, Certificates, DataChannel, DataChannelError, DataChannelEvent, certificates,
};
use crate::gate::TrackKind;

/// What the source tells whoever drives its session. Every call must return at once: they run in webrtcsrc's
/// callbacks, some with its locks or webrtcbin's held.
///
/// For one id the order is: `connected`, then `channel_event`s, then `disconnected`. There is one session at a
/// time.
pub trait ConsumerHooks: Send + Sync {
    /// A session with a producer has begun; its data channel opens later, or never if the producer is not ours.
    fn connected(&self, session: ConsumerSession);
    fn channel_event(&self, id: &str, event: DataChannelEvent);
    /// The handle still works after this, but does nothing.
    fn disconnected(&self, id: &str);
}

/// The hooks of a source that nothing drives: it plays what comes, and pays nothing.
pub struct IdleHooks;

impl ConsumerHooks for IdleHooks {
    fn connected(&self, _session: ConsumerSession) {}

    fn channel_event(&self, _id: &str, _event: DataChannelEvent) {}

    fn disconnected(&self, _id: &str) {}
}

/// What has arrived of one track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The pad's name.
    pub track: String,
    pub kind: TrackKind,
    pub count: u64,
    /// When the last buffer came, on [`boottime`]'s clock.
    pub last: Option<Duration>,
}

/// The arrivals of all tracks, and whether they are shown. Cheap to clone; written once a buffer.
#[derive(Clone, Default)]
pub struct Arrivals {
    tracks: Arc<Mutex<Vec<Arc<TrackArrivals>>>>,
    hidden: Arc<AtomicBool>,
    /// Nanoseconds of boot time at the data channel's last event; 0 before the first.
    heard_ns: Arc<AtomicU64>,
}

/// The arrivals of one track.
pub struct TrackArrivals {
    track: String,
    kind: TrackKind,
    count: AtomicU64,
    /// Nanoseconds of boot time; 0 before the first.
    last_ns: AtomicU64,
}

impl Arrivals {
    pub fn add(&self, track: &str, kind: TrackKind) -> Arc<TrackArrivals> {
        let added = Arc::new(TrackArrivals {
            track: track.to_owned(),
            kind,
            count: AtomicU64::new(0),
            last_ns: AtomicU64::new(0),
        });
        lock(&self.tracks).push(added.clone());
        added
    }

    /// True while what arrives must not be shown, since nobody knows yet whose it is.
    pub fn are_hidden(&self) -> bool {
        self.hidden.load(Ordering::SeqCst)
    }

    pub fn read(&self) -> Vec<Arrival> {
        lock(&self.tracks).iter().map(|track| track.read()).collect()
    }

    /// Something came on the data channel.
    fn heard(&self) {
        self.heard_ns.store(now_ns(), Ordering::Relaxed);
    }

    /// When the provider last gave a sign of life, be it media or a message.
    pub fn last(&self) -> Option<Duration> {
        let heard = self.heard_ns.load(Ordering::Relaxed);
        let heard = (heard > 0).then(|| Duration::from_nanos(heard));
        let media = lock(&self.tracks)
            .iter()
            .filter_map(|track| track.read().last)
            .max();
        heard.max(media)
    }
}

impl TrackArrivals {
    pub fn record(&self) {
        self.last_ns.store(now_ns(), Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn read(&self) -> Arrival {
        let last = self.last_ns.load(Ordering::Relaxed);
        Arrival {
            track: self.track.clone(),
            kind: self.kind,
            count: self.count.load(Ordering::Relaxed),
            last: (last > 0).then(|| Duration::from_nanos(last)),
        }
    }
}

/// What the driver may do to a session, from its own thread. Cheap to clone.
///
/// Only [`ConsumerSession::send`], [`ConsumerSession::arrivals`], [`ConsumerSession::end`],
/// [`ConsumerSession::lost`] and [`ConsumerSession::try_next_producer`] may also be used in callbacks.
#[derive(Clone)]
pub struct ConsumerSession {
    pub id: String,
    /// The producer's id at the signalling server.
    pub producer: String,
    channel: Arc<Mutex<Option<DataChannel>>>,
    webrtcbin: glib::WeakRef<gst::Element>,
    arrivals: Arrivals,
    commander: Commander,
    attempt: u64,
}

impl ConsumerSession {
    /// Makes the handle, tells the hooks, and listens for the data channel. In `webrtcbin-ready`.
    pub(super) fn begin(
        id: String,
        producer: String,
        webrtcbin: &gst::Element,
        arrivals: Arrivals,
        (commander, attempt): (Commander, u64),
        hooks: Arc<dyn ConsumerHooks>,
    ) {
        let channel = Arc::new(Mutex::new(None));
        let session = Self {
            id: id.clone(),
            producer,
            channel: channel.clone(),
            webrtcbin: webrtcbin.downgrade(),
            arrivals: arrivals.clone(),
            commander: commander.clone(),
            attempt,
        };
        commander.connected(attempt);
        hooks.connected(session);
        if !arrivals.are_hidden() {
            // Nobody means to verify it.
            commander.shown(attempt);
        }
        DataChannel::listen(
            webrtcbin,
            move |adopted| *lock(&channel) = Some(adopted),
            move |event| {
                arrivals.heard();
                hooks.channel_event(&id, event);
            },
        );
    }

    /// Sends one message on the data channel.
    pub fn send(&self, message: &str) -> Result<(), DataChannelError> {
        let channel = lock(&self.channel).clone();
        channel.ok_or(DataChannelError::NotOpen)?.send(message)
    }

    /// The certificates of the session's transport, once the data channel is open.
    pub fn certificates(&self) -> Result<Certificates, CertificateError> {
        certificates(&self.webrtcbin.upgrade().ok_or(CertificateError::SessionGone)?)
    }

    /// What has arrived of each track that there is a pad for.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.read()
    }

    /// Drops what arrives until [`ConsumerSession::show`].
    pub fn hide(&self) {
        self.arrivals.hidden.store(true, Ordering::SeqCst);
    }

    /// Lets through what arrives: this is the link's provider. From now on a lost connection is made again.
    pub fn show(&self) {
        self.arrivals.hidden.store(false, Ordering::SeqCst);
        self.commander.shown(self.attempt);
    }

    /// Ends the session and the stream: EOS on all pads.
    pub fn end(&self) {
        self.commander.end(self.attempt);
    }

    /// Leaves this producer for the next of the same name: its terms did not verify.
    pub fn try_next_producer(&self) {
        self.commander.try_next(self.attempt);
    }

    /// Drops the session and connects again, for as long as `reconnect-timeout` lets it try.
    pub fn lost(&self) {
        self.commander.lost(self.attempt);
    }
}

fn now_ns() -> u64 {
    u64::try_from(boottime::now().as_nanos()).unwrap_or(u64::MAX)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
