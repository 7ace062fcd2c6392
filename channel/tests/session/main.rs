//! Both state machines against each other, in simulated time.

#[path = "../common/mod.rs"]
mod common;

mod credit;
mod drift;
mod ending;
mod nonsense;
mod opening;
mod terms;

use common::pair::Pair;
use common::*;

fn playing() -> Pair {
    Pair::playing(policy())
}
