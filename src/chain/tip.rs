//! The newest block known, and how far it can be relied on.

use std::time::{Duration, SystemTime};

use bitcoin::BlockHash;

/// The newest block of the best chain known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tip {
    pub height: u32,
    pub hash: BlockHash,
    /// The time its miner put in the header; may be off by up to two hours either way.
    pub header_time: SystemTime,
    /// When a server told us of it first.
    pub learnt: SystemTime,
}

impl Tip {
    /// Beyond this age the chain counts as out of reach where a deadline depends on it: an hour without a
    /// block happens every few weeks, two hours once in years; a server cut off from its node looks the same.
    pub const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

    /// The mean time between blocks.
    pub const BLOCK_INTERVAL: Duration = Duration::from_secs(10 * 60);

    /// How old the block is. A header from the future counts from when we heard of it.
    pub fn age(&self, now: SystemTime) -> Duration {
        now.duration_since(self.header_time.min(self.learnt))
            .unwrap_or_default()
    }

    /// Whether the tip is too old to decide a deadline by.
    pub fn is_stale(&self, now: SystemTime) -> bool {
        self.age(now) > Self::MAX_AGE
    }

    /// The height the chain should have by the wall clock. Deadlines take it, so that a server that hides
    /// blocks can't make us late; it is never below the tip's own height.
    pub fn estimated_height(&self, now: SystemTime) -> u32 {
        let blocks = self.age(now).as_secs() / Self::BLOCK_INTERVAL.as_secs();
        self.height
            .saturating_add(u32::try_from(blocks).unwrap_or(u32::MAX))
    }

    /// How many blocks there should be beyond this one by the wall clock: see [`Tip::estimated_height`].
    pub fn hidden_blocks(&self, now: SystemTime) -> u32 {
        self.estimated_height(now).saturating_sub(self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;

    fn tip(header_time_s: u64, learnt_s: u64) -> Tip {
        Tip {
            height: 100,
            hash: BlockHash::all_zeros(),
            header_time: SystemTime::UNIX_EPOCH + Duration::from_secs(header_time_s),
            learnt: SystemTime::UNIX_EPOCH + Duration::from_secs(learnt_s),
        }
    }

    fn at(s: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(s)
    }

    #[test]
    fn goes_stale_after_two_hours() {
        assert!(!tip(10_000, 10_000).is_stale(at(17_200)));
        assert!(tip(10_000, 10_000).is_stale(at(17_201)));
    }

    #[test]
    fn a_header_from_the_future_does_not_stay_fresh_for_ever() {
        assert!(!tip(1_000_000, 10_000).is_stale(at(10_001)));
        assert!(tip(1_000_000, 10_000).is_stale(at(20_000)));
    }

    #[test]
    fn a_clock_set_back_makes_no_panic() {
        assert_eq!(tip(10_000, 10_000).age(at(5)), Duration::ZERO);
        assert_eq!(tip(10_000, 10_000).estimated_height(at(5)), 100);
    }

    #[test]
    fn estimates_the_height_by_the_clock() {
        assert_eq!(tip(10_000, 10_000).estimated_height(at(10_599)), 100);
        assert_eq!(tip(10_000, 10_000).estimated_height(at(16_000)), 110);
    }
}
