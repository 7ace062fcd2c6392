//! How far estimates of fees are believed.

use streamium_channel::bitcoin::FeeRate;
use streamium_channel::fee_belief::FeeBelief;

const fn vb(rate: u32) -> FeeRate {
    FeeRate::from_sat_per_vb_u32(rate)
}

#[test]
fn one_estimate_is_believed_up_to_twice_the_last() {
    let usual = FeeBelief::new(vb(5), 100);
    for height in 0..106 {
        assert_eq!(usual.bounded(vb(95), height), vb(10), "{height}");
        assert_eq!(usual.bounded(vb(8), height), vb(8));
    }
    // Said again and again it is no more.
    let mut belief = usual;
    for height in [100, 101, 101, 103, 105] {
        belief = belief.heard(vb(95), height);
        assert_eq!(belief.bounded(vb(95), height), vb(10));
    }
}

#[test]
fn a_rise_that_lasts_is_followed_by_a_doubling_an_hour() {
    let mut belief = FeeBelief::new(vb(5), 100);
    let mut believed = Vec::new();
    for height in (106..=130).step_by(6) {
        belief = belief.heard(vb(95), height);
        believed.push(belief.rate());
    }
    assert_eq!(believed, [10, 20, 40, 80, 95].map(vb));
    assert_eq!(
        FeeBelief::new(vb(5), 0).bounded(vb(95), 1_000_000),
        vb(80),
        "after a long time"
    );
}

#[test]
fn a_fall_is_believed_at_once_and_a_reorganisation_counts_nothing() {
    let belief = FeeBelief::new(vb(50), 100).heard(vb(3), 99);
    assert_eq!((belief.rate(), belief.height()), (vb(3), 100));
    assert_eq!(belief.bounded(vb(50), 99), vb(6));
}

#[test]
fn with_nothing_heard_a_usual_rate_is_believed() {
    assert_eq!(FeeBelief::first(7).bounded(vb(95), 7), vb(20));
}
