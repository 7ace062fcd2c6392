//! Money as this crate counts it: satoshis on the chain, millisatoshis in the ledgers.
//!
//! Ledgers are in millisatoshi so that a low rate is metered without rounding; only what is signed is
//! rounded, up, to a whole satoshi (protocol.md section 7).

use bitcoin::Amount;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

const MSAT_PER_SAT: u64 = 1_000;

/// The value below which a 34-byte version-1 witness program is dust for Bitcoin Core's default policy.
pub const CHANGE_DUST: Amount = Amount::from_sat(330);

/// An amount in millisatoshi. Arithmetic saturates: a ledger never wraps, and 2^64 msat exceeds all the
/// bitcoin there will ever be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Msat(u64);

impl Msat {
    /// Nothing.
    pub const ZERO: Msat = Msat(0);

    /// `msat` millisatoshi.
    pub const fn new(msat: u64) -> Self {
        Self(msat)
    }

    /// The number of millisatoshi.
    pub const fn to_msat(self) -> u64 {
        self.0
    }

    /// Whole satoshis, rounded up: what has to be signed to cover this.
    pub fn ceil_sat(self) -> Amount {
        Amount::from_sat(self.0.div_ceil(MSAT_PER_SAT))
    }

    /// The sum, saturating.
    pub const fn plus(self, other: Msat) -> Msat {
        Msat(self.0.saturating_add(other.0))
    }

    /// The difference, or zero.
    pub const fn minus(self, other: Msat) -> Msat {
        Msat(self.0.saturating_sub(other.0))
    }

    /// `percent` hundredths of it, rounded down, saturating.
    pub const fn percent(self, percent: u64) -> Msat {
        Msat(self.0.saturating_mul(percent) / 100)
    }
}

impl From<Amount> for Msat {
    fn from(amount: Amount) -> Self {
        Msat(amount.to_sat().saturating_mul(MSAT_PER_SAT))
    }
}

impl fmt::Display for Msat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sat, rest) = (self.0 / MSAT_PER_SAT, self.0 % MSAT_PER_SAT);
        write!(f, "{sat}.{rest:03} sat")
    }
}

/// A price of time, in millisatoshi per second. Zero is a free stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rate(u64);

impl Rate {
    /// `msat_per_s` millisatoshi for each second.
    pub const fn new(msat_per_s: u64) -> Self {
        Self(msat_per_s)
    }

    /// Millisatoshi per second.
    pub const fn msat_per_s(self) -> u64 {
        self.0
    }

    /// True for a stream that costs nothing.
    pub const fn is_free(self) -> bool {
        self.0 == 0
    }

    /// What `time` costs, rounded down to a millisatoshi, saturating.
    pub fn cost(self, time: Duration) -> Msat {
        let nanos = time.as_nanos().saturating_mul(u128::from(self.0)) / 1_000_000_000;
        Msat(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// The time that `amount` buys, rounded down to a nanosecond; [`Duration::MAX`] when the stream is free.
    pub fn time(self, amount: Msat) -> Duration {
        let nanos = u128::from(amount.0).saturating_mul(1_000_000_000);
        match nanos.checked_div(u128::from(self.0)) {
            None => Duration::MAX,
            Some(nanos) => Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)),
        }
    }

    /// What one hour costs, in whole satoshis rounded up: for people.
    pub fn per_hour(self) -> Amount {
        self.cost(Duration::from_secs(3_600)).ceil_sat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_satoshi_is_signed_as_a_whole_one() {
        assert_eq!(Msat::new(0).ceil_sat(), Amount::ZERO);
        assert_eq!(Msat::new(1).ceil_sat(), Amount::from_sat(1));
        assert_eq!(Msat::new(1_000).ceil_sat(), Amount::from_sat(1));
        assert_eq!(Msat::new(1_001).ceil_sat(), Amount::from_sat(2));
    }

    #[test]
    fn cost_and_time_are_inverse_at_whole_seconds() {
        let rate = Rate::new(1_500);
        assert_eq!(rate.cost(Duration::from_secs(10)), Msat::new(15_000));
        assert_eq!(rate.time(Msat::new(15_000)), Duration::from_secs(10));
        assert_eq!(rate.per_hour(), Amount::from_sat(5_400));
    }

    #[test]
    fn nothing_wraps() {
        assert_eq!(Rate::new(u64::MAX).cost(Duration::MAX), Msat::new(u64::MAX));
        assert_eq!(Rate::new(0).time(Msat::new(1)), Duration::MAX);
        assert_eq!(Msat::new(1).minus(Msat::new(2)), Msat::ZERO);
        assert_eq!(
            Msat::from(Amount::MAX_MONEY).plus(Msat::new(u64::MAX)),
            Msat::new(u64::MAX)
        );
    }
}
