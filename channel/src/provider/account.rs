//! A consumer's account with the provider: what counts, what is consumed, and so whether media flows.

use crate::message::GateState;
use crate::meter::{LEAST_CHARGE, Meter};
use crate::money::{Msat, Rate};
use bitcoin::Amount;
use std::time::Duration;

/// The account and the gate that follows from it. All decisions about the gate are made here.
///
/// It goes on through all channels of a session: what earlier ones paid is carried, what was debited adds up.
#[derive(Clone, Debug)]
pub struct Account {
    meter: Meter,
    /// Until when the consumer counts as there: later time is not debited, whenever that is looked at.
    until: Duration,
    rate: Rate,
    grace: Duration,
    /// What earlier channels paid.
    carried: Amount,
    /// What the present one has.
    balance: Amount,
    /// At most this much of the balance counts now; `None` once the commitment is confirmed.
    limit: Option<Amount>,
    paused: bool,
    gate: GateState,
}

impl Account {
    /// An account without a payment. `grace` is the time for which media may flow ahead of payment; `limit` what
    /// counts of an unconfirmed channel.
    pub fn new(rate: Rate, grace: Duration, limit: Amount) -> Self {
        Self {
            meter: Meter::new(rate, Msat::ZERO),
            until: Duration::MAX,
            rate,
            grace,
            carried: Amount::ZERO,
            balance: Amount::ZERO,
            limit: Some(limit),
            paused: false,
            gate: GateState::Unpaid,
        }
    }

    /// Takes up what is on record. Debt is kept as well as credit.
    pub fn restore(&mut self, carried: Amount, balance: Amount, consumed: Msat) {
        self.meter = Meter::new(self.rate, consumed);
        self.carried = carried;
        self.balance = balance;
    }

    /// Debits at another rate from `now` on; what went before at the old one, as far as the consumer was there.
    pub fn set_rate(&mut self, rate: Rate, now: Duration) {
        self.meter.set_rate(rate, now);
        self.rate = rate;
    }

    /// Goes on with the next channel, of which `limit` counts now.
    pub fn switch(&mut self, limit: Option<Amount>) {
        // Neither sum can be more than there is money, but a sum that is too low is the safe side.
        self.carried = self.carried.checked_add(self.balance).unwrap_or(self.carried);
        self.balance = Amount::ZERO;
        self.limit = limit;
    }

    /// What earlier channels paid.
    pub const fn carried(&self) -> Amount {
        self.carried
    }

    /// The present channel's best payment.
    pub const fn balance(&self) -> Amount {
        self.balance
    }

    /// The gate as last decided.
    pub const fn gate(&self) -> GateState {
        self.gate
    }

    /// What has been debited.
    pub fn consumed(&self, now: Duration) -> Msat {
        self.meter.consumed(now)
    }

    /// The time that the credit lasts from `now`.
    pub fn credit(&self, now: Duration) -> Duration {
        self.rate.time(self.counted().minus(self.consumed(now)))
    }

    /// A checked payment has been made.
    pub fn pay(&mut self, cumulative: Amount) {
        self.balance = self.balance.max(cumulative);
    }

    /// How much of the balance counts now.
    pub const fn set_limit(&mut self, limit: Option<Amount>) {
        self.limit = limit;
    }

    /// The consumer pauses or goes on.
    pub const fn set_paused(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// The consumer has been heard, and counts as there until then.
    pub fn heard(&mut self, until: Duration, now: Duration) {
        self.until = until;
        if self.gate == GateState::Open && now < until {
            // Nothing was sent since it fell silent, even if that is noticed only now: the computer may have been
            // suspended.
            self.run(now);
        }
    }

    /// Decides about the gate; true if that changed it. The meter runs while the gate is open, and at least for
    /// [`LEAST_CHARGE`] from each opening, whatever closes it.
    pub fn decide(&mut self, alive: bool, now: Duration) -> bool {
        let gate = self.next_gate(alive, now);
        let changed = gate != self.gate;
        self.gate = gate;
        match gate {
            GateState::Open => self.run(now),
            _ => self.meter.stop(now),
        }
        changed
    }

    fn run(&mut self, now: Duration) {
        self.meter.run(self.until, now.saturating_add(LEAST_CHARGE), now);
    }

    /// Returns what will have been debited at least, should the session end now: the present opening has its least
    /// charge.
    pub fn owed(&self, now: Duration) -> Msat {
        self.meter.owed(now)
    }

    /// The session is over: the gate is closed for good, and what its last opening costs at least is debited.
    pub fn end(&mut self, now: Duration) -> bool {
        let changed = self.gate != GateState::Closed;
        self.gate = GateState::Closed;
        self.meter.stop(now);
        self.meter.charge_least(now);
        changed
    }

    /// Whether some of what counts is left.
    pub fn has_credit(&self, now: Duration) -> bool {
        self.consumed(now) < self.counted()
    }

    /// When the gate will close if nothing more is paid.
    pub fn runs_out(&self, now: Duration) -> Option<Duration> {
        self.meter.reaches(self.counted().plus(self.grace()), now)
    }

    fn grace(&self) -> Msat {
        self.rate.cost(self.grace)
    }

    fn counted(&self) -> Msat {
        let balance = self.limit.map_or(self.balance, |limit| self.balance.min(limit));
        Msat::from(self.carried).plus(Msat::from(balance))
    }

    /// What all channels have paid.
    pub fn total(&self) -> Amount {
        self.carried
            .checked_add(self.balance)
            .unwrap_or(Amount::MAX_MONEY)
    }

    fn paid(&self) -> Msat {
        Msat::from(self.total())
    }

    fn next_gate(&self, alive: bool, now: Duration) -> GateState {
        let consumed = self.consumed(now);
        // A closed gate opens only on credit; an open one has the grace as well, so that it does not flap.
        let covered = match self.gate {
            GateState::Open => self.counted().plus(self.grace()),
            _ => self.counted(),
        };
        match () {
            () if self.gate == GateState::Closed => GateState::Closed,
            () if self.paused => GateState::Paused,
            () if self.paid() == Msat::ZERO => GateState::Unpaid,
            () if !alive => GateState::Silent,
            () if consumed < covered => GateState::Open,
            () if self.counted() < self.paid() => GateState::Unconfirmed,
            () => GateState::Starved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn account() -> Account {
        Account::new(Rate::new(100_000), SECOND / 2, Amount::from_sat(1_000))
    }

    #[test]
    fn the_gate_is_closed_until_paid_and_closes_when_credit_and_grace_are_used_up() {
        let mut account = account();
        assert!(!account.decide(true, SECOND));
        assert_eq!(account.gate(), GateState::Unpaid);
        account.pay(Amount::from_sat(500));
        assert!(account.decide(true, SECOND));
        assert_eq!(
            (account.gate(), account.credit(SECOND)),
            (GateState::Open, SECOND * 5)
        );
        let end = account.runs_out(SECOND).unwrap();
        assert!(end >= SECOND + SECOND * 11 / 2 && end < SECOND + SECOND * 11 / 2 + SECOND / 1_000);
        assert!(!account.decide(true, end - SECOND / 1_000));
        assert!(account.decide(true, end));
        assert_eq!(account.gate(), GateState::Starved);
    }

    #[test]
    fn grace_does_not_open_a_closed_gate_and_debt_is_kept() {
        let mut account = account();
        account.pay(Amount::from_sat(100));
        account.decide(true, SECOND);
        account.decide(true, SECOND * 3);
        assert_eq!(account.gate(), GateState::Starved);
        let debt = account
            .consumed(SECOND * 3)
            .minus(Msat::from(Amount::from_sat(100)));
        assert!(debt > Msat::ZERO);
        account.pay(Amount::from_sat(100) + debt.ceil_sat());
        assert!(
            !account.decide(true, SECOND * 9),
            "paying the debt alone opens nothing"
        );
        account.pay(account.balance() + Amount::from_sat(1));
        assert!(account.decide(true, SECOND * 9));
    }

    #[test]
    fn an_unconfirmed_channel_counts_up_to_the_limit_only() {
        let mut account = account();
        account.pay(Amount::from_sat(5_000));
        account.decide(true, SECOND);
        assert_eq!(account.credit(SECOND), SECOND * 10);
        account.decide(true, SECOND * 12);
        assert_eq!(account.gate(), GateState::Unconfirmed);
        account.set_limit(None);
        account.decide(true, SECOND * 13);
        assert_eq!(account.gate(), GateState::Open);
        account.set_limit(Some(Amount::ZERO));
        account.decide(true, SECOND * 14);
        assert_eq!(
            account.gate(),
            GateState::Unconfirmed,
            "a commitment that vanished counts nothing"
        );
    }

    #[test]
    fn paused_and_silent_time_costs_nothing() {
        let mut account = account();
        account.pay(Amount::from_sat(500));
        account.decide(true, SECOND);
        account.set_paused(true);
        account.decide(true, SECOND * 2);
        account.set_paused(false);
        account.heard(SECOND * 40, SECOND * 36);
        account.decide(false, SECOND * 50);
        assert_eq!(account.gate(), GateState::Silent);
        account.decide(true, SECOND * 60);
        assert_eq!(
            (account.gate(), account.credit(SECOND * 60)),
            (GateState::Open, SECOND * 4)
        );
    }

    #[test]
    fn silent_time_costs_nothing_even_if_it_is_noticed_late() {
        let mut account = account();
        account.pay(Amount::from_sat(500));
        account.heard(SECOND * 5, SECOND);
        account.decide(true, SECOND);
        // The computer sleeps for hours; when it wakes the consumer has gone, or is heard again.
        let mut other = account.clone();
        assert!(other.end(SECOND * 9_000));
        assert_eq!(other.consumed(SECOND * 9_000), Msat::new(400_000));
        account.heard(SECOND * 9_004, SECOND * 9_000);
        account.decide(true, SECOND * 9_000);
        assert_eq!(account.gate(), GateState::Open);
        assert_eq!(account.credit(SECOND * 9_000), SECOND);
    }

    /// At 1 sat a second.
    fn slow() -> Account {
        let mut account = Account::new(Rate::new(1_000), SECOND / 2, Amount::from_sat(1_000));
        account.pay(Amount::from_sat(500));
        account
    }

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn each_opening_is_charged_a_second_at_least_whatever_closes_the_gate() {
        type Close = fn(&mut Account, Duration);
        let paused: Close = |account, now| {
            account.set_paused(true);
            account.decide(true, now);
        };
        let silent: Close = |account, now| {
            account.heard(now, now);
            account.decide(false, now);
        };
        let vanished: Close = |account, now| {
            account.set_limit(Some(Amount::ZERO));
            account.meter.add(Msat::new(501));
            account.decide(true, now);
        };
        let ends = [
            (paused, GateState::Paused),
            (silent, GateState::Silent),
            (vanished, GateState::Unconfirmed),
        ];
        for (close, why) in ends {
            let mut account = slow();
            account.decide(true, SECOND);
            close(&mut account, SECOND + MS * 25);
            assert_eq!(account.gate(), why);
            let before = account.consumed(SECOND);
            assert_eq!(
                account.consumed(SECOND + MS * 500).minus(before),
                Msat::new(500),
                "{why:?}"
            );
            assert_eq!(
                account.consumed(SECOND * 99).minus(before),
                Msat::new(1_000),
                "{why:?}"
            );
            assert_eq!(
                account.runs_out(SECOND + MS * 500),
                None,
                "nothing is foretold of a closed gate"
            );
        }
    }

    #[test]
    fn the_gate_opened_again_within_that_second_costs_no_second_twice() {
        let mut account = slow();
        for n in 0..100 {
            let now = SECOND + MS * 100 * n;
            account.set_paused(false);
            account.decide(true, now);
            account.set_paused(true);
            account.decide(true, now + MS * 20);
            assert!(
                account.consumed(now) <= Rate::new(1_000).cost(now - SECOND),
                "never more than the time"
            );
        }
        assert_eq!(account.consumed(SECOND * 99), Msat::new(9_900 + 1_000));
    }

    #[test]
    fn who_leaves_or_goes_on_elsewhere_has_been_charged_for_the_last_opening() {
        let mut account = slow();
        account.decide(true, SECOND);
        let now = SECOND + MS * 25;
        assert_eq!(
            (account.consumed(now), account.owed(now)),
            (Msat::new(25), Msat::new(1_000))
        );
        account.end(SECOND * 2 + MS * 500);
        assert_eq!(account.consumed(SECOND * 99), Msat::new(1_500));
        let mut account = slow();
        account.decide(true, SECOND);
        account.end(now);
        assert_eq!(account.consumed(now), Msat::new(1_000));
    }

    #[test]
    fn the_next_channel_goes_on_with_credit_and_debt() {
        let mut account = account();
        account.pay(Amount::from_sat(500));
        account.decide(true, SECOND);
        account.switch(Some(Amount::from_sat(100)));
        assert_eq!(account.credit(SECOND * 2), SECOND * 4);
        account.pay(Amount::from_sat(900));
        assert_eq!(
            account.credit(SECOND * 2),
            SECOND * 5,
            "of an unconfirmed one the limit counts"
        );
        account.set_limit(None);
        assert_eq!(account.credit(SECOND * 2), SECOND * 13);
        assert!(!account.decide(true, SECOND * 14), "the gate never closed");
    }

    #[test]
    fn silent_time_costs_nothing_though_the_first_thing_that_is_heard_is_a_new_rate() {
        let mut account = account();
        account.pay(Amount::from_sat(5_000));
        account.set_limit(None);
        account.heard(SECOND * 5, SECOND);
        account.decide(true, SECOND);
        account.set_rate(Rate::new(200_000), SECOND * 9);
        account.heard(SECOND * 13, SECOND * 9);
        account.decide(true, SECOND * 9);
        assert_eq!(account.consumed(SECOND * 10), Msat::new(400_000 + 200_000));
    }

    #[test]
    fn a_new_rate_holds_for_what_comes_and_for_the_grace() {
        let mut account = account();
        account.pay(Amount::from_sat(500));
        account.decide(true, SECOND);
        account.set_rate(Rate::new(400_000), SECOND * 2);
        assert_eq!(account.consumed(SECOND * 2), Msat::new(100_000));
        assert_eq!(account.credit(SECOND * 2), SECOND);
        assert!(!account.decide(true, SECOND * 3 + SECOND * 499 / 1_000));
        assert!(account.decide(true, SECOND * 3 + SECOND * 501 / 1_000));
    }

    #[test]
    fn what_is_on_record_is_kept() {
        let mut account = account();
        account.restore(
            Amount::from_sat(300),
            Amount::from_sat(200),
            Msat::from(Amount::from_sat(550)),
        );
        account.set_limit(None);
        account.decide(true, SECOND);
        assert_eq!(account.gate(), GateState::Starved, "debt is kept");
        account.pay(Amount::from_sat(251));
        account.decide(true, SECOND);
        assert_eq!(account.gate(), GateState::Open);
        assert_eq!(account.credit(SECOND), SECOND / 100);
    }

    #[test]
    fn the_end_is_final() {
        let mut account = account();
        account.pay(Amount::from_sat(500));
        account.decide(true, SECOND);
        assert!(account.end(SECOND * 2) && !account.end(SECOND * 2));
        account.pay(Amount::from_sat(900));
        assert!(!account.decide(true, SECOND * 3));
        assert_eq!(account.gate(), GateState::Closed);
    }
}
