//! Meters: how time becomes a debt (protocol.md section 7).
//!
//! Each side counts by its own clock and stores money, not time, so that a later rate never re-prices the past.

use crate::money::{Msat, Rate};
use std::time::Duration;

/// The least time that is charged from each opening of the gate, and counted from each beginning of an arrival,
/// whatever ends it earlier. What is sold is the picture, not the microsecond: who opened the gate for the moment of
/// each picture only would else see all of them for a part of the price.
pub const LEAST_CHARGE: Duration = Duration::from_secs(1);

/// A counter that runs while it is on.
///
/// It counts exactly, in billionths of a millisatoshi, through any number of stops and new rates. Only what is read off
/// is rounded down to a millisatoshi; so is what is written down, once, for whoever starts from it.
#[derive(Clone, Debug)]
pub struct Meter {
    rate: Rate,
    consumed: Fine,
    /// The time up to which everything is in `consumed`. Ahead of the time, where a span has been charged in advance.
    since: Duration,
    /// Up to here it counts. Ahead of the time while it is on, and while the least of a span is not over.
    until: Duration,
    /// The least of the present span ends here, whenever it is turned off.
    least: Duration,
    on: bool,
}

impl Meter {
    /// A stopped meter that starts from what is already on record.
    pub const fn new(rate: Rate, consumed: Msat) -> Self {
        Self {
            rate,
            consumed: Fine::new(consumed),
            since: Duration::ZERO,
            until: Duration::ZERO,
            least: Duration::ZERO,
            on: false,
        }
    }

    /// What has been consumed by `now`.
    pub fn consumed(&self, now: Duration) -> Msat {
        self.counted(now.min(self.until)).floor()
    }

    /// Turns it on, or keeps it on: it counts from `now` until `until`, unless a later call moves that. If it was off, or
    /// stopped by itself, a span begins, and counts until `least` whatever happens.
    pub fn run(&mut self, until: Duration, least: Duration, now: Duration) {
        if !self.on || self.until <= now {
            self.book(now.min(self.until));
            self.since = self.since.max(now);
            self.least = least;
            self.on = true;
        }
        self.until = until.max(self.least);
    }

    /// Turns it off, but not before the least of the span is over.
    pub fn stop(&mut self, now: Duration) {
        if self.on {
            self.until = self.until.min(now).max(self.least);
            self.on = false;
        }
    }

    /// Counts at another rate from `now` on.
    pub fn set_rate(&mut self, rate: Rate, now: Duration) {
        if rate != self.rate {
            self.book(now.min(self.until));
            self.rate = rate;
        }
    }

    /// Returns what will have been consumed when the least of the span is over, should it be turned off now.
    pub fn owed(&self, now: Duration) -> Msat {
        self.counted(self.owed_until(now)).floor()
    }

    /// Counts that in advance, for nobody may follow the span to its end. No time counts twice.
    pub fn charge_least(&mut self, now: Duration) {
        self.book(self.owed_until(now));
    }

    fn owed_until(&self, now: Duration) -> Duration {
        now.min(self.until).max(self.least)
    }

    /// Counts what was consumed beside the time that was measured.
    pub const fn add(&mut self, more: Msat) {
        self.consumed = self.consumed.plus(Fine::new(more));
    }

    /// When `limit` will have been consumed if the meter stays on: `None` while it is off or costs nothing.
    pub fn reaches(&self, limit: Msat, now: Duration) -> Option<Duration> {
        if !self.on || self.rate.is_free() {
            return None;
        }
        let left = Fine::new(limit).minus(self.counted(now.min(self.until)));
        if left == Fine::default() {
            // Not a moment later, or who asks again and again would always be told to wait.
            return Some(now);
        }
        now.max(self.since).checked_add(left.time(self.rate)?)
    }

    fn counted(&self, to: Duration) -> Fine {
        self.consumed
            .plus(Fine::cost(self.rate, to.saturating_sub(self.since)))
    }

    fn book(&mut self, to: Duration) {
        self.consumed = self.counted(to);
        self.since = self.since.max(to);
    }
}

/// Money in billionths of a millisatoshi: what a nanosecond costs is a whole number of them. Saturating.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Fine(u128);

impl Fine {
    const PER_MSAT: u128 = 1_000_000_000;

    // Not `u128::from`, which is not const. No sum in msat is too large for it.
    const fn new(msat: Msat) -> Self {
        Self((msat.to_msat() as u128).saturating_mul(Self::PER_MSAT))
    }

    fn cost(rate: Rate, time: Duration) -> Self {
        Self(time.as_nanos().saturating_mul(u128::from(rate.msat_per_s())))
    }

    const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    const fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    fn floor(self) -> Msat {
        Msat::new(u64::try_from(self.0 / Self::PER_MSAT).unwrap_or(u64::MAX))
    }

    /// The time after which all of it is spent, in whole nanoseconds; `None` if that is never.
    fn time(self, rate: Rate) -> Option<Duration> {
        let nanos = match rate.msat_per_s() {
            0 => return None,
            rate => self.0.div_ceil(u128::from(rate)),
        };
        u64::try_from(nanos).ok().map(Duration::from_nanos)
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

    /// For as long as it is not turned off, and not at least for any time.
    fn turn(meter: &mut Meter, on: bool, now: Duration) {
        match on {
            true => meter.run(Duration::MAX, now, now),
            false => meter.stop(now),
        }
    }

    #[test]
    fn only_running_time_is_counted() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::new(5));
        assert_eq!(meter.consumed(SECOND * 9), Msat::new(5));
        turn(&mut meter, true, SECOND * 10);
        turn(&mut meter, true, SECOND * 11);
        assert_eq!(meter.consumed(SECOND * 12), Msat::new(2_005));
        turn(&mut meter, false, SECOND * 13);
        assert_eq!(meter.consumed(SECOND * 99), Msat::new(3_005));
    }

    #[test]
    fn a_clock_that_stands_still_costs_nothing() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        turn(&mut meter, true, SECOND * 10);
        assert_eq!(meter.consumed(SECOND * 3), Msat::ZERO);
    }

    #[test]
    fn a_new_rate_does_not_price_the_past_anew() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.set_rate(Rate::new(100), SECOND);
        assert_eq!(meter.consumed(SECOND * 2), Msat::ZERO, "it is off");
        turn(&mut meter, true, SECOND * 2);
        meter.set_rate(Rate::new(3_000), SECOND * 12);
        assert_eq!(meter.consumed(SECOND * 12), Msat::new(1_000));
        assert_eq!(meter.consumed(SECOND * 13), Msat::new(4_000));
        assert_eq!(meter.reaches(Msat::new(7_000), SECOND * 13), Some(SECOND * 14));
    }

    #[test]
    fn the_end_is_foretold() {
        let mut meter = Meter::new(Rate::new(700), Msat::new(100));
        assert_eq!(meter.reaches(Msat::new(800), SECOND), None);
        turn(&mut meter, true, SECOND);
        let end = meter.reaches(Msat::new(800), SECOND).unwrap();
        assert!(meter.consumed(end) >= Msat::new(800));
        assert!(meter.consumed(end - Duration::from_millis(2)) < Msat::new(800));
        // Who looks late is not told to come later still.
        for late in [Duration::ZERO, Duration::from_nanos(1), SECOND] {
            assert_eq!(meter.reaches(Msat::new(800), end + late), Some(end + late));
        }
    }

    #[test]
    fn a_span_counts_until_its_least_whatever_ends_it_and_no_time_counts_twice() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.run(Duration::MAX, SECOND * 11, SECOND * 10);
        meter.stop(SECOND * 10 + SECOND / 10);
        assert_eq!(meter.reaches(Msat::new(100), SECOND * 10 + SECOND / 2), None);
        assert_eq!(
            meter.consumed(SECOND * 10 + SECOND / 2),
            Msat::new(500),
            "not before its time"
        );
        assert_eq!(meter.consumed(SECOND * 20), Msat::new(1_000));
        // The next one overlaps with one that was cut short.
        meter.run(Duration::MAX, SECOND * 21, SECOND * 20);
        meter.stop(SECOND * 20 + SECOND / 4);
        meter.run(
            Duration::MAX,
            SECOND * 20 + SECOND * 3 / 2,
            SECOND * 20 + SECOND / 2,
        );
        meter.stop(SECOND * 20 + SECOND * 3 / 4);
        assert_eq!(meter.consumed(SECOND * 30), Msat::new(2_500));
    }

    #[test]
    fn the_least_of_a_span_can_be_counted_in_advance_once() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.run(Duration::MAX, SECOND * 11, SECOND * 10);
        let now = SECOND * 10 + SECOND / 4;
        assert_eq!(
            (meter.consumed(now), meter.owed(now)),
            (Msat::new(250), Msat::new(1_000))
        );
        meter.charge_least(now);
        meter.charge_least(now);
        assert_eq!(meter.consumed(now), Msat::new(1_000));
        assert_eq!(meter.reaches(Msat::new(2_000), now), Some(SECOND * 12));
        assert_eq!(meter.consumed(SECOND * 11), Msat::new(1_000));
        assert_eq!(meter.consumed(SECOND * 13), Msat::new(3_000));
        meter.stop(SECOND * 13);
        meter.charge_least(SECOND * 99);
        assert_eq!(meter.consumed(SECOND * 99), Msat::new(3_000));
    }

    #[test]
    fn it_stops_by_itself_and_nothing_is_known_of_the_time_since() {
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        meter.run(SECOND * 3, SECOND, SECOND);
        meter.run(SECOND * 9_001, SECOND * 9_000, SECOND * 9_000);
        assert_eq!(meter.consumed(SECOND * 9_500), Msat::new(3_000));
    }

    #[test]
    fn nothing_is_too_much() {
        let mut meter = Meter::new(Rate::new(u64::MAX), Msat::new(u64::MAX));
        turn(&mut meter, true, Duration::ZERO);
        assert_eq!(meter.consumed(Duration::MAX), Msat::new(u64::MAX));
        meter.charge_least(Duration::MAX);
        meter.add(Msat::new(u64::MAX));
        assert_eq!(meter.consumed(Duration::MAX), Msat::new(u64::MAX));
        assert_eq!(meter.reaches(Msat::ZERO, SECOND), Some(SECOND));
    }

    #[test]
    fn drift_is_two_percent_and_a_window() {
        let drift = Drift {
            window: Msat::new(5_000),
        };
        assert_eq!(drift.bound(Msat::new(100_000)), Msat::new(107_000));
    }
}
