//! From a session's end to a settlement that is buried.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use streamium_channel::message::{ProviderMessage, encode};
use streamium_channel::settlement::Settlement;

use super::driver::Driver;
use crate::chain::USUAL_TARGET_BLOCKS;
use crate::session::{Report, Severity, keys, sats};
use crate::settle::{DueChannel, Step, settlement_fee_rate};
use crate::store::{ProviderChannelState, Role, StoredProviderChannel};

impl Driver {
    /// Takes up what an earlier run left: everything it had not settled is due, since no session uses it.
    pub(super) fn recover(&mut self) {
        if self.money.is_none() {
            return;
        }
        match self.store.unsettled() {
            Ok((channels, damaged)) => {
                for outpoint in damaged {
                    let words =
                        format!("The record of channel {outpoint} can't be read; it is left as it is.");
                    self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
                }
                let until = self.now().saturating_add(self.settle_delay());
                for stored in channels {
                    let (outpoint, open) = (stored.record.outpoint, stored.is_open);
                    self.take_up(stored);
                    if let (true, Some(money)) = (open, &mut self.money) {
                        money.due.remove(&outpoint);
                        money.idle.insert(outpoint, until);
                    }
                }
            }
            Err(error) => {
                let words = format!("The channels on record can't be read: {error}.");
                self.say(Report::new("store-failed").say(words).severity(Severity::Error));
            }
        }
    }

    fn take_up(&mut self, stored: StoredProviderChannel) {
        let outpoint = stored.record.outpoint;
        let outcome = self.due_channel(&stored).and_then(|due| {
            if due.payment.is_none() && due.settlements.is_empty() {
                let unpaid = ProviderChannelState::Unpaid;
                return self
                    .store
                    .set_provider_state(outpoint, unpaid, None)
                    .map_err(|error| error.to_string());
            }
            let script = due.channel.script().script_pubkey().clone();
            if let Some(money) = &mut self.money {
                money.watched.add(&*money.chain, outpoint, script);
                money.due.insert(outpoint, due);
            }
            Ok(())
        });
        if let Err(words) = outcome {
            let words = format!("Channel {outpoint} can't be settled: {words}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
    }

    fn due_channel(&self, stored: &StoredProviderChannel) -> Result<DueChannel, String> {
        let (channel, payment) = stored.record.restore().map_err(|error| error.to_string())?;
        let index = stored.record.key_index;
        let key = keys::channel(&self.seed, self.options.network, Role::Provider, index)
            .map_err(|error| error.to_string())?;
        let (commitment, settlements) = (stored.record.commitment.clone(), stored.settlements.clone());
        Ok(DueChannel {
            channel,
            payment,
            key,
            commitment,
            settlements,
        })
    }

    /// A session is over: what it paid is to be settled.
    pub(super) fn channel_due(&mut self, outpoint: OutPoint) -> Result<(), String> {
        // For the next start a channel that is open on record is due as well: so if this can't be written now, it is
        // settled all the same.
        let recorded = self
            .store
            .set_provider_state(outpoint, ProviderChannelState::Due, None);
        self.load_due(outpoint)?;
        if let Err(error) = recorded {
            let words = format!("That channel {outpoint} is due can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
        self.settle(outpoint);
        Ok(())
    }

    fn load_due(&mut self, outpoint: OutPoint) -> Result<(), String> {
        let stored = self
            .store
            .provider_channel(outpoint)
            .map_err(|error| error.to_string())?;
        let due = self.due_channel(&stored)?;
        if let Some(money) = &mut self.money {
            money.due.insert(outpoint, due);
        }
        Ok(())
    }

    pub(super) fn settle_delay(&self) -> std::time::Duration {
        self.options
            .paid
            .as_ref()
            .map(|paid| paid.settle_delay)
            .unwrap_or_default()
    }

    /// A session is done with a channel.
    pub(super) fn release(&mut self, outpoint: OutPoint, resumable: bool) -> Result<(), String> {
        let until = self.now().saturating_add(self.settle_delay());
        let Some(money) = &mut self.money else {
            return Ok(());
        };
        if let Some(id) = money.sessions.remove(&outpoint) {
            money.listeners.insert(outpoint, id);
        }
        if resumable {
            money.idle.insert(outpoint, until);
            return Ok(());
        }
        if money.due.contains_key(&outpoint) {
            return Ok(());
        }
        let stored = self
            .store
            .provider_channel(outpoint)
            .map_err(|error| error.to_string())?;
        if stored.record.best.is_some() {
            return self.channel_due(outpoint);
        }
        if let Some(money) = &mut self.money {
            money.watched.remove(&*money.chain, outpoint);
        }
        self.store
            .set_provider_state(outpoint, ProviderChannelState::Unpaid, None)
            .map_err(|error| error.to_string())
    }

    /// Channels whose consumers have not come back are due.
    pub(super) fn tick_idle(&mut self, now: std::time::Duration) {
        let Some(money) = &mut self.money else { return };
        let over: Vec<OutPoint> = money
            .idle
            .iter()
            .filter(|(_, until)| now >= **until)
            .map(|(outpoint, _)| *outpoint)
            .collect();
        for outpoint in over {
            if let Some(money) = &mut self.money {
                money.idle.remove(&outpoint);
            }
            if let Err(words) = self.release(outpoint, false) {
                let words = format!("Channel {outpoint} can't be settled: {words}.");
                self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            }
        }
    }

    /// The consumer's offer costs us nothing and frees its money.
    pub(super) fn cooperative(
        &mut self,
        outpoint: OutPoint,
        transaction: &Transaction,
        payout: Amount,
    ) -> Result<(), String> {
        let stored = self
            .store
            .insert_settlement(outpoint, "cooperative", transaction, payout, Amount::ZERO);
        stored.map_err(|error| error.to_string())?;
        self.load_due(outpoint)?;
        let txid = transaction.compute_txid();
        if let Some(money) = &mut self.money {
            money.chain.broadcast(transaction);
            money.unanswered.insert(txid, outpoint);
        }
        self.tell_settled(outpoint, txid);
        self.say(
            Report::new("settling")
                .text_field("outpoint", outpoint)
                .text_field("txid", txid)
                .say(format!("A channel that paid nothing was given back in {txid}.")),
        );
        Ok(())
    }

    /// Does the next step for a due channel.
    pub(super) fn settle(&mut self, outpoint: OutPoint) {
        let Some(money) = &self.money else { return };
        let (Some(status), Some(due)) = (money.status(outpoint), money.due.get(&outpoint)) else {
            return;
        };
        let fee_rate = settlement_fee_rate(money.chain.fee_rate(USUAL_TARGET_BLOCKS));
        match due.step(status, &money.payout, fee_rate) {
            Step::Recommit => money.chain.broadcast(&due.commitment),
            Step::Wait => self.say_once(
                outpoint,
                Report::new("waiting")
                    .text_field("outpoint", outpoint)
                    .say(format!(
                        "Channel {outpoint} is settled as soon as its commitment transaction is confirmed."
                    )),
            ),
            Step::Pending => (),
            Step::Rebroadcast(transaction) => money.chain.broadcast(&transaction),
            Step::Settle(settlement) => self.record_settlement(outpoint, settlement),
            Step::Settled(txid) => self.close_channel(outpoint, ProviderChannelState::Settled, txid),
            Step::Lost(txid) => self.close_channel(outpoint, ProviderChannelState::Lost, txid),
            Step::Stuck(error) => self.say_once(
                outpoint,
                Report::new("unsettleable")
                    .text_field("outpoint", outpoint)
                    .text_field("reason", &error)
                    .severity(Severity::Warning)
                    .say(format!("Channel {outpoint} can't be settled now: {error}.")),
            ),
        }
    }

    /// On record first, then handed out.
    fn record_settlement(&mut self, outpoint: OutPoint, settlement: Settlement) {
        let Settlement {
            transaction,
            payout,
            fee,
        } = settlement;
        let txid = transaction.compute_txid();
        let stored = self
            .store
            .insert_settlement(outpoint, "settlement", &transaction, payout, fee);
        if let Err(error) = stored {
            let words = format!("The settlement of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            return;
        }
        if let Some(money) = &mut self.money {
            money.chain.broadcast(&transaction);
            money.unanswered.insert(txid, outpoint);
            if let Some(due) = money.due.get_mut(&outpoint) {
                due.settlements.push(transaction);
            }
        }
        self.tell_settled(outpoint, txid);
        self.say(
            Report::new("settling")
                .text_field("outpoint", outpoint)
                .text_field("txid", txid)
                .sat("payout-sat", payout)
                .sat("fee-sat", fee)
                .say(format!(
                    "Settling in {txid}: {} for you, {} fee.",
                    sats(payout),
                    sats(fee)
                )),
        );
    }

    /// The consumer likes to know, while it is still there.
    fn tell_settled(&mut self, outpoint: OutPoint, txid: Txid) {
        let Some(money) = &self.money else { return };
        let Some(id) = money
            .sessions
            .get(&outpoint)
            .or_else(|| money.listeners.get(&outpoint))
        else {
            return;
        };
        if let (Some(live), Ok(text)) = (
            self.sessions.get(id),
            encode(&ProviderMessage::Settled { outpoint, txid }),
        ) {
            let _ = live.peer.send(&text);
        }
    }

    fn close_channel(&mut self, outpoint: OutPoint, state: ProviderChannelState, txid: Txid) {
        let outcome = self.store.set_provider_state(outpoint, state, Some(txid));
        if let Some(money) = &mut self.money {
            money.due.remove(&outpoint);
            money.watched.remove(&*money.chain, outpoint);
            money.said.remove(&outpoint);
            money.listeners.remove(&outpoint);
        }
        let report = Report::new("settled")
            .text_field("outpoint", outpoint)
            .text_field("txid", txid);
        self.say(match (state, outcome) {
            (_, Err(error)) => report.severity(Severity::Warning).say(format!(
                "The end of channel {outpoint} can't be recorded: {error}."
            )),
            (ProviderChannelState::Lost, _) => {
                report
                    .flag("ours", false)
                    .severity(Severity::Warning)
                    .say(format!(
                        "Channel {outpoint} was spent by {txid}, which is not one of our settlements."
                    ))
            }
            _ => report
                .flag("ours", true)
                .say(format!("Settled for good in {txid}.")),
        });
    }

    pub(super) fn say_once(&mut self, outpoint: OutPoint, report: Report) {
        let text = report.text.clone().unwrap_or_default();
        let Some(money) = &mut self.money else { return };
        if money.said.insert(outpoint, text.clone()).as_ref() != Some(&text) {
            self.say(report);
        }
    }

    /// True when nothing that has been handed out waits for an answer.
    pub(super) fn is_settled_for_now(&self) -> bool {
        self.money
            .as_ref()
            .is_none_or(|money| money.unanswered.is_empty())
    }
}
