//! What a settlement may cost: targets, bounds and bumps. Pure arithmetic.
//!
//! Far from its deadline a channel can wait, so its settlement is cheap: a slow target, at most half of the balance,
//! and nothing at all while fees are high. Near it a late settlement is worth nothing, so it may cost more, and at last all
//! but dust; but never before a lower bid was in vain, as an estimate may be a lie.

use bitcoin::{Amount, FeeRate};
use streamium_channel::blocks::{LEAVE_BATCH_BLOCKS, SETTLEMENT_MARGIN};

/// Nothing is settled for less: below, it would hardly be relayed or mined.
pub const MIN_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// What a replacement must pay more than what it replaces, for each of its vB (BIP125's rule 4).
pub const INCREMENTAL_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// The highest fee rate by default, in sat/vB. Blocks of the last years took as much as a hundred for days at a time only
/// in their worst weeks, while a channel has two days and more; a settlement costs 20,500 sat at it. It bounds what
/// lies cost that go on for hours; [`MAX_FEE_SHARE`] guards against a fee that is not worth it.
pub const DEFAULT_MAX_FEE_RATE_SAT_PER_VB: u32 = 100;

/// Until the deadline presses, a fee is at most this part of the balance (one half). The opening payment is dust and
/// twice what its settlement costs at that moment, so at that rate it is worth settling by itself.
pub const MAX_FEE_SHARE: u64 = 2;

/// From so many blocks before the refund leaf opens on, fees rise whatever the estimates say.
const PRESSING_BLOCKS: u32 = SETTLEMENT_MARGIN as u32;

/// With so few blocks left, each block brings a bump.
const LAST_STRETCH_BLOCKS: u32 = LEAVE_BATCH_BLOCKS as u32;

/// At the deadline the rate is at least so many times the estimate; it rises there in a straight line.
const DEADLINE_FACTOR: u64 = 4;

/// The fee rate is what the chain suggests, but never below what is sure to be relayed.
pub fn settlement_fee_rate(suggested: Option<FeeRate>) -> FeeRate {
    suggested.unwrap_or(MIN_FEE_RATE).max(MIN_FEE_RATE)
}

/// Within how many blocks a settlement should confirm when so many are left until the refund leaf opens.
pub const fn target_blocks(left: u32) -> u16 {
    match left {
        // A day for those that have a day and more to spare afterwards.
        288.. => 144,
        72..288 => 24,
        PRESSING_BLOCKS..72 => 6,
        0..PRESSING_BLOCKS => 2,
    }
}

/// How many blocks a settlement is given at its rate before it is bumped: a part of its target, as estimates are made
/// of a past that may not come again; in the last stretch one block, whatever the estimates say.
pub const fn patience_blocks(left: u32) -> u32 {
    match (left, target_blocks(left)) {
        (0..=LAST_STRETCH_BLOCKS, _) => 1,
        (_, 0..=2) => 2,
        (_, 3..=6) => 3,
        (_, 7..=24) => 8,
        _ => 36,
    }
}

/// True when the deadline presses.
pub const fn is_pressing(left: u32) -> bool {
    left < PRESSING_BLOCKS
}

/// The rate to settle at: the estimate for the target, raised where the deadline presses, within the bounds.
/// `None` where the estimate exceeds the highest rate and there is time to wait for a better one.
pub fn rate(estimate: Option<FeeRate>, left: u32, max: FeeRate) -> Option<FeeRate> {
    let estimate = settlement_fee_rate(estimate);
    if is_pressing(left) {
        Some(raised(estimate, left).min(max))
    } else {
        (estimate <= max).then_some(estimate)
    }
}

/// From once the estimate at the margin to [`DEADLINE_FACTOR`] times at the deadline.
fn raised(estimate: FeeRate, left: u32) -> FeeRate {
    let margin = u64::from(PRESSING_BLOCKS);
    let gone = margin.saturating_sub(u64::from(left));
    let parts = margin.saturating_add(gone.saturating_mul(DEADLINE_FACTOR - 1));
    let kwu = u128::from(estimate.to_sat_per_kwu()).saturating_mul(parts.into()) / u128::from(margin);
    FeeRate::from_sat_per_kwu(u64::try_from(kwu).unwrap_or(u64::MAX))
}

/// A quarter more.
pub fn bumped(rate: FeeRate) -> FeeRate {
    let kwu = rate.to_sat_per_kwu();
    FeeRate::from_sat_per_kwu(kwu.saturating_add(kwu.div_ceil(4)))
}

/// True when the estimate has risen so far above a settlement's rate that waiting for it makes no sense.
pub fn has_risen(estimate: FeeRate, paid: FeeRate) -> bool {
    estimate >= bumped(paid)
}

/// The most that may be paid for a balance. Half of it, until a lower bid was tried in vain and the deadline presses:
/// three quarters then, and in the last stretch all, as the rest would only be lost.
pub fn max_fee(balance: Amount, left: u32, was_tried: bool) -> Amount {
    let sat = balance.to_sat();
    match (was_tried, left) {
        (true, 0..=LAST_STRETCH_BLOCKS) => balance,
        (true, ..PRESSING_BLOCKS) => Amount::from_sat(sat.saturating_sub(sat / 4)),
        _ => Amount::from_sat(sat / MAX_FEE_SHARE),
    }
}

/// The least rate whose fee for this size is at least this much.
pub fn rate_for(fee: Amount, vsize: u64) -> FeeRate {
    let weight = u128::from(vsize.max(1)).saturating_mul(4);
    let kwu = u128::from(fee.to_sat()).saturating_mul(1_000).div_ceil(weight);
    FeeRate::from_sat_per_kwu(u64::try_from(kwu).unwrap_or(u64::MAX))
}

/// The rate that a fee amounts to, rounded down.
pub fn rate_of(fee: Amount, vsize: u64) -> FeeRate {
    let weight = u128::from(vsize.max(1)).saturating_mul(4);
    let kwu = u128::from(fee.to_sat()).saturating_mul(1_000) / weight;
    FeeRate::from_sat_per_kwu(u64::try_from(kwu).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn vb(rate: u32) -> FeeRate {
        FeeRate::from_sat_per_vb_u32(rate)
    }

    fn sat(sat: u64) -> Amount {
        Amount::from_sat(sat)
    }

    #[test]
    fn the_target_tightens_towards_the_deadline() {
        let targets = [u32::MAX, 288, 287, 72, 71, 36, 35, 0].map(target_blocks);
        assert_eq!(targets, [144, 144, 24, 24, 6, 6, 2, 2]);
        let patience = [288, 287, 71, 35, 19, 18, 0].map(patience_blocks);
        assert_eq!(patience, [36, 8, 3, 2, 2, 1, 1]);
    }

    #[test]
    fn the_rate_is_the_estimate_between_floor_and_ceiling() {
        assert_eq!(rate(None, 100, vb(500)), Some(vb(1)));
        assert_eq!(
            rate(Some(FeeRate::from_sat_per_kwu(3)), 100, vb(500)),
            Some(vb(1))
        );
        assert_eq!(rate(Some(vb(30)), 100, vb(500)), Some(vb(30)));
        assert_eq!(rate(Some(vb(501)), 36, vb(500)), None, "there is time to wait");
        assert_eq!(rate(Some(vb(501)), 35, vb(500)), Some(vb(500)), "there is none");
    }

    #[test]
    fn the_rate_rises_with_the_deadline_whatever_the_estimate() {
        let rates: Vec<_> = (0..=36)
            .rev()
            .filter_map(|left| rate(Some(vb(10)), left, vb(500)))
            .collect();
        assert_eq!(
            (rates.first(), rates.last(), rates.len()),
            (Some(&vb(10)), Some(&vb(40)), 37)
        );
        assert!(rates.is_sorted_by(|a, b| a < b), "{rates:?}");
    }

    #[test]
    fn a_fee_is_at_most_half_of_the_balance_until_lower_bids_were_tried_near_the_deadline() {
        let shares =
            |was_tried| [u32::MAX, 36, 35, 19, 18, 0].map(|left| max_fee(sat(1_001), left, was_tried));
        assert_eq!(shares(false), [500; 6].map(sat));
        assert_eq!(shares(true), [500, 500, 751, 751, 1_001, 1_001].map(sat));
    }

    #[test]
    fn an_opening_payment_is_worth_its_settlement_at_the_rate_of_its_opening() {
        use streamium_channel::settlement::SINGLE_SETTLEMENT_VB;
        for estimate in 1..=25 {
            let fee = vb(estimate).fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
            let opening = sat(330) + vb(2 * estimate).fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
            assert!(fee <= max_fee(opening, 1_000, false), "{estimate}");
        }
    }

    #[test]
    fn a_rate_for_a_fee_pays_it_and_hardly_more() {
        for (fee, vsize) in [(411, 205), (7_605, 7_605), (1, 9_853), (102_500, 205)] {
            let paid = rate_for(sat(fee), vsize).fee_vb(vsize).unwrap();
            assert!(paid >= sat(fee) && paid <= sat(fee + 40), "{fee} {vsize}: {paid}");
            assert!(rate_of(sat(fee), vsize) <= rate_for(sat(fee), vsize));
        }
    }

    #[test]
    fn a_rise_of_a_quarter_is_a_rise() {
        assert!(!has_risen(vb(124), vb(100)));
        assert!(has_risen(vb(125), vb(100)));
    }
}
