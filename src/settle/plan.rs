//! First settlements: which channels settle now, alone or together.

use std::time::Duration;

use bitcoin::{FeeRate, OutPoint};
use streamium_channel::blocks::{BATCH_CONFIRMATIONS, BATCH_MARGIN};
use streamium_channel::settlement::{ADDED_CHANNEL_VB, MAX_SETTLEMENT_CHANNELS};

use super::due::{Due, Phase, Rival, Topic};
use super::make::{Unmade, Wish};
use super::view::View;
use super::{Engine, Heights, Outside, fees, notices};
use crate::chain::Tip;
use crate::store::ProviderChannelState;

/// How a channel that has no settlement yet gets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By itself, now.
    Alone,
    /// With others as deep; not before that time, unless one of them has waited long enough.
    Together { from: Duration },
    /// Not now: it will be deep enough to share a settlement before its wait is over.
    Wait,
}

impl Engine {
    pub(super) fn settle_new(&mut self, heights: Heights, out: &mut Outside<'_>) {
        let view = self.view(heights);
        let (mut alone, mut together) = (Vec::new(), Vec::new());
        for (outpoint, due) in &self.channels {
            if !is_unsettled(due, *outpoint, &view) {
                continue;
            }
            match self.way(due, &view, out.now) {
                Some(Way::Alone) => alone.push(*outpoint),
                Some(Way::Together { from }) => together.push((*outpoint, from)),
                Some(Way::Wait) | None => (),
            }
        }
        for outpoint in alone {
            self.settle_these(vec![outpoint], &view, out);
        }
        self.settle_together(together, &view, out);
    }

    fn way(&self, due: &Due, view: &View, now: Duration) -> Option<Way> {
        let Phase::Due { since } = due.phase else {
            return None;
        };
        let depth = view.depth(due.channel.outpoint());
        if view.left(due) < u32::from(BATCH_MARGIN) || due.rival(view.heights).is_some() {
            return Some(Way::Alone);
        }
        let until = since.saturating_add(self.policy.batch_delay);
        let missing = BATCH_CONFIRMATIONS.saturating_sub(depth);
        if missing == 0 {
            let from = if self.stopping { now } else { until };
            return Some(Way::Together { from });
        }
        let deep_enough = now.saturating_add(Tip::BLOCK_INTERVAL.saturating_mul(missing));
        Some(if self.stopping || deep_enough > until {
            Way::Alone
        } else {
            Way::Wait
        })
    }

    /// Those that are worth their part settle together, as soon as one of them has waited long enough. The others are
    /// told that they wait for cheaper fees.
    fn settle_together(&mut self, ready: Vec<(OutPoint, Duration)>, view: &View, out: &mut Outside<'_>) {
        // After a block a settlement that is bumped may take them along.
        if self.awaits_answers(out.now) || (out.now < self.quiet_from && !self.stopping) {
            return;
        }
        let mut worth = Vec::new();
        for (outpoint, from) in ready {
            let channels = [outpoint];
            match self.part(&channels, view, out) {
                Ok(()) => worth.push((outpoint, from)),
                Err(why) => self.say_unmade(&channels, &why, view),
            }
        }
        // Those with the least time first.
        worth.sort_by_key(|(outpoint, _)| self.channels.get(outpoint).map(|due| view.left(due)));
        for batch in worth.chunks(MAX_SETTLEMENT_CHANNELS) {
            let channels: Vec<_> = batch.iter().map(|(outpoint, _)| *outpoint).collect();
            let is_full = batch.len() == MAX_SETTLEMENT_CHANNELS;
            let Some(from) = batch.iter().map(|(_, from)| *from).min() else {
                continue;
            };
            if is_full || from <= out.now {
                self.settle_these(channels, view, out);
            } else {
                self.say_waiting(&channels, from.saturating_sub(out.now));
            }
        }
    }

    /// Whether a channel is worth what it adds to a settlement.
    fn part(&self, channels: &[OutPoint], view: &View, out: &Outside<'_>) -> Result<(), Unmade> {
        let rate = self.rate(channels, view, out)?;
        let fee = rate
            .fee_vb(ADDED_CHANNEL_VB)
            .unwrap_or(bitcoin::Amount::MAX_MONEY);
        if fee <= self.max_fee(channels, view) {
            return Ok(());
        }
        let balance = self.balance(channels);
        Err(Unmade::NotWorthIt { balance, fee, rate })
    }

    /// The rate that suits the channel with the least time.
    pub(super) fn rate(
        &self,
        channels: &[OutPoint],
        view: &View,
        out: &Outside<'_>,
    ) -> Result<FeeRate, Unmade> {
        let left = self.least_left(channels, view);
        let estimate = out.chain.fee_rate(fees::target_blocks(left));
        fees::rate(estimate, left, self.policy.max_fee_rate).ok_or(Unmade::TooHigh {
            rate: fees::settlement_fee_rate(estimate),
        })
    }

    pub(super) fn least_left(&self, channels: &[OutPoint], view: &View) -> u32 {
        let dues = channels.iter().filter_map(|outpoint| self.channels.get(outpoint));
        dues.map(|due| view.left(due)).min().unwrap_or(0)
    }

    fn settle_these(&mut self, channels: Vec<OutPoint>, view: &View, out: &mut Outside<'_>) {
        let made = self.rate(&channels, view, out).and_then(|rate| {
            let wish = Wish {
                channels: channels.clone(),
                rate,
                replaces: Vec::new(),
                rivals: self.rivals(&channels, view),
                why: None,
            };
            self.make(&wish, view, out)
        });
        if let Err(why) = made {
            self.say_unmade(&channels, &why, view);
        }
    }

    /// What somebody else makes of these channels.
    pub(super) fn rivals(&self, channels: &[OutPoint], view: &View) -> Vec<Rival> {
        let dues = channels.iter().filter_map(|outpoint| self.channels.get(outpoint));
        dues.filter_map(|due| due.rival(view.heights)).collect()
    }

    fn say_waiting(&mut self, channels: &[OutPoint], wait: Duration) {
        for outpoint in channels {
            if let Some(due) = self.channels.get_mut(outpoint)
                && due.said.insert(Topic::Batch)
            {
                self.report(notices::waits_for_batch(*outpoint, wait));
            }
        }
    }

    /// Lets channels be whose refund leaf is open and which were never worth it. What they paid is lost.
    pub(super) fn leave(&mut self, heights: Heights, out: &mut Outside<'_>) {
        let view = self.view(heights);
        let over = self.channels.iter().filter(|(outpoint, due)| {
            is_unsettled(due, **outpoint, &view) && due.made.is_empty() && view.left(due) == 0
        });
        let over: Vec<OutPoint> = over.map(|(outpoint, _)| *outpoint).collect();
        for outpoint in over {
            let balance = self.balance(&[outpoint]);
            let left = ProviderChannelState::Left;
            match out.store.set_provider_state(outpoint, left, None) {
                Ok(()) => {
                    self.let_go(outpoint, out);
                    self.report(notices::left(outpoint, balance));
                }
                Err(error) => self.say_unmade(&[outpoint], &Unmade::Failed(error.to_string()), &view),
            }
        }
    }
}

/// True for a due channel that could be settled, and has no settlement that still counts.
fn is_unsettled(due: &Due, outpoint: OutPoint, view: &View) -> bool {
    let free = view.spend(outpoint).is_none_or(|spend| spend.confirmations == 0);
    due.is_due()
        && due.payment.is_some()
        && view.depth(outpoint) > 0
        && free
        && view.current(outpoint).is_none()
}

/// True for a channel that may share a settlement.
pub(super) fn may_share(due: &Due, outpoint: OutPoint, view: &View) -> bool {
    view.depth(outpoint) >= BATCH_CONFIRMATIONS
        && view.left(due) >= u32::from(BATCH_MARGIN)
        && due.rival(view.heights).is_none()
}

impl Engine {
    /// Channels that a settlement which is bumped may take along: worth their part, and due.
    pub(super) fn companions(&self, view: &View, out: &Outside<'_>) -> Vec<OutPoint> {
        let ready = self.channels.iter().filter(|(outpoint, due)| {
            is_unsettled(due, **outpoint, view)
                && may_share(due, **outpoint, view)
                && self.part(&[**outpoint], view, out).is_ok()
        });
        ready.map(|(outpoint, _)| *outpoint).collect()
    }
}
