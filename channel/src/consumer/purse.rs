//! How much the consumer pays: enough to stay one window ahead of what arrived, never more (protocol.md section 7).

use crate::fault::Fault;
use crate::meter::{Drift, Meter};
use crate::money::{Msat, Rate};
use bitcoin::Amount;
use std::time::Duration;

/// The own count, the provider's, and what has been paid.
#[derive(Clone, Debug)]
pub struct Purse {
    meter: Meter,
    window: Msat,
    opening: Amount,
    paid: Amount,
    reported: Msat,
}

/// Why nothing more is paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The budget is used up.
    Budget(Amount),
    /// The channel is.
    Capacity(Amount),
}

impl Purse {
    /// A purse from which nothing has been paid.
    pub fn new(rate: Rate, window: Duration, opening: Amount) -> Self {
        Self {
            meter: Meter::new(rate, Msat::ZERO),
            window: rate.cost(window),
            opening,
            paid: Amount::ZERO,
            reported: Msat::ZERO,
        }
    }

    /// All that was paid.
    pub const fn paid(&self) -> Amount {
        self.paid
    }

    /// What arrived, by the own count.
    pub fn consumed(&self, now: Duration) -> Msat {
        self.meter.consumed(now)
    }

    /// Whether media arrives. Time counts exactly while it does.
    pub fn arriving(&mut self, arriving: bool, now: Duration) {
        self.meter.run(arriving, now);
    }

    /// The provider's count.
    ///
    /// # Errors
    /// [`Fault::Drift`] when it is further ahead of the own one than clocks and loss explain.
    pub fn report(&mut self, consumed: Msat, now: Duration) -> Result<(), Fault> {
        let own = self.consumed(now);
        if consumed > (Drift { window: self.window }).bound(own) {
            return Err(Fault::Drift {
                reported_msat: consumed.to_msat(),
                own_msat: own.to_msat(),
            });
        }
        self.reported = self.reported.max(consumed);
        Ok(())
    }

    /// The cumulative amount that should have been paid by now, if there were no limit.
    pub fn target(&self, now: Duration) -> Amount {
        let counted = self.consumed(now).max(self.reported);
        counted.plus(self.window).ceil_sat().max(self.opening)
    }

    /// Notes a signed payment.
    pub fn pay(&mut self, cumulative: Amount) {
        self.paid = self.paid.max(cumulative);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn purse() -> Purse {
        Purse::new(Rate::new(1_000), SECOND * 5, Amount::from_sat(10))
    }

    #[test]
    fn it_stays_one_window_ahead_of_what_arrived() {
        let mut purse = purse();
        assert_eq!(purse.target(SECOND), Amount::from_sat(10));
        purse.arriving(true, SECOND);
        assert_eq!(purse.target(SECOND * 4), Amount::from_sat(10));
        assert_eq!(purse.target(SECOND * 21), Amount::from_sat(25));
    }

    #[test]
    fn without_media_nothing_beyond_opening_and_window_is_paid() {
        let mut purse = purse();
        for second in 1..100 {
            let _ = purse.report(Msat::new(second * 1_000), SECOND * second as u32);
        }
        assert_eq!(purse.target(SECOND * 100), Amount::from_sat(10));
    }

    #[test]
    fn a_count_beyond_drift_is_a_fault_and_changes_nothing() {
        let mut purse = purse();
        purse.arriving(true, Duration::ZERO);
        let now = SECOND * 100;
        assert!(purse.report(Msat::new(107_000), now).is_ok());
        let target = purse.target(now);
        assert_eq!(target, Amount::from_sat(112));
        assert!(matches!(
            purse.report(Msat::new(107_001), now),
            Err(Fault::Drift { .. })
        ));
        assert_eq!(purse.target(now), target);
    }
}
