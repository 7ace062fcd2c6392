//! What a provider must have debited, counted by itself: the time for which the gate was open.

use std::time::Duration;
use streamium_channel::liveness::SILENT_AFTER;
use streamium_channel::message::GateState;
use streamium_channel::money::{Msat, Rate};

/// The provider's ledger as it must be.
pub struct Ledger {
    rate: Rate,
    gate: GateState,
    /// What earlier sessions debited.
    before: Msat,
    open_since: Duration,
    open: Duration,
    /// Until when the consumer counts as there: what is noticed later costs nothing.
    until: Duration,
    /// Each booking may round down by less than a millisatoshi.
    bookings: u64,
    /// The time by which the driver was late while the gate was open.
    late: Duration,
    /// The most that ever was covered by what counts and the grace.
    covered: Msat,
    saved: Msat,
}

impl Ledger {
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self {
            rate,
            gate: GateState::Unpaid,
            before: Msat::ZERO,
            open_since: now,
            open: Duration::ZERO,
            until: now + SILENT_AFTER,
            bookings: 1,
            late: Duration::ZERO,
            covered: Msat::ZERO,
            saved: Msat::ZERO,
        }
    }

    pub fn gate(&self) -> GateState {
        self.gate
    }

    pub fn set_gate(&mut self, gate: GateState, now: Duration) {
        if self.gate == GateState::Open {
            self.open += self.running(now);
            self.bookings += 1;
        }
        (self.gate, self.open_since) = (gate, now);
    }

    /// The account of an earlier session goes on, be it in debt.
    pub fn go_on(&mut self, consumed: Msat) {
        (self.before, self.saved) = (consumed, consumed);
        self.covered = self.covered.max(consumed);
    }

    /// The driver did not look for so long.
    pub fn late(&mut self, time: Duration) {
        if self.gate == GateState::Open {
            self.late += time;
        }
    }

    /// What is debited must be the time for which the gate was open.
    pub fn check_debited(&self, consumed: Msat, now: Duration) {
        let exact = self.consumed(now);
        assert!(
            consumed <= exact,
            "{consumed} debited, but media flowed for {exact}"
        );
        assert!(
            exact <= consumed.plus(Msat::new(self.bookings)),
            "{exact} flowed, {consumed} debited"
        );
    }

    /// A record is written: it never goes back.
    pub fn save(&mut self, consumed: Msat, now: Duration) {
        assert!(consumed >= self.saved, "the ledger went backwards");
        self.saved = consumed;
        self.check_debited(consumed, now);
    }

    /// `covered` is what counts now, with the grace.
    pub fn check_bounds(&mut self, covered: Msat, now: Duration) {
        self.covered = self.covered.max(covered);
        let slack = Msat::new(self.bookings);
        let consumed = self.consumed(now);
        if self.gate == GateState::Open {
            assert!(consumed.minus(slack) < covered, "{consumed} flowed on {covered}");
        }
        // The moment at which it runs out is met to the nanosecond.
        let late = self.rate.cost(self.late + Duration::from_nanos(4));
        let bound = self.covered.plus(late).plus(slack);
        assert!(consumed <= bound, "{consumed} flowed, of {bound}");
    }

    /// The consumer says something.
    pub fn heard(&mut self, now: Duration) {
        if self.gate == GateState::Open {
            self.open += self.running(now);
            self.open_since = now;
            self.bookings += 1;
        }
        self.until = now + SILENT_AFTER;
    }

    /// For how long the gate has been open that is not booked yet.
    fn running(&self, now: Duration) -> Duration {
        match self.gate {
            GateState::Open => now.min(self.until).saturating_sub(self.open_since),
            _ => Duration::ZERO,
        }
    }

    fn consumed(&self, now: Duration) -> Msat {
        self.before.plus(self.rate.cost(self.open + self.running(now)))
    }
}
