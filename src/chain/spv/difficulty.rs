//! The difficulty that consensus demands of a block (Bitcoin Core's `pow.cpp`; BIP94 for testnet 4).

use bitcoin::block::Header;
use bitcoin::params::Params;
use bitcoin::{CompactTarget, Network};

/// Whether the block at this height begins a new period.
pub fn begins_period(params: &Params, height: u32) -> bool {
    u64::from(height).is_multiple_of(interval(params))
}

/// The height of the first block of the period that has this one.
pub fn period_start(params: &Params, height: u32) -> u32 {
    let within = u64::from(height).checked_rem(interval(params)).unwrap_or(0);
    height.saturating_sub(u32::try_from(within).unwrap_or(u32::MAX))
}

/// Blocks a period; 2,016 on every public network.
fn interval(params: &Params) -> u64 {
    params.difficulty_adjustment_interval().max(1)
}

/// The easiest target, as headers write it.
pub fn easiest(params: &Params) -> CompactTarget {
    params.max_attainable_target.to_compact_lossy()
}

/// The target of the period after the one that `first` began and `last` ended, with Core's rounding: the span
/// of 2,015 intervals is taken for that of 2,016, clamped to a quarter and four times two weeks.
///
/// Testnet 4 starts from the period's first block instead of its last (BIP94), which may be one of least difficulty.
pub fn retarget(params: &Params, first: &Header, last: &Header) -> CompactTarget {
    // Time may run backwards; Core's signed difference then is clamped too.
    let timespan = last.time.saturating_sub(first.time);
    let base = match params.network {
        Network::Testnet4 => first,
        _ => last,
    };
    CompactTarget::from_next_work_required(base.bits, timespan.into(), params)
}

/// Whether a test network lets this block have the least difficulty, since it came 20 minutes late.
pub fn may_be_easiest(params: &Params, previous: &Header, time: u32) -> bool {
    let late = params.pow_target_spacing.saturating_mul(2);
    params.allow_min_difficulty_blocks && u64::from(time) > u64::from(previous.time).saturating_add(late)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::block::Version;
    use bitcoin::hashes::Hash;
    use bitcoin::{BlockHash, TxMerkleNode};

    fn header(time: u32, bits: u32) -> Header {
        Header {
            version: Version::TWO,
            prev_blockhash: BlockHash::all_zeros(),
            merkle_root: TxMerkleNode::all_zeros(),
            time,
            bits: CompactTarget::from_consensus(bits),
            nonce: 0,
        }
    }

    /// The cases of Bitcoin Core's `pow_tests.cpp`, from mainnet: an ordinary one, the easiest target, and both
    /// clamps.
    #[test]
    fn retargets_as_mainnet_did() {
        let cases = [
            (1_261_130_161, 1_262_152_739, 0x1d00_ffff, 0x1d00_d86a),
            (1_231_006_505, 1_233_061_996, 0x1d00_ffff, 0x1d00_ffff),
            (1_279_008_237, 1_279_297_671, 0x1c05_a3f4, 0x1c01_68fd),
            (1_263_163_443, 1_269_211_443, 0x1c38_7f6f, 0x1d00_e1fd),
        ];
        for (first, last, bits, expected) in cases {
            let found = retarget(&Params::MAINNET, &header(first, bits), &header(last, bits));
            assert_eq!(found.to_consensus(), expected, "{bits:x}");
        }
    }

    #[test]
    fn time_that_runs_backwards_is_clamped() {
        let (early, late) = (header(1_000_000, 0x1c05_a3f4), header(2_000_000, 0x1c05_a3f4));
        let found = retarget(&Params::MAINNET, &late, &early);
        assert_eq!(found.to_consensus(), 0x1c01_68fd);
    }

    #[test]
    fn testnet_4_starts_from_the_period_s_first_block() {
        let (first, last) = (header(0, 0x1c05_a3f4), header(14 * 24 * 3600, 0x1d00_ffff));
        assert_eq!(retarget(&Params::TESTNET4, &first, &last), first.bits);
        assert_eq!(retarget(&Params::TESTNET3, &first, &last), last.bits);
    }

    #[test]
    fn periods_begin_every_2016_blocks() {
        assert_eq!(period_start(&Params::MAINNET, 910_000), 909_216);
        assert_eq!(period_start(&Params::MAINNET, 909_216), 909_216);
        assert!(begins_period(&Params::MAINNET, 0) && begins_period(&Params::MAINNET, 2016));
        assert!(!begins_period(&Params::MAINNET, 2015));
    }

    #[test]
    fn regtest_never_retargets() {
        let (first, last) = (header(0, 0x207f_ffff), header(1, 0x207f_ffff));
        assert_eq!(
            retarget(&Params::REGTEST, &first, &last).to_consensus(),
            0x207f_ffff
        );
    }
}
