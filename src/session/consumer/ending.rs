//! How a session ends, and what follows: another producer, another connection, or nothing.

use std::time::Duration;

use streamium_channel::consumer::ConsumerEnd;

use super::driver::Driver;
use super::{ConsumerStatus, notices};
use crate::report::{Report, Severity};

/// How long the last words may take to get out.
const PARTING: Duration = Duration::from_millis(500);

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
        // A channel's end waits for the provider's answer; a refusal has none, and is to be read all the same.
        let now = self.now();
        let patience = match end {
            ConsumerEnd::Refused(_) => PARTING,
            _ => Duration::ZERO,
        };
        if let Some(live) = &mut self.live {
            live.ends_at = Some(now.saturating_add(patience));
        }
        self.part(now);
        self.set_status(ConsumerStatus::State("stopped"));
    }

    /// Ends the connection once it is time.
    pub(super) fn part(&mut self, now: Duration) {
        if let Some(live) = &mut self.live
            && live.ends_at.take_if(|at| *at <= now).is_some()
        {
            live.peer.end();
        }
    }

    /// The connection with the link's provider is gone. Whether another is tried is the element's to say.
    fn lost(&self, end: &ConsumerEnd) {
        self.say(Report::new("lost").text_field("reason", end));
        if let Some(live) = &self.live {
            live.peer.lost();
        }
    }
}
