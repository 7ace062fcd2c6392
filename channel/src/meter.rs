//! Meters: how time becomes a debt (protocol.md section 7).
//!
//! Each side counts by its own clock and stores money, not time, so that a later rate never re-prices the past.

use crate::money::{Msat, Rate};
use std::time::Duration;

/// A counter that runs while it is on.
#[derive(Clone, Debug)]
pub struct Meter {
    rate: Rate,
    consumed: Msat,
    /// When the time not yet in `consumed` began; `None` while the meter is off.
    since: Option<Duration>,
}

impl Meter {
    /// A stopped meter that starts from what is already on record.
    pub const fn new(rate: Rate, consumed: Msat) -> Self {
        Self {
            rate,
            consumed,
            since: None,
        }
    }

    /// What has been consumed by `now`.
    pub fn consumed(&self, now: Duration) -> Msat {
        let running = self
            .since
            .map_or(Duration::ZERO, |since| now.saturating_sub(since));
        self.consumed.plus(self.rate.cost(running))
    }

    /// Turns the meter on or off.
    pub fn run(&mut self, on: bool, now: Duration) {
        // Only a change is booked: each booking rounds down by less than a millisatoshi.
        if on != self.since.is_some() {
            self.consumed = self.consumed(now);
            self.since = on.then_some(now);
        }
    }

    /// Counts at another rate from `now` on.
    pub fn set_rate(&mut self, rate: Rate, now: Duration) {
        if rate != self.rate {
            self.consumed = self.consumed(now);
            self.since = self.since.map(|_| now);
            self.rate = rate;
        }
    }

    /// True while time is counted.
    pub const fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// When `limit` will have been consumed if the meter goes on: `None` while it is off or costs nothing.
    pub fn reaches(&self, limit: Msat, now: Duration) -> Option<Duration> {
        if !self.is_running() || self.rate.is_free() {
            return None;
        }
        let left = limit.minus(self.consumed(now));
        if left == Msat::ZERO {
            // Not a moment later, or who asks again and again would always be told to wait.
            return Some(now);
        }
        // One nanosecond later the limit has really been reached, whatever was rounded down.
        now.checked_add(self.rate.time(left))?
            .checked_add(Duration::from_nanos(1))
    }
}

/// How far the provider's count may be ahead of the consumer's own before the consumer closes: 2 % and one window.
#[derive(Clone, Copy, Debug)]
pub struct Drift {
    /// What a window costs.
    pub window: Msat,
}

impl Drift {
    /// Hundredths of the own count by which the clocks and lossy seconds may differ.
    pub const PERCENT: u64 = 2;

    /// The highest count of the provider's that is believed when the own count is `own`.
    pub const fn bound(&self, own: Msat) -> Msat {
        own.plus(own.percent(Self::PERCENT)).plus(self.window)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_running_time_is_counted() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::new(5));
        assert_eq!(meter.consumed(SECOND * 9), Msat::new(5));
        meter.run(true, SECOND * 10);
        meter.run(true, SECOND * 11);
        assert_eq!(meter.consumed(SECOND * 12), Msat::new(2_005));
        meter.run(false, SECOND * 13);
        assert_eq!(meter.consumed(SECOND * 99), Msat::new(3_005));
    }

    #[test]
    fn a_clock_that_stands_still_costs_nothing() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.run(true, SECOND * 10);
        assert_eq!(meter.consumed(SECOND * 3), Msat::ZERO);
    }

    #[test]
    fn a_new_rate_does_not_price_the_past_anew() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.set_rate(Rate::new(100), SECOND);
        assert_eq!(meter.consumed(SECOND * 2), Msat::ZERO, "it is off");
        meter.run(true, SECOND * 2);
        meter.set_rate(Rate::new(3_000), SECOND * 12);
        assert_eq!(meter.consumed(SECOND * 12), Msat::new(1_000));
        assert_eq!(meter.consumed(SECOND * 13), Msat::new(4_000));
        assert_eq!(
            meter.reaches(Msat::new(7_000), SECOND * 13),
            Some(SECOND * 14 + Duration::from_nanos(1))
        );
    }

    #[test]
    fn the_end_is_foretold() {
        let mut meter = Meter::new(Rate::new(700), Msat::new(100));
        assert_eq!(meter.reaches(Msat::new(800), SECOND), None);
        meter.run(true, SECOND);
        let end = meter.reaches(Msat::new(800), SECOND).unwrap();
        assert!(meter.consumed(end) >= Msat::new(800));
        assert!(meter.consumed(end - Duration::from_millis(2)) < Msat::new(800));
        // Who looks late is not told to come later still.
        for late in [Duration::ZERO, Duration::from_nanos(1), SECOND] {
            assert_eq!(meter.reaches(Msat::new(800), end + late), Some(end + late));
        }
    }

    #[test]
    fn drift_is_two_percent_and_a_window() {
        let drift = Drift {
            window: Msat::new(5_000),
        };
        assert_eq!(drift.bound(Msat::new(100_000)), Msat::new(107_000));
    }
}
