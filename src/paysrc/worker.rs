//! The thread's work: which producer is tried when. What follows when a session is over is in [`super::ending`].

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::attempt::{Attempt, Recipe};
use super::control::{Command, Commander, Shown};
use super::outage::Outage;
use super::producers::Producers;
use super::session::ConsumerHooks;
use super::watch::Watch;
use super::{CAT, StreamiumPaySrc};
use crate::backoff::Backoff;
use crate::boottime;
use crate::inner::{ProducerEvent, Signaller};
use crate::messages::post_info;
use gst::glib;
use streamium_channel::link::Link;

/// Without anything that is due.
const IDLE: Duration = Duration::from_secs(3_600);

pub(super) struct Worker {
    pub(super) element: glib::WeakRef<StreamiumPaySrc>,
    template: gst::Element,
    signaller: Signaller,
    link: Link,
    pub(super) reconnect_timeout: Duration,
    hooks: Arc<dyn ConsumerHooks>,
    commander: Commander,
    /// The current attempt, for [`super::control::Control`].
    shown: Shown,
    pub(super) watch: Watch,
    pub(super) producers: Producers,
    attempts: u64,
    pub(super) attempt: Option<Attempt>,
    /// The last attempt whose connection was lost: the provider's word that it is over may come after that.
    pub(super) lost: Option<u64>,
    /// When that counts as lost for want of such a word, and is said, with this reason.
    pub(super) verdict: Option<(Duration, &'static str)>,
    pub(super) outage: Option<Outage>,
    pub(super) backoff: Backoff,
    /// Before the first connection with the link's provider: when producers whose connection failed are tried again.
    pub(super) retry_at: Option<Duration>,
    pub(super) playing: bool,
    /// When the end is told downstream, once the slate has said why for a while.
    pub(super) farewell: Option<Duration>,
    /// The stream has ended; only a restart of the element begins another.
    pub(super) ended: bool,
}

impl Worker {
    pub fn new(
        element: glib::WeakRef<StreamiumPaySrc>,
        (template, signaller): (gst::Element, Signaller),
        link: Link,
        reconnect_timeout: Duration,
        hooks: Arc<dyn ConsumerHooks>,
        (commander, shown): (Commander, Shown),
    ) -> Self {
        Self {
            element,
            template,
            watch: Watch::new(&signaller, &link, &commander),
            signaller,
            link,
            reconnect_timeout,
            hooks,
            commander,
            shown,
            producers: Producers::default(),
            attempts: 0,
            attempt: None,
            lost: None,
            verdict: None,
            outage: None,
            backoff: Backoff::default(),
            retry_at: None,
            playing: true,
            farewell: None,
            ended: false,
        }
    }

    pub fn run(mut self, receiver: &Receiver<Command>) {
        self.say("resolving");
        self.post(&format!(
            "Looking for \"{}\" at {}.",
            self.link.stream,
            self.link.signalling_uri()
        ));
        self.watch.begin(boottime::now());
        loop {
            match receiver.recv_timeout(self.wait()) {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(command) => self.command(command),
                Err(RecvTimeoutError::Timeout) => (),
            }
            self.tick();
        }
        self.watch.stop();
        self.drop_attempt();
    }

    fn command(&mut self, command: Command) {
        let now = boottime::now();
        match command {
            Command::Stop => (),
            Command::Producer(watch, event) if self.watch.is_current(watch) => self.producer(event),
            Command::Finish => self.finish(),
            Command::Playing(playing) => self.set_playing(playing, now),
            Command::Connected(attempt) => self.with_attempt(attempt, Attempt::connected),
            Command::Shown(attempt) if self.is_current(attempt) => self.is_back(now),
            Command::End(attempt) if self.is_current(attempt) => self.session_over(),
            // The connection went before the provider's last words were read.
            Command::End(attempt) if self.lost == Some(attempt) => self.finish(),
            Command::Lost(attempt) if self.lost == Some(attempt) => self.announce(),
            Command::SessionEnded(attempt) if self.is_current(attempt) => {
                self.gone("the connection ended");
            }
            Command::SaidOver(attempt) if self.is_current(attempt) => self.said_over(now),
            Command::Lost(attempt) if self.is_current(attempt) => {
                self.gone("the provider does not answer");
                self.announce();
            }
            Command::Failed(attempt, reason) if self.is_current(attempt) => self.failed(&reason),
            Command::TryNext(attempt) if self.is_current(attempt) => {
                self.drop_attempt();
                self.connect_next();
            }
            _ => gst::trace!(CAT, "nothing to do: of an earlier attempt"),
        }
    }

    /// When something is due by itself.
    fn wait(&self) -> Duration {
        if self.ended {
            return self
                .farewell
                .map_or(IDLE, |at| at.saturating_sub(boottime::now()));
        }
        let attempt = self.attempt.as_ref();
        let due = [
            self.outage.as_ref().and_then(Outage::next),
            self.watch.next(),
            self.verdict.map(|(at, _)| at),
            self.retry_at.filter(|_| self.attempt.is_none()),
            attempt.and_then(Attempt::deadline),
            attempt.filter(|_| self.playing).and_then(Attempt::silent_at),
        ];
        let next = due.into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_sub(boottime::now()))
    }

    fn tick(&mut self) {
        let now = boottime::now();
        if self.ended {
            if self.farewell.is_some_and(|at| now >= at) {
                self.tell_end();
            }
            return;
        }
        self.watch.tick(now);
        if self.verdict.is_some_and(|(at, _)| now >= at) {
            self.announce();
        }
        let attempt = self.attempt.as_ref();
        if attempt.and_then(Attempt::deadline).is_some_and(|at| now >= at) {
            self.gone("the signalling server makes no session");
        } else if self.playing && attempt.and_then(Attempt::silent_at).is_some_and(|at| now >= at) {
            self.gone("nothing arrives any more");
        }
        let Some(outage) = &mut self.outage else {
            if self.attempt.is_none() && self.retry_at.is_some_and(|at| now >= at) {
                self.retry_at = None;
                self.producers.retry_failed();
                self.connect_next();
            }
            self.complain_of_server(now);
            return;
        };
        if outage.is_hopeless(now) {
            self.give_up(now);
        } else if outage.begin_round(now) && self.attempt.is_none() {
            if self.watch.renew(now) {
                self.producers.forget();
            }
            self.producers.begin_round();
            self.connect_next();
        }
    }

    fn is_current(&self, attempt: u64) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|current| current.number == attempt)
    }

    fn with_attempt(&mut self, number: u64, act: impl FnOnce(&mut Attempt)) {
        if let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.number == number) {
            act(attempt);
        }
    }

    fn set_playing(&mut self, playing: bool, now: Duration) {
        self.playing = playing;
        if let Some(attempt) = self.attempt.as_mut().filter(|_| playing) {
            attempt.excuse_silence(now);
        }
        match &mut self.outage {
            Some(outage) if playing => outage.play(now),
            Some(outage) => outage.pause(now),
            None => (),
        }
        self.connect_next();
    }

    fn producer(&mut self, event: ProducerEvent) {
        let now = boottime::now();
        match event {
            ProducerEvent::Added { peer_id } => {
                let attempt = self.attempt.as_ref();
                // Not to hang with a producer from before, which may be dead.
                let stale = self.outage.is_some() && attempt.is_some_and(|one| one.makes_way(&peer_id, now));
                self.producers.add(peer_id);
                if stale {
                    self.drop_attempt();
                }
                self.connect_next();
            }
            // A running session ends by itself, or goes on without the server.
            ProducerEvent::Removed { peer_id } => self.producers.remove(&peer_id),
            ProducerEvent::Failed { reason, listened } => {
                gst::warning!(CAT, "signalling server: {reason}");
                self.producers.forget();
                self.watch.failed(reason, listened, now);
                self.complain_of_server(now);
            }
        }
    }

    /// Without a session there is nothing to be had without the server: an error at once if it never answered, else
    /// once it has been away for as long as a connection may be.
    fn complain_of_server(&mut self, now: Duration) {
        if self.attempt.is_some() || self.outage.is_some() || self.ended {
            return;
        }
        let complaint = self.watch.complaint(now, self.reconnect_timeout);
        let Some(reason) = complaint.map(ToOwned::to_owned) else {
            return;
        };
        self.ended = true;
        self.watch.stop();
        if let Some(element) = self.element.upgrade() {
            let uri = self.link.signalling_uri();
            gst::element_error!(
                element,
                gst::ResourceError::OpenRead,
                ("The signalling server {uri} can't be reached."),
                ["{reason}"]
            );
        }
    }

    /// Tries the next producer, unless one is being tried or nothing may be.
    pub(super) fn connect_next(&mut self) {
        if self.attempt.is_some() || self.ended || !self.playing {
            return;
        }
        let Some(producer) = self.producers.take() else {
            self.nobody_left();
            return;
        };
        let Some(element) = self.element.upgrade() else {
            return;
        };
        if self.outage.is_none() {
            self.say("connecting");
        }
        if let Err(reason) = self.connect(&element, producer) {
            gst::element_error!(
                element,
                gst::CoreError::Failed,
                ("No session could be started."),
                ["{reason}"]
            );
        }
    }

    fn nobody_left(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.schedule(boottime::now(), || self.backoff.pause());
            self.say("reconnecting");
        } else if self.attempts > 0 {
            self.post(&format!(
                "Waiting for another provider of \"{}\".",
                self.link.stream
            ));
            self.say("resolving");
        }
    }

    fn connect(&mut self, element: &StreamiumPaySrc, producer: String) -> Result<(), String> {
        self.attempts += 1;
        let number = self.attempts;
        gst::debug!(CAT, obj = element, "attempt {number}: producer {producer}");
        let recipe = Recipe {
            template: &self.template,
            signaller: &self.signaller,
            uri: &self.link.signalling_uri(),
            hooks: &self.hooks,
            commander: &self.commander,
        };
        let attempt = Attempt::new(number, producer, element, &recipe, boottime::now())?;
        // Shown before it runs, since it may fail at once.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, attempt.inner.clone()));
        self.attempt.insert(attempt).start(element)
    }

    pub(super) fn drop_attempt(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        // What it says while going is no error of ours.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
        attempt.stop(self.element.upgrade().as_ref(), &*self.hooks);
    }

    pub(super) fn post(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            post_info(&element, text);
        }
    }

    pub(super) fn say(&self, state: &str) {
        if let Some(element) = self.element.upgrade() {
            element.update_status(|status| status.state = state.to_owned());
        }
    }
}
