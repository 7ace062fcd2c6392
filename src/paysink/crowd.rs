//! Messages about consumers that are turned away: not each of them, as there may be thousands.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::{CAT, StreamiumPaySink};
use crate::boottime;
use crate::messages::post_report;
use crate::report::{Report, Severity};

/// How often it is said at most.
const INTERVAL: Duration = Duration::from_secs(10);

/// The consumers that were turned away since the last message.
#[derive(Debug, Default)]
pub struct Crowd(Mutex<Since>);

#[derive(Debug, Default)]
struct Since {
    count: u64,
    said_at: Option<Duration>,
}

impl Since {
    /// One more; how many there are, if that is to be said now.
    fn one_more(&mut self, now: Duration) -> Option<u64> {
        self.count = self.count.saturating_add(1);
        if self.said_at.is_some_and(|at| now < at.saturating_add(INTERVAL)) {
            return None;
        }
        self.said_at = Some(now);
        Some(std::mem::take(&mut self.count))
    }
}

impl Crowd {
    pub fn turned_away(
        &self,
        element: &StreamiumPaySink,
        session: &str,
        peer: &str,
        reason: &str,
        (open, limit): (usize, usize),
    ) {
        gst::info!(
            CAT,
            obj = element,
            "session {session} of {peer} is turned away: {reason}"
        );
        let count = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .one_more(boottime::now());
        let Some(count) = count else { return };
        let number = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let viewers = if count == 1 {
            "A viewer was"
        } else {
            "Viewers were"
        };
        let report = Report::new("busy")
            .text_field("session", session)
            .text_field("peer", peer)
            .text_field("reason", reason)
            .number("turned-away", count)
            .number("descriptors", number(open))
            .number("descriptors-limit", number(limit))
            .severity(Severity::Warning)
            .say(format!(
                "{viewers} turned away: {reason} ({open} of {limit} file descriptors are open). Who watches goes on \
                 watching."
            ));
        post_report(element, &report);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_said_now_and_then() {
        let mut since = Since::default();
        let second = Duration::from_secs(1);
        let said: Vec<_> = (100..115_u32)
            .filter_map(|at| since.one_more(second * at))
            .collect();
        assert_eq!(said, [1, 10]);
    }
}
