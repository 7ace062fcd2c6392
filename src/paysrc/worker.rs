//! The thread's work: which producer is tried when, and what follows when a session is over.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;

use super::attempt::{Attempt, Recipe};
use super::control::{Command, Commander, Shown};
use super::outage::{Backoff, Outage};
use super::producers::Producers;
use super::session::ConsumerHooks;
use super::watch::Watch;
use super::{CAT, StreamiumPaySrc, pads};
use crate::boottime;
use crate::inner::{ProducerEvent, Signaller};
use crate::messages::{post_element, post_info};
use streamium_channel::link::Link;

/// A session that lasted this long was a good one: should it be lost, the pauses begin with the shortest again.
const STABLE: Duration = Duration::from_secs(30);

/// When a connection is gone, the session may still say that the provider had ended it.
const VERDICT_LIMIT: Duration = Duration::from_millis(300);

/// Without anything that is due.
const IDLE: Duration = Duration::from_secs(3_600);

pub(super) struct Worker {
    element: glib::WeakRef<StreamiumPaySrc>,
    template: gst::Element,
    signaller: Signaller,
    link: Link,
    reconnect_timeout: Duration,
    hooks: Arc<dyn ConsumerHooks>,
    commander: Commander,
    /// The current attempt, for [`super::control::Control`].
    shown: Shown,
    watch: Watch,
    producers: Producers,
    attempts: u64,
    attempt: Option<Attempt>,
    /// The last attempt whose connection was lost: the provider's word that it is over may come after that.
    lost: Option<u64>,
    /// When that counts as lost for want of such a word, and is said, with this reason.
    verdict: Option<(Duration, &'static str)>,
    outage: Option<Outage>,
    backoff: Backoff,
    playing: bool,
    /// The stream has ended; only a restart of the element begins another.
    ended: bool,
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
            playing: true,
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
        self.watch.begin();
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
        let attempt = self.attempt.as_ref();
        let due = [
            self.outage.as_ref().and_then(Outage::next),
            self.watch.next(),
            self.verdict.map(|(at, _)| at),
            attempt.and_then(Attempt::deadline),
            attempt.filter(|_| self.playing).and_then(Attempt::silent_at),
        ];
        let next = due.into_iter().flatten().min();
        next.map_or(IDLE, |at| at.saturating_sub(boottime::now()))
    }

    fn tick(&mut self) {
        let now = boottime::now();
        if self.ended {
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
            self.complain_of_server(now);
            return;
        };
        if outage.is_hopeless(now) {
            self.give_up(now);
        } else if outage.begin_round(now) {
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
                self.producers.add(peer_id);
                if self.outage.is_some() && self.attempt.as_ref().is_some_and(|one| one.makes_way(now)) {
                    // It is with a producer from before, which may be dead.
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
    fn connect_next(&mut self) {
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

    /// The current producer is the link's provider: an outage is over.
    fn is_back(&mut self, now: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.shown(now);
        }
        self.announce();
        let Some(outage) = self.outage.take() else { return };
        let length = outage.length(now);
        if let Some(element) = self.element.upgrade() {
            let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            post_element(
                &element,
                "reconnected",
                &[("outage-ms", length_ms.to_send_value())],
            );
        }
        self.post(&format!("Connected again after {} s.", length.as_secs()));
    }

    /// An error of the inner element's.
    fn failed(&mut self, reason: &str) {
        let of_the_server = reason.contains("Signalling error: ");
        if of_the_server && let Some(attempt) = self.attempt.as_mut().filter(|attempt| attempt.is_shown()) {
            gst::info!(CAT, "the session goes on without the signalling server: {reason}");
            return attempt.server_lost(boottime::now());
        }
        gst::warning!(CAT, "{reason}");
        self.gone("the connection failed");
    }

    /// The current session is over without a word: it is tried again if it was with the link's provider, else the
    /// next producer may be that.
    fn gone(&mut self, reason: &'static str) {
        let Some(attempt) = &self.attempt else { return };
        let now = boottime::now();
        gst::info!(CAT, "attempt {}: {reason}", attempt.number);
        if !attempt.is_shown() {
            self.drop_attempt();
            return self.connect_next();
        }
        if self.reconnect_timeout.is_zero() {
            return self.session_over();
        }
        if attempt.lasted(now) >= STABLE {
            self.backoff.reset();
        }
        self.lost = Some(attempt.number);
        self.drop_attempt();
        let mut outage = Outage::new(now, self.reconnect_timeout, self.backoff.pause());
        if !self.playing {
            outage.pause(now);
        }
        self.outage = Some(outage);
        self.verdict = Some((now.saturating_add(VERDICT_LIMIT), reason));
    }

    /// The connection is lost, and its end was not the provider's will.
    fn announce(&mut self) {
        let Some((_, reason)) = self.verdict.take() else {
            return;
        };
        self.say("reconnecting");
        if let Some(element) = self.element.upgrade() {
            post_element(&element, "reconnecting", &[("reason", reason.to_send_value())]);
        }
        self.post("The connection was lost; trying again.");
    }

    /// It has been tried for long enough.
    fn give_up(&mut self, now: Duration) {
        let seconds = self
            .outage
            .take()
            .map_or(0, |outage| outage.length(now).as_secs());
        let text = format!(
            "The connection could not be made again within {seconds} s (reconnect-timeout): the stream ends."
        );
        self.drop_attempt();
        self.ended = true;
        self.watch.stop();
        let Some(element) = self.element.upgrade() else {
            return;
        };
        // An end that nobody would see is an error.
        if pads::end_of_stream(&element) {
            gst::element_warning!(element, gst::ResourceError::Read, ("{text}"));
        } else {
            gst::element_error!(element, gst::ResourceError::Read, ("{text}"));
        }
        self.say("ended");
    }

    /// The current session is over: the stream ends, or, if none of it was seen, the next producer may do.
    fn session_over(&mut self) {
        let seen = self.attempt.as_ref().is_some_and(Attempt::is_shown);
        self.drop_attempt();
        let Some(element) = self.element.upgrade() else {
            return;
        };
        if seen && pads::end_of_stream(&element) {
            self.ended = true;
            self.say("ended");
        } else {
            self.connect_next();
        }
    }

    /// The stream ends, whether or not anything of it was seen.
    fn finish(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.outage = None;
        self.verdict = None;
        self.drop_attempt();
        if let Some(element) = self.element.upgrade() {
            pads::end_of_stream(&element);
        }
        self.say("ended");
    }

    fn drop_attempt(&mut self) {
        let Some(attempt) = self.attempt.take() else {
            return;
        };
        // What it says while going is no error of ours.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
        attempt.stop(self.element.upgrade().as_ref(), &*self.hooks);
    }

    fn post(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            post_info(&element, text);
        }
    }

    fn say(&self, state: &str) {
        if let Some(element) = self.element.upgrade() {
            element.update_status(|status| status.state = state.to_owned());
        }
    }
}
