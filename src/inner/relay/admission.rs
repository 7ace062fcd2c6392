//! Admission of consumers: a session costs descriptors, memory and time before anybody knows whether its consumer pays.
//!
//! Consumers wait here, each origin in turn, until there are descriptors for one more, few others are being made, and
//! there is room among those who have not paid. Where that is full, one is let in each time that a newcomer has had its
//! time ([`CHANCE`]). So a newcomer's wait depends on how many origins others have, not on how fast they come.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;

use crate::descriptors::{Costs, Count};
use crate::origin::Origin;
use crate::pace::{Limit, Pace};
use crate::room::Room;

/// For so long a newcomer is safe: enough for ICE, DTLS and its first words.
const CHANCE: Duration = Duration::from_secs(5);
/// The longest wait before a consumer is turned away; ours gives up before.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// The longest wait for descriptors that others hold.
const TIGHT_LIMIT: Duration = Duration::from_secs(5);
/// So many sessions are made at a time.
const MOST_BEING_MADE: usize = 8;
/// A session that has made no offer by then never will.
const MAKING_LIMIT: Duration = Duration::from_secs(10);
/// After its offer a session opens its last descriptors.
const SETTLING: Duration = Duration::from_secs(1);
/// Sessions of one peer, those that wait included.
const MOST_OF_PEER: usize = 4;
/// How fast one peer may begin sessions.
const OF_PEER: Limit = Limit {
    burst: 8,
    gain: 1,
    interval: Duration::from_secs(2),
};
/// How fast an address may, behind which there may be many.
const OF_ADDRESS: Limit = Limit {
    burst: 64,
    gain: 1,
    interval: Duration::from_millis(125),
};
/// So many wait of one origin, and of all.
const MOST_WAITING_OF_ORIGIN: usize = 512;
const MOST_WAITING: usize = 2_048;

/// Why somebody was turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Busy {
    /// One peer asks for too many sessions, or too often.
    Peer,
    /// Too many wait already.
    Waiting,
    /// There are too few descriptors.
    Descriptors,
    /// Consumers who have not paid have all the room.
    Room,
}

impl Busy {
    pub fn words(self) -> &'static str {
        match self {
            Self::Peer => "one peer asks for too many sessions",
            Self::Waiting => "too many are waiting",
            Self::Descriptors => "the process has too few descriptors left",
            Self::Room => "too many viewers are waiting to pay",
        }
    }
}

/// A session that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    pub session: String,
    pub peer: String,
    pub origin: Origin,
    /// The message for the signaller once the session is admitted.
    pub message: Value,
}

#[derive(Debug)]
struct Waiting {
    asked: Asked,
    since: Duration,
    /// There were no descriptors for it since.
    tight_since: Option<Duration>,
}

#[derive(Debug)]
struct Begun {
    peer: String,
    since: Duration,
    /// When its offer was made.
    offered: Option<Duration>,
}

/// See the module. Time is an argument.
#[derive(Debug, Default)]
pub struct Admission {
    waiting: Vec<Waiting>,
    begun: HashMap<String, Begun>,
    peers: HashMap<String, Pace>,
    addresses: HashMap<Origin, Pace>,
    /// When each origin had its last turn.
    turns: HashMap<Origin, Duration>,
    /// When one more may be let in where there is no room.
    next_when_full: Duration,
    costs: Costs,
    room: Room,
}

impl Admission {
    /// `room` is read each time.
    pub fn new(room: Room) -> Self {
        Self {
            room,
            ..Self::default()
        }
    }

    /// Notes that somebody asks for a session.
    pub fn ask(&mut self, asked: Asked, now: Duration) -> Result<(), Busy> {
        let of_peer = self.begun.values().filter(|one| one.peer == asked.peer).count()
            + self
                .waiting
                .iter()
                .filter(|one| one.asked.peer == asked.peer)
                .count();
        self.peers.retain(|_, pace| !pace.is_idle(now));
        let pace = self.peers.entry(asked.peer.clone());
        let pace = pace.or_insert(Pace::new(OF_PEER));
        if of_peer >= MOST_OF_PEER || !pace.allows(1, now) {
            return Err(Busy::Peer);
        }
        pace.count(1, now);
        let of_origin = self
            .waiting
            .iter()
            .filter(|one| one.asked.origin == asked.origin)
            .count();
        if of_origin >= MOST_WAITING_OF_ORIGIN || self.waiting.len() >= MOST_WAITING {
            return Err(Busy::Waiting);
        }
        self.waiting.push(Waiting {
            asked,
            since: now,
            tight_since: None,
        });
        Ok(())
    }

    /// The next to be let in now. Whoever can't be for want of descriptors goes to `tight`, for whom others may go.
    pub fn next(
        &mut self,
        now: Duration,
        count: impl FnOnce() -> Count,
        tight: impl FnOnce(&Origin),
    ) -> Option<Asked> {
        let first = self.first(now)?;
        let being_made = self.being_made(now);
        if being_made >= MOST_BEING_MADE || !self.has_room(now) {
            return None;
        }
        let count = count();
        if being_made == 0 {
            self.costs.look(count, self.begun.len());
        }
        if !self.costs.take_one_more(count, being_made) {
            let waiting = self.waiting.get_mut(first)?;
            waiting.tight_since.get_or_insert(now);
            tight(&waiting.asked.origin);
            return None;
        }
        let Waiting { asked, .. } = self.waiting.remove(first);
        if self.room.free() <= self.unseen(now) {
            let slots = u32::try_from(self.room.slots()).unwrap_or(u32::MAX);
            // Half of the slots are newcomers'.
            self.next_when_full = now.saturating_add(CHANCE / (slots / 2).max(1));
        }
        self.turns.retain(|_, turn| turn.saturating_add(WAIT_LIMIT) > now);
        self.turns.insert(asked.origin.clone(), now);
        if let Origin::Address(_) = asked.origin {
            self.addresses.retain(|_, pace| !pace.is_idle(now));
            let pace = self.addresses.entry(asked.origin.clone());
            pace.or_insert(Pace::new(OF_ADDRESS)).count(1, now);
        }
        let begun = Begun {
            peer: asked.peer.clone(),
            since: now,
            offered: None,
        };
        self.begun.insert(asked.session.clone(), begun);
        Some(asked)
    }

    /// Takes out the requests that have waited too long, each with what it waited for.
    pub fn given_up(&mut self, now: Duration) -> Vec<(Asked, Busy)> {
        let (over, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|one: &Waiting| {
                let tight = one
                    .tight_since
                    .is_some_and(|since| now >= since.saturating_add(TIGHT_LIMIT));
                tight || now >= one.since.saturating_add(WAIT_LIMIT)
            });
        self.waiting = waiting;
        let over: Vec<Waiting> = over;
        let reason = |one: &Waiting| match one.tight_since {
            Some(_) => Busy::Descriptors,
            None if self.room.free() == 0 => Busy::Room,
            None => Busy::Waiting,
        };
        over.into_iter()
            .map(|one| (one.asked.clone(), reason(&one)))
            .collect()
    }

    /// The session's offer, or answer, is on its way.
    pub fn offered(&mut self, session: &str, now: Duration) {
        if let Some(begun) = self.begun.get_mut(session) {
            begun.offered.get_or_insert(now);
        }
    }

    /// The session is over, or nobody wants it any more. False if it had not begun.
    pub fn ended(&mut self, session: &str) -> bool {
        self.waiting.retain(|one| one.asked.session != session);
        self.begun.remove(session).is_some()
    }

    /// The server knows of no session any more. Those that began may go on without it.
    pub fn forget_waiting(&mut self) {
        self.waiting.clear();
    }

    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub fn cost_of_session(&self) -> usize {
        self.costs.session()
    }

    /// Returns the request that has waited the longest of the origin whose last turn was the longest ago.
    fn first(&self, now: Duration) -> Option<usize> {
        let may = |one: &Waiting| {
            let pace = self.addresses.get(&one.asked.origin);
            pace.is_none_or(|pace| pace.allows(1, now))
        };
        let waiting = self.waiting.iter().enumerate().filter(|(_, one)| may(one));
        let first = waiting.min_by_key(|(_, one)| (self.turns.get(&one.asked.origin), one.since));
        first.map(|(index, _)| index)
    }

    /// Sessions that do not hold all their descriptors yet.
    fn being_made(&self, now: Duration) -> usize {
        let being_made = self.begun.values().filter(|one| match one.offered {
            Some(at) => now < at.saturating_add(SETTLING),
            None => now < one.since.saturating_add(MAKING_LIMIT),
        });
        being_made.count()
    }

    /// Counts the sessions that the driver has not heard of yet: it does so before the offer.
    fn unseen(&self, now: Duration) -> usize {
        let unseen = self.begun.values().filter(|one| one.offered.is_none());
        unseen
            .filter(|one| now < one.since.saturating_add(MAKING_LIMIT))
            .count()
    }

    fn has_room(&self, now: Duration) -> bool {
        self.room.free() > self.unseen(now) || now >= self.next_when_full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const AMPLE: Count = Count {
        open: 60,
        connections: 0,
        limit: 65_536,
    };

    fn asked(session: u32, peer: &str, address: u8) -> Asked {
        Asked {
            session: session.to_string(),
            peer: peer.to_owned(),
            origin: Origin::of([192, 0, 2, address].into()),
            message: Value::Null,
        }
    }

    fn next(admission: &mut Admission, now: Duration, count: Count) -> Option<Asked> {
        let next = admission.next(now, || count, |_| ());
        if let Some(asked) = &next {
            admission.offered(&asked.session, now);
        }
        next
    }

    #[test]
    fn sixty_sessions_of_one_peer_are_four() {
        let mut admission = Admission::default();
        let results: Vec<_> = (0..60)
            .map(|one| admission.ask(asked(one, "a", 1), SECOND))
            .collect();
        assert_eq!(results.iter().filter(|one| one.is_ok()).count(), MOST_OF_PEER);
        assert_eq!(results[59], Err(Busy::Peer));
        // Nor by ending each.
        let mut begun = 0;
        for one in 100..200 {
            for session in 0..200 {
                admission.ended(&session.to_string());
            }
            begun += usize::from(admission.ask(asked(one, "a", 1), SECOND).is_ok());
        }
        assert_eq!(begun, 4, "eight at once");
        assert!(
            admission.ask(asked(300, "b", 1), SECOND).is_ok(),
            "others are not concerned"
        );
    }

    #[test]
    fn each_origin_has_its_turn_however_fast_others_come() {
        let mut admission = Admission::default();
        admission.room.set(32, 0);
        let mut now = SECOND;
        let mut waited = Vec::new();
        let mut number = 0;
        // Twenty a second of one address, each another peer; and now and then one of another.
        for step in 0..400_u32 {
            now += SECOND / 20;
            number += 1;
            let _ = admission.ask(asked(number, &number.to_string(), 1), now);
            if step % 40 == 20 {
                let honest = format!("honest {step}");
                let one = Asked {
                    session: format!("honest {}", now.as_millis()),
                    ..asked(0, &honest, 2)
                };
                admission.ask(one, now).unwrap();
            }
            while let Some(one) = next(&mut admission, now, AMPLE) {
                if let Some(since) = one.session.strip_prefix("honest ") {
                    waited.push(now - Duration::from_millis(since.parse().unwrap()));
                }
            }
            let _ = admission.given_up(now);
        }
        assert_eq!(waited.len(), 10);
        assert!(waited.iter().all(|wait| *wait < SECOND), "{waited:?}");
    }

    #[test]
    fn who_is_let_in_where_it_is_full_has_its_time() {
        let mut admission = Admission::default();
        admission.room.set(32, 0);
        let mut let_in = Vec::new();
        for tenth in 0..200_u32 {
            let now = SECOND + SECOND * tenth / 10;
            let address = u8::try_from(tenth).unwrap();
            let _ = admission.ask(asked(tenth, &tenth.to_string(), address), now);
            let_in.extend(next(&mut admission, now, AMPLE).map(|_| now));
        }
        // As many as are newcomers' slots come in no less than the time that each has.
        let shortest = let_in.windows(17).map(|span| span[16] - span[0]).min();
        assert!(shortest >= Some(CHANCE), "{shortest:?}");
        assert!(let_in.len() > 40, "{}", let_in.len());
    }

    #[test]
    fn nobody_is_let_in_without_descriptors() {
        let mut admission = Admission::default();
        for one in 0..60 {
            admission.ask(asked(one, &one.to_string(), 1), SECOND).unwrap();
        }
        let few = Count {
            limit: 1_024,
            ..AMPLE
        };
        let mut now = SECOND;
        let mut open = 60;
        let mut begun = 0;
        let mut short = false;
        for _ in 0..100 {
            now += SECOND / 10;
            let count = Count { open, ..few };
            if let Some(one) = admission.next(now, || count, |_| short = true) {
                admission.offered(&one.session, now);
                begun += 1;
                open += 25;
            }
        }
        assert!(short && open + 128 <= 1_024, "{open}");
        assert!(begun >= 30, "{begun}");
        let given_up = admission.given_up(now + TIGHT_LIMIT);
        assert!(given_up.iter().any(|(_, busy)| *busy == Busy::Descriptors));
    }
}
