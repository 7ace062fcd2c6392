//! What is going to happen, in the order of time.

use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::agreement::Agreement;
use streamium_channel::bitcoin::OutPoint;
use streamium_channel::contract::Contract;
use streamium_channel::provider::CommitmentStatus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Provider,
    Consumer,
}

/// A connection's number; also that of both its sessions.
pub type Conn = u64;

#[derive(Clone, Debug)]
pub enum Event {
    /// A message arrives.
    Text(Side, Conn, String),
    /// A side notices that the connection is gone.
    Lost(Side, Conn),
    /// Media begins or stops to arrive at the consumer.
    Flow(Conn, bool),
    /// An answer to an effect of a session; a process that was started later knows nothing of it.
    Answer(Side, u64, Conn, Answer),
    /// The chain's word reaches the provider.
    News(OutPoint, CommitmentStatus),
    Block,
    /// The provider's servers answer again.
    Reachable,
    Mishap(Mishap),
    /// A side is back from a crash.
    Restart(Side),
    Reconnect,
    /// What the drivers do about once a second: idle channels, settlements, refunds.
    Housekeeping,
}

#[derive(Clone, Debug)]
pub enum Answer {
    FreshKey,
    Recall(OutPoint),
    Authorized(u32, Agreement),
    Funded,
    Build(Contract),
    FreshKeys,
}

#[derive(Clone, Copy, Debug)]
pub enum Mishap {
    Cut,
    Freeze,
    MediaLoss,
    Unreachable,
    Pause,
    Budget,
    StopAndReturn,
    Reprice,
    /// So many times more.
    Toggle(u32),
    OddClose,
}

#[derive(Default)]
pub struct Queue {
    events: BTreeMap<(Duration, u64), Event>,
    count: u64,
}

impl Queue {
    pub fn push(&mut self, at: Duration, event: Event) {
        self.count += 1;
        self.events.insert((at, self.count), event);
    }

    pub fn next(&self) -> Option<Duration> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn pop(&mut self) -> Option<Event> {
        self.events.pop_first().map(|(_, event)| event)
    }
}
