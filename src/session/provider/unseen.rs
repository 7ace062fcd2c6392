//! Commitments that no server has come to know: who double-spends one quickly enough is never told of otherwise.

use std::time::Duration;

use bitcoin::OutPoint;
use streamium_channel::provider::CommitmentStatus;

use super::driver::Driver;
use super::live::Live;
use crate::chain::OutpointStatus;

/// Servers look into their node's mempool every few seconds. What none has seen for so long is not on its way.
const UNSEEN_AFTER: Duration = Duration::from_secs(15);

impl Driver {
    /// What was handed out long enough ago and is still not known counts nothing, until it is.
    pub(super) fn tick_unseen(&mut self, now: Duration) {
        let Some(money) = &mut self.money else { return };
        let due = |since: &Duration| now >= since.saturating_add(UNSEEN_AFTER);
        let over: Vec<OutPoint> = money
            .unseen
            .iter()
            .filter(|(_, since)| due(since))
            .map(|(outpoint, _)| *outpoint)
            .collect();
        for outpoint in over {
            self.unseen(outpoint, now);
        }
    }

    fn unseen(&mut self, outpoint: OutPoint, now: Duration) {
        let Some(money) = &mut self.money else { return };
        money.unseen.remove(&outpoint);
        // While no server answers nothing is known either way.
        if money.status(outpoint) != Some(OutpointStatus::default()) {
            return;
        }
        let Some(id) = money.sessions.get(&outpoint).cloned() else {
            return;
        };
        if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
            let effects = session.commitment_status(outpoint, CommitmentStatus::Missing, now);
            self.carry_out(&id, effects);
        }
    }
}
