//! Settlements that are not confirmed: bumped by replacement (BIP125), whole, or left by a channel that can't wait.

use bitcoin::{OutPoint, Txid};
use streamium_channel::blocks::LEAVE_BATCH_BLOCKS;
use streamium_channel::settlement::MAX_SETTLEMENT_CHANNELS;

use super::due::Made;
use super::make::Wish;
use super::plan::may_share;
use super::view::View;
use super::{Engine, Heights, Outside, fees};
use crate::store::SettlementKind;

impl Engine {
    /// Looks after all that is handed out and not in a block, once servers have said what the last block holds.
    pub(super) fn renew(&mut self, heights: Heights, out: &mut Outside<'_>) {
        if out.now < self.quiet_from {
            return;
        }
        let view = self.view(heights);
        for txid in self.current(&view) {
            self.renew_one(txid, &view, out);
        }
    }

    fn renew_one(&mut self, txid: Txid, view: &View, out: &mut Outside<'_>) {
        let Some(made) = self.made.get(&txid) else { return };
        if view.is_confirmed(txid, made) || !view.is_spendable(made) {
            return;
        }
        if made.kind == SettlementKind::Cooperative {
            return self.out_bid_close(txid, view, out);
        }
        if let Some(leaver) = self.leaver(made, view)
            && self.go_alone(leaver, txid, view, out)
        {
            // The others are settled anew: nothing that is current spends them.
            return;
        }
        if self.leave_behind(txid, view, out) {
            return;
        }
        let Some(made) = self.made.get(&txid) else { return };
        if let Some(why) = self.reason_to_bump(made, view, out) {
            self.bump(txid, why, view, out);
        }
    }

    /// Settles a channel whose cooperative close is not confirmed in time, refused, or late: with what was paid and a fee
    /// of our own. What it can't afford now is tried again with each block.
    fn out_bid_close(&mut self, txid: Txid, view: &View, out: &mut Outside<'_>) {
        let Some(made) = self.made.get(&txid) else { return };
        let paid = |outpoint: &OutPoint| {
            self.channels
                .get(outpoint)
                .is_some_and(|due| due.payment.is_some())
        };
        let left = self.least_left(&made.channels, view);
        let waited = view.heights.tip.height.saturating_sub(made.height);
        let stale = waited > 0 && (made.refused || waited >= fees::patience_blocks(left));
        if !stale || !made.channels.iter().all(paid) {
            return;
        }
        let channels = made.channels.clone();
        // Where no server has it, there is nothing to be replaced.
        let replaces = match view.is_known(txid, made) {
            true => vec![txid],
            false => Vec::new(),
        };
        let Ok(rate) = self.rate(&channels, view, out) else {
            return;
        };
        let wish = Wish {
            rivals: self.rivals(&channels, view),
            channels,
            rate,
            replaces,
            why: Some("its cooperative close was not confirmed in time"),
        };
        if let Err(why) = self.make(&wish, view, out) {
            self.say_unmade(&wish.channels, &why, view);
        }
    }

    /// A channel that should not share its settlement's fate any longer.
    fn leaver(&self, made: &Made, view: &View) -> Option<OutPoint> {
        if made.channels.len() < 2 {
            return None;
        }
        let leaves = |outpoint: &&OutPoint| {
            self.channels.get(outpoint).is_some_and(|due| {
                due.rival(view.heights).is_some() || view.left(due) <= u32::from(LEAVE_BATCH_BLOCKS)
            })
        };
        made.channels.iter().find(leaves).copied()
    }

    /// Settles one channel of a batch alone. False if its balance does not pay for out-bidding the whole batch.
    fn go_alone(&mut self, outpoint: OutPoint, batch: Txid, view: &View, out: &mut Outside<'_>) -> bool {
        let channels = vec![outpoint];
        let Ok(rate) = self.rate(&channels, view, out) else {
            return false;
        };
        let rivals = self.rivals(&channels, view);
        let wish = Wish {
            channels,
            rate,
            // Where somebody else's spend has replaced the batch, that is what there is to be replaced.
            replaces: match rivals.is_empty() {
                true => vec![batch],
                false => Vec::new(),
            },
            rivals,
            why: Some("one channel can't wait for the others"),
        };
        self.make(&wish, view, out).is_ok()
    }

    /// Settles a batch without the channels that somebody else is spending, and that are not worth out-bidding that:
    /// the others must not pay for it. Nodes that have the rival have the batch no longer, so what the batch paid need
    /// not be out-bid; where that is wrong, the refusal brings a bump.
    fn leave_behind(&mut self, txid: Txid, view: &View, out: &mut Outside<'_>) -> bool {
        let Some(made) = self.made.get(&txid) else {
            return false;
        };
        let is_free = |outpoint: &&OutPoint| {
            let due = self.channels.get(outpoint);
            due.is_some_and(|due| due.rival(view.heights).is_none())
        };
        let rest: Vec<OutPoint> = made.channels.iter().filter(is_free).copied().collect();
        if rest.is_empty() || rest.len() == made.channels.len() {
            return false;
        }
        let Ok(rate) = self.rate(&rest, view, out) else {
            return false;
        };
        let wish = Wish {
            channels: rest,
            rate,
            replaces: Vec::new(),
            rivals: Vec::new(),
            why: None,
        };
        self.make(&wish, view, out).is_ok()
    }

    /// Why a settlement should be replaced now; at most once a block, as only blocks show that it does not confirm.
    fn reason_to_bump(&self, made: &Made, view: &View, out: &Outside<'_>) -> Option<&'static str> {
        let waited = view.heights.tip.height.saturating_sub(made.height);
        let rivalled = !self.rivals(&made.channels, view).is_empty();
        if waited == 0 {
            return None;
        }
        let left = self.least_left(&made.channels, view);
        let estimate = out.chain.fee_rate(fees::target_blocks(left));
        if rivalled {
            Some("another transaction spends the same channel")
        } else if made.refused {
            Some("servers refuse it for its fee")
        } else if waited >= fees::patience_blocks(left) {
            Some("it was not confirmed in time")
        } else if estimate.is_some_and(|estimate| fees::has_risen(estimate, made.fee_rate())) {
            Some("fees have risen")
        } else {
            None
        }
    }

    fn bump(&mut self, txid: Txid, why: &'static str, view: &View, out: &mut Outside<'_>) {
        let Some(made) = self.made.get(&txid) else { return };
        let rate = match self.rate(&made.channels, view, out) {
            Ok(rate) => rate.max(fees::bumped(made.fee_rate())),
            // Above the highest rate there is nothing to be had.
            Err(_) => return,
        };
        let rivals = self.rivals(&made.channels, view);
        let alone = made.channels.clone();
        let wish = |channels| Wish {
            channels,
            rate: rate.min(self.policy.max_fee_rate),
            replaces: vec![txid],
            rivals: rivals.clone(),
            why: Some(why),
        };
        let (larger, same) = (wish(self.with_companions(made, view, out)), wish(alone));
        // What can't be afforded now may be with the next block.
        let done = self.make(&larger, view, out).is_ok();
        if !done && larger.channels != same.channels {
            let _ = self.make(&same, view, out);
        }
    }

    /// The same channels, and those that wait, where all may share a settlement.
    fn with_companions(&self, made: &Made, view: &View, out: &Outside<'_>) -> Vec<OutPoint> {
        let mut channels = made.channels.clone();
        let share = |outpoint: &OutPoint| {
            self.channels
                .get(outpoint)
                .is_some_and(|due| may_share(due, *outpoint, view))
        };
        if channels.iter().all(share) {
            channels.extend(self.companions(view, out));
            channels.truncate(MAX_SETTLEMENT_CHANNELS);
        }
        channels
    }
}
