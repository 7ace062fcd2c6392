//! Both honest machines against each other in a bad world: connections that break, computers that crash between any
//! two effects or are suspended, clocks that differ, a chain that reorganises. Nobody may lose more than the bounds of
//! protocol.md section 7, and all money ends where it belongs.
//!
//! Each run is one seed. A failing one prints it; `STREAMIUM_SEED=… cargo test -p streamium-channel --test simulation
//! -- --nocapture` plays it again with all that happened. `STREAMIUM_RUNS` and `STREAMIUM_FIRST` make more runs, or
//! others.

#[path = "../common/mod.rs"]
mod common;

mod chain;
mod clock;
mod conditions;
mod connecting;
mod consumer;
mod dice;
mod ending;
mod events;
mod happenings;
mod judge;
mod keys;
mod link;
mod odd;
mod provider;
mod settling;
mod totals;
mod world;

use conditions::Conditions;
use dice::Dice;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use totals::Totals;
use world::World;

/// How many short runs the default tests make.
const RUNS: u64 = 10_000;

/// Seeds of long runs begin here.
const LONG: u64 = 1 << 32;

const LONG_RUNS: u64 = 4;

/// From 10 s to 40 s for short runs, two hours for long ones.
fn length(seed: u64, dice: &mut Dice) -> Duration {
    match seed {
        ..LONG => Duration::from_secs(dice.between(10, 40)),
        LONG.. => Duration::from_secs(7_200),
    }
}

fn run(seed: u64, talk: bool) -> Result<Totals, String> {
    let mut dice = Dice::new(seed);
    let length = length(seed, &mut dice);
    let conditions = Conditions::draw(&mut dice, length);
    let mut world = World::new(conditions, dice, talk);
    let outcome = catch_unwind(AssertUnwindSafe(|| world.run()));
    outcome.map_err(|panic| {
        let words = panic.downcast_ref::<String>().cloned();
        let words = words.or_else(|| panic.downcast_ref::<&str>().map(|words| (*words).to_owned()));
        let words = words.unwrap_or_default();
        format!(
            "seed {seed} at {:?}: {words}\n{}\n{:#?}\n\
             again: STREAMIUM_SEED={seed} cargo test -p streamium-channel --test simulation -- --nocapture",
            world.now,
            world.last_words(),
            world.conditions,
        )
    })?;
    Ok(world.totals)
}

/// Makes these runs on all processors.
fn all(seeds: std::ops::Range<u64>) -> Totals {
    let (next, failures) = (AtomicU64::new(seeds.start), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let worker = || {
        let mut totals = Totals::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failures.lock().unwrap().len() > 2 {
                return totals;
            }
            match run(seed, false) {
                Ok(run) => totals += run,
                Err(words) => {
                    eprintln!("{}", words.lines().next().unwrap_or_default());
                    failures.lock().unwrap().push(words);
                }
            }
        }
    };
    let mut totals = Totals::default();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        workers
            .into_iter()
            .for_each(|worker| totals += worker.join().unwrap());
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    println!("{totals}");
    totals
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |value| value.parse().expect("a number"))
}

fn replayed() -> bool {
    let Ok(seed) = std::env::var("STREAMIUM_SEED") else {
        return false;
    };
    let totals = run(seed.parse().expect("STREAMIUM_SEED is a number"), true);
    println!("{}", totals.unwrap_or_else(|words| panic!("{words}")));
    true
}

#[test]
fn nobody_loses_money_in_ten_thousand_bad_worlds() {
    if replayed() {
        return;
    }
    let (first, runs) = (number("STREAMIUM_FIRST", 0), number("STREAMIUM_RUNS", RUNS));
    let totals = all(first..first + runs);
    assert_eq!(totals.runs, runs);
    // A world in which all this does not happen tests nothing.
    for (what, count) in [
        ("payments", totals.payments),
        ("resumed", totals.resumed),
        ("rolled over", totals.rolled),
        ("provider crashes", totals.provider_crashes),
        ("consumer crashes", totals.consumer_crashes),
        ("rates changed", totals.repriced),
        ("left for a rate", totals.left_over_rate),
        ("settled", totals.settled),
        ("refunded", totals.refunded),
        ("closed cooperatively", totals.cooperative),
        ("double spends", totals.double_spent),
        ("presses of the button", totals.toggles),
        ("odd closes", totals.odd_closes),
        ("commitments that nobody knew", totals.unknown),
        ("reorganisations", totals.reorganised),
    ] {
        assert!(count >= runs / 100, "{what}: only {count} in {runs} runs");
    }
}

#[test]
fn nobody_loses_money_in_hours() {
    if std::env::var_os("STREAMIUM_SEED").is_some() {
        return;
    }
    all(LONG..LONG + LONG_RUNS);
}
