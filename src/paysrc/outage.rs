//! When to try again, and for how long. Times are on [`crate::boottime`]'s clock.

use std::time::Duration;

/// The time from a lost connection to the next one, or to giving up.
#[derive(Debug, Clone)]
pub struct Outage {
    since: Duration,
    until: Duration,
    /// When all producers are tried again; `None` while they are being tried.
    next_round: Option<Duration>,
    /// Nothing is tried while the player is paused, and the time left stands still.
    paused_at: Option<Duration>,
}

impl Outage {
    pub fn new(now: Duration, timeout: Duration, pause: Duration) -> Self {
        Self {
            since: now,
            until: now.saturating_add(timeout),
            next_round: Some(now.saturating_add(pause)),
            paused_at: None,
        }
    }

    /// How long it has lasted.
    pub fn length(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// All producers have been tried in vain: again after `pause`.
    pub fn schedule(&mut self, now: Duration, pause: impl FnOnce() -> Duration) {
        if self.next_round.is_none() {
            self.next_round = Some(now.saturating_add(pause()));
        }
    }

    /// True once each time that a round is due.
    pub fn begin_round(&mut self, now: Duration) -> bool {
        let due = self.paused_at.is_none() && self.next_round.is_some_and(|at| now >= at);
        if due {
            self.next_round = None;
        }
        due
    }

    /// True when it is not worth trying any longer.
    pub fn is_hopeless(&self, now: Duration) -> bool {
        self.paused_at.is_none() && now >= self.until
    }

    pub fn pause(&mut self, now: Duration) {
        self.paused_at.get_or_insert(now);
    }

    /// Goes on with the time that was left, and tries at once.
    pub fn play(&mut self, now: Duration) {
        if let Some(paused_at) = self.paused_at.take() {
            self.until = self.until.saturating_add(now.saturating_sub(paused_at));
            self.next_round = Some(now);
        }
    }

    /// When one of these answers changes by itself.
    pub fn next(&self) -> Option<Duration> {
        if self.paused_at.is_some() {
            return None;
        }
        Some(self.next_round.map_or(self.until, |at| at.min(self.until)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn rounds_come_when_due_until_the_timeout() {
        let mut outage = Outage::new(SECOND * 10, SECOND * 20, SECOND);
        assert_eq!(outage.next(), Some(SECOND * 11));
        assert!(!outage.begin_round(SECOND * 10) && outage.begin_round(SECOND * 11));
        assert!(!outage.begin_round(SECOND * 12), "one is running");
        outage.schedule(SECOND * 12, || SECOND * 2);
        outage.schedule(SECOND * 13, || unreachable!());
        assert_eq!(outage.next(), Some(SECOND * 14), "the first schedule counts");
        assert!(!outage.is_hopeless(SECOND * 29) && outage.is_hopeless(SECOND * 30));
        assert_eq!(outage.length(SECOND * 14), SECOND * 4);
    }

    #[test]
    fn a_pause_stops_the_clock() {
        let mut outage = Outage::new(SECOND, SECOND * 10, SECOND);
        outage.pause(SECOND * 5);
        assert!(outage.next().is_none() && !outage.begin_round(SECOND * 100));
        assert!(!outage.is_hopeless(SECOND * 100));
        outage.play(SECOND * 105);
        assert!(outage.begin_round(SECOND * 105));
        assert!(!outage.is_hopeless(SECOND * 110) && outage.is_hopeless(SECOND * 111));
    }
}
