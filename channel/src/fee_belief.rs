//! How far an estimate of fees is believed.
//!
//! Estimates come from servers, which may lie. Money must not move by one estimate that nothing before it led up to, so a
//! rate may at once be at most twice the last one that was believed, and twice as much again for every hour in which
//! estimates stayed as high. A real rise is followed within hours, which whoever pays too little meanwhile makes good by
//! bumping; a lie that lasts minutes costs at most twice the usual fee.

use bitcoin::FeeRate;

/// Within so many blocks what is believed may double.
pub const DOUBLING_BLOCKS: u32 = 6;

/// How many times the last believed rate an estimate may be at once.
const JUMP: u32 = 2;

/// Time in which nothing was heard counts for at most so many doublings.
const MOST_DOUBLINGS: u32 = 3;

/// The rate that is believed before any other: a usual one.
pub const FIRST_BELIEF: FeeRate = FeeRate::from_sat_per_vb_u32(10);

/// The rate that was believed last, and since which block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeeBelief {
    rate: FeeRate,
    height: u32,
}

impl FeeBelief {
    /// Makes a belief from the rate and height that an earlier run kept.
    #[must_use]
    pub const fn new(rate: FeeRate, height: u32) -> Self {
        Self { rate, height }
    }

    /// The belief before anything has been heard.
    #[must_use]
    pub const fn first(height: u32) -> Self {
        Self::new(FIRST_BELIEF, height)
    }

    /// The rate that was believed.
    #[must_use]
    pub const fn rate(self) -> FeeRate {
        self.rate
    }

    /// The height since which it was believed, in blocks.
    #[must_use]
    pub const fn height(self) -> u32 {
        self.height
    }

    /// An estimate as far as it is believed at this height: what everything that moves money by an estimate takes.
    #[must_use]
    pub fn bounded(self, estimate: FeeRate, height: u32) -> FeeRate {
        estimate.min(times(self.grown(height), JUMP))
    }

    /// Takes an estimate into account: a lower one at once, a higher one by at most a doubling for each
    /// [`DOUBLING_BLOCKS`].
    #[must_use]
    pub fn heard(self, estimate: FeeRate, height: u32) -> Self {
        let is_time = height >= self.height.saturating_add(DOUBLING_BLOCKS);
        if estimate <= self.rate || is_time {
            return Self::new(estimate.min(self.grown(height)), height.max(self.height));
        }
        self
    }

    fn grown(self, height: u32) -> FeeRate {
        let doublings = height.saturating_sub(self.height) / DOUBLING_BLOCKS;
        times(self.rate, 1 << doublings.min(MOST_DOUBLINGS))
    }
}

fn times(rate: FeeRate, factor: u32) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_mul(factor.into()))
}
