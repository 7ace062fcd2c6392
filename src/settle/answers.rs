//! What the chain says.

use std::time::Duration;

use bitcoin::Txid;

use super::due::Topic;
use super::{Engine, Outside, notices};
use crate::chain::{BroadcastError, ChainEvent};
use crate::store::SettlementKind;

/// How long servers may take to answer for one more channel before a batch is made without it. So channels that become
/// due in one moment, as at a start or a stop, share a settlement.
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

/// After a block nothing is replaced until servers have said nothing new for so long: they tell of each channel by
/// itself, and what is to be replaced may be in that block...
const QUIET: Duration = Duration::from_secs(2);

/// ...but no longer than this.
const MAX_QUIET: Duration = Duration::from_secs(10);

impl Engine {
    /// Something became known of the chain. What concerns no channel of the engine changes nothing.
    pub fn chain_event(&mut self, event: &ChainEvent, out: &mut Outside<'_>) {
        match event {
            ChainEvent::Script { script, transactions } => {
                let Some(outpoint) = self.scripts.get(script).copied() else {
                    return;
                };
                let Some(due) = self.channels.get_mut(&outpoint) else {
                    return;
                };
                let was_awaited = due.awaits_answer();
                due.news = Some(transactions.clone());
                if was_awaited {
                    self.expect_answers(out.now);
                }
                let at_most = self.tip_at.saturating_add(MAX_QUIET);
                self.quiet_from = out.now.saturating_add(QUIET).min(at_most);
            }
            ChainEvent::Broadcast { txid, result } => self.answered(*txid, result),
            // What nobody could be told before is told now.
            ChainEvent::Reachable { .. } => {
                self.made.values_mut().for_each(|made| made.handed_out = None);
                self.channels.values_mut().for_each(|due| due.recommitted = None);
            }
            ChainEvent::Tip(_) => {
                self.tip_at = out.now;
                self.quiet_from = out.now.saturating_add(QUIET);
            }
            ChainEvent::FeeRate(_) => (),
            ChainEvent::Unreachable { .. }
            | ChainEvent::Disagreement { .. }
            | ChainEvent::Agreement { .. }
            | ChainEvent::WalletSynced(_)
            | ChainEvent::WalletSyncFailed(_) => {
                return;
            }
        }
        self.work(out);
    }

    fn answered(&mut self, txid: Txid, result: &Result<(), BroadcastError>) {
        self.unanswered.remove(&txid);
        let Err(error) = result else { return };
        let Some(made) = self.made.get_mut(&txid) else {
            return;
        };
        // Tried again with the next block, at a higher rate.
        made.refused |= match made.kind {
            SettlementKind::Settlement => matches!(error, BroadcastError::FeeTooLow { .. }),
            // Whatever is wrong with a close, it is not to be waited for.
            SettlementKind::Cooperative => *error != BroadcastError::Unreachable,
        };
        let first = made.channels.first().copied();
        let report = notices::not_out(txid, &made.channels, error);
        if let Some(due) = first.and_then(|outpoint| self.channels.get_mut(&outpoint))
            && due.said.insert(Topic::Refused(txid))
        {
            self.report(report);
        }
    }

    pub(super) fn expect_answers(&mut self, now: Duration) {
        self.answers_until = now.saturating_add(ANSWER_PATIENCE);
    }

    /// True while a server may soon say what became of a due channel.
    pub(super) fn awaits_answers(&self, now: Duration) -> bool {
        now < self.answers_until
            && self
                .channels
                .values()
                .any(|due| due.is_due() && due.awaits_answer())
    }
}
