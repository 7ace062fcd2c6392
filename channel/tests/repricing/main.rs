//! New rates while a session runs: both machines, in simulated time.

#[path = "../common/mod.rs"]
mod common;

mod left;
mod offers;
mod resuming;
mod states;
mod taken;

use common::pair::Pair;
use common::*;

const OLD: u64 = 100_000;

/// Ten seconds on, on a confirmed channel with much in it.
fn playing() -> Pair {
    let mut pair = Pair::playing(policy_of(1_000_000, 1_000_000));
    pair.run(seconds(10));
    pair
}
