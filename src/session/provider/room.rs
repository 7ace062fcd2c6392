//! Room for those that have not paid. Each costs a connection, so their number is limited, and a crowd of them must
//! not keep out who wants to pay.

use std::collections::HashMap;

use streamium_channel::provider::{EndReason, Stake};

use super::driver::Driver;
use super::live::{Live, Phase};

impl Driver {
    /// Whether one more may come. Whose commitment the chain knows does not count: that has a price.
    pub(super) fn has_room(&self) -> bool {
        let Some(paid) = &self.options.paid else {
            return true;
        };
        let unpaid = self.sessions.values().filter(|live| self.counts(live));
        unpaid.count() < paid.max_unpaid_consumers
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

    /// Makes room, if anyone can go.
    pub(super) fn evict_idle(&mut self) -> bool {
        let Some(id) = longest_idle(&self.sessions) else {
            return false;
        };
        self.close_session(&id, EndReason::Busy);
        if let Some(live) = self.sessions.get(&id)
            && matches!(live.phase, Phase::Connecting | Phase::Waiting(_))
        {
            live.peer.end();
            self.sessions.remove(&id);
        }
        true
    }
}

/// Of those with the least at stake, the one that has been here longest. Never one whose money is locked.
fn longest_idle(sessions: &HashMap<String, Live>) -> Option<String> {
    let unpaid = sessions
        .iter()
        .filter_map(|(id, live)| Some((id, live, live.unpaid()?)));
    let idle = unpaid.filter(|(_, _, stake)| *stake < Stake::Commitment);
    let longest = idle.min_by_key(|(_, live, stake)| (*stake, live.since));
    longest.map(|(id, ..)| id.clone())
}
