//! What arrived at a consumer at most, counted by itself, and so what it may have paid.

use crate::common::seconds;
use bitcoin::Amount;
use std::time::Duration;
use streamium_channel::consumer::Arrivals;
use streamium_channel::meter::Drift;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::terms::{Terms, TrackKind};

/// The consumer's ledger as it may be at most.
pub struct Ledger {
    rate: Rate,
    window: Msat,
    opening: Amount,
    kinds: Vec<TrackKind>,
    arrived: Duration,
    /// What arrived in earlier sessions at most.
    before: Msat,
}

impl Ledger {
    pub fn new(terms: &Terms) -> Self {
        Self {
            rate: terms.rate,
            window: terms.rate.cost(terms.window()),
            opening: terms.opening,
            kinds: terms.tracks.iter().map(|track| track.kind).collect(),
            arrived: Duration::ZERO,
            before: Msat::ZERO,
        }
    }

    /// An account of an earlier session goes on. After a crash its count may lack so much time.
    pub fn go_on(&mut self, consumed: Msat, unwritten: Duration) {
        self.before = consumed.plus(self.rate.cost(unwritten));
    }

    /// Time passes in which what arrived before may be taken to go on: something of each track within a second.
    pub fn pass(&mut self, arrivals: Arrivals, now: Duration, time: Duration) {
        let is_fresh = |last: Option<Duration>| last.is_some_and(|last| now < last + seconds(1));
        let all = self.kinds.iter().all(|kind| match kind {
            TrackKind::Audio => is_fresh(arrivals.audio),
            TrackKind::Video => is_fresh(arrivals.video),
        });
        if all {
            self.arrived += time;
        }
    }

    /// The own count at most.
    pub fn own(&self) -> Msat {
        self.before.plus(self.rate.cost(self.arrived))
    }

    /// The highest count of the provider's that may be believed.
    pub fn believed(&self) -> Msat {
        Drift { window: self.window }.bound(self.own())
    }

    /// The most that a channel may have paid after earlier ones paid `carried`.
    pub fn bound(&self, carried: Amount) -> Amount {
        let all = self.believed().plus(self.window).ceil_sat();
        all.checked_sub(carried).unwrap_or(Amount::ZERO).max(self.opening)
    }
}
