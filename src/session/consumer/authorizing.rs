//! The application's word on what a stream costs. It may take its time: it is asked on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use streamium_channel::agreement::Agreement;
use streamium_channel::terms::Terms;

use super::Event;
use super::driver::Driver;
use super::notices;
use crate::report::Report;

/// Is asked with what the `terms` report says; a new rate has the old one beside it. False refuses. Called from a
/// thread of its own.
pub type Authorizer = Arc<dyn Fn(&Report) -> bool + Send + Sync>;

/// So many answers may be awaited, those included in which nobody is interested any more: each takes a thread, and perhaps
/// a window on somebody's screen.
const MOST_UNANSWERED: usize = 8;

/// Asks, and takes the answers to the driver.
pub(super) struct Asking {
    authorizer: Authorizer,
    events: Sender<Event>,
    /// The number of the last question, over all sessions: a connection's name may come again.
    last: u64,
    unanswered: usize,
}

/// What has been asked last.
pub(super) struct Asked {
    number: u64,
    question: u32,
    terms: Box<Terms>,
}

/// Is given in any case: an application that panics has not agreed.
struct Answer {
    events: Sender<Event>,
    number: u64,
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
            number: self.number,
            yes: self.yes,
        });
    }
}

impl Asking {
    pub(super) const fn new(authorizer: Authorizer, events: Sender<Event>) -> Self {
        Self {
            authorizer,
            events,
            last: 0,
            unanswered: 0,
        }
    }

    /// Answers the number that comes back with the word.
    fn ask(&mut self, report: Report) -> Result<u64, String> {
        if self.unanswered >= MOST_UNANSWERED {
            return Err(format!(
                "the application has not answered {MOST_UNANSWERED} questions (authorize-terms)"
            ));
        }
        let number = self.last.saturating_add(1);
        let authorizer = self.authorizer.clone();
        let answer = Answer {
            events: self.events.clone(),
            number,
            yes: false,
        };
        (self.last, self.unanswered) = (number, self.unanswered.saturating_add(1));
        std::thread::Builder::new()
            .name("streamium-authorize".into())
            .spawn(move || {
                let yes = authorizer(&report);
                answer.give(yes);
            })
            .map_err(|error| format!("the application can't be asked: {error}"))?;
        Ok(number)
    }
}

impl Driver {
    /// The session asks; without an application the answer is yes, since the terms are within the policy.
    pub(super) fn authorize(&mut self, question: u32, terms: Box<Terms>) -> Result<(), String> {
        let report = notices::question(
            &self.options.link,
            &terms,
            self.agreed.as_ref().map(|agreed| agreed.rate),
        );
        let asked = |number| Asked {
            number,
            question,
            terms,
        };
        let Some(asking) = &mut self.asking else {
            self.take_word(asked(0), true);
            return Ok(());
        };
        self.asked = Some(asked(asking.ask(report)?));
        Ok(())
    }

    /// An answer. Only to the last question does it matter.
    pub(super) fn authorized(&mut self, number: u64, yes: bool) {
        if let Some(asking) = &mut self.asking {
            asking.unanswered = asking.unanswered.saturating_sub(1);
        }
        if let Some(asked) = self.asked.take_if(|asked| asked.number == number) {
            self.take_word(asked, yes);
        }
    }

    fn take_word(&mut self, asked: Asked, yes: bool) {
        let now = self.now();
        if yes {
            self.agreed = Some(Agreement::of(&asked.terms));
        }
        self.with_session(|session| session.authorized(asked.question, yes, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    #[test]
    fn an_application_that_answers_nothing_is_asked_a_few_times_only() {
        let (events, answers) = channel();
        let (hold, held) = channel::<()>();
        let held = Mutex::new(held);
        let authorizer = move |_: &Report| held.lock().unwrap().recv().is_ok();
        let mut asking = Asking::new(Arc::new(authorizer), events);
        for number in 1..=MOST_UNANSWERED as u64 {
            assert_eq!(asking.ask(Report::new("terms")), Ok(number));
        }
        let words = asking.ask(Report::new("terms")).unwrap_err();
        assert!(words.contains("authorize-terms"), "{words}");
        hold.send(()).unwrap();
        assert!(matches!(
            answers.recv().unwrap(),
            Event::Authorized { yes: true, .. }
        ));
        drop(hold);
        let refused = answers.iter().take(MOST_UNANSWERED - 1);
        assert!(
            refused
                .into_iter()
                .all(|answer| matches!(answer, Event::Authorized { yes: false, .. }))
        );
    }

    #[test]
    fn questions_are_numbered_over_all_connections() {
        let (events, answers) = channel();
        let mut asking = Asking::new(Arc::new(|_: &Report| true), events);
        for number in 1..=3 {
            assert_eq!(asking.ask(Report::new("terms")), Ok(number));
            let answer = answers.recv().unwrap();
            assert!(matches!(answer, Event::Authorized { number: of, yes: true } if of == number));
        }
    }
}
