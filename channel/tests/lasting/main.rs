//! Channels that outlast a connection, and sessions that outlast a channel.

#[path = "../common/mod.rs"]
mod common;

mod proving;
mod restored;
mod resuming;
mod rollover;

use common::pair::Pair;
use common::*;

fn playing() -> Pair {
    Pair::playing(policy())
}

fn reconnect(pair: &mut Pair, from_disk: bool) {
    let past = pair.past(from_disk);
    pair.reconnect(config(), policy(), past);
}
