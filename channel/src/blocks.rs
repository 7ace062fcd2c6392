//! The block counts that bound who may do what when, each with its argument.

use bitcoin::Sequence;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The shortest refund delay, about a day: the provider needs [`SETTLEMENT_MARGIN`] and time to notice.
pub const MIN_REFUND_DELAY: u16 = 144;

/// The longest refund delay, four weeks: nobody's money is locked for longer by a provider that vanished.
pub const MAX_REFUND_DELAY: u16 = 4_032;

/// The provider settles at least this many blocks before the refund leaf opens (about six hours): room for a
/// fee spike, several replacements, and for the bound on pinning that version-3 transactions give, which ends
/// when the refund leaf opens.
pub const SETTLEMENT_MARGIN: u16 = 36;

/// A channel this deep is not expected to be reorganised away; only such channels share a settlement.
pub const BATCH_CONFIRMATIONS: u32 = 6;

/// A channel with fewer blocks left until its refund leaf opens settles alone: a batch shares its fate, and what
/// goes wrong with it (one input spent by something else) must be found out and mended before [`SETTLEMENT_MARGIN`].
pub const BATCH_MARGIN: u16 = 72;

/// A channel that is in a batch still when so few blocks are left leaves it and settles alone, out-bidding the
/// batch: half of [`SETTLEMENT_MARGIN`] for the batch to be bumped whole, which is cheaper, half for this.
pub const LEAVE_BATCH_BLOCKS: u16 = 18;

/// A spend buried this deep is final: only then may its record be closed.
pub const BURIED_CONFIRMATIONS: u32 = 6;

const _: () = assert!(
    SETTLEMENT_MARGIN < MIN_REFUND_DELAY,
    "a channel must be usable before it must be settled"
);
const _: () = assert!(
    BATCH_CONFIRMATIONS < (MIN_REFUND_DELAY - BATCH_MARGIN) as u32,
    "a channel with the shortest delay must be able to share a settlement"
);
const _: () = assert!(
    SETTLEMENT_MARGIN < BATCH_MARGIN && LEAVE_BATCH_BLOCKS < SETTLEMENT_MARGIN,
    "a batch is given up in steps: no new members, then bumped whole at any price, then left"
);
const _: () = assert!(
    BURIED_CONFIRMATIONS < LEAVE_BATCH_BLOCKS as u32,
    "a settlement made when the last stretch begins can be buried before the refund leaf opens"
);

/// The refund delay: how many confirmations the channel's output needs before the consumer may take all of it
/// back. Always from [`MIN_REFUND_DELAY`] to [`MAX_REFUND_DELAY`], so that it fits the 16 bits BIP68 reads and
/// never sets the bit that means time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
pub struct RefundDelay(u16);

/// Why a number is no refund delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the refund delay is {0} blocks; it must be from {MIN_REFUND_DELAY} to {MAX_REFUND_DELAY}")]
pub struct RefundDelayError(pub u32);

impl RefundDelay {
    /// [`MIN_REFUND_DELAY`].
    pub const SHORTEST: Self = Self(MIN_REFUND_DELAY);

    /// [`MAX_REFUND_DELAY`].
    pub const LONGEST: Self = Self(MAX_REFUND_DELAY);

    /// Checks the range.
    ///
    /// # Errors
    /// Outside [`MIN_REFUND_DELAY`]..=[`MAX_REFUND_DELAY`].
    pub fn new(blocks: u16) -> Result<Self, RefundDelayError> {
        match blocks {
            MIN_REFUND_DELAY..=MAX_REFUND_DELAY => Ok(Self(blocks)),
            _ => Err(RefundDelayError(u32::from(blocks))),
        }
    }

    /// The number of blocks.
    pub const fn blocks(self) -> u16 {
        self.0
    }

    /// The BIP68 sequence number of the refund's input.
    pub fn sequence(self) -> Sequence {
        Sequence::from_height(self.0)
    }

    /// How many blocks there still are in which only the provider can spend the channel, when its commitment has
    /// so many confirmations: 0 when the next block may hold the refund.
    pub fn blocks_left(self, confirmations: u32) -> u32 {
        u32::from(self.0).saturating_sub(confirmations)
    }

    /// How many confirmations the commitment may have while the channel is still used; from then on the
    /// provider settles ([`SETTLEMENT_MARGIN`]).
    pub fn last_usable_confirmation(self) -> u32 {
        u32::from(self.0.saturating_sub(SETTLEMENT_MARGIN))
    }
}

impl TryFrom<u16> for RefundDelay {
    type Error = RefundDelayError;

    fn try_from(blocks: u16) -> Result<Self, Self::Error> {
        Self::new(blocks)
    }
}

impl From<RefundDelay> for u16 {
    fn from(delay: RefundDelay) -> u16 {
        delay.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_keeps_its_bounds() {
        for blocks in [0, 1, 143, 4_033, u16::MAX] {
            assert_eq!(RefundDelay::new(blocks), Err(RefundDelayError(u32::from(blocks))));
        }
        for blocks in [144, 288, 4_032] {
            let sequence = RefundDelay::new(blocks).unwrap().sequence();
            assert_eq!(sequence.to_consensus_u32(), u32::from(blocks));
            assert!(sequence.is_height_locked());
        }
    }

    #[test]
    fn the_delay_is_checked_when_read() {
        assert!(serde_json::from_str::<RefundDelay>("288").is_ok());
        for bad in ["0", "143", "65536", "4194448", "-1", "\"288\""] {
            assert!(serde_json::from_str::<RefundDelay>(bad).is_err(), "{bad}");
        }
    }
}
