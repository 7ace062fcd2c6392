//! How much the consumer pays: enough to stay one window ahead of what arrived, never more (protocol.md section 7).

use crate::fault::Fault;
use crate::meter::{Drift, LEAST_CHARGE, Meter};
use crate::money::{Msat, Rate};
use bitcoin::Amount;
use std::time::Duration;

/// The own count, the provider's, and what has been paid. It goes on through all channels of a session: what earlier
/// ones paid is carried, what arrived adds up.
#[derive(Clone, Debug)]
pub struct Purse {
    /// It stops by itself when what arrived last does not count any more, whenever that is looked at.
    meter: Meter,
    rate: Rate,
    /// The highest rate that was counted at: both sides' counts may differ by a window of it.
    peak: Rate,
    window: Duration,
    /// The longest window that was agreed about the account.
    longest: Duration,
    /// The least first payment of the present channel; nothing once that was made.
    opening: Amount,
    /// What earlier channels paid.
    carried: Amount,
    /// What the present one has paid.
    paid: Amount,
    reported: Msat,
    /// The amount that the provider may have debited since the viewer last pressed play, and nothing arrived yet.
    begun: Msat,
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
            rate,
            peak: rate,
            window,
            longest: window,
            opening,
            carried: Amount::ZERO,
            paid: Amount::ZERO,
            reported: Msat::ZERO,
            begun: Msat::ZERO,
        }
    }

    /// Takes up what is on record.
    pub fn restore(&mut self, carried: Amount, paid: Amount, consumed: Msat) {
        self.meter = Meter::new(self.rate, consumed);
        self.carried = carried;
        self.paid = paid;
    }

    /// Counts at another rate from `now` on. What differs already was counted at the old one, so that is kept in mind.
    pub fn set_rate(&mut self, rate: Rate, now: Duration) {
        self.meter.set_rate(rate, now);
        self.rate = rate;
        self.has_counted_at(rate);
    }

    /// A rate at which the account has been counted.
    pub fn has_counted_at(&mut self, rate: Rate) {
        self.peak = self.peak.max(rate);
    }

    /// A window that was agreed about the account.
    pub fn has_kept_ahead(&mut self, window: Duration) {
        self.longest = self.longest.max(window);
    }

    /// The least first payment of the present channel; nothing where it has been made on another connection.
    pub const fn opening(&self) -> Amount {
        self.opening
    }

    /// The highest rate at which the account has been counted.
    pub const fn peak(&self) -> Rate {
        self.peak
    }

    /// Goes on with the next channel, from which nothing has been paid, and whose least first payment is `opening`.
    pub fn switch(&mut self, opening: Amount) {
        // Neither sum can be more than there is money.
        self.carried = self.total();
        self.paid = Amount::ZERO;
        self.opening = opening;
    }

    /// What the present channel has paid.
    pub const fn paid(&self) -> Amount {
        self.paid
    }

    /// What earlier channels paid.
    pub const fn carried(&self) -> Amount {
        self.carried
    }

    /// What all channels have paid.
    pub fn total(&self) -> Amount {
        self.carried.checked_add(self.paid).unwrap_or(Amount::MAX_MONEY)
    }

    /// What arrived, by the own count.
    pub fn consumed(&self, now: Duration) -> Msat {
        self.meter.consumed(now)
    }

    /// Media has arrived, and counts until then; `None`: it does not count. Each arrival counts for [`LEAST_CHARGE`] at
    /// least, from when it began, as the provider debits each opening.
    pub fn arriving(&mut self, until: Option<Duration>, now: Duration) {
        match until.filter(|until| now < *until) {
            // Nothing is known of the time after what was noted last; the computer may have been suspended.
            Some(until) => self
                .meter
                .run(until, until.min(now.saturating_add(LEAST_CHARGE)), now),
            None => self.meter.stop(now),
        }
    }

    /// The viewer pressed play. The provider opens its gate a latency later, a picture takes its time, and if the viewer
    /// pauses again meanwhile, nothing arrives of what was debited: so much is believed for each time.
    pub fn play(&mut self) {
        self.begun = self.rate.cost(LEAST_CHARGE);
    }

    /// The session is over: what the last arrival counts at least is counted.
    pub fn end(&mut self, now: Duration) {
        self.meter.stop(now);
        self.meter.charge_least(now);
    }

    /// The provider's count.
    ///
    /// # Errors
    /// [`Fault::Drift`] when it is further ahead of the own one than clocks and loss explain.
    pub fn report(&mut self, consumed: Msat, now: Duration) -> Result<(), Fault> {
        let own = self.consumed(now);
        let begun = consumed.minus(own).min(self.begun);
        let window = self.peak.cost(self.longest);
        if consumed > (Drift { window }).bound(own.plus(begun)) {
            return Err(Fault::Drift {
                reported_msat: consumed.to_msat(),
                own_msat: own.to_msat(),
            });
        }
        self.meter.add(begun);
        self.begun = self.begun.minus(begun);
        self.reported = self.reported.max(consumed);
        Ok(())
    }

    /// The cumulative amount that the present channel should have paid by now, if there were no limit.
    pub fn target(&self, now: Duration) -> Amount {
        self.due(now)
            .checked_sub(self.carried)
            .unwrap_or(Amount::ZERO)
            .max(self.opening)
    }

    /// Whether no more is paid than what arrived and a window: the last opening payment is used up.
    pub fn has_used_opening(&self, now: Duration) -> bool {
        self.total() <= self.due(now)
    }

    /// What all channels should have paid by now.
    fn due(&self, now: Duration) -> Amount {
        let counted = self.consumed(now).max(self.reported);
        counted.plus(self.rate.cost(self.window)).ceil_sat()
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
    const FOR_EVER: Option<Duration> = Some(Duration::MAX);

    fn purse() -> Purse {
        Purse::new(Rate::new(1_000), SECOND * 5, Amount::from_sat(10))
    }

    #[test]
    fn it_stays_one_window_ahead_of_what_arrived() {
        let mut purse = purse();
        assert_eq!(purse.target(SECOND), Amount::from_sat(10));
        purse.arriving(FOR_EVER, SECOND);
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
    fn the_next_channel_pays_what_the_last_one_could_not() {
        let mut purse = purse();
        purse.arriving(FOR_EVER, Duration::ZERO);
        purse.pay(Amount::from_sat(100));
        purse.switch(Amount::from_sat(10));
        assert_eq!(purse.total(), Amount::from_sat(100));
        assert_eq!(
            purse.target(SECOND * 90),
            Amount::from_sat(10),
            "the opening, though it is covered"
        );
        assert_eq!(purse.target(SECOND * 120), Amount::from_sat(25));
    }

    #[test]
    fn a_new_rate_holds_for_what_comes_and_drift_is_judged_by_the_highest() {
        let mut purse = purse();
        purse.arriving(FOR_EVER, Duration::ZERO);
        purse.set_rate(Rate::new(3_000), SECOND * 100);
        assert_eq!(purse.consumed(SECOND * 110), Msat::new(130_000));
        assert_eq!(purse.target(SECOND * 110), Amount::from_sat(145));
        purse.set_rate(Rate::new(10), SECOND * 110);
        assert_eq!(purse.target(SECOND * 110), Amount::from_sat(131));
        // Up to a window of the dearest time may have been on its way when it became cheaper; changes don't add up.
        purse.set_rate(Rate::new(2_000), SECOND * 110);
        purse.set_rate(Rate::new(10), SECOND * 110);
        assert!(
            purse
                .report(Msat::new(130_000 + 2_600 + 15_000), SECOND * 110)
                .is_ok()
        );
        assert!(
            purse
                .report(Msat::new(130_000 + 2_600 + 15_001), SECOND * 110)
                .is_err()
        );
    }

    #[test]
    fn what_is_on_record_is_kept() {
        let mut purse = purse();
        purse.restore(Amount::from_sat(50), Amount::from_sat(20), Msat::new(66_000));
        assert_eq!(purse.target(SECOND), Amount::from_sat(21));
        assert!(purse.report(Msat::new(66_000 + 1_320 + 5_000), SECOND).is_ok());
        assert!(purse.report(Msat::new(66_000 + 1_320 + 5_001), SECOND).is_err());
    }

    #[test]
    fn time_in_which_nothing_was_seen_to_arrive_is_not_counted() {
        let mut purse = purse();
        purse.arriving(Some(SECOND * 3), SECOND * 2);
        // The computer sleeps for hours, and media is there again when it wakes.
        assert_eq!(purse.consumed(SECOND * 9_000), Msat::new(1_000));
        purse.arriving(Some(SECOND * 9_001), SECOND * 9_000);
        assert_eq!(purse.consumed(SECOND * 9_002), Msat::new(2_000));
        purse.arriving(None, SECOND * 9_003);
        assert_eq!(purse.consumed(SECOND * 9_004), Msat::new(2_000));
        purse.arriving(Some(SECOND * 9_006), SECOND * 9_005);
        purse.set_rate(Rate::new(3_000), SECOND * 9_100);
        assert_eq!(purse.consumed(SECOND * 9_200), Msat::new(3_000));
    }

    #[test]
    fn an_arrival_counts_for_a_second_at_least_though_the_viewer_pauses() {
        let mut purse = purse();
        let tenth = SECOND / 10;
        purse.arriving(Some(SECOND * 2), SECOND);
        purse.arriving(None, SECOND + tenth);
        assert_eq!(
            purse.consumed(SECOND + tenth),
            Msat::new(100),
            "not before its time"
        );
        assert_eq!(purse.consumed(SECOND * 9), Msat::new(1_000));
        // What was noted late counts no longer than from when it came.
        purse.arriving(Some(SECOND * 10 + tenth * 9), SECOND * 10 + tenth);
        assert_eq!(purse.consumed(SECOND * 20), Msat::new(1_800));
        purse.arriving(Some(SECOND * 21), SECOND * 20);
        purse.end(SECOND * 20 + tenth);
        assert_eq!(purse.consumed(SECOND * 20 + tenth), Msat::new(2_800));
    }

    #[test]
    fn a_second_of_the_providers_count_is_believed_for_each_time_that_the_viewer_plays() {
        let mut purse = purse();
        assert!(purse.report(Msat::new(5_001), SECOND).is_err());
        purse.play();
        // Not a second for each second that it does not claim.
        purse.play();
        assert!(purse.report(Msat::new(6_021), SECOND).is_err());
        assert_eq!(purse.consumed(SECOND), Msat::ZERO, "a fault changes nothing");
        assert!(purse.report(Msat::new(600), SECOND).is_ok());
        assert_eq!(
            purse.consumed(SECOND),
            Msat::new(600),
            "what it has claimed is counted"
        );
        assert!(purse.report(Msat::new(1_000), SECOND).is_ok());
        assert!(purse.report(Msat::new(1_000 + 20 + 5_000), SECOND).is_ok());
        assert_eq!(purse.consumed(SECOND), Msat::new(1_000), "and once");
        assert!(purse.report(Msat::new(1_000 + 20 + 5_001), SECOND).is_err());
    }

    #[test]
    fn a_count_beyond_drift_is_a_fault_and_changes_nothing() {
        let mut purse = purse();
        purse.arriving(FOR_EVER, Duration::ZERO);
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
