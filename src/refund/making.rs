//! The transactions the engine makes: refunds, and children of commitments that are stuck.

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf};
use streamium_channel::refund::{RefundError, refund};

use super::engine::{Engine, Means};
use super::fees::Market;
use super::notices;
use crate::chain::Tip;
use crate::store::{Made, MadeFor};
use crate::wallet::ChildError;

/// How soon a lifted commitment should confirm. It holds up a stream, so sooner than usual.
const LIFT_TARGET_BLOCKS: u16 = 2;

impl Engine {
    /// Makes a refund at this rate, records it, hands it out.
    pub(super) fn refund(&mut self, means: &mut Means<'_>, outpoint: OutPoint, fee_rate: FeeRate, tip: Tip) {
        let script = match self.refund_script(means, outpoint) {
            Ok(script) => script,
            Err(words) => return self.say_once(outpoint, notices::not_now(outpoint, "refunded", &words)),
        };
        let Some(held) = self.channels.get(&outpoint) else {
            return;
        };
        let tx = match refund(&held.channel, &held.key, &script, fee_rate) {
            Ok(tx) => tx,
            Err(RefundError::NotWorthIt { .. }) if !held.refunds.is_empty() => {
                return self.hand_out_refund(means, outpoint, tip);
            }
            Err(error) => return self.say_once(outpoint, notices::not_now(outpoint, "refunded", &error)),
        };
        let value: Amount = tx.output.iter().map(|output| output.value).sum();
        let capacity = held.channel.contract().capacity();
        let made = Made {
            fee: capacity.checked_sub(value).unwrap_or(Amount::ZERO),
            height: tip.height,
            tx,
        };
        let replaces = !held.refunds.is_empty();
        let report = notices::refunding(outpoint, made.tx.compute_txid(), value, made.fee, replaces);
        if let Err(error) = means
            .store
            .insert_consumer_transaction(outpoint, MadeFor::Refund, &made)
        {
            let words =
                format!("The refund of channel {outpoint} can't be recorded, so it is not sent: {error}.");
            return self.say_once(outpoint, notices::store_failed(words));
        }
        self.hand_out(means.chain, &made.tx, tip);
        if let Some(held) = self.channels.get_mut(&outpoint) {
            held.refunds.push(made);
        }
        self.say(report);
    }

    pub(super) fn hand_out_refund(&mut self, means: &Means<'_>, outpoint: OutPoint, tip: Tip) {
        let newest = self.channels.get(&outpoint).and_then(|held| held.refunds.last());
        if let Some(tx) = newest.map(|made| made.tx.clone()) {
            self.hand_out(means.chain, &tx, tip);
        }
    }

    /// A fresh script of the wallet; the same one for every refund of a channel, as their replacements.
    fn refund_script(&mut self, means: &mut Means<'_>, outpoint: OutPoint) -> Result<ScriptBuf, String> {
        let held = self
            .channels
            .get_mut(&outpoint)
            .ok_or("it is not followed any more")?;
        if let Some(script) = &held.refund_script {
            return Ok(script.clone());
        }
        let address = means.wallet.refund_address().map_err(|error| error.to_string())?;
        let script = address.script_pubkey();
        let saved = means.store.save_refund_script(outpoint, &script);
        saved.map_err(|error| error.to_string())?;
        held.refund_script = Some(script.clone());
        Ok(script)
    }

    /// The commitment is in the mempool: if it is stuck there, a child pays for both.
    pub(super) fn lift(&mut self, means: &mut Means<'_>, outpoint: OutPoint, tip: Tip) {
        self.note_committed(means, outpoint, tip);
        let market = Market {
            height: tip.height,
            estimate: means.chain.fee_rate(LIFT_TARGET_BLOCKS),
            max: self.max_fee_rate.unwrap_or(FeeRate::ZERO),
        };
        let Some(held) = self.channels.get(&outpoint) else {
            return;
        };
        // Before the wallet's first sync it knows no fee; it comes back here after it.
        let (Some(parent_fee), Some(since)) = (means.wallet.fee_of(&held.commitment), held.committed_height)
        else {
            return;
        };
        let newest = held.children.last();
        let (paid, since) = match newest {
            Some(made) => {
                let fee = parent_fee.checked_add(made.fee).unwrap_or(Amount::MAX_MONEY);
                (fee / (held.commitment.weight() + made.tx.weight()), made.height)
            }
            None => (parent_fee / held.commitment.weight(), since),
        };
        let Some(target) = market.next(paid, since) else {
            return self.hand_out_child(means.chain, outpoint, tip);
        };
        let earlier = newest.map(|made| (&made.tx, made.fee));
        let built = means
            .wallet
            .build_child(&held.commitment, outpoint.vout, target, earlier);
        match built {
            Ok(child) => {
                let (tx, fee, height) = (child.tx, child.fee, tip.height);
                self.send_child(means, outpoint, Made { tx, fee, height }, tip);
            }
            // It will know it after its next sync; what spends the change lifts the commitment by itself.
            Err(ChildError::UnknownParent(_) | ChildError::ChangeTaken) => (),
            Err(error) => {
                self.say_once(outpoint, notices::not_now(outpoint, "sped up", &error));
                self.hand_out_child(means.chain, outpoint, tip);
            }
        }
    }

    fn send_child(&mut self, means: &mut Means<'_>, outpoint: OutPoint, made: Made, tip: Tip) {
        let recorded = means
            .store
            .insert_consumer_transaction(outpoint, MadeFor::Child, &made)
            .map_err(|error| error.to_string())
            .and_then(|()| {
                means
                    .wallet
                    .reserve_for(&made.tx)
                    .map_err(|error| error.to_string())
            });
        if let Err(words) = recorded {
            let words = format!(
                "What would speed up channel {outpoint} can't be recorded, so it is not sent: {words}."
            );
            return self.say_once(outpoint, notices::store_failed(words));
        }
        self.hand_out(means.chain, &made.tx, tip);
        self.say(notices::lifted(outpoint, made.tx.compute_txid(), made.fee));
        if let Some(held) = self.channels.get_mut(&outpoint) {
            held.children.push(made);
        }
    }
}
