//! Strangers' commitments on their way to the servers, at a pace that leaves those to our own settlements.
//!
//! A commitment costs its sender nothing before the network has taken it, while each one uses up what servers let us ask.
//! So they are handed out one after the other, as fast as honest viewers come and no faster. What the settlement engine
//! hands out never waits here.

use std::collections::VecDeque;
use std::time::Duration;

use bitcoin::Transaction;

use crate::pace::{Limit, Pace};

/// How fast they are handed out.
const PACE: Limit = Limit {
    burst: 20,
    gain: 1,
    interval: Duration::from_millis(500),
};

/// So many may wait. Those beyond are not handed out by us: their viewers hand them out too, and what no server comes to
/// know counts nothing.
const MOST_WAITING: usize = 10;

/// The commitments that wait, and the pace at which they go.
#[derive(Debug)]
pub struct HandingOut {
    waiting: VecDeque<Transaction>,
    pace: Pace,
}

impl HandingOut {
    pub const fn new() -> Self {
        Self {
            waiting: VecDeque::new(),
            pace: Pace::new(PACE),
        }
    }

    /// Takes one more; false if too many wait.
    pub fn push(&mut self, transaction: Transaction) -> bool {
        let has_room = self.waiting.len() < MOST_WAITING;
        if has_room {
            self.waiting.push_back(transaction);
        }
        has_room
    }

    /// The next one that may go now.
    pub fn pop(&mut self, now: Duration) -> Option<Transaction> {
        if self.waiting.is_empty() || !self.pace.take(1, now) {
            return None;
        }
        self.waiting.pop_front()
    }

    /// When the next one may go, if one waits.
    pub fn next(&self) -> Option<Duration> {
        (!self.waiting.is_empty()).then(|| self.pace.next(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::absolute::LockTime;
    use bitcoin::transaction::Version;

    fn transaction() -> Transaction {
        Transaction {
            version: Version::TWO,
            lock_time: LockTime::ZERO,
            input: vec![],
            output: vec![],
        }
    }

    #[test]
    fn a_crowd_of_commitments_is_handed_out_at_a_pace() {
        let second = Duration::from_secs(1);
        let mut out = HandingOut::new();
        let (mut gone, mut refused) = (0, 0);
        for _ in 0..1_000 {
            refused += u32::from(!out.push(transaction()));
            gone += u32::from(out.pop(second).is_some());
        }
        assert_eq!((gone, refused), (20, 970), "20 at once, 10 wait");
        assert_eq!(out.next(), Some(second + PACE.interval));
        assert!(
            out.pop(second + PACE.interval - Duration::from_millis(1))
                .is_none()
        );
        let mut later = 0;
        for half in 1..=4 {
            while out.pop(second + PACE.interval * half).is_some() {
                later += 1;
            }
        }
        assert_eq!(later, 4, "then two a second");
        // A quiet hour does not save up more than the burst.
        let hour = Duration::from_secs(3_600);
        (0..MOST_WAITING).for_each(|_| {
            let _ = out.push(transaction());
        });
        let mut burst = 0;
        while out.pop(hour).is_some() {
            burst += 1;
            out.push(transaction());
        }
        assert_eq!(burst, 20);
    }
}
