//! The consumer's channels on the chain: followed until they are spent, refunded if nobody settles them.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use streamium_channel::record::ConsumerRecord;

use super::driver::Driver;
use super::notices;
use crate::chain::{BroadcastError, ChainEvent, USUAL_TARGET_BLOCKS};
use crate::refund::{OpenChannel, Step};
use crate::session::{Report, Severity, sats};
use crate::settle::settlement_fee_rate;
use crate::store::{ConsumerChannelState, StoredConsumerChannel};

impl Driver {
    /// Takes up the channels of earlier runs: their change or their refund is still to come.
    pub(super) fn recover(&mut self) {
        let Some(money) = &self.money else { return };
        match money.store.unspent() {
            Ok((channels, damaged)) => {
                for outpoint in damaged {
                    self.say(notices::damaged(&outpoint));
                }
                for stored in channels {
                    self.take_up(stored);
                }
            }
            Err(error) => {
                let words = format!("The channels on record can't be read: {error}.");
                self.say(Report::new("store-failed").say(words).severity(Severity::Error));
            }
        }
    }

    fn take_up(&mut self, stored: StoredConsumerChannel) {
        let outpoint = stored.record.outpoint;
        let network = self.options.network;
        let Some(money) = &mut self.money else { return };
        match money.open_channel(&stored.record, network) {
            Ok(channel) => money.follow(OpenChannel {
                refund: stored.refund,
                ..channel
            }),
            Err(words) => {
                let words = format!("Channel {outpoint} can't be refunded: {words}.");
                self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            }
        }
    }

    /// On record, with all that a refund needs, before a byte of the commitment is sent.
    pub(super) fn save_channel(&mut self, record: &ConsumerRecord) -> Result<(), String> {
        let network = self.options.network;
        let Some(money) = &mut self.money else {
            return Ok(());
        };
        let channel = money.open_channel(record, network)?;
        let descriptor = channel.channel.script().descriptor().to_owned();
        money
            .store
            .insert_consumer_channel(record, &descriptor)
            .map_err(|error| error.to_string())?;
        money.in_use = Some(record.outpoint);
        money.follow(channel);
        Ok(())
    }

    pub(super) fn chain_event(&mut self, event: ChainEvent) {
        match event {
            ChainEvent::Tip(_) => {
                self.sync();
                let outpoints: Vec<_> = self
                    .money
                    .iter()
                    .flat_map(|money| money.channels.keys().copied())
                    .collect();
                for outpoint in outpoints {
                    self.channel_news(outpoint);
                }
            }
            ChainEvent::Script { script, transactions } => {
                let watched = self
                    .money
                    .as_mut()
                    .and_then(|money| money.watched.update(&script, transactions));
                match watched {
                    Some(outpoint) => {
                        self.channel_news(outpoint);
                        // Change or refund may have come home.
                        self.sync();
                    }
                    None => self.watch_funding(),
                }
            }
            ChainEvent::WalletSynced(update) => self.synced(*update),
            ChainEvent::WalletSyncFailed(_) => {
                // The next block, or the server's return, starts another.
                if let Some(money) = &mut self.money {
                    money.syncing = false;
                }
            }
            ChainEvent::Reachable { server } => {
                self.say(crate::session::reachable(&server));
                self.sync();
            }
            ChainEvent::Unreachable { server, why } => self.say(crate::session::unreachable(&server, &why)),
            ChainEvent::Disagreement { server, words } => {
                self.say(crate::session::disagreement(&server, &words));
            }
            ChainEvent::Agreement { server } => self.say(crate::session::agreement(&server)),
            ChainEvent::Broadcast { txid, result } => self.broadcast_answer(txid, result),
            ChainEvent::FeeRate(_) => (),
        }
    }

    fn broadcast_answer(&mut self, txid: Txid, result: Result<(), BroadcastError>) {
        let (Err(error), Some(money)) = (result, &self.money) else {
            return;
        };
        // A channel that was spent meanwhile is no news; what nobody takes is.
        let of_refund = |channel: &OpenChannel| {
            channel
                .refund
                .as_ref()
                .is_some_and(|tx| tx.compute_txid() == txid)
        };
        let refunded = money
            .channels
            .iter()
            .find(|(_, channel)| of_refund(channel))
            .map(|(outpoint, _)| *outpoint);
        let committed = money.in_use.filter(|outpoint| outpoint.txid == txid);
        let (outpoint, what) = match (committed, refunded) {
            (Some(outpoint), _) => (outpoint, "commitment transaction"),
            (None, Some(outpoint)) => (outpoint, "refund"),
            (None, None) => return,
        };
        let words = format!("The {what} {txid} was not taken, and is tried again: {error}.");
        let report = Report::new("chain")
            .text_field("reason", &error)
            .severity(Severity::Warning);
        self.say_once(outpoint, report.say(words));
    }

    /// Does the next step for a channel that may hold our money.
    fn channel_news(&mut self, outpoint: OutPoint) {
        let max_fee_rate = self.options.policy.max_fee_rate;
        let Some(money) = &self.money else { return };
        let Some(tip) = money.chain.tip() else { return };
        let Some(status) = money.watched.status(outpoint, tip.height) else {
            return;
        };
        let Some(channel) = money.channels.get(&outpoint) else {
            return;
        };
        // The channel's change script is a fresh one of this wallet: as good a destination as any.
        let destination = channel.channel.contract().change().script().clone();
        let fee_rate = settlement_fee_rate(money.chain.fee_rate(USUAL_TARGET_BLOCKS)).min(max_fee_rate);
        match channel.step(status, &destination, fee_rate) {
            Step::Recommit => money.chain.broadcast(&channel.commitment),
            Step::Wait { .. } => (),
            Step::Rebroadcast(transaction) => money.chain.broadcast(&transaction),
            Step::Refund(transaction) => self.refund(outpoint, transaction),
            Step::Pending(txid) => self.say_once(outpoint, notices::closing(outpoint, txid)),
            Step::Spent(txid) => self.close_channel(outpoint, txid),
            Step::Stuck(error) => {
                let report = Report::new("refund")
                    .text_field("outpoint", outpoint)
                    .severity(Severity::Warning);
                self.say_once(
                    outpoint,
                    report.say(format!("Channel {outpoint} can't be refunded now: {error}.")),
                );
            }
        }
    }

    /// On record first, then handed out.
    fn refund(&mut self, outpoint: OutPoint, transaction: Transaction) {
        let txid = transaction.compute_txid();
        let value = transaction
            .output
            .first()
            .map_or(Amount::ZERO, |output| output.value);
        let Some(money) = &mut self.money else { return };
        if let Err(error) = money.store.save_refund(outpoint, &transaction) {
            let words = format!("The refund of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            return;
        }
        money.chain.broadcast(&transaction);
        if let Some(channel) = money.channels.get_mut(&outpoint) {
            channel.refund = Some(transaction);
        }
        self.say(
            Report::new("refund")
                .text_field("outpoint", outpoint)
                .text_field("txid", txid)
                .sat("amount-sat", value)
                .say(format!(
                    "The provider never settled; {} come back in {txid}.",
                    sats(value)
                )),
        );
    }

    fn close_channel(&mut self, outpoint: OutPoint, txid: Txid) {
        let Some(money) = &mut self.money else { return };
        let recorded = money
            .store
            .set_consumer_state(outpoint, ConsumerChannelState::Spent, Some(txid));
        money.let_go(outpoint);
        if let Err(error) = recorded {
            let words = format!("The end of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
    }

    fn say_once(&mut self, outpoint: OutPoint, report: Report) {
        let text = report.text.clone().unwrap_or_default();
        let Some(money) = &mut self.money else { return };
        if money.said.insert(outpoint, text.clone()).as_ref() != Some(&text) {
            self.say(report);
        }
    }
}
