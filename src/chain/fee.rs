//! Fee rates as servers write them (BTC per 1,000 virtual bytes, a float) into [`FeeRate`], at this edge only.

use bitcoin::FeeRate;

/// Above this (10,000 sat/vB) an answer is taken for nonsense, not for a fee.
const MAX_SAT_PER_KVB: f64 = 10_000_000.0;

/// Within how many blocks a transaction should confirm, for each estimate asked for; ascending. 144 is a day.
pub(super) const TARGETS_BLOCKS: [u16; 4] = [2, 6, 24, 144];

/// What one server, or all together, say of fees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Estimates {
    /// One for each of [`TARGETS_BLOCKS`].
    pub(super) rates: [Option<FeeRate>; TARGETS_BLOCKS.len()],
    /// The lowest rate that is relayed.
    pub(super) floor: Option<FeeRate>,
}

impl Estimates {
    /// One from what several servers say: for each target the median, so that one of three can't set it; the lower
    /// of two, as what pays too little is bumped, and what pays too much is gone. Never below the floor, and a tighter target is never cheaper than a looser one.
    pub(super) fn merge(all: &[Self]) -> Self {
        let floor = median(all.iter().filter_map(|one| one.floor).collect());
        let mut merged = Self {
            floor,
            ..Self::default()
        };
        let mut least = floor;
        for (index, rate) in merged.rates.iter_mut().enumerate().rev() {
            let said = all.iter().filter_map(|one| *one.rates.get(index)?);
            least = least.max(median(said.collect()));
            *rate = least;
        }
        merged
    }

    /// The rate for the largest target within so many blocks; for fewer than the smallest, that one's.
    pub(super) fn rate(&self, within_blocks: u16) -> Option<FeeRate> {
        let within = TARGETS_BLOCKS
            .iter()
            .filter(|&&target| target <= within_blocks)
            .count();
        *self.rates.get(within.saturating_sub(1))?
    }
}

/// `None` for what says nothing: −1 (no estimate), zero, not a number, absurdly much.
pub(super) fn from_btc_per_kvb(btc_per_kvb: f64) -> Option<FeeRate> {
    let sat_per_kvb = (btc_per_kvb * 100_000_000.0).round();
    // NaN is in no range.
    if !(1.0..=MAX_SAT_PER_KVB).contains(&sat_per_kvb) {
        return None;
    }
    // In range, so the conversion is exact. Rounded up: below a relay minimum is not relayed.
    Some(FeeRate::from_sat_per_kwu((sat_per_kvb as u64).div_ceil(4)))
}

fn median(mut rates: Vec<FeeRate>) -> Option<FeeRate> {
    rates.sort_unstable();
    rates.get(rates.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_once_and_rounds_up() {
        assert_eq!(from_btc_per_kvb(0.00001), Some(FeeRate::from_sat_per_kwu(250)));
        assert_eq!(
            from_btc_per_kvb(0.00012345),
            Some(FeeRate::from_sat_per_kwu(3087))
        );
        assert_eq!(from_btc_per_kvb(0.000001), Some(FeeRate::from_sat_per_kwu(25)));
        assert_eq!(from_btc_per_kvb(0.00000001), Some(FeeRate::from_sat_per_kwu(1)));
    }

    #[test]
    fn nonsense_is_no_rate() {
        for nonsense in [
            -1.0,
            0.0,
            -0.0,
            1e-12,
            0.2,
            1e300,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            assert_eq!(from_btc_per_kvb(nonsense), None, "{nonsense}");
        }
    }

    fn rate(sat_per_kwu: u64) -> Option<FeeRate> {
        (sat_per_kwu > 0).then(|| FeeRate::from_sat_per_kwu(sat_per_kwu))
    }

    fn says(rates: [u64; 4], floor: u64) -> Estimates {
        Estimates {
            rates: rates.map(rate),
            floor: rate(floor),
        }
    }

    #[test]
    fn one_of_three_does_not_set_the_rate() {
        assert_eq!(Estimates::merge(&[]), Estimates::default());
        let at = |sat| says([sat; 4], 1);
        assert_eq!(Estimates::merge(&[at(5)]).rate(6), rate(5));
        assert_eq!(Estimates::merge(&[at(9), at(5)]).rate(6), rate(5));
        assert_eq!(Estimates::merge(&[at(1_000), at(5), at(6)]).rate(6), rate(6));
    }

    #[test]
    fn the_largest_target_within_counts() {
        let merged = Estimates::merge(&[says([900, 600, 400, 300], 250)]);
        for (within, expected) in [
            (0, 900),
            (1, 900),
            (2, 900),
            (5, 900),
            (6, 600),
            (23, 600),
            (24, 400),
            (143, 400),
            (144, 300),
            (u16::MAX, 300),
        ] {
            assert_eq!(merged.rate(within), rate(expected), "{within}");
        }
    }

    #[test]
    fn a_tighter_target_is_never_cheaper_and_nothing_is_below_the_floor() {
        let merged = Estimates::merge(&[says([0, 600, 700, 100], 250)]);
        assert_eq!(merged.rates, [700, 700, 700, 250].map(rate));
        let floor_only = Estimates::merge(&[says([0; 4], 250)]);
        assert_eq!(floor_only.rates, [250; 4].map(rate));
        assert_eq!(Estimates::merge(&[says([0; 4], 0)]).rate(6), None);
    }

    #[test]
    fn a_server_without_an_estimate_does_not_lower_the_others() {
        let merged = Estimates::merge(&[says([0; 4], 250), says([800; 4], 250)]);
        assert_eq!(merged.rate(2), rate(800));
    }
}
