//! How a session ends, and what follows: another producer, another connection, or nothing.

use streamium_channel::consumer::ConsumerEnd;

use super::driver::Driver;
use super::{ConsumerStatus, notices};
use crate::session::{Report, Severity};

impl Driver {
    /// This is not the link's provider: look for another of the name.
    pub(super) fn pass_over(&mut self, why: &str) {
        let name = &self.options.link.stream;
        let report = Report::new("refused")
            .text_field("reason", why)
            .severity(Severity::Warning);
        self.say(report.say(format!(
            "Not the provider of \"{name}\" in the link, nothing was paid: {why}."
        )));
        self.set_status(ConsumerStatus::State("resolving"));
        if let Some(live) = self.live.take() {
            live.peer.try_next();
        }
    }

    /// An own failure: nothing has been locked that is not on record.
    pub(super) fn fail(&mut self, words: &str) {
        self.say(notices::ended(&ConsumerEnd::Failed(words.to_owned()), self.paid));
        if let Some(live) = self.live.take() {
            live.peer.end();
        }
        self.set_status(ConsumerStatus::State("stopped"));
    }

    /// The session is over: what that means for the connection.
    pub(super) fn ended(&mut self, end: ConsumerEnd) {
        if let Some(money) = &mut self.money {
            money.release_session();
        }
        let unverified = self.live.as_ref().is_some_and(|live| !live.verified);
        let not_the_provider = matches!(
            end,
            ConsumerEnd::Fault(_) | ConsumerEnd::TimedOut(_) | ConsumerEnd::Gone
        );
        if unverified && not_the_provider {
            return self.pass_over(&end.to_string());
        }
        if matches!(end, ConsumerEnd::Gone | ConsumerEnd::Disconnected) {
            return self.lost(&end);
        }
        self.say(notices::ended(&end, self.paid));
        if let Some(live) = &self.live {
            live.peer.end();
        }
        self.set_status(ConsumerStatus::State("stopped"));
    }

    /// The connection with the link's provider is gone. Whether another is tried is the element's to say.
    fn lost(&self, end: &ConsumerEnd) {
        self.say(Report::new("lost").text_field("reason", end));
        if let Some(live) = &self.live {
            live.peer.lost();
        }
    }
}
