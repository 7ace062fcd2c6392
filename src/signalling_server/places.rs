//! The places for connections, and the choice of one that goes where there is none left.
//!
//! A newcomer never waits for others to leave by themselves: of the origin with the most connections the one goes that has
//! least use for it. So who takes many places pays for the next with its own.

use std::collections::HashMap;

use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::limits::most_of_origin;
use crate::origin::Origin;

/// A connection's number. It has an id for others once it has been greeted.
pub type Number = u64;

/// The use of a connection, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    /// It has not said who it is.
    Arriving,
    /// It is there, and no more.
    Idle,
    /// It listens, or offers a stream of its own.
    Registered,
    /// It has a session with the broadcast.
    Session,
    /// It is the broadcast.
    Own,
}

#[derive(Debug)]
struct Place {
    origin: Origin,
    used: Use,
    /// When it last said something.
    heard: Instant,
    task: Option<AbortHandle>,
}

#[derive(Debug)]
pub struct Places {
    most: usize,
    next: Number,
    taken: HashMap<Number, Place>,
}

impl Places {
    pub fn new(most: usize) -> Self {
        Self {
            most,
            next: 0,
            taken: HashMap::new(),
        }
    }

    /// Lets somebody in, or nobody. Also who goes for that; its task has been ended. `is_tight`: there is no descriptor
    /// for one more.
    pub fn enter(
        &mut self,
        origin: Origin,
        now: Instant,
        is_tight: bool,
    ) -> (Option<Number>, Option<Number>) {
        let of_origin = self.of(&origin);
        let gone = if of_origin >= most_of_origin(self.most) {
            Some(self.least_of(&origin))
        } else if is_tight || self.taken.len() >= self.most {
            Some(self.least(of_origin))
        } else {
            None
        };
        let gone = match gone {
            Some(None) => return (None, None),
            Some(Some(number)) => {
                self.end(number);
                Some(number)
            }
            None => None,
        };
        self.next += 1;
        let place = Place {
            origin,
            used: Use::Arriving,
            heard: now,
            task: None,
        };
        self.taken.insert(self.next, place);
        (Some(self.next), gone)
    }

    /// The task that has to be ended for the connection to end.
    pub fn runs(&mut self, number: Number, task: AbortHandle) {
        match self.taken.get_mut(&number) {
            Some(place) => place.task = Some(task),
            None => task.abort(),
        }
    }

    pub fn used(&mut self, number: Number, used: Use) {
        if let Some(place) = self.taken.get_mut(&number) {
            place.used = used;
        }
    }

    pub fn heard(&mut self, number: Number, now: Instant) {
        if let Some(place) = self.taken.get_mut(&number) {
            place.heard = now;
        }
    }

    pub fn origin(&self, number: Number) -> Option<&Origin> {
        self.taken.get(&number).map(|place| &place.origin)
    }

    /// Ends a connection. One that ends by itself may still be told so.
    pub fn end(&mut self, number: Number) {
        if let Some(task) = self.taken.remove(&number).and_then(|place| place.task) {
            task.abort();
        }
    }

    /// It has ended by itself.
    pub fn left(&mut self, number: Number) {
        self.taken.remove(&number);
    }

    fn of(&self, origin: &Origin) -> usize {
        self.taken
            .values()
            .filter(|place| place.origin == *origin)
            .count()
    }

    /// Returns the connection of one origin with the least use; of several the one that has been silent the longest.
    fn least_of(&self, origin: &Origin) -> Option<Number> {
        let of_origin = self.taken.iter().filter(|(_, place)| place.origin == *origin);
        let can_go = of_origin.filter(|(_, place)| place.used < Use::Session);
        let least = can_go.min_by_key(|(_, place)| (place.used, place.heard));
        least.map(|(number, _)| *number)
    }

    /// Returns that connection of the origin with the most places, for a newcomer whose origin has `already` some.
    fn least(&self, already: usize) -> Option<Number> {
        let mut counts: HashMap<&Origin, usize> = HashMap::new();
        for place in self.taken.values() {
            *counts.entry(&place.origin).or_default() += 1;
        }
        let mut origins: Vec<_> = counts
            .into_iter()
            .filter(|(_, count)| *count >= already)
            .collect();
        origins.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        // Those with as many are alike.
        let most = origins.first()?.1;
        let crowded = most > 1;
        if crowded {
            return origins.into_iter().find_map(|(origin, _)| self.least_of(origin));
        }
        let can_go = self.taken.iter().filter(|(_, place)| place.used < Use::Session);
        let least = can_go.min_by_key(|(_, place)| (place.used, place.heard));
        least.map(|(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn origin(number: u8) -> Origin {
        Origin::of([192, 0, 2, number].into())
    }

    fn filled(
        most: usize,
        count: usize,
        origin_of: impl Fn(usize) -> Origin,
    ) -> (Places, Vec<Number>, Instant) {
        let mut places = Places::new(most);
        let now = Instant::now();
        let numbers = (0..count)
            .map(|one| {
                let number = places.enter(origin_of(one), now, false).0.unwrap();
                places.used(number, Use::Idle);
                number
            })
            .collect();
        (places, numbers, now)
    }

    #[test]
    fn one_origin_never_has_all_and_pays_for_more_with_its_own() {
        let (mut places, crowd, now) = filled(16, 8, |_| origin(1));
        let (entered, gone) = places.enter(origin(1), now, false);
        assert!(entered.is_some() && crowd.contains(&gone.unwrap()));
        // Seven more places are there for others, and one for the broadcast.
        for other in 2..10 {
            assert!(matches!(places.enter(origin(other), now, false), (Some(_), None)));
        }
        let (entered, gone) = places.enter(origin(99), now, false);
        assert!(entered.is_some());
        assert!(places.of(&origin(1)) == 7 && gone.is_some());
    }

    #[test]
    fn who_has_no_session_goes_first_and_the_broadcast_never() {
        let (mut places, crowd, now) = filled(16, 16, |one| origin(u8::try_from(one).unwrap()));
        places.used(crowd[0], Use::Own);
        places.used(crowd[1], Use::Session);
        places.used(crowd[2], Use::Registered);
        places.heard(crowd[3], now + Duration::from_secs(5));
        let mut gone = Vec::new();
        for other in 100..113 {
            gone.push(places.enter(origin(other), now, false).1.unwrap());
            places.used(places.next, Use::Session);
        }
        assert!(crowd[4..].iter().all(|number| gone[..12].contains(number)));
        assert_eq!(gone[12..], [crowd[3]]);
        let (last, gone) = places.enter(origin(200), now, false);
        assert_eq!(gone, Some(crowd[2]));
        places.used(last.unwrap(), Use::Session);
        // Where all have a session nobody goes.
        assert_eq!(places.enter(origin(201), now, false), (None, None));
    }

    #[test]
    fn where_descriptors_are_short_somebody_goes_too() {
        let (mut places, crowd, now) = filled(16, 2, |_| origin(1));
        let (entered, gone) = places.enter(origin(2), now, true);
        assert!(entered.is_some() && crowd.contains(&gone.unwrap()));
        let mut empty = Places::new(16);
        assert_eq!(empty.enter(origin(1), now, true), (None, None));
    }
}
