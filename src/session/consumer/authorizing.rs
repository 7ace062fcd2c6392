//! The application's word on what a stream costs. It may take its time: it is asked on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use streamium_channel::consumer::Agreed;
use streamium_channel::terms::Terms;

use super::Event;
use super::driver::Driver;
use super::notices;
use crate::session::Report;

/// Is asked with what the `terms` report says; a new rate has the old one beside it. False refuses. Called from a
/// thread of its own.
pub type Authorizer = Arc<dyn Fn(&Report) -> bool + Send + Sync>;

/// Asks, and takes the answers to the driver.
pub(super) struct Asking {
    pub(super) authorizer: Authorizer,
    pub(super) events: Sender<Event>,
}

/// What has been asked last.
pub(super) struct Asked {
    question: u32,
    terms: Box<Terms>,
}

/// Is given in any case: an application that panics has not agreed.
struct Answer {
    events: Sender<Event>,
    id: String,
    question: u32,
    yes: bool,
}

impl Answer {
    fn give(mut self, yes: bool) {
        self.yes = yes;
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // A driver that has stopped needs no answer.
        let _ = self.events.send(Event::Authorized {
            id: std::mem::take(&mut self.id),
            question: self.question,
            yes: self.yes,
        });
    }
}

impl Driver {
    /// The session asks; without an application the answer is yes, since the terms are within the policy.
    pub(super) fn authorize(&mut self, question: u32, terms: Box<Terms>) -> Result<(), String> {
        let Some(id) = self.live_id() else { return Ok(()) };
        let report = notices::question(&self.options.link, &terms, self.agreed.as_ref().map(Agreed::rate));
        self.asked = Some(Asked { question, terms });
        let Some(asking) = &self.asking else {
            self.authorized(&id, question, true);
            return Ok(());
        };
        let authorizer = asking.authorizer.clone();
        let answer = Answer {
            events: asking.events.clone(),
            id,
            question,
            yes: false,
        };
        std::thread::Builder::new()
            .name("streamium-authorize".into())
            .spawn(move || {
                let yes = authorizer(&report);
                answer.give(yes);
            })
            .map_err(|error| format!("the application can't be asked: {error}"))?;
        Ok(())
    }

    /// An answer. Only to the last question of the present session does it matter.
    pub(super) fn authorized(&mut self, id: &str, question: u32, yes: bool) {
        let now = self.now();
        if self.live_id().is_none_or(|live| live != id) {
            return;
        }
        if let Some(asked) = self.asked.take_if(|asked| yes && asked.question == question) {
            self.agreed = Some(Agreed::to(&asked.terms));
        }
        self.with_session(|session| session.authorized(question, yes, now));
    }
}
