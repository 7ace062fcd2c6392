//! What an element says on its bus, to be waited for.
#![allow(dead_code)]

use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::wait::PATIENCE;

/// One message: an element message of ours by its name without `streamium-pay/`, or else `error`, `warning`,
/// `info` or `eos`.
#[derive(Clone, Debug)]
pub struct Note {
    pub at: Instant,
    pub name: String,
    fields: Option<gst::Structure>,
    /// The words of an error, a warning or an info.
    pub words: String,
}

impl Note {
    fn of(message: &gst::Message) -> Option<Self> {
        let words = |error: gst::glib::Error, debug: Option<gst::glib::GString>| {
            format!("{error} {}", debug.as_deref().unwrap_or_default())
        };
        let (name, fields, words) = match message.view() {
            gst::MessageView::Element(element) => {
                let structure = element.structure()?.to_owned();
                let name = structure.name().strip_prefix("streamium-pay/")?.to_owned();
                (name, Some(structure), String::new())
            }
            gst::MessageView::Error(e) => ("error".to_owned(), None, words(e.error(), e.debug())),
            gst::MessageView::Warning(w) => ("warning".to_owned(), None, words(w.error(), w.debug())),
            gst::MessageView::Info(i) => ("info".to_owned(), None, i.debug().unwrap_or_default().to_string()),
            gst::MessageView::Eos(_) => ("eos".to_owned(), None, String::new()),
            _ => return None,
        };
        Some(Self {
            at: Instant::now(),
            name,
            fields,
            words,
        })
    }

    pub fn number(&self, field: &str) -> u64 {
        self.get(field)
    }

    pub fn text(&self, field: &str) -> String {
        self.get(field)
    }

    pub fn flag(&self, field: &str) -> bool {
        self.get(field)
    }

    /// A field as it is, if it is there.
    pub fn value(&self, field: &str) -> Option<gst::glib::Value> {
        let value = self.fields.as_ref()?.value(field).ok()?;
        Some((**value).clone())
    }

    fn get<T: for<'a> gst::glib::value::FromValue<'a> + 'static>(&self, field: &str) -> T {
        let fields = self
            .fields
            .as_ref()
            .unwrap_or_else(|| panic!("no fields: {self:?}"));
        fields
            .value(field)
            .ok()
            .and_then(|value| value.get().ok())
            .unwrap_or_else(|| panic!("no {field} in {self:?}"))
    }
}

/// All notes of one pipeline, in order.
pub struct Notes {
    whose: &'static str,
    receiver: Receiver<Note>,
    pub seen: Vec<Note>,
}

impl Notes {
    /// Takes every message of the bus from now on: before the pipeline starts.
    pub fn take(pipeline: &gst::Pipeline, whose: &'static str) -> Self {
        let (sender, receiver) = channel();
        let sender = Mutex::new(sender);
        pipeline.bus().unwrap().set_sync_handler(move |_, message| {
            if let Some(note) = Note::of(message) {
                let _ = sender.lock().unwrap().send(note);
            }
            gst::BusSyncReply::Drop
        });
        Self {
            whose,
            receiver,
            seen: Vec::new(),
        }
    }

    /// The next of this name.
    pub fn wait(&mut self, name: &str) -> Note {
        self.wait_for(name, |_| true)
    }

    /// The next of this name of which `holds` is true. An error, unless it is waited for, ends the test.
    pub fn wait_for(&mut self, name: &str, holds: impl Fn(&Note) -> bool) -> Note {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(note) = self.receiver.recv_timeout(left) else {
                self.give_up(&format!("waited in vain for {name}"));
            };
            self.seen.push(note.clone());
            if note.name == name && holds(&note) {
                return note;
            }
            if note.name == "error" {
                self.give_up(&format!("an error instead of {name}: {}", note.words));
            }
        }
    }

    /// The next gate message of this state.
    pub fn gate(&mut self, state: &str) -> Note {
        self.wait_for("gate", |note| note.text("state") == state)
    }

    /// Everything said up to now, without waiting.
    pub fn all(&mut self) -> &[Note] {
        while let Ok(note) = self.receiver.try_recv() {
            self.seen.push(note);
        }
        &self.seen
    }

    /// The last of this name that was said up to now.
    pub fn last(&mut self, name: &str) -> Note {
        let found = self.all().iter().rfind(|note| note.name == name).cloned();
        found.unwrap_or_else(|| self.give_up(&format!("{name} was never said")))
    }

    /// True if something of this name was said up to now.
    pub fn said(&mut self, name: &str) -> bool {
        self.all().iter().any(|note| note.name == name)
    }

    /// Fails if something of this name is said within `time`.
    pub fn expect_none(&mut self, name: &str, time: Duration) {
        let until = Instant::now() + time;
        while let Ok(note) = self
            .receiver
            .recv_timeout(until.saturating_duration_since(Instant::now()))
        {
            self.seen.push(note.clone());
            if note.name == name {
                self.give_up(&format!("{name} should not have been said"));
            }
        }
    }

    /// Fails on any error up to now.
    pub fn check(&mut self) {
        if self.said("error") {
            self.give_up("an error was posted");
        }
    }

    /// Fails, and shows all that was said.
    pub fn give_up(&self, why: &str) -> ! {
        let said: Vec<String> = self
            .seen
            .iter()
            .filter(|note| note.name != "credit")
            .map(|note| match &note.fields {
                Some(fields) => fields.to_string(),
                None => format!("{}: {}", note.name, note.words),
            })
            .collect();
        panic!("{} at the {}; it said:\n{}", why, self.whose, said.join("\n"));
    }
}
