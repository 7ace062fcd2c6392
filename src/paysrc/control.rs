//! The thread that finds producers, and makes and drops the inner webrtcsrc: what it is told, and its handle.
//!
//! All that takes time or locks happens there: what GStreamer and the signaller call back with is only sent.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use gst::prelude::*;

use super::StreamiumPaySrc;
use super::session::ConsumerHooks;
use super::worker::Worker;
use crate::inner::{ProducerEvent, Signaller};
use streamium_channel::link::Link;

/// What the thread is told. Attempts are numbered, so that what a dropped one still says is ignored.
pub(super) enum Command {
    /// Of the resolver of this number.
    Producer(u64, ProducerEvent),
    /// The signalling server has made a session.
    Connected(u64),
    /// It is with the link's provider.
    Shown(u64),
    /// The inner element says that its session is over.
    SessionEnded(u64),
    /// The signalling server says that.
    SaidOver(u64),
    /// The inner element can't go on.
    Failed(u64, String),
    /// The provider does not answer any more.
    Lost(u64),
    TryNext(u64),
    End(u64),
    /// The player plays or is paused.
    Playing(bool),
    /// The stream shall end, whoever it comes from.
    Finish,
    Stop,
}

/// Sends commands. Never blocks.
#[derive(Clone)]
pub struct Commander(Sender<Command>);

impl Commander {
    pub(super) fn send(&self, command: Command) {
        // Once the thread has stopped there is nothing left to command.
        let _ = self.0.send(command);
    }

    pub fn connected(&self, attempt: u64) {
        self.send(Command::Connected(attempt));
    }

    pub fn shown(&self, attempt: u64) {
        self.send(Command::Shown(attempt));
    }

    pub fn try_next(&self, attempt: u64) {
        self.send(Command::TryNext(attempt));
    }

    pub fn lost(&self, attempt: u64) {
        self.send(Command::Lost(attempt));
    }

    pub fn end(&self, attempt: u64) {
        self.send(Command::End(attempt));
    }
}

/// The attempt that is running, for who gets the inner element's messages.
pub(super) type Shown = Arc<Mutex<Option<(u64, gst::Element)>>>;

/// The running thread.
pub struct Control {
    commander: Commander,
    current: Shown,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts looking for producers of the link's name. `template` has the properties for each inner element; a lost
    /// connection is tried again for `reconnect_timeout`.
    pub fn start(
        element: &StreamiumPaySrc,
        template: &gst::Element,
        link: &Link,
        reconnect_timeout: Duration,
        hooks: Arc<dyn ConsumerHooks>,
    ) -> Result<Self, String> {
        let signaller = Signaller::of(template).ok_or("webrtcsrc has no signaller")?;
        let (sender, receiver) = channel();
        let commander = Commander(sender);
        let current = Shown::default();
        let worker = Worker::new(
            element.downgrade(),
            (template.clone(), signaller),
            link.clone(),
            reconnect_timeout,
            hooks,
            (commander.clone(), current.clone()),
        );
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

    /// The webrtcsrc that runs now.
    pub fn inner(&self) -> Option<gst::Element> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|(_, inner)| inner.clone())
    }

    /// Leaves the current producer for the next.
    pub fn try_next(&self) {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((attempt, _)) = current.as_ref() {
            self.commander.try_next(*attempt);
        }
    }

    /// While the player is paused nothing new is connected.
    pub fn playing(&self, playing: bool) {
        self.commander.send(Command::Playing(playing));
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
