//! Fee rates as servers write them (BTC per 1,000 virtual bytes, a float) into [`FeeRate`], at this edge only.

use bitcoin::FeeRate;

/// Above this (10,000 sat/vB) an answer is taken for nonsense, not for a fee.
const MAX_SAT_PER_KVB: f64 = 10_000_000.0;

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

/// One rate from what several servers say: the median, so that one of three can't set it; the higher of two.
pub(super) fn merge(mut rates: Vec<FeeRate>) -> Option<FeeRate> {
    rates.sort_unstable();
    rates.get(rates.len() / 2).copied()
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

    #[test]
    fn one_of_three_does_not_set_the_rate() {
        let rate = FeeRate::from_sat_per_kwu;
        assert_eq!(merge(vec![]), None);
        assert_eq!(merge(vec![rate(5)]), Some(rate(5)));
        assert_eq!(merge(vec![rate(9), rate(5)]), Some(rate(9)));
        assert_eq!(merge(vec![rate(1_000), rate(5), rate(6)]), Some(rate(6)));
    }
}
