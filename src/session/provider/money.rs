//! The provider's chain and its settlements.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Sender;
use std::time::Duration;

use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, Txid};
use streamium_channel::handshake::GenesisHash;
use streamium_channel::link::StreamName;
use streamium_channel::message::{ProviderMessage, encode};
use streamium_channel::provider::{CommitmentStatus, ProviderConfig};
use streamium_channel::settlement::{SINGLE_SETTLEMENT_VB, Settlement};
use streamium_channel::terms::Track;

use super::driver::Driver;
use super::live::{Live, Phase};
use super::{Event, PaidOptions, ProviderStartError};
use crate::chain::{BroadcastError, Chain, ChainEvent, ElectrumChain, OutpointStatus};
use crate::session::watched::Watched;
use crate::session::{Report, Severity, keys, sats};
use crate::settle::{DueChannel, Step, settlement_fee_rate};
use crate::store::{ProviderChannelState, Role, StoredProviderChannel};

/// How many seconds of the rate the first payment covers at least.
const OPENING_TIME: Duration = Duration::from_secs(10);

/// The fee rate at which a channel must still be worth its settlement: twice what is usual now, within bounds.
const STRESS: u64 = 2;
const STRESSED_MIN: FeeRate = FeeRate::from_sat_per_vb_u32(2);
const STRESSED_MAX: FeeRate = FeeRate::from_sat_per_vb_u32(50);

/// The chain, what is followed on it, and what is due.
pub struct Money {
    pub chain: Box<dyn Chain>,
    pub watched: Watched,
    payout: ScriptBuf,
    /// The session of each open channel.
    pub sessions: HashMap<OutPoint, String>,
    /// The session that each due channel had; its consumer may still be there to hear of the settlement.
    listeners: HashMap<OutPoint, String>,
    due: HashMap<OutPoint, DueChannel>,
    /// The commitments that a server has known at some time.
    seen: HashSet<OutPoint>,
    /// Spends whose transaction the chain has not answered for yet, by txid.
    unanswered: HashMap<Txid, OutPoint>,
    /// What was said last of each due channel, so that it is not said again with every block.
    said: HashMap<OutPoint, String>,
}

impl Money {
    pub fn start(paid: &PaidOptions, events: Sender<Event>) -> Result<Self, ProviderStartError> {
        let chain = ElectrumChain::start(
            paid.chain.servers.clone(),
            paid.chain.proxy.clone(),
            paid.chain.network,
            Box::new(move |event| {
                // A driver that has stopped needs no news.
                let _ = events.send(Event::Chain(event));
            }),
        )?;
        Ok(Self {
            chain: Box::new(chain),
            watched: Watched::default(),
            payout: paid.payout.script_pubkey(),
            sessions: HashMap::new(),
            listeners: HashMap::new(),
            due: HashMap::new(),
            seen: HashSet::new(),
            unanswered: HashMap::new(),
            said: HashMap::new(),
        })
    }

    /// What is asked of a consumer that comes now.
    pub fn config(
        &self,
        paid: &PaidOptions,
        chain: GenesisHash,
        stream: StreamName,
        tracks: Vec<Track>,
    ) -> ProviderConfig {
        let suggested = settlement_fee_rate(self.chain.fee_rate());
        ProviderConfig {
            stream,
            chain,
            tracks,
            rate: paid.rate,
            opening: paid.opening.unwrap_or_else(|| self.opening(paid, suggested)),
            window: paid.window,
            grace: paid.grace,
            min_capacity: paid.min_capacity,
            max_capacity: paid.max_capacity,
            min_refund_delay: paid.min_refund_delay,
            max_refund_delay: paid.max_refund_delay,
            commitment_fee_rate_sat_per_kvb: commitment_fee_rate_sat_per_kvb(suggested),
            min_confirmations: paid.min_confirmations,
            unconfirmed_limit: paid.unconfirmed_limit,
            settle_delay: paid.settle_delay,
            funding_timeout: paid.funding_timeout,
            payout: self.payout.clone(),
        }
    }

    /// Ten seconds, but at least the payout's dust limit and the settlement at the stressed fee rate.
    fn opening(&self, paid: &PaidOptions, suggested: FeeRate) -> Amount {
        let stressed = FeeRate::from_sat_per_kwu(suggested.to_sat_per_kwu().saturating_mul(STRESS));
        let stressed = stressed.clamp(STRESSED_MIN, STRESSED_MAX);
        let fee = stressed.fee_vb(SINGLE_SETTLEMENT_VB).unwrap_or(Amount::MAX_MONEY);
        let settling = self
            .payout
            .minimal_non_dust()
            .checked_add(fee)
            .unwrap_or(Amount::MAX_MONEY);
        paid.rate.cost(OPENING_TIME).ceil_sat().max(settling)
    }

    fn tip_height(&self) -> Option<u32> {
        self.chain.tip().map(|tip| tip.height)
    }

    fn status(&self, outpoint: OutPoint) -> Option<OutpointStatus> {
        self.watched.status(outpoint, self.tip_height()?)
    }
}

/// Half of what would confirm within an hour: the consumer may know better, and can bump. But never less than what
/// is relayed, or the commitment would not even be seen.
fn commitment_fee_rate_sat_per_kvb(suggested: FeeRate) -> u64 {
    let half = FeeRate::from_sat_per_kwu(suggested.to_sat_per_kwu() / 2);
    let least = settlement_fee_rate(Some(half));
    least.to_sat_per_kwu().saturating_mul(4)
}

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
        let words = |error: crate::store::StoreError| error.to_string();
        self.store
            .set_provider_state(outpoint, ProviderChannelState::Due, None)
            .map_err(words)?;
        self.load_due(outpoint)?;
        self.settle(outpoint);
        Ok(())
    }

    fn load_due(&mut self, outpoint: OutPoint) -> Result<(), String> {
        let (channels, _) = self.store.unsettled().map_err(|error| error.to_string())?;
        let stored = channels
            .into_iter()
            .find(|stored| stored.record.outpoint == outpoint);
        let due = self.due_channel(&stored.ok_or("the channel is not on record")?)?;
        if let Some(money) = &mut self.money {
            money.due.insert(outpoint, due);
        }
        Ok(())
    }

    /// A session is over whose channel has paid nothing: there is nothing to settle, and nothing to follow.
    pub(super) fn release_unpaid(&mut self, id: &str) {
        let Some(money) = &mut self.money else { return };
        let Some(outpoint) = money
            .sessions
            .iter()
            .find(|(_, of)| *of == id)
            .map(|(outpoint, _)| *outpoint)
        else {
            return;
        };
        if let Some(id) = money.sessions.remove(&outpoint) {
            money.listeners.insert(outpoint, id);
        }
        if money.due.contains_key(&outpoint) {
            return;
        }
        money.watched.remove(&*money.chain, outpoint);
        if let Err(error) = self
            .store
            .set_provider_state(outpoint, ProviderChannelState::Unpaid, None)
        {
            let words = format!("The end of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
    }

    /// The consumer's offer costs us nothing and frees its money.
    pub(super) fn cooperative(
        &mut self,
        outpoint: OutPoint,
        transaction: &Transaction,
    ) -> Result<(), String> {
        let stored =
            self.store
                .insert_settlement(outpoint, "cooperative", transaction, Amount::ZERO, Amount::ZERO);
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

    pub(super) fn chain_event(&mut self, event: ChainEvent) {
        match event {
            ChainEvent::Tip(tip) => self.new_tip(tip.height),
            ChainEvent::Script { script, transactions } => {
                let outpoint = self
                    .money
                    .as_mut()
                    .and_then(|money| money.watched.update(&script, transactions));
                if let Some(outpoint) = outpoint {
                    self.channel_news(outpoint);
                }
            }
            ChainEvent::Broadcast { txid, result } => self.broadcast_answer(txid, result),
            ChainEvent::Reachable { server } => self.say(crate::session::reachable(&server)),
            ChainEvent::Unreachable { server, why } => self.say(crate::session::unreachable(&server, &why)),
            ChainEvent::FeeRate(_) | ChainEvent::WalletSynced(_) | ChainEvent::WalletSyncFailed(_) => (),
        }
    }

    fn new_tip(&mut self, height: u32) {
        let waiting: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, live)| matches!(live.phase, Phase::Waiting(_)))
            .map(|(id, _)| id.clone())
            .collect();
        for session in self.sessions.values_mut().filter_map(Live::session) {
            session.tip(height);
        }
        for id in waiting {
            self.begin(&id);
        }
        let Some(money) = &self.money else { return };
        let outpoints: Vec<_> = money.sessions.keys().chain(money.due.keys()).copied().collect();
        for outpoint in outpoints {
            self.channel_news(outpoint);
        }
    }

    /// Something may have changed for a channel: tell its session, or settle it.
    fn channel_news(&mut self, outpoint: OutPoint) {
        let now = self.now();
        let Some(money) = &self.money else { return };
        let Some(status) = money.status(outpoint) else {
            return;
        };
        if money.due.contains_key(&outpoint) {
            self.settle(outpoint);
            return;
        }
        let Some(id) = money.sessions.get(&outpoint).cloned() else {
            return;
        };
        let seen = money.seen.contains(&outpoint);
        let status = match (status.spend, status.made) {
            // Not known yet: the servers have only just been told.
            (None, None) if !seen => return,
            // Somebody spent it, or it is not known any more: nothing of it counts.
            (Some(_), _) | (None, None) => CommitmentStatus::Missing,
            (None, Some(0)) => CommitmentStatus::Mempool,
            (None, Some(confirmations)) => CommitmentStatus::Confirmed { confirmations },
        };
        if let Some(money) = &mut self.money {
            money.seen.insert(outpoint);
        }
        if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
            let effects = session.commitment_status(status, now);
            self.carry_out(&id, effects);
        }
    }

    /// Does the next step for a due channel.
    fn settle(&mut self, outpoint: OutPoint) {
        let Some(money) = &self.money else { return };
        let (Some(status), Some(due)) = (money.status(outpoint), money.due.get(&outpoint)) else {
            return;
        };
        let fee_rate = settlement_fee_rate(money.chain.fee_rate());
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

    fn broadcast_answer(&mut self, txid: Txid, result: Result<(), BroadcastError>) {
        let Some(money) = &mut self.money else { return };
        let settled = money.unanswered.remove(&txid);
        let Err(error) = result else { return };
        if let Some(outpoint) = settled {
            self.say_once(
                outpoint,
                Report::new("unsettleable")
                    .text_field("outpoint", outpoint)
                    .text_field("reason", &error)
                    .severity(Severity::Warning)
                    .say(format!(
                        "The settlement {txid} is not out yet, and is tried again: {error}."
                    )),
            );
        } else if let Some(outpoint) = money
            .sessions
            .keys()
            .find(|outpoint| outpoint.txid == txid)
            .copied()
        {
            self.commitment_refused(outpoint, &error);
        }
    }

    /// The network does not take a commitment: nothing of it counts unless it is seen after all (the transaction
    /// that it spends may be on its way still).
    fn commitment_refused(&mut self, outpoint: OutPoint, error: &BroadcastError) {
        let now = self.now();
        let Some(money) = &self.money else { return };
        if *error == BroadcastError::Unreachable || money.seen.contains(&outpoint) {
            return;
        }
        let Some(id) = money.sessions.get(&outpoint).cloned() else {
            return;
        };
        self.say(
            Report::new("fault")
                .text_field("session", &id)
                .text_field("reason", error)
                .severity(Severity::Warning)
                .say(format!(
                    "A viewer's commitment {} is not taken by the network: {error}.",
                    outpoint.txid
                )),
        );
        if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
            let effects = session.commitment_status(CommitmentStatus::Missing, now);
            self.carry_out(&id, effects);
        }
    }

    fn say_once(&mut self, outpoint: OutPoint, report: Report) {
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
