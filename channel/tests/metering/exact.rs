//! Nothing is lost or made by cutting time into pieces.

use crate::viewer::{MS, Viewer};
use proptest::prelude::*;
use std::time::Duration;
use streamium_channel::message::ConsumerMessage;
use streamium_channel::meter::Meter;
use streamium_channel::money::{Msat, Rate};

/// What is on, for how long, and at which rate.
type Piece = (bool, u64, u64);

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let nanos = prop_oneof![0u64..50, 0u64..100_000_000, 0u64..3_600_000_000_000];
    let rate = prop_oneof![0u64..50, 0u64..1_000_000, any::<u32>().prop_map(u64::from)];
    proptest::collection::vec((any::<bool>(), nanos, rate), 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn the_pieces_of_a_time_cost_what_the_whole_costs(cuts in proptest::collection::vec(0u64..50_000_000, 1..400), rate in 0u64..100_000) {
        let rate = Rate::new(rate);
        let mut meter = Meter::new(rate, Msat::ZERO);
        let mut now = Duration::ZERO;
        for nanos in &cuts {
            meter.run(Duration::MAX, now, now);
            now += Duration::from_nanos(*nanos);
            meter.stop(now);
        }
        prop_assert_eq!(meter.consumed(now), rate.cost(now));
    }

    #[test]
    fn all_that_was_on_is_counted_to_the_msat_through_any_rates(pieces in pieces()) {
        let mut meter = Meter::new(Rate::new(1), Msat::new(7));
        let (mut now, mut exact) = (Duration::ZERO, 0u128);
        for (on, nanos, rate) in pieces {
            meter.set_rate(Rate::new(rate), now);
            match on {
                true => meter.run(Duration::MAX, now, now),
                false => meter.stop(now),
            }
            exact += u128::from(on) * u128::from(nanos) * u128::from(rate);
            now += Duration::from_nanos(nanos);
            prop_assert_eq!(u128::from(meter.consumed(now).to_msat()), 7 + exact / 1_000_000_000);
        }
    }

    #[test]
    fn each_opening_counts_its_least_and_no_moment_twice(openings in proptest::collection::vec((0u64..3_000, 0u64..3_000), 1..40)) {
        // At 1,000 msat/s a millisecond is a millisatoshi.
        let mut meter = Meter::new(Rate::new(1_000), Msat::ZERO);
        let (mut now, mut ms) = (0u64, 0u64);
        let mut counted_to = 0u64;
        for (closed, open) in openings {
            now += closed;
            let at = Duration::from_millis(now);
            meter.run(Duration::MAX, at + Duration::from_secs(1), at);
            meter.stop(at + Duration::from_millis(open));
            let end = (now + open.max(1_000)).max(counted_to);
            ms += end - counted_to.max(now);
            counted_to = end;
            now += open;
        }
        let end = Duration::from_millis(counted_to);
        prop_assert_eq!(meter.consumed(end), Msat::new(ms));
        prop_assert_eq!(meter.owed(Duration::from_millis(now)), Msat::new(ms));
    }
}

/// `play` and `pause` in turn, as fast as the limit on messages allows for ever: 50 a second.
fn toggle(viewer: &mut Viewer, times: u32) {
    for _ in 0..times {
        viewer.say(&ConsumerMessage::Play);
        assert!(viewer.is_open());
        viewer.pass(MS * 20);
        viewer.say(&ConsumerMessage::Pause);
        assert!(!viewer.is_open());
        viewer.pass(MS * 20);
    }
}

#[test]
fn toggling_as_fast_as_the_message_limit_allows_saves_nothing() {
    // The gate is open for half of the time, and what it is open for is a fraction of a msat each time.
    for rate in [1, 7, 24, 25, 49, 100_000] {
        let mut viewer = Viewer::at_rate(rate);
        let times = if rate > 1_000 { 250 } else { 25 * 600 };
        toggle(&mut viewer, times);
        assert_eq!(viewer.pair.provider_end, None, "it is no flood");
        let opened = viewer.rate.cost(MS * 20 * times);
        let all = viewer.rate.cost(MS * 40 * times);
        let debited = viewer.debited();
        assert!(debited >= opened, "{debited} for {opened} of open gate");
        assert!(debited.plus(Msat::new(1)) >= all, "{debited} of {all}");
        assert!(debited <= all.plus(Msat::new(1)), "{debited} of {all}");
    }
}
