//! A computer's clock: a little fast or slow, and a jump ahead after it was suspended.

use std::time::Duration;

/// Such a clock has run for a while when a run begins.
const START: u64 = 1_000_000_000_000;

pub struct Clock {
    ppm: i64,
    jumped: Duration,
}

impl Clock {
    pub const fn new(ppm: i64) -> Self {
        Self {
            ppm,
            jumped: Duration::ZERO,
        }
    }

    /// What it shows at a true time.
    pub fn at(&self, true_time: Duration) -> Duration {
        let nanos = i128::try_from(true_time.as_nanos()).unwrap();
        let shown = nanos + nanos * i128::from(self.ppm) / 1_000_000;
        Duration::from_nanos(START + u64::try_from(shown).unwrap()) + self.jumped
    }

    /// The first true time at which it shows at least this; not before `now`.
    pub fn when(&self, shown: Duration, now: Duration) -> Duration {
        let left = shown.saturating_sub(self.at(now));
        let nanos = i128::try_from(left.as_nanos()).unwrap();
        let mut at = now
            + Duration::from_nanos(
                u64::try_from(nanos * 1_000_000 / (1_000_000 + i128::from(self.ppm))).unwrap_or(u64::MAX),
            );
        while self.at(at) < shown {
            at += Duration::from_nanos(1 + (shown - self.at(at)).as_nanos() as u64 / 2);
        }
        at
    }

    pub fn jump(&mut self, by: Duration) {
        self.jumped += by;
    }
}
