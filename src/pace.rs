//! A pace: so much at once, and from then on so much in each interval.

use std::time::Duration;

/// The bounds of a pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    pub burst: u32,
    /// So much comes back in each interval. Not zero.
    pub gain: u32,
    pub interval: Duration,
}

impl Limit {
    /// How long it takes for this amount to come back.
    fn time(&self, amount: u32) -> Duration {
        self.interval.saturating_mul(amount) / self.gain
    }
}

/// The use of a limit. It is counted in time: the moment at which all of the limit is there again.
#[derive(Debug)]
pub struct Pace {
    limit: Limit,
    full_at: Duration,
}

impl Pace {
    /// A pace of which nothing has been used.
    pub const fn new(limit: Limit) -> Self {
        Self {
            limit,
            full_at: Duration::ZERO,
        }
    }

    /// Whether this amount may go now.
    pub fn allows(&self, amount: u32, now: Duration) -> bool {
        self.full_at.saturating_add(self.limit.time(amount))
            <= now.saturating_add(self.limit.time(self.limit.burst))
    }

    /// Counts an amount that goes now.
    pub fn count(&mut self, amount: u32, now: Duration) {
        self.full_at = self.full_at.max(now).saturating_add(self.limit.time(amount));
    }

    /// Counts the amount if it may go now; false if it may not.
    pub fn take(&mut self, amount: u32, now: Duration) -> bool {
        let allowed = amount <= self.limit.burst && self.allows(amount, now);
        if allowed {
            self.count(amount, now);
        }
        allowed
    }

    /// The first moment at which this amount may go.
    pub fn next(&self, amount: u32) -> Duration {
        self.full_at
            .saturating_add(self.limit.time(amount))
            .saturating_sub(self.limit.time(self.limit.burst))
    }

    /// Whether nothing of it is used any more.
    pub fn is_idle(&self, now: Duration) -> bool {
        self.full_at <= now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn it_allows_a_burst_and_then_so_much_in_each_interval() {
        let mut pace = Pace::new(Limit {
            burst: 5,
            gain: 2,
            interval: SECOND,
        });
        let now = SECOND * 100;
        assert!((0..5).all(|_| pace.take(1, now)) && !pace.take(1, now));
        assert_eq!(pace.next(1), now + SECOND / 2);
        assert!(!pace.take(1, now + SECOND / 2 - Duration::from_nanos(1)));
        assert!(pace.take(1, now + SECOND / 2) && !pace.take(1, now + SECOND / 2));
        assert!(!pace.take(2, now + SECOND), "half of it is there");
        assert!(pace.take(2, now + SECOND * 3 / 2));
        assert!(!pace.is_idle(now + SECOND) && pace.is_idle(now + SECOND * 9));
        let later = now + SECOND * 1_000;
        assert!(!pace.take(6, later), "more than there ever is");
        assert!(pace.take(5, later) && !pace.take(1, later), "no more is saved up");
    }
}
