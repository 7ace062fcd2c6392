//! What follows when a session is over: another try, the next producer, or the end of the stream.

use std::time::Duration;

use gst::subclass::prelude::ObjectSubclassIsExt;

use super::attempt::Attempt;
use super::outage::Outage;
use super::worker::Worker;
use super::{CAT, pads};
use crate::boottime;
use crate::messages::post_report;
use crate::report::Report;

/// A session that lasted this long was a good one: should it be lost, the pauses begin with the shortest again.
const STABLE: Duration = Duration::from_secs(30);

/// For how long the slate says why the stream is over, before it ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// When a connection is gone, the session may still say that the provider had ended it.
const VERDICT_LIMIT: Duration = Duration::from_millis(300);

impl Worker {
    /// The current producer is the link's provider: an outage is over.
    pub(super) fn is_back(&mut self, now: Duration) {
        if let Some(attempt) = &mut self.attempt {
            attempt.shown(now);
        }
        self.retry_at = None;
        self.announce();
        let Some(outage) = self.outage.take() else { return };
        let length = outage.length(now);
        if let Some(element) = self.element.upgrade() {
            element.imp().stats.reconnected(length);
            let length_ms = u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
            post_report(
                &element,
                &Report::new("reconnected").number("outage-ms", length_ms),
            );
        }
        self.post(&format!("Connected again after {} s.", length.as_secs()));
    }

    /// The signalling server says that the session is over. While media and messages come it is not.
    pub(super) fn said_over(&mut self, now: Duration) {
        match self.attempt.as_mut().filter(|attempt| attempt.is_shown()) {
            Some(attempt) => attempt.said_over(now),
            None => self.gone("the signalling server ended it"),
        }
    }

    /// An error of the inner element's.
    pub(super) fn failed(&mut self, reason: &str) {
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
    pub(super) fn gone(&mut self, reason: &'static str) {
        let Some(attempt) = &self.attempt else { return };
        let now = boottime::now();
        gst::info!(CAT, "attempt {}: {reason}", attempt.number);
        if !attempt.is_shown() {
            self.producers.failed(&attempt.producer);
            if self.retry_at.is_none() && self.outage.is_none() {
                self.retry_at = Some(now.saturating_add(self.backoff.pause()));
            }
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
    pub(super) fn announce(&mut self) {
        let Some((_, reason)) = self.verdict.take() else {
            return;
        };
        self.say("reconnecting");
        if let Some(element) = self.element.upgrade() {
            post_report(
                &element,
                &Report::new("reconnecting").text_field("reason", reason),
            );
        }
        self.post("The connection was lost; trying again.");
    }

    /// It has been tried for long enough.
    pub(super) fn give_up(&mut self, now: Duration) {
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
        if pads::were_used(&element) {
            gst::element_warning!(element, gst::ResourceError::Read, ("{text}"));
        } else {
            gst::element_error!(element, gst::ResourceError::Read, ("{text}"));
        }
        self.end_soon();
    }

    /// The current session is over: the stream ends, or, if none of it was seen, the next producer may do.
    pub(super) fn session_over(&mut self) {
        let seen = self.attempt.as_ref().is_some_and(Attempt::is_shown);
        self.drop_attempt();
        let Some(element) = self.element.upgrade() else {
            return;
        };
        if seen && (pads::were_used(&element) || element.imp().has_last_words()) {
            self.end_soon();
        } else {
            self.connect_next();
        }
    }

    /// The stream ends, whether or not anything of it was seen.
    pub(super) fn finish(&mut self) {
        let was_over = self.ended;
        self.ended = true;
        self.outage = None;
        self.verdict = None;
        self.drop_attempt();
        if !was_over || self.farewell.is_some() {
            self.say("ended");
            self.tell_end();
        }
    }

    /// Ends the stream, once viewers could read on the slate why it does.
    fn end_soon(&mut self) {
        self.ended = true;
        self.say("ended");
        let seen = self
            .element
            .upgrade()
            .is_some_and(|element| element.imp().shows_slate());
        let pause = if seen { FAREWELL } else { Duration::ZERO };
        self.farewell = Some(boottime::now().saturating_add(pause));
    }

    pub(super) fn tell_end(&mut self) {
        self.farewell = None;
        let Some(element) = self.element.upgrade() else {
            return;
        };
        if let Some(words) = element.imp().take_last_words() {
            gst::element_error!(element, gst::ResourceError::Failed, ("{words}"));
        }
        pads::end_of_stream(&element);
    }
}
