//! What a provider must have debited, counted by itself: the time for which the gate was open, and a second at least of
//! each opening, no moment twice.

use std::time::Duration;
use streamium_channel::liveness::SILENT_AFTER;
use streamium_channel::message::GateState;
use streamium_channel::money::{Msat, Rate};

const LEAST: Duration = Duration::from_secs(1);

/// The provider's ledger as it must be.
pub struct Ledger {
    rate: Rate,
    gate: GateState,
    /// What earlier sessions debited.
    before: Msat,
    /// The openings of the gate, and until when each is debited: of the last one while it lasts, at least.
    openings: Vec<(Duration, Duration)>,
    /// Until when the consumer counts as there: what is noticed later costs nothing.
    until: Duration,
    /// It is over: the rest of the last second is debited in advance.
    ended: bool,
    /// The time by which the driver was late while the gate was open.
    late: Duration,
    /// The most that ever was covered by what counts and the grace.
    covered: Msat,
    /// Recorded so far; of that, ahead of the time.
    saved: Msat,
    booked: Msat,
}

impl Ledger {
    pub fn new(rate: Rate, now: Duration) -> Self {
        Self {
            rate,
            gate: GateState::Unpaid,
            before: Msat::ZERO,
            openings: Vec::new(),
            until: now + SILENT_AFTER,
            ended: false,
            late: Duration::ZERO,
            covered: Msat::ZERO,
            saved: Msat::ZERO,
            booked: Msat::ZERO,
        }
    }

    pub fn gate(&self) -> GateState {
        self.gate
    }

    pub fn set_gate(&mut self, gate: GateState, now: Duration) {
        if self.gate == GateState::Open {
            self.close(now);
        }
        if gate == GateState::Open {
            self.openings.push((now, now + LEAST));
        }
        self.ended |= gate == GateState::Closed;
        self.gate = gate;
    }

    fn close(&mut self, now: Duration) {
        let until = now.min(self.until);
        if let Some((_, end)) = self.openings.last_mut() {
            *end = until.max(*end);
        }
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

    /// What is debited must be exactly that time.
    pub fn check_debited(&self, consumed: Msat, now: Duration) {
        assert_eq!(consumed, self.consumed(now), "of what flowed");
    }

    /// The record is brought up to date for another session: with what the last opening costs at least.
    pub fn book(&mut self, now: Duration) {
        let least = self.openings.last().map_or(now, |(start, _)| *start + LEAST);
        self.booked = self.until(least.max(now));
    }

    /// A record is written: it never goes back.
    pub fn save(&mut self, consumed: Msat, now: Duration) {
        assert!(consumed >= self.saved, "the ledger went backwards");
        self.saved = consumed;
        assert_eq!(consumed, self.consumed(now).max(self.booked), "of what flowed");
    }

    /// `covered` is what counts now, with the grace.
    pub fn check_bounds(&mut self, covered: Msat, now: Duration) {
        self.covered = self.covered.max(covered);
        let consumed = self.consumed(now);
        if self.gate == GateState::Open {
            assert!(consumed < covered, "{consumed} flowed on {covered}");
        }
        // The moment at which it runs out is met to the nanosecond, but for what an opening costs at least.
        let late = self.rate.cost(self.late + LEAST + Duration::from_nanos(4));
        let bound = self.covered.plus(late).plus(Msat::new(1));
        assert!(consumed <= bound, "{consumed} flowed, of {bound}");
    }

    /// The consumer says something.
    pub fn heard(&mut self, now: Duration) {
        let last = self.openings.last().map_or(now, |(_, end)| *end);
        if self.gate == GateState::Open && now >= self.until.max(last) {
            // It had fallen silent, and nobody noticed.
            self.close(now);
            self.openings.push((now, now + LEAST));
        }
        self.until = now + SILENT_AFTER;
    }

    fn consumed(&self, now: Duration) -> Msat {
        match self.ended {
            true => self.until(Duration::MAX),
            false => self.until(now),
        }
    }

    /// What all openings cost, looking no further than `to`.
    fn until(&self, to: Duration) -> Msat {
        let (mut time, mut counted) = (Duration::ZERO, Duration::ZERO);
        for (index, (start, end)) in self.openings.iter().enumerate() {
            let lasts = self.gate == GateState::Open && index + 1 == self.openings.len();
            let end = if lasts { self.until.max(*end) } else { *end };
            let (start, end) = (counted.max(*start), end.min(to));
            time += end.saturating_sub(start);
            counted = counted.max(end);
        }
        self.before.plus(self.rate.cost(time))
    }
}
