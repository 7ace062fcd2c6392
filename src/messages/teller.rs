//! The thread that emits an element's signals, `notify` included. The driver must not: it counts money, and a handler that
//! blocks would hold every payment up.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::{OwnSignal, Speaker, post_words};
use crate::report::{Report, Severity};

/// So many signals wait for handlers that are slow; more are lost, the messages on the bus never.
pub const MAX_WAITING: usize = 1_024;

/// An element's signals, on their way to the handlers in the order of what they tell.
#[derive(Default)]
pub struct Teller(Mutex<State>);

/// The lock is a leaf: nothing is called while it is held.
#[derive(Default)]
struct State {
    /// To the thread, which begins with the first signal.
    queue: Option<SyncSender<Told>>,
    /// Handlers are too slow, and that has been said.
    is_full: bool,
}

/// A signal to be emitted.
enum Told {
    Signal {
        name: &'static str,
        arguments: Vec<glib::SendValue>,
    },
    /// A property has changed.
    Notify(&'static str),
}

/// What became of a signal that was to be told.
enum Outcome {
    Waits,
    Lost { is_news: bool },
}

impl Teller {
    /// Has the signals of a report emitted, where anybody listens. Never blocks.
    pub fn tell<E: Speaker>(&self, element: &E, signals: &[OwnSignal], report: &Report) {
        for signal in signals.iter().filter(|signal| signal.is_of(report)) {
            if !is_listened_to(element, signal.name) {
                continue;
            }
            let values = signal.values(report);
            debug_assert!(values.is_some(), "{} lacks an argument: {report:?}", signal.name);
            let Some(arguments) = values else { continue };
            let name = signal.name;
            self.send(element, Told::Signal { name, arguments });
        }
    }

    /// Has `notify` emitted. Always, since who listens may do so on a bin around the element. Never blocks.
    pub fn notify<E: Speaker>(&self, element: &E, property: &'static str) {
        self.send(element, Told::Notify(property));
    }

    fn send<E: Speaker>(&self, element: &E, told: Told) {
        if let Outcome::Lost { is_news: true } = self.enqueue(element, told) {
            let words = "The application's signal handlers are too slow, so signals are lost. Messages on the bus are \
                         not.";
            post_words(element, Severity::Warning, words);
        }
    }

    fn enqueue<E: Speaker>(&self, element: &E, told: Told) -> Outcome {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.queue.is_none() {
            state.queue = start(element);
        }
        let sent = state.queue.as_ref().map(|queue| queue.try_send(told));
        let is_lost = !matches!(sent, Some(Ok(())));
        let is_news = is_lost && !state.is_full;
        state.is_full = is_lost;
        // Its thread is gone: the next signal begins another.
        if matches!(sent, Some(Err(TrySendError::Disconnected(_)))) {
            state.queue = None;
        }
        if is_lost {
            Outcome::Lost { is_news }
        } else {
            Outcome::Waits
        }
    }
}

/// The thread lives as long as the element: dropping the element drops the queue. Nobody waits for it, since it may
/// be in a handler.
fn start<E: Speaker>(element: &E) -> Option<SyncSender<Told>> {
    let (queue, waiting) = sync_channel(MAX_WAITING);
    let element = element.as_ref().downgrade();
    let spawned = std::thread::Builder::new()
        .name("streamium-signals".to_owned())
        .spawn(move || emit(&element, &waiting));
    spawned.ok().map(|_| queue)
}

fn emit(element: &glib::WeakRef<gst::Element>, waiting: &Receiver<Told>) {
    while let Ok(told) = waiting.recv() {
        let Some(element) = element.upgrade() else { return };
        match told {
            Told::Notify(property) => element.notify(property),
            Told::Signal { name, arguments } => {
                let arguments: Vec<glib::Value> = arguments.into_iter().map(Into::into).collect();
                element.emit_by_name_with_values(name, &arguments);
            }
        }
    }
}

fn is_listened_to(element: &impl IsA<gst::Element>, signal: &str) -> bool {
    let element = element.as_ref();
    glib::subclass::SignalId::lookup(signal, element.type_())
        .is_some_and(|id| glib::signal::signal_has_handler_pending(element, id, None, true))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;
    use crate::messages::post_report;
    use crate::paysink::StreamiumPaySink;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn sink() -> StreamiumPaySink {
        gst::init().unwrap();
        glib::Object::new()
    }

    fn ended(number: usize) -> Report {
        Report::new("ended")
            .text_field("session", number)
            .text_field("reason", "a test")
    }

    #[test]
    fn a_handler_that_blocks_costs_signals_and_nothing_else() {
        let sink = sink();
        let bus = gst::Bus::new();
        sink.set_bus(Some(&bus));
        let (told, sessions) = channel();
        let (release, released) = channel::<()>();
        let (told, released) = (Mutex::new(told), Mutex::new(released));
        sink.connect("consumer-ended", false, move |values| {
            let session: String = values[1].get().unwrap();
            told.lock().unwrap().send(session).unwrap();
            let _ = released.lock().unwrap().recv();
            None
        });
        post_report(&sink, &ended(0));
        assert_eq!(sessions.recv_timeout(PATIENCE).unwrap(), "0");
        // One is being told, these wait, and the last three are lost.
        for number in 1..=MAX_WAITING + 3 {
            post_report(&sink, &ended(number));
        }
        let posted: Vec<_> = bus.iter().map(|message| message.type_()).collect();
        let count = |kind| posted.iter().filter(|posted| **posted == kind).count();
        assert_eq!(count(gst::MessageType::Warning), 1, "it is said once");
        assert_eq!(count(gst::MessageType::Element), MAX_WAITING + 4);
        drop(release);
        for number in 1..=MAX_WAITING {
            assert_eq!(sessions.recv_timeout(PATIENCE).unwrap(), number.to_string());
        }
        // Then they come again.
        post_report(&sink, &ended(5_000));
        assert_eq!(sessions.recv_timeout(PATIENCE).unwrap(), "5000");
    }

    #[test]
    fn a_property_that_has_changed_is_told_there_too() {
        let sink = sink();
        let (told, threads) = channel();
        let told = Mutex::new(told);
        sink.connect_notify(Some("earned"), move |sink, _| {
            let thread = std::thread::current().name().unwrap_or_default().to_owned();
            let earned = sink.property::<u64>("earned");
            told.lock().unwrap().send((thread, earned)).unwrap();
        });
        sink.update_status(|status| status.earned_sat = 7);
        let expected = ("streamium-signals".to_owned(), 7);
        assert_eq!(threads.recv_timeout(PATIENCE).unwrap(), expected);
    }

    #[test]
    fn nobody_listens_and_no_thread_begins() {
        let sink = sink();
        post_report(&sink, &ended(0));
        let teller = Speaker::teller(&sink);
        assert!(teller.0.lock().unwrap().queue.is_none());
    }

    #[test]
    fn the_thread_ends_with_the_element() {
        let sink = sink();
        let (told, threads) = channel();
        let told = Mutex::new(told);
        sink.connect("consumer-ended", false, move |_| {
            told.lock().unwrap().send(()).unwrap();
            None
        });
        post_report(&sink, &ended(0));
        threads.recv_timeout(PATIENCE).unwrap();
        drop(sink);
        // The handler and what it owns go with the element.
        assert!(threads.recv_timeout(PATIENCE).is_err());
    }
}
