//! Provider and consumer, each a process of its own with the real elements over real WebRTC on a real chain, killed again
//! and again at random moments and started again on the same folders. In the end every channel is settled or refunded,
//! and nobody has lost more than the bounds say.
//!
//! `KILLS` says how often (6; `tests/kill.sh` does it 200 times), `KILL_SEED` repeats a run's choices.

#[path = "kill/chain.rs"]
mod chain;
mod common;
#[path = "kill/process.rs"]
mod process;
#[path = "kill/role.rs"]
mod role;
#[path = "kill/tally.rs"]
mod tally;
#[path = "kill/world.rs"]
mod world;

use world::World;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

#[test]
fn nobody_loses_more_than_the_bounds_when_killed_at_any_moment() {
    let kills = number("KILLS").unwrap_or(6);
    let seed = number("KILL_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("KILLS={kills} KILL_SEED={seed}");
    let mut world = World::start(seed);
    for count in 1..=kills {
        world.kill_one();
        if count % 10 == 0 || count == kills {
            world.say();
        }
    }
    world.play_once_more();
    let tally = world.bury();
    println!("{tally}");
    assert!(
        tally.is_within_the_bounds(),
        "somebody lost more than the bounds say, or money is missing"
    );
}
