//! Signals tell what the messages tell, in the same order, and whatever a handler does, payments go on.

use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};

use gst::glib;
use gst::prelude::*;
use gststreamiumpay::messages::OwnSignal;
use gststreamiumpay::{paysink, paysrc};

use crate::common::notes::Note;
use crate::common::paid::{PaidConsumer, PaidProvider, prefund};
use crate::common::regtest::Regtest;
use crate::common::wait::wait_until;
use crate::common::webrtc::{RAW_VIDEO, run};

/// A signal's name and its arguments, or what a message has of them, in words.
type Told = (String, Vec<String>);

/// The signals of an element, as they come.
#[derive(Clone, Default)]
struct Recorded(Arc<Mutex<Vec<Told>>>);

impl Recorded {
    fn of(element: &impl IsA<gst::Element>, signals: &[OwnSignal]) -> Self {
        let recorded = Self::default();
        for signal in signals {
            let (name, told) = (signal.name, recorded.clone());
            element.as_ref().connect(name, false, move |values| {
                let arguments = values[1..].iter().map(words).collect();
                told.0.lock().unwrap().push((name.to_owned(), arguments));
                None
            });
        }
        recorded
    }

    fn all(&self) -> Vec<Told> {
        self.0.lock().unwrap().clone()
    }

    /// Waits until the signals are what the notes say, one for one.
    fn expect(&self, notes: &[Note], signals: &[OwnSignal]) {
        let expected: Vec<Told> = notes.iter().flat_map(|note| signals_of(note, signals)).collect();
        wait_until(&format!("{expected:?}"), || self.all().len() >= expected.len());
        assert_eq!(self.all(), expected);
    }
}

fn words(value: &glib::Value) -> String {
    let number = value.get::<u64>().map(|number| number.to_string());
    let flag = || value.get::<bool>().map(|flag| flag.to_string());
    number
        .or_else(|_| flag())
        .unwrap_or_else(|_| value.get::<String>().unwrap())
}

fn signals_of(note: &Note, signals: &[OwnSignal]) -> Vec<Told> {
    let signals = signals.iter().filter(|signal| signal.report == note.name);
    let signals = signals.filter(|signal| signal.only_with.is_none_or(|field| note.value(field).is_some()));
    let argument = |field: &&str| words(&note.value(field).unwrap());
    signals
        .map(|signal| {
            (
                signal.name.to_owned(),
                signal.arguments.iter().map(argument).collect(),
            )
        })
        .collect()
}

#[test]
fn signals_tell_what_messages_tell_in_the_same_order() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "settle-batch-delay=0");
        let provided = Recorded::of(&provider.sink, paysink::own_signals::TABLE);
        let mut consumer = PaidConsumer::prepare_paid(&provider.link(), &dirs.path().join("c"), "");
        let consumed = Recorded::of(&consumer.source, paysrc::own_signals::TABLE);
        consumer.play();
        consumer.fund();
        provider.notes.gate("open");
        provider.confirm();
        for _ in 0..3 {
            provider.notes.wait("payment");
        }
        // The player goes, and so do its sessions; the provider stays until the settlement is buried.
        consumer.stop();
        provider.notes.wait("ended");
        provider.notes.wait("settling");
        Regtest::shared().mine(6);
        provider.notes.wait("settled");

        provided.expect(provider.notes.all(), paysink::own_signals::TABLE);
        consumed.expect(consumer.notes.all(), paysrc::own_signals::TABLE);
        let seen = |recorded: &Recorded, name: &str| recorded.all().iter().any(|(told, _)| told == name);
        for signal in paysink::own_signals::TABLE {
            assert!(seen(&provided, signal.name), "{} never came", signal.name);
        }
        for signal in paysrc::own_signals::TABLE {
            assert!(seen(&consumed, signal.name), "{} never came", signal.name);
        }
    });
}

#[test]
fn a_handler_that_blocks_holds_up_no_payment() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let folder = dirs.path().join("c");
        prefund(&folder);
        let consumer = PaidConsumer::prepare_paid(&provider.link(), &folder, "");
        let (release, released) = channel::<()>();
        let released = Arc::new(Mutex::new(released));
        let (entered, entries) = channel();
        for element in [
            provider.sink.clone().upcast::<gst::Element>(),
            consumer.source.clone(),
        ] {
            let (released, entered) = (released.clone(), Mutex::new(entered.clone()));
            element.connect("payment", false, move |_| {
                let _ = entered.lock().unwrap().send(());
                // Until the test is over.
                let _ = released.lock().unwrap().recv();
                None
            });
        }
        consumer.play();
        provider.notes.gate("open");
        for _ in 0..2 {
            entries.recv_timeout(crate::common::wait::PATIENCE).unwrap();
        }
        for _ in 0..4 {
            provider.notes.wait("payment");
        }
        let stats = provider.sink.property::<gst::Structure>("stats");
        assert!(stats.has_field("streamium-pay"));
        // Stopping waits for no handler either.
        consumer.stop();
        provider.stop();
        provider.notes.check();
        drop(release);
    });
}
