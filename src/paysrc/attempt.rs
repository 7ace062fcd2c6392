//! One try with one producer: an inner webrtcsrc, and the session it has or had.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;
use streamium_channel::liveness::{GONE_AFTER, SILENT_AFTER};

use super::control::{Command, Commander};
use super::session::{Arrivals, ConsumerHooks, ConsumerSession};
use super::{CAT, StreamiumPaySrc, pads, proxied, signals};
use crate::inner::{self, Signaller};

/// How long the signalling server may take to make a session. What the provider may take is the session's to say.
const SESSION_LIMIT: Duration = Duration::from_secs(10);

/// A try that has not got this far by now may hang: a producer that has just come is taken instead.
const YOUNG: Duration = Duration::from_secs(2);

/// What left the provider before it went may take this long to come out of the buffers.
const IN_FLIGHT: Duration = Duration::from_secs(1);

/// When the signalling server says that the session is over, the provider has this long to show that it is not. The
/// server says so too when it was only the provider's connection to it that broke.
const DOUBT: Duration = Duration::from_secs(2);

/// What each attempt is made from.
pub struct Recipe<'a> {
    pub template: &'a gst::Element,
    pub signaller: &'a Signaller,
    pub uri: &'a str,
    pub hooks: &'a Arc<dyn ConsumerHooks>,
    pub commander: &'a Commander,
}

/// See the module.
pub struct Attempt {
    pub number: u64,
    pub inner: gst::Element,
    pub producer: String,
    arrivals: Arrivals,
    session: Arc<Mutex<Option<String>>>,
    since: Duration,
    connected: bool,
    /// When its producer turned out to be the link's provider.
    shown_at: Option<Duration>,
    /// Silence before this does not count.
    listening_since: Duration,
    /// When the signalling server went away, which the provider may have run.
    server_lost_at: Option<Duration>,
    /// When it said that the session is over.
    said_over_at: Option<Duration>,
}

impl Attempt {
    /// Makes the inner element; [`Attempt::start`] runs it.
    pub fn new(
        number: u64,
        producer: String,
        element: &StreamiumPaySrc,
        recipe: &Recipe<'_>,
        now: Duration,
    ) -> Result<Self, String> {
        let inner = inner::make_src().map_err(|error| error.to_string())?;
        proxied::TABLE.copy(recipe.template, &inner);
        signals::TABLE.forward(&inner, element);
        let signaller = Signaller::of(&inner).ok_or("webrtcsrc has no signaller")?;
        signaller.copy_settings(recipe.signaller);
        signaller.set_uri(recipe.uri);
        signaller.set_producer(&producer);
        let attempt = Self {
            number,
            inner,
            producer,
            arrivals: Arrivals::default(),
            session: Arc::default(),
            since: now,
            connected: false,
            shown_at: None,
            listening_since: now,
            server_lost_at: None,
            said_over_at: None,
        };
        attempt.watch_session(&signaller, recipe);
        let (weak, watched) = (element.downgrade(), attempt.arrivals.clone());
        attempt.inner.connect_pad_added(move |_, pad| {
            if let Some(element) = weak.upgrade() {
                pads::expose(&element, pad, &watched);
            }
        });
        // webrtcsrc takes a session's bin out last, however the session ended. Not earlier: stopping it while it
        // does that itself sets its parts back to PAUSED.
        let commander = recipe.commander.clone();
        let bin = attempt.inner.downcast_ref::<gst::Bin>();
        bin.ok_or("webrtcsrc is no bin")?
            .connect_element_removed(move |_, _| commander.send(Command::SessionEnded(number)));
        Ok(attempt)
    }

    fn watch_session(&self, signaller: &Signaller, recipe: &Recipe<'_>) {
        let (hooks, commander, number) = (recipe.hooks.clone(), recipe.commander.clone(), self.number);
        let (producer, arrivals) = (self.producer.clone(), self.arrivals.clone());
        let session = self.session.clone();
        let told = commander.clone();
        signaller.intercept_session_ended(move || told.send(Command::SaidOver(number)));
        signaller.connect("webrtcbin-ready", move |values| {
            let id = values.first().and_then(|value| value.get::<String>().ok());
            let webrtcbin = values.get(1).and_then(|value| value.get::<gst::Element>().ok());
            let (Some(id), Some(webrtcbin)) = (id, webrtcbin) else {
                return;
            };
            *session.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
            watch_offers(&webrtcbin, &commander, number);
            ConsumerSession::begin(
                id,
                producer.clone(),
                &webrtcbin,
                arrivals.clone(),
                (commander.clone(), number),
                hooks.clone(),
            );
        });
    }

    pub fn start(&self, element: &StreamiumPaySrc) -> Result<(), String> {
        element.add(&self.inner).map_err(|error| error.to_string())?;
        self.inner
            .sync_state_with_parent()
            .map_err(|error| error.to_string())
    }

    pub fn connected(&mut self) {
        self.connected = true;
    }

    /// The producer is the link's provider.
    pub fn shown(&mut self, now: Duration) {
        self.shown_at.get_or_insert(now);
        self.listening_since = self.listening_since.max(now);
    }

    pub fn is_shown(&self) -> bool {
        self.shown_at.is_some()
    }

    /// For how long it has been with the link's provider.
    pub fn lasted(&self, now: Duration) -> Duration {
        self.shown_at.map_or(Duration::ZERO, |at| now.saturating_sub(at))
    }

    /// Neither new nor with the link's provider: it makes way for another producer that has just come.
    pub fn makes_way(&self, producer: &str, now: Duration) -> bool {
        !self.is_shown() && self.producer != producer && now >= self.since.saturating_add(YOUNG)
    }

    /// When the signalling server has had time enough.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.connected).then(|| self.since.saturating_add(SESSION_LIMIT))
    }

    /// When a provider of which nothing more is heard counts as gone, media and messages alike. The session notices
    /// that too where it asks for answers, which it does not for a free stream.
    pub fn silent_at(&self) -> Option<Duration> {
        let heard = self.arrivals.last().unwrap_or_default();
        let last = heard.max(self.listening_since);
        let still_silent_since = |at: &Duration| heard < at.saturating_add(IN_FLIGHT);
        let went_with_server = self.server_lost_at.filter(still_silent_since).is_some();
        let limit = if went_with_server {
            SILENT_AFTER
        } else {
            GONE_AFTER
        };
        let silent = last.saturating_add(limit);
        let over = self.said_over_at.filter(still_silent_since);
        let over = over.map_or(silent, |at| at.saturating_add(DOUBT));
        self.is_shown().then(|| silent.min(over))
    }

    /// The signalling server says that the session is over.
    pub fn said_over(&mut self, now: Duration) {
        self.said_over_at = Some(now);
    }

    /// The signalling server is gone. The session does not need it, but the provider may be gone with it.
    pub fn server_lost(&mut self, now: Duration) {
        self.server_lost_at = Some(now);
    }

    /// The player was paused, so that nothing arrived.
    pub fn excuse_silence(&mut self, now: Duration) {
        self.listening_since = now;
        self.said_over_at = self.said_over_at.map(|_| now);
    }

    /// Stops the inner element and takes it out. May wait for the thread that pushes its buffers.
    pub fn stop(self, element: Option<&StreamiumPaySrc>, hooks: &dyn ConsumerHooks) {
        gst::debug!(CAT, "attempt {} is over: producer {}", self.number, self.producer);
        let _ = self.inner.set_locked_state(true);
        Signaller::wait_until_idle();
        // Out first: should a buffer wait in a player that is just being paused, then stopping waits for that buffer,
        // and the pausing must not wait for the stopping.
        if let Some(element) = element {
            pads::detach(element);
            let _ = element.remove(&self.inner);
        }
        // webrtcsrc stops a session's bin itself, in a thread of its own. Were it taken through the states along with
        // webrtcsrc at the same time, it would be set back from NULL, and disposed of in READY or PAUSED.
        if let Some(bin) = self.inner.downcast_ref::<gst::Bin>() {
            for session in bin.children() {
                session.set_locked_state(true);
            }
        }
        if self.inner.set_state(gst::State::Null).is_err() {
            gst::warning!(CAT, "the inner element did not stop");
        }
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(id) = session {
            hooks.disconnected(&id);
        }
    }
}

/// Ends the attempt at a second offer: the terms bind the transports that there were, and another offer could bring
/// somebody else's. It may read nothing of webrtcbin's: the first offer changes the state once, its answer once more.
fn watch_offers(webrtcbin: &gst::Element, commander: &Commander, number: u64) {
    const OF_ONE_OFFER: usize = 2;
    let (changes, commander) = (AtomicUsize::new(0), commander.clone());
    webrtcbin.connect_notify(Some("signaling-state"), move |webrtcbin, _| {
        if changes.fetch_add(1, Ordering::SeqCst) == OF_ONE_OFFER {
            gst::warning!(CAT, obj = webrtcbin, "a second offer: the connection is given up");
            commander.send(Command::SessionEnded(number));
        }
    });
}
