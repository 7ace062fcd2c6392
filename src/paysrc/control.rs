//! The thread that finds producers, and makes and drops the inner webrtcsrc.
//!
//! All that takes time or locks happens here: what GStreamer and the signaller call back with is only sent here.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;

use super::session::{Arrivals, ConsumerHooks, ConsumerSession};
use super::{CAT, StreamiumPaySrc, pads, proxied};
use crate::inner::{self, ProducerEvent, Resolver, Signaller};
use crate::messages::post_info;
use streamium_channel::link::Link;

/// What the thread is told. Attempts are numbered, so that what a dropped one still says is ignored.
enum Command {
    Producer(ProducerEvent),
    /// The inner element says that its session is over.
    SessionEnded(u64),
    /// The inner element can't go on.
    Failed(u64, String),
    TryNext(u64),
    End(u64),
    /// The stream shall end, whoever it comes from.
    Finish,
    Stop,
}

/// Sends commands. Never blocks.
#[derive(Clone)]
pub struct Commander(Sender<Command>);

impl Commander {
    fn send(&self, command: Command) {
        // Once the thread has stopped there is nothing left to command.
        let _ = self.0.send(command);
    }

    pub fn try_next(&self, attempt: u64) {
        self.send(Command::TryNext(attempt));
    }

    pub fn end(&self, attempt: u64) {
        self.send(Command::End(attempt));
    }
}

/// The running thread.
pub struct Control {
    commander: Commander,
    current: Arc<Mutex<Option<(u64, gst::Element)>>>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts looking for producers of the link's name. `template` has the properties for each inner element.
    pub fn start(
        element: &StreamiumPaySrc,
        template: &gst::Element,
        link: &Link,
        hooks: Arc<dyn ConsumerHooks>,
    ) -> Result<Self, String> {
        let signaller = Signaller::of(template).ok_or("webrtcsrc has no signaller")?;
        let (sender, receiver) = channel();
        let commander = Commander(sender);
        let current = Arc::new(Mutex::new(None));
        let worker = Worker {
            element: element.downgrade(),
            template: template.clone(),
            signaller,
            link: link.clone(),
            hooks,
            commander: commander.clone(),
            shown: current.clone(),
            producers: Vec::new(),
            attempts: 0,
            attempt: None,
            ended: false,
        };
        let thread = std::thread::Builder::new()
            .name("streamiumpaysrc".to_owned())
            .spawn(move || worker.run(&receiver))
            .map_err(|error| error.to_string())?;
        Ok(Self {
            commander,
            current,
            thread: Some(thread),
        })
    }

    /// Takes an error of an inner element's, if it is the current one's.
    pub fn failed(&self, source: &gst::Object, reason: &str) -> bool {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((attempt, inner)) = current.as_ref() else {
            return false;
        };
        let concerned = source == inner.upcast_ref::<gst::Object>();
        if concerned {
            self.commander.send(Command::Failed(*attempt, reason.to_owned()));
        }
        concerned
    }

    /// Leaves the current producer for the next.
    pub fn try_next(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((attempt, _)) = current.as_ref() {
            self.commander.try_next(*attempt);
        }
    }

    /// Ends the stream: EOS on all pads.
    pub fn finish(&self) {
        self.commander.send(Command::Finish);
    }

    /// Begins to stop; the thread is to be waited for, without a lock that [`Control::failed`] needs.
    pub fn begin_stop(&mut self) -> Option<JoinHandle<()>> {
        self.commander.send(Command::Stop);
        // The thread may hold the element's last reference: then it stops itself, and can't wait for that.
        self.thread
            .take()
            .filter(|thread| thread.thread().id() != std::thread::current().id())
    }
}

/// One inner element, and the session it has or had.
struct Attempt {
    number: u64,
    producer: String,
    inner: gst::Element,
    arrivals: Arrivals,
    session: Arc<Mutex<Option<String>>>,
}

/// A producer of the name, and whether it has been tried.
struct Candidate {
    peer_id: String,
    tried: bool,
}

struct Worker {
    element: glib::WeakRef<StreamiumPaySrc>,
    template: gst::Element,
    signaller: Signaller,
    link: Link,
    hooks: Arc<dyn ConsumerHooks>,
    commander: Commander,
    /// The current attempt, for [`Control`].
    shown: Arc<Mutex<Option<(u64, gst::Element)>>>,
    producers: Vec<Candidate>,
    attempts: u64,
    attempt: Option<Attempt>,
    /// The stream has ended; only a restart of the element begins another.
    ended: bool,
}

impl Worker {
    fn run(mut self, receiver: &Receiver<Command>) {
        let commander = self.commander.clone();
        let resolver = Resolver::start(
            &self.signaller,
            &self.link.signalling_uri(),
            self.link.stream.as_str(),
            move |event| {
                commander.send(Command::Producer(event));
            },
        );
        self.say("resolving");
        self.post(&format!(
            "Looking for \"{}\" at {}.",
            self.link.stream,
            self.link.signalling_uri()
        ));
        while let Ok(command) = receiver.recv() {
            match command {
                Command::Stop => break,
                Command::Producer(event) => self.producer(event),
                Command::Finish => self.finish(),
                Command::SessionEnded(attempt) | Command::End(attempt) if self.is_current(attempt) => {
                    self.session_over();
                }
                Command::Failed(attempt, reason) if self.is_current(attempt) => {
                    gst::warning!(CAT, "attempt {attempt}: {reason}");
                    self.session_over();
                }
                Command::TryNext(attempt) if self.is_current(attempt) => {
                    self.drop_attempt();
                    self.connect_next();
                }
                _ => gst::trace!(CAT, "nothing to do: of an earlier attempt"),
            }
        }
        resolver.stop();
        self.drop_attempt();
    }

    fn is_current(&self, attempt: u64) -> bool {
        self.attempt
            .as_ref()
            .is_some_and(|current| current.number == attempt)
    }

    fn producer(&mut self, event: ProducerEvent) {
        match event {
            ProducerEvent::Added { peer_id } => {
                if !self
                    .producers
                    .iter()
                    .any(|candidate| candidate.peer_id == peer_id)
                {
                    self.producers.push(Candidate {
                        peer_id,
                        tried: false,
                    });
                }
                self.connect_next();
            }
            // A running session ends by itself, or goes on without the server.
            ProducerEvent::Removed { peer_id } => {
                self.producers.retain(|candidate| candidate.peer_id != peer_id);
            }
            ProducerEvent::Failed { reason } => self.unreachable(&reason),
        }
    }

    /// The signalling server can't be reached. A running session does not need it.
    fn unreachable(&mut self, reason: &str) {
        gst::warning!(CAT, "signalling server: {reason}");
        if self.attempt.is_some() || self.ended {
            return;
        }
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

    fn post(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            post_info(&element, text);
        }
    }

    fn connect_next(&mut self) {
        if self.attempt.is_some() || self.ended {
            return;
        }
        let Some(candidate) = self.producers.iter_mut().find(|candidate| !candidate.tried) else {
            self.post(&format!(
                "Waiting for another provider of \"{}\".",
                self.link.stream
            ));
            self.say("resolving");
            return;
        };
        candidate.tried = true;
        let producer = candidate.peer_id.clone();
        let Some(element) = self.element.upgrade() else {
            return;
        };
        self.say("connecting");
        if let Err(reason) = self.connect(&element, producer) {
            gst::element_error!(
                element,
                gst::CoreError::Failed,
                ("No session could be started."),
                ["{reason}"]
            );
        }
    }

    fn connect(&mut self, element: &StreamiumPaySrc, producer: String) -> Result<(), String> {
        self.attempts += 1;
        let number = self.attempts;
        gst::debug!(CAT, obj = element, "attempt {number}: producer {producer}");
        let inner = inner::make_src().map_err(|error| error.to_string())?;
        proxied::TABLE.copy(&self.template, &inner);
        let signaller = Signaller::of(&inner).ok_or("webrtcsrc has no signaller")?;
        signaller.copy_settings(&self.signaller);
        signaller.set_uri(&self.link.signalling_uri());
        signaller.set_producer(&producer);

        let arrivals = Arrivals::default();
        let session = Arc::new(Mutex::new(None));
        self.watch_session(&signaller, number, &producer, &arrivals, &session);
        let (weak, watched) = (self.element.clone(), arrivals.clone());
        inner.connect_pad_added(move |_, pad| {
            if let Some(element) = weak.upgrade() {
                pads::expose(&element, pad, &watched);
            }
        });
        // webrtcsrc takes a session's bin out last, however the session ended. Not earlier: stopping it while it
        // does that itself sets its parts back to PAUSED.
        let commander = self.commander.clone();
        inner
            .downcast_ref::<gst::Bin>()
            .ok_or("webrtcsrc is no bin")?
            .connect_element_removed(move |_, _| {
                commander.send(Command::SessionEnded(number));
            });

        // Shown before it runs, since it may fail at once.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Some((number, inner.clone()));
        self.attempt = Some(Attempt {
            number,
            producer,
            inner: inner.clone(),
            arrivals,
            session,
        });
        element.add(&inner).map_err(|error| error.to_string())?;
        inner.sync_state_with_parent().map_err(|error| error.to_string())
    }

    fn watch_session(
        &self,
        signaller: &Signaller,
        number: u64,
        producer: &str,
        arrivals: &Arrivals,
        session: &Arc<Mutex<Option<String>>>,
    ) {
        let (hooks, commander) = (self.hooks.clone(), self.commander.clone());
        let (producer, arrivals, session) = (producer.to_owned(), arrivals.clone(), session.clone());
        signaller.connect("webrtcbin-ready", move |values| {
            let id = values.first().and_then(|value| value.get::<String>().ok());
            let webrtcbin = values.get(1).and_then(|value| value.get::<gst::Element>().ok());
            let (Some(id), Some(webrtcbin)) = (id, webrtcbin) else {
                return;
            };
            *session.lock().unwrap_or_else(PoisonError::into_inner) = Some(id.clone());
            let from = (commander.clone(), number);
            ConsumerSession::begin(
                id,
                producer.clone(),
                &webrtcbin,
                arrivals.clone(),
                from,
                hooks.clone(),
            );
        });
    }

    /// The current session is over: the stream ends, or, if none of it was seen, the next producer may do.
    fn session_over(&mut self) {
        let seen = self
            .attempt
            .as_ref()
            .is_some_and(|attempt| !attempt.arrivals.are_hidden());
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
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
        gst::debug!(
            CAT,
            "attempt {} is over: producer {}",
            attempt.number,
            attempt.producer
        );
        let _ = attempt.inner.set_locked_state(true);
        Signaller::wait_until_idle();
        if attempt.inner.set_state(gst::State::Null).is_err() {
            gst::warning!(CAT, "the inner element did not stop");
        }
        if let Some(element) = self.element.upgrade() {
            pads::detach(&element);
            let _ = element.remove(&attempt.inner);
        }
        // Until now, so that what it says while going is not taken for an error of ours.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let session = attempt
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(id) = session {
            self.hooks.disconnected(&id);
        }
    }

    fn say(&self, state: &str) {
        if let Some(element) = self.element.upgrade() {
            element.update_status(|status| status.state = state.to_owned());
        }
    }
}
