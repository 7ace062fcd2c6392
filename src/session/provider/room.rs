//! Room for those that have not paid. Each costs a connection, so their number is limited, and a crowd of them must
//! not keep out who wants to pay.
//!
//! Whoever comes from where there are the most of them goes first. Else it is the one that has been there the longest, of
//! those that have proposed a channel where these have more than half of the room, and of the others where not: so whoever
//! is let in has its time both to propose and to lock its money, as the relay lets no more in than that allows.

use std::collections::HashMap;
use std::time::Duration;

use streamium_channel::provider::{EndReason, Stake};

use super::driver::Driver;
use super::live::{Live, Phase};
use crate::origin::Origin;

/// Descriptors are free again only some time after somebody has gone.
const MAKE_ROOM_INTERVAL: Duration = Duration::from_millis(500);

impl Driver {
    /// Whether one more may come. Whose commitment the chain knows does not count: that has a price.
    pub(super) fn has_room(&self) -> bool {
        let Some(paid) = &self.options.paid else {
            return true;
        };
        self.unpaid_count() < paid.max_unpaid_consumers
    }

    /// Tells whoever admits consumers.
    pub(super) fn tell_room(&self) {
        if let Some(paid) = &self.options.paid {
            let slots = paid.max_unpaid_consumers;
            self.room.set(slots, slots.saturating_sub(self.unpaid_count()));
        }
    }

    fn unpaid_count(&self) -> usize {
        self.sessions.values().filter(|live| self.counts(live)).count()
    }

    fn counts(&self, live: &Live) -> bool {
        match (live.unpaid(), &live.phase) {
            (Some(Stake::Commitment), Phase::Running(session)) => {
                let seen = self.money.as_ref().map(|money| &money.seen);
                let mut channels = session.channels().into_iter();
                !channels.any(|outpoint| seen.is_some_and(|seen| seen.contains(&outpoint)))
            }
            (stake, _) => stake.is_some(),
        }
    }

    /// Makes room for somebody from there, if anyone can go.
    pub(super) fn evict_for(&mut self, origin: Option<&Origin>) -> bool {
        let slots = self
            .options
            .paid
            .as_ref()
            .map_or(usize::MAX, |paid| paid.max_unpaid_consumers);
        let victim = victim(&self.evictable(), origin, slots);
        victim.is_some_and(|id| {
            self.evict(&id);
            true
        })
    }

    /// There are too few descriptors for somebody from there. Whoever watches a free stream goes only where one origin has
    /// more than its share.
    pub(super) fn make_room(&mut self, origin: &Origin) {
        let now = self.now();
        let is_early = |at: Duration| now < at.saturating_add(MAKE_ROOM_INTERVAL);
        if self.made_room_at.is_some_and(is_early) {
            return;
        }
        let evictable = self.evictable();
        let victim = match &self.options.paid {
            Some(paid) => victim(&evictable, Some(origin), paid.max_unpaid_consumers),
            None => {
                let crowd = crowded(&evictable, Some(origin)).unwrap_or_default();
                oldest(
                    crowd
                        .into_iter()
                        .filter(|one| one.origin.as_ref() != Some(origin)),
                )
            }
        };
        if let Some(id) = victim {
            self.made_room_at = Some(now);
            self.evict(&id);
        }
    }

    fn evict(&mut self, id: &str) {
        self.close_session(id, EndReason::Busy);
        if let Some(live) = self.sessions.get(id)
            && matches!(live.phase, Phase::Connecting | Phase::Waiting(_))
        {
            live.peer.end();
            self.sessions.remove(id);
        }
    }

    /// Never one whose money is locked.
    fn evictable(&self) -> Vec<Evictable> {
        let unpaid = self
            .sessions
            .iter()
            .filter_map(|(id, live)| Some((id, live, live.unpaid()?)));
        let idle = unpaid.filter(|(_, _, stake)| *stake < Stake::Commitment);
        idle.map(|(id, live, stake)| Evictable {
            id: id.clone(),
            has_proposed: stake == Stake::Proposal,
            since: live.since,
            origin: live.peer.origin(),
        })
        .collect()
    }
}

/// One that may go.
#[derive(Clone, Debug)]
struct Evictable {
    id: String,
    has_proposed: bool,
    since: Duration,
    origin: Option<Origin>,
}

/// Chooses the consumer that goes for a newcomer of this origin.
fn victim(all: &[Evictable], newcomer: Option<&Origin>, slots: usize) -> Option<String> {
    let crowd = crowded(all, newcomer).unwrap_or_else(|| all.iter().collect());
    let with = |proposed: bool| {
        crowd
            .iter()
            .copied()
            .filter(move |one| one.has_proposed == proposed)
    };
    let too_many_proposals = with(true).count() > slots / 2;
    let idle = oldest(with(false)).filter(|_| !too_many_proposals);
    idle.or_else(|| oldest(with(true)))
}

/// Returns the consumers of the origin that has the most, the newcomer included; `None` where no two share one.
fn crowded<'a>(all: &'a [Evictable], newcomer: Option<&Origin>) -> Option<Vec<&'a Evictable>> {
    let mut counts: HashMap<&Origin, usize> = HashMap::new();
    for origin in all.iter().filter_map(|one| one.origin.as_ref()).chain(newcomer) {
        *counts.entry(origin).or_default() += 1;
    }
    let most = counts.values().copied().max().filter(|most| *most > 1)?;
    let is_of_crowd =
        |one: &&Evictable| one.origin.as_ref().and_then(|origin| counts.get(origin)) == Some(&most);
    Some(all.iter().filter(is_of_crowd).collect())
}

fn oldest<'a>(some: impl Iterator<Item = &'a Evictable>) -> Option<String> {
    some.min_by_key(|one| one.since).map(|one| one.id.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(id: &str, since: u64, has_proposed: bool, origin: Option<u8>) -> Evictable {
        Evictable {
            id: id.to_owned(),
            has_proposed,
            since: Duration::from_secs(since),
            origin: origin.map(address),
        }
    }

    fn address(last: u8) -> Origin {
        Origin::of([192, 0, 2, last].into())
    }

    #[test]
    fn proposals_have_no_more_than_half_of_the_room() {
        let proposals = (0..31).map(|n| one(&format!("p{n}"), 10 + n, true, None));
        let mut all: Vec<_> = proposals.chain([one("newcomer", 100, false, None)]).collect();
        // Each newcomer takes a proposal's place until there are as many of them.
        for n in 0..15_u64 {
            assert_eq!(victim(&all, None, 32), Some(format!("p{n}")));
            all.retain(|one| one.id != format!("p{n}"));
            all.push(one(&format!("n{n}"), 101 + n, false, None));
        }
        assert_eq!(victim(&all, None, 32).as_deref(), Some("newcomer"));
        // Once it has proposed, it stays while idle ones come and go.
        all.iter_mut()
            .filter(|one| one.id == "p20")
            .for_each(|one| one.has_proposed = false);
        assert_eq!(victim(&all, None, 32).as_deref(), Some("p20"));
    }

    #[test]
    fn whoever_comes_from_a_crowd_goes_first() {
        let crowd = (0..31).map(|n| one(&format!("c{n}"), 50 + n, n % 2 == 0, Some(1)));
        let all: Vec<_> = crowd.chain([one("honest", 1, false, Some(2))]).collect();
        assert_eq!(
            victim(&all, Some(&address(1)), 32).as_deref(),
            Some("c1"),
            "its own make room"
        );
        assert_eq!(victim(&all, Some(&address(3)), 32).as_deref(), Some("c1"));
        assert_eq!(victim(&all, Some(&address(2)), 32).as_deref(), Some("c1"));
    }
}
