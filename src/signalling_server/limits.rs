//! The limits of one client of the own signalling server. Its own broadcaster is bound by none of this.

use std::time::Duration;

use crate::pace::{Limit, Pace};

/// The part of the process's descriptors that connections may have: the media need more.
const SHARE: usize = 4;
const MIN_CONNECTIONS: usize = 16;
const MAX_CONNECTIONS: usize = 4_096;

/// The longest message, in bytes. SDP has some ten thousand.
pub const MAX_MESSAGE_LEN: usize = 128 << 10;
/// The longest metadata of a producer, in bytes: each who asks for the list gets it.
pub const MAX_META_LEN: usize = 4 << 10;
/// The most that waits for a client to be read, in bytes. One message may be longer.
pub const MAX_WAITING_LEN: usize = 1 << 20;
/// The most that waits for all clients together; beyond it those go who have more than a small part of it.
pub const MAX_ALL_WAITING_LEN: usize = 32 << 20;
pub const SMALL_WAITING_LEN: usize = 64 << 10;
/// Sessions that one peer may have begun at a time.
pub const MAX_SESSIONS: usize = 8;
/// Producers other than the own one, of all and of one origin.
pub const MAX_PRODUCERS: usize = 64;
pub const MAX_PRODUCERS_OF_ORIGIN: usize = 16;

/// From the connection to the end of the WebSocket's handshake.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
pub const PING_INTERVAL: Duration = Duration::from_secs(30);
/// The time that the sender of too long a message has to notice that nobody reads it.
pub const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How many connections there may be at a time, where so many descriptors may be open.
pub fn most_connections(descriptors: usize) -> usize {
    (descriptors / SHARE).clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

/// Returns how many of the connections one origin may have: half, so that none has all.
pub fn most_of_origin(connections: usize) -> usize {
    connections / 2
}

const MESSAGES: Limit = Limit {
    burst: 200,
    gain: 50,
    interval: Duration::from_secs(1),
};
const BYTES: Limit = Limit {
    burst: 1 << 20,
    gain: 64 << 10,
    interval: Duration::from_secs(1),
};

/// The pace of a client's messages.
#[derive(Debug)]
pub struct Talk {
    messages: Pace,
    bytes: Pace,
}

impl Talk {
    pub const fn new() -> Self {
        Self {
            messages: Pace::new(MESSAGES),
            bytes: Pace::new(BYTES),
        }
    }

    /// Whether it may say so much more.
    pub fn allows(&mut self, bytes: usize, now: Duration) -> bool {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.messages.take(1, now) && self.bytes.take(bytes, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_talks_all_the_time_is_stopped() {
        let now = Duration::from_secs(100);
        let mut talk = Talk::new();
        assert!((0..200).all(|_| talk.allows(100, now)));
        assert!(!talk.allows(100, now));
        let later = now + Duration::from_secs(1);
        assert!((0..49).all(|_| talk.allows(100, later)));
        let mut talk = Talk::new();
        assert!((0..8).all(|_| talk.allows(MAX_MESSAGE_LEN, now)));
        assert!(!talk.allows(MAX_MESSAGE_LEN, now));
    }
}
