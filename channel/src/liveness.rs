//! Is the peer still there, and does it say too much? GStreamer does not notice a frozen peer for minutes.

use std::time::Duration;

/// A peer from which nothing has been heard for this long is asked, and asked again at this pace.
pub const PING_INTERVAL: Duration = Duration::from_secs(1);

/// A consumer from which nothing has been heard for this long gets no media, and pays for none: three pings lost
/// in a row on a link that retransmits is more than jitter.
pub const SILENT_AFTER: Duration = Duration::from_secs(4);

/// A peer from which nothing has been heard for this long is gone. Its channel stays, and is resumed on the next
/// connection, so a short time costs little.
pub const GONE_AFTER: Duration = Duration::from_secs(10);

/// How many messages a peer may send at once; a session needs about three a second.
const BURST: u32 = 100;

/// In this time a peer earns one message more.
const EARN: Duration = Duration::from_millis(20);

/// When a peer was last heard and asked, and how many messages it has left.
#[derive(Clone, Debug)]
pub struct Liveness {
    heard: Duration,
    asked: Duration,
    tokens: u32,
    earned: Duration,
}

impl Liveness {
    /// Starts as if the peer had just spoken.
    pub const fn new(now: Duration) -> Self {
        Self {
            heard: now,
            asked: now,
            tokens: BURST,
            earned: now,
        }
    }

    /// Notes a message; false if the peer has sent more than its share.
    #[must_use]
    pub fn heard(&mut self, now: Duration) -> bool {
        self.heard = self.heard.max(now);
        let spared = now
            .saturating_sub(self.earned)
            .as_millis()
            .checked_div(EARN.as_millis())
            .unwrap_or(0);
        if spared > 0 {
            let spared = u32::try_from(spared).unwrap_or(BURST);
            self.tokens = self.tokens.saturating_add(spared).min(BURST);
            self.earned = now;
        }
        match self.tokens.checked_sub(1) {
            Some(left) => self.tokens = left,
            None => return false,
        }
        true
    }

    /// True when it is time to ask; notes that it was done.
    pub fn ask(&mut self, now: Duration) -> bool {
        let due = now >= self.next_ask();
        if due {
            self.asked = now;
        }
        due
    }

    /// True while the peer was heard within [`SILENT_AFTER`].
    pub fn is_alive(&self, now: Duration) -> bool {
        now < self.alive_until()
    }

    /// Until when the peer counts as there if nothing more is heard.
    pub const fn alive_until(&self) -> Duration {
        self.heard.saturating_add(SILENT_AFTER)
    }

    /// True once it has not been heard for [`GONE_AFTER`].
    pub fn is_gone(&self, now: Duration) -> bool {
        now >= self.heard.saturating_add(GONE_AFTER)
    }

    /// The next moment at which any of these answers changes.
    pub fn next(&self, now: Duration) -> Duration {
        let silent = self.alive_until();
        let gone = self.heard.saturating_add(GONE_AFTER);
        let change = if now < silent { silent } else { gone };
        self.next_ask().min(change)
    }

    fn next_ask(&self) -> Duration {
        self.heard.max(self.asked).saturating_add(PING_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_silent_peer_is_asked_then_silent_then_gone() {
        let mut peer = Liveness::new(SECOND);
        assert!(!peer.ask(SECOND));
        assert_eq!(peer.next(SECOND), SECOND * 2);
        assert!(peer.ask(SECOND * 2) && !peer.ask(SECOND * 2));
        assert!(peer.is_alive(SECOND * 4) && !peer.is_alive(SECOND * 5));
        assert!(!peer.is_gone(SECOND * 10) && peer.is_gone(SECOND * 11));
        assert!(peer.heard(SECOND * 10) && peer.is_alive(SECOND * 11));
    }

    #[test]
    fn a_flood_is_noticed_and_a_fast_talker_is_not_one() {
        let mut peer = Liveness::new(SECOND);
        assert!((0..BURST).all(|_| peer.heard(SECOND)) && !peer.heard(SECOND));
        let mut peer = Liveness::new(SECOND);
        assert!((1..1_000).all(|n| peer.heard(SECOND + EARN * n)));
    }
}
