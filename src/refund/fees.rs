//! What a refund or a stuck commitment pays, and when it has to pay more.

use bitcoin::FeeRate;

/// Nothing is made for less: below, it would hardly be relayed or mined.
const MIN_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// What nodes ask for beyond the fee rate of what is replaced (BIP125, rule 4).
const INCREMENT: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// Without a confirmation for so many blocks, the estimate was wrong: it had been made for confirmation within six.
pub const STUCK_BLOCKS: u32 = 6;

/// Then half as much again is paid, at least: six times a day at most, so 50 sat/vB are reached from 1 in two and a
/// half days, and in an hour when the estimate says so.
const STUCK_PERCENT: u64 = 150;

/// When the estimate is more than this many times what is paid, it is not waited for.
pub const RISE: u64 = 2;

const _: () = assert!(STUCK_PERCENT > 100, "a replacement must pay more");

/// What is known of fees when something is decided.
#[derive(Clone, Copy, Debug)]
pub struct Market {
    /// Of the tip.
    pub height: u32,
    /// The estimate, where there is one.
    pub estimate: Option<FeeRate>,
    /// The person's limit.
    pub max: FeeRate,
}

impl Market {
    /// What a first transaction pays.
    pub fn first(&self) -> FeeRate {
        self.estimate().min(self.max)
    }

    /// What a replacement must pay, if it is time for one: `paid` has been offered since height `since`. `None` also
    /// when the limit allows no more.
    pub fn next(&self, paid: FeeRate, since: u32) -> Option<FeeRate> {
        let stuck = self.height.saturating_sub(since) >= STUCK_BLOCKS;
        let risen = self.estimate() > times(paid, RISE * 100);
        let wanted = match (stuck, risen) {
            (false, false) => return None,
            (true, _) => self.estimate().max(times(paid, STUCK_PERCENT)),
            (false, true) => self.estimate(),
        };
        let least = plus(paid, INCREMENT);
        let rate = wanted.max(least).min(self.max);
        (rate >= least).then_some(rate)
    }

    fn estimate(&self) -> FeeRate {
        self.estimate.unwrap_or(MIN_FEE_RATE).max(MIN_FEE_RATE)
    }
}

fn times(rate: FeeRate, percent: u64) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_mul(percent) / 100)
}

fn plus(rate: FeeRate, more: FeeRate) -> FeeRate {
    FeeRate::from_sat_per_kwu(rate.to_sat_per_kwu().saturating_add(more.to_sat_per_kwu()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn rate(sat_per_vb: u32) -> FeeRate {
        FeeRate::from_sat_per_vb_u32(sat_per_vb)
    }

    fn market(height: u32, estimate: u32) -> Market {
        Market {
            height,
            estimate: Some(rate(estimate)),
            max: rate(50),
        }
    }

    #[test]
    fn a_first_transaction_pays_the_estimate_within_bounds() {
        assert_eq!(market(9, 7).first(), rate(7));
        assert_eq!(market(9, 500).first(), rate(50), "the limit");
        assert_eq!(market(9, 0).first(), rate(1), "what is relayed");
        let unknown = Market {
            estimate: None,
            ..market(9, 0)
        };
        assert_eq!(unknown.first(), rate(1));
    }

    #[test]
    fn a_replacement_comes_after_the_stated_blocks_and_pays_half_more() {
        assert_eq!(market(105, 4).next(rate(4), 100), None, "one block early");
        assert_eq!(market(106, 4).next(rate(4), 100), Some(rate(6)));
        assert_eq!(market(106, 9).next(rate(4), 100), Some(rate(9)), "the estimate");
        assert_eq!(market(106, 1).next(rate(1), 100), Some(rate(2)), "the increment");
        assert_eq!(
            market(90, 4).next(rate(4), 100),
            None,
            "a reorg makes nothing stuck"
        );
    }

    #[test]
    fn a_replacement_comes_at_once_when_the_estimate_more_than_doubles() {
        assert_eq!(market(100, 8).next(rate(4), 100), None);
        assert_eq!(market(100, 9).next(rate(4), 100), Some(rate(9)));
    }

    #[test]
    fn nothing_pays_more_than_the_limit() {
        assert_eq!(market(100, 500).next(rate(4), 100), Some(rate(50)));
        assert_eq!(market(200, 500).next(rate(49), 100), Some(rate(50)));
        assert_eq!(market(200, 500).next(rate(50), 100), None);
        let nearly = FeeRate::from_sat_per_kwu(rate(50).to_sat_per_kwu() - 1);
        assert_eq!(market(200, 500).next(nearly, 100), None, "no node would take it");
    }
}
