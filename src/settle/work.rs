//! One step of the engine: looks at everything, does what is missing.

use std::time::Duration;

use bitcoin::{OutPoint, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;

use super::due::{Phase, Topic};
use super::view::View;
use super::{Engine, Heights, Outside, notices};
use crate::chain::Spend;
use crate::store::{ProviderChannelState, SettlementKind};

/// Without any news everything is looked at this often, since deadlines go by the wall clock too.
const LOOK_INTERVAL: Duration = Duration::from_secs(60);

impl Engine {
    /// Time has passed. Does nothing before [`Engine::next`].
    pub fn tick(&mut self, out: &mut Outside<'_>) {
        if self.wake.is_some_and(|at| out.now >= at) {
            self.work(out);
        }
    }

    /// When [`Engine::tick`] has something to do, if nothing happens before.
    pub fn next(&self) -> Option<Duration> {
        self.wake
    }

    fn next_after(&self, now: Duration) -> Option<Duration> {
        let of_channel = self.channels.values().map(|due| match due.phase {
            Phase::Idle { until } => until,
            Phase::Due { since } => since.saturating_add(self.policy.batch_delay),
        });
        let answers = self.awaits_answers(now).then_some(self.answers_until);
        let look = (!self.channels.is_empty()).then_some(now.saturating_add(LOOK_INTERVAL));
        let times = of_channel.chain(answers).chain(look).chain([self.quiet_from]);
        times.filter(|at| *at > now).min()
    }

    pub(super) fn work(&mut self, out: &mut Outside<'_>) {
        self.expire(out);
        // Nothing can be concluded before a server has answered.
        if let Some(heights) = out.heights() {
            self.look_at_spends(heights, out);
            self.recommit(heights, out);
            self.renew(heights, out);
            self.settle_new(heights, out);
            self.leave(heights, out);
            self.hand_out_all(heights, out);
        }
        self.wake = self.next_after(out.now);
    }

    /// Channels that can't be resumed any more become due.
    fn expire(&mut self, out: &mut Outside<'_>) {
        let heights = out.heights();
        let is_over = |due: &super::due::Due| {
            let Phase::Idle { until } = due.phase else {
                return false;
            };
            let last = due.channel.contract().delay().last_usable_confirmation();
            self.stopping || until <= out.now || heights.is_some_and(|heights| due.age(heights) > last)
        };
        let over: Vec<_> = self.channels.iter().filter(|(_, due)| is_over(due)).collect();
        let over: Vec<OutPoint> = over.into_iter().map(|(outpoint, _)| *outpoint).collect();
        for outpoint in over {
            self.become_due(outpoint, out);
        }
    }

    /// From now on it is to be settled; if nothing was paid, there is nothing to settle and nothing to follow.
    pub(super) fn become_due(&mut self, outpoint: OutPoint, out: &mut Outside<'_>) {
        let Some(due) = self.channels.get_mut(&outpoint) else {
            return;
        };
        due.phase = Phase::Due { since: out.now };
        let state = match (&due.payment, due.made.is_empty()) {
            (None, true) => ProviderChannelState::Unpaid,
            (Some(_), true) => ProviderChannelState::Due,
            (_, false) => return,
        };
        if state == ProviderChannelState::Unpaid {
            self.let_go(outpoint, out);
        }
        if let Err(error) = out.store.set_provider_state(outpoint, state, None) {
            let words = format!("The end of channel {outpoint} can't be recorded");
            self.report(notices::no_store(&words, &error));
        }
    }

    /// Closes what is buried, and says what was not expected: conflicts, reorganisations.
    fn look_at_spends(&mut self, heights: Heights, out: &mut Outside<'_>) {
        let view = self.view(heights);
        let outpoints: Vec<_> = self.channels.keys().copied().collect();
        for outpoint in outpoints {
            let Some(due) = self.channels.get_mut(&outpoint) else {
                continue;
            };
            if due.news.is_none() {
                continue;
            }
            let spend = view.spend(outpoint);
            let confirmed = spend
                .filter(|spend| spend.confirmations > 0)
                .map(|spend| spend.txid);
            let before = std::mem::replace(&mut due.confirmed, confirmed);
            if before != confirmed {
                due.said.clear();
                self.in_block(outpoint, before, confirmed);
            }
            if let Some(spend) = spend {
                self.spent(outpoint, spend, out);
            }
        }
    }

    /// A spend went into a block, or out of one. Of a batch it is said once.
    fn in_block(&mut self, outpoint: OutPoint, before: Option<Txid>, now: Option<Txid>) {
        if let Some(before) = before {
            let made = self.made.get_mut(&before);
            if made.is_none_or(|made| std::mem::replace(&mut made.confirmed, false)) {
                self.report(notices::reorganised(outpoint, before));
            }
        }
        if let Some(now) = now
            && let Some(made) = self.made.get_mut(&now)
            && !std::mem::replace(&mut made.confirmed, true)
        {
            let channels = made.channels.len();
            self.report(notices::confirmed(now, channels));
        }
    }

    fn spent(&mut self, outpoint: OutPoint, spend: Spend, out: &mut Outside<'_>) {
        let Some(due) = self.channels.get_mut(&outpoint) else {
            return;
        };
        let ours = due.made.contains(&spend.txid);
        if spend.confirmations < BURIED_CONFIRMATIONS {
            if !ours && due.said.insert(Topic::Conflict(spend.txid)) {
                self.report(notices::conflict(outpoint, spend));
            }
            return;
        }
        // The tip may be known before the news that its branch does not hold the spend.
        if out.now < self.quiet_from {
            return;
        }
        let state = match ours {
            true => ProviderChannelState::Settled,
            false => ProviderChannelState::Lost,
        };
        // Stays, and is closed again, until that is on record.
        match out.store.set_provider_state(outpoint, state, Some(spend.txid)) {
            Ok(()) => {
                self.let_go(outpoint, out);
                self.report(notices::closed(outpoint, spend.txid, ours));
            }
            Err(error) => {
                let words = format!("The end of channel {outpoint} can't be recorded");
                if due.said.insert(Topic::Failed(words.clone())) {
                    self.report(notices::no_store(&words, &error));
                }
            }
        }
    }

    /// Hands commitments out again that no server knows, once a block: nothing can be settled without them.
    fn recommit(&mut self, heights: Heights, out: &mut Outside<'_>) {
        let mut waiting = Vec::new();
        for (outpoint, due) in &mut self.channels {
            let Some(status) = due.status(heights).filter(|status| status.spend.is_none()) else {
                continue;
            };
            if status.made.is_none() && due.recommitted != Some(heights.tip.hash) {
                due.recommitted = Some(heights.tip.hash);
                out.chain.broadcast(&due.commitment);
            }
            let unconfirmed = status.made.unwrap_or(0) == 0;
            if unconfirmed && due.is_due() && due.said.insert(Topic::Unconfirmed) {
                waiting.push(notices::unconfirmed(*outpoint));
            }
        }
        waiting.into_iter().for_each(|report| self.report(report));
    }

    /// Hands out what is to be confirmed and is not in a block yet, once a block.
    fn hand_out_all(&mut self, heights: Heights, out: &mut Outside<'_>) {
        let view = self.view(heights);
        for txid in self.current(&view) {
            if self.is_missing(txid, &view, out.now) {
                self.hand_out(txid, out);
            }
        }
    }

    /// True if a transaction should be with the servers, and is not, as far as they have said.
    fn is_missing(&self, txid: Txid, view: &View, now: Duration) -> bool {
        let Some(made) = self.made.get(&txid) else {
            return false;
        };
        let heard = made
            .channels
            .iter()
            .all(|outpoint| self.channels.get(outpoint).is_some_and(|due| due.news.is_some()));
        // A cooperative close is of version 2 and may spend what is not confirmed.
        let spendable = made.kind == SettlementKind::Cooperative || view.is_spendable(made);
        made.handed_out != Some(view.heights.tip.hash)
            && (heard || !self.awaits_answers(now))
            && spendable
            && !view.is_known(txid, made)
            && !view.is_confirmed(txid, made)
    }

    pub(super) fn hand_out(&mut self, txid: Txid, out: &Outside<'_>) {
        if let Some(made) = self.made.get_mut(&txid) {
            made.handed_out = out.chain.tip().map(|tip| tip.hash);
            out.chain.broadcast(&made.transaction);
            self.unanswered.insert(txid);
        }
    }
}
