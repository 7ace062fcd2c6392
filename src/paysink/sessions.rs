//! The sessions of a `streamiumpaysink`, and what their driver is told of them and may do with them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::pulse::Pulse;
use super::session_bus::watch_errors;
use crate::boottime;
use crate::data_channel::{
    CertificateError, Certificates, DataChannel, DataChannelError, DataChannelEvent, certificates,
};
use crate::gate::{Gate, TrackKind};
use crate::inner::Signaller;
use crate::origin::Origin;

/// What the sink tells whoever drives its sessions. Every call must return at once: they run in webrtcsink's
/// callbacks, some with its locks or webrtcbin's held.
///
/// For one id the order is: `session_added`, then `channel_event`s, then `session_removed`. One peer may hold
/// several sessions.
pub trait ProviderHooks: Send + Sync {
    fn session_added(&self, session: SessionHandle);
    fn channel_event(&self, id: &str, event: DataChannelEvent);
    /// The handle still works after this, but does nothing.
    fn session_removed(&self, id: &str);
}

/// The hooks of a free stream: every gate is open from the start.
pub struct FreeHooks;

impl ProviderHooks for FreeHooks {
    fn session_added(&self, session: SessionHandle) {
        session.gate.open();
    }

    fn channel_event(&self, _id: &str, _event: DataChannelEvent) {}

    fn session_removed(&self, _id: &str) {}
}

/// The hooks of a paid stream that nothing drives (yet): no gate ever opens.
pub struct ClosedHooks;

impl ProviderHooks for ClosedHooks {
    fn session_added(&self, _session: SessionHandle) {}

    fn channel_event(&self, _id: &str, _event: DataChannelEvent) {}

    fn session_removed(&self, _id: &str) {}
}

/// One track as negotiated with a consumer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    pub kind: TrackKind,
    /// As in the SDP: `VP8`, `H264`, `OPUS`.
    pub encoding: String,
}

/// What the driver may do to one session, from its own thread. Cheap to clone.
///
/// Only [`SessionHandle::gate`] and [`SessionHandle::send`] may also be used in callbacks; everything else reads
/// webrtcbin's properties or takes webrtcsink's locks, and hangs there.
#[derive(Clone)]
pub struct SessionHandle {
    pub id: String,
    /// The consumer's id at the signalling server. A consumer that reconnects has another.
    pub peer: String,
    pub gate: Gate,
    /// Where the consumer comes from, if that is known.
    pub(super) origin: Option<Origin>,
    channel: Option<DataChannel>,
    webrtcbin: glib::WeakRef<gst::Element>,
    signaller: Signaller,
    sessions: Sessions,
    pulse: Pulse,
}

impl SessionHandle {
    /// Sends one message on the data channel.
    pub fn send(&self, message: &str) -> Result<(), DataChannelError> {
        self.channel
            .as_ref()
            .ok_or(DataChannelError::NotCreated)?
            .send(message)
    }

    /// The certificates of the session's transport, once the data channel is open.
    pub fn certificates(&self) -> Result<Certificates, CertificateError> {
        certificates(&self.webrtcbin.upgrade().ok_or(CertificateError::SessionGone)?)
    }

    /// The tracks that the consumer accepted; empty until it has answered.
    pub fn tracks(&self) -> Vec<Track> {
        self.webrtcbin
            .upgrade()
            .map_or_else(Vec::new, |webrtcbin| accepted_tracks(&webrtcbin))
    }

    /// To be asked from time to time: true once the consumer has gone without a word.
    pub fn is_gone(&self) -> bool {
        self.pulse.is_gone(boottime::now(), self.gate.stats().passed)
    }

    /// Ends the session on both sides. The consumer may come back with a new one.
    pub fn end(&self) {
        self.gate.close();
        // Else the consumer goes when it has read the last words, or is ended with the sink.
        if !self.sessions.0.parting.load(Ordering::SeqCst) {
            self.signaller.end_session(&self.id);
        }
    }
}

/// What an answer accepts: of each medium that is not inactive, the first payload type.
fn accepted_tracks(webrtcbin: &gst::Element) -> Vec<Track> {
    let answer = webrtcbin.property::<Option<gst_webrtc::WebRTCSessionDescription>>("remote-description");
    let Some(answer) = answer else { return Vec::new() };
    let medias = answer.sdp().medias();
    let track = |index: usize| {
        let media = answer.sdp().media(u32::try_from(index).ok()?)?;
        let kind = match media.media()? {
            "video" => TrackKind::Video,
            "audio" => TrackKind::Audio,
            _ => return None,
        };
        if media.attributes().any(|attribute| attribute.key() == "inactive") {
            return None;
        }
        let payload = media.formats().next()?.parse().ok()?;
        let caps = media.caps_from_media(payload)?;
        let encoding = caps.structure(0)?.get::<String>("encoding-name").ok()?;
        Some(Track { kind, encoding })
    };
    (0..medias.count()).filter_map(track).collect()
}

/// What is known of a session between its signals.
struct Entry {
    peer: String,
    gate: Gate,
    pipeline: glib::WeakRef<gst::Pipeline>,
    pulse: Pulse,
    /// Whether the hooks know of it.
    added: bool,
    /// Its pipeline has failed, which was reported.
    failed: bool,
}

/// Called with the ids of a session and its peer, and the words of what failed. In any thread.
type OnFailure = Arc<dyn Fn(&str, &str, &str) + Send + Sync>;

/// The table of sessions. Cheap to clone; all clones are the same table.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    /// Lock order: neither is held while the other is taken, nor while a hook runs.
    table: Mutex<HashMap<String, Entry>>,
    /// Where the consumers of sessions that begin come from.
    origins: Mutex<HashMap<String, Origin>>,
    /// A session has left the table.
    removed: Condvar,
    /// The sink stops, and has told the consumers.
    parting: AtomicBool,
    hooks: Mutex<Arc<dyn ProviderHooks>>,
}

impl Default for Sessions {
    fn default() -> Self {
        // Until somebody says that the stream is free, it is not.
        Self(Arc::new(Inner {
            table: Mutex::default(),
            origins: Mutex::default(),
            removed: Condvar::new(),
            parting: AtomicBool::new(false),
            hooks: Mutex::new(Arc::new(ClosedHooks)),
        }))
    }
}

impl Sessions {
    pub fn set_hooks(&self, hooks: Arc<dyn ProviderHooks>) {
        *lock(&self.0.hooks) = hooks;
    }

    fn hooks(&self) -> Arc<dyn ProviderHooks> {
        lock(&self.0.hooks).clone()
    }

    /// A session begins: somebody's from there.
    pub fn begins(&self, id: String, origin: Origin) {
        lock(&self.0.origins).insert(id, origin);
    }

    /// A session that began is over, whether there was ever anything of it or not.
    pub fn is_over(&self, id: &str) {
        lock(&self.0.origins).remove(id);
    }

    /// Starts watching an inner sink. `tracks` says which tracks the sink has; `on_failure` takes a session, its peer, and
    /// why its pipeline failed.
    pub fn watch(
        &self,
        sink: &gst::Element,
        signaller: &Signaller,
        tracks: impl Fn() -> Vec<TrackKind> + Send + Sync + 'static,
        on_failure: impl Fn(&str, &str, &str) + Send + Sync + 'static,
    ) {
        let on_failure: OnFailure = Arc::new(on_failure);
        let sessions = self.clone();
        sink.connect("consumer-pipeline-created", false, move |values| {
            let peer = values.get(1)?.get::<String>().ok()?;
            let pipeline = values.get(2)?.get::<gst::Pipeline>().ok()?;
            sessions.pipeline_created(peer, &pipeline, tracks());
            None
        });
        let sessions = self.clone();
        let for_added = signaller.clone();
        sink.connect("consumer-added", false, move |values| {
            let webrtcbin = values.get(2)?.get::<gst::Element>().ok()?;
            sessions.added(&webrtcbin, &for_added, &on_failure);
            None
        });
        let sessions = self.clone();
        sink.connect("consumer-removed", false, move |values| {
            let webrtcbin = values.get(2)?.get::<gst::Element>().ok()?;
            if let Some(id) = session_id(&webrtcbin.name(), "webrtcbin-") {
                sessions.removed(&id);
            }
            None
        });
    }

    /// From now on sessions are left to their consumers to end: what was said last on the data channel would be lost if
    /// the signalling server's word came before it, and a consumer who is told nothing tries again for a minute.
    pub fn begin_parting(&self) {
        self.0.parting.store(true, Ordering::SeqCst);
    }

    /// Waits until all consumers have gone, but no longer than `patience`.
    pub fn part(&self, patience: Duration) {
        let table = lock(&self.0.table);
        let waited = self
            .0
            .removed
            .wait_timeout_while(table, patience, |table| table.values().any(|entry| entry.added));
        drop(waited);
        self.0.parting.store(false, Ordering::SeqCst);
    }

    /// Ends what is left when the sink stops: webrtcsink says nothing of those sessions.
    pub fn clear(&self) {
        let ids: Vec<_> = lock(&self.0.table).keys().cloned().collect();
        for id in ids {
            self.removed(&id);
        }
    }

    fn pipeline_created(&self, peer: String, pipeline: &gst::Pipeline, tracks: Vec<TrackKind>) {
        let gate = Gate::new(tracks);
        // Whatever else goes wrong: no unguarded session.
        gate.attach(pipeline);
        let pulse = Pulse::default();
        pulse.watch(pipeline);
        let Some(id) = session_id(&pipeline.name(), "session-pipeline-") else {
            gst::error!(CAT, obj = pipeline, "not a session's pipeline: it stays closed");
            return;
        };
        gst::debug!(CAT, "session {id} of {peer}: pipeline");
        let mut table = lock(&self.0.table);
        // webrtcsink does not say so when a session fails before it was added.
        table.retain(|_, entry| entry.added || entry.pipeline.upgrade().is_some());
        // A second session of the same id is refused by webrtcsink; the first keeps its gate.
        table.entry(id).or_insert_with(|| Entry {
            peer,
            gate,
            pipeline: pipeline.downgrade(),
            pulse,
            added: false,
            failed: false,
        });
    }

    fn added(&self, webrtcbin: &gst::Element, signaller: &Signaller, on_failure: &OnFailure) {
        let Some(id) = session_id(&webrtcbin.name(), "webrtcbin-") else {
            gst::error!(CAT, obj = webrtcbin, "not a session's webrtcbin");
            return;
        };
        let known = {
            let table = lock(&self.0.table);
            table
                .get(&id)
                .map(|entry| (entry.peer.clone(), entry.gate.clone(), entry.pulse.clone()))
        };
        let Some((peer, gate, pulse)) = known else {
            gst::error!(CAT, "session {id} was added without a pipeline: it stays closed");
            return;
        };
        self.watch_errors(&id, &peer, on_failure.clone());
        // The handle goes out before any event can: the channel opens only after the first offer, which is
        // made after this callback.
        let sessions = self.clone();
        let for_events = id.clone();
        let on_event = move |event| sessions.hooks().channel_event(&for_events, event);
        let channel = DataChannel::create(webrtcbin, on_event)
            .map_err(|error| gst::error!(CAT, obj = webrtcbin, "session {id} can't be paid: {error}"))
            .ok();
        let webrtcbin = webrtcbin.downgrade();
        let signaller = signaller.clone();
        gst::debug!(CAT, "session {id} of {peer}: added");
        let origin = lock(&self.0.origins).get(&id).cloned();
        let handle = SessionHandle {
            id: id.clone(),
            peer,
            origin,
            gate,
            channel,
            webrtcbin,
            signaller,
            sessions: self.clone(),
            pulse,
        };
        self.hooks().session_added(handle);
        let still_there = lock(&self.0.table)
            .get_mut(&id)
            .map(|entry| entry.added = true)
            .is_some();
        if !still_there {
            // It was removed meanwhile, when the hooks did not know of it yet.
            self.hooks().session_removed(&id);
        }
    }

    fn watch_errors(&self, id: &str, peer: &str, on_failure: OnFailure) {
        let pipeline = lock(&self.0.table)
            .get(id)
            .and_then(|entry| entry.pipeline.upgrade());
        let Some(pipeline) = pipeline else { return };
        let (sessions, id, peer) = (self.clone(), id.to_owned(), peer.to_owned());
        watch_errors(&pipeline, move |reason| {
            // One error brings others.
            let is_first = lock(&sessions.0.table)
                .get_mut(&id)
                .is_some_and(|entry| !std::mem::replace(&mut entry.failed, true));
            if is_first {
                on_failure(&id, &peer, &reason);
            }
        });
    }

    /// webrtcsink has ended a session by itself. False if that is known.
    pub fn gave_up(&self, id: &str) -> bool {
        let failed = lock(&self.0.table).get(id).is_some_and(|entry| entry.failed);
        self.removed(id) && !failed
    }

    fn removed(&self, id: &str) -> bool {
        self.is_over(id);
        let Some(entry) = lock(&self.0.table).remove(id) else {
            return false;
        };
        self.0.removed.notify_all();
        entry.gate.close();
        gst::debug!(
            CAT,
            "session {id} of {}: removed, {:?}",
            entry.peer,
            entry.gate.stats()
        );
        if entry.added {
            self.hooks().session_removed(id);
        }
        true
    }
}

/// webrtcsink names a session's pipeline and its webrtcbin after the session.
fn session_id(name: &str, prefix: &str) -> Option<String> {
    name.strip_prefix(prefix)
        .filter(|id| !id.is_empty())
        .map(ToOwned::to_owned)
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
