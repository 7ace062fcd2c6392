//! Carries out what [`HeldChannel::step`] decides: on record first, then handed out.
//!
//! It has no thread and no queue: whoever owns store, wallet and chain (the consumer's driver, or [`super::Runner`])
//! tells it what happened and takes its reports.

use std::collections::{BTreeMap, HashMap, HashSet};

use bitcoin::{BlockHash, FeeRate, Network, OutPoint, Script, Transaction, Txid};

use streamium_channel::spender::may_spend;

use super::fees::Market;
use super::held::{held, position};
use super::{HeldChannel, Position, Step, notices};
use crate::chain::{
    BroadcastError, Chain, OutpointStatus, ScriptTransaction, Tip, USUAL_TARGET_BLOCKS, Watched,
};
use crate::report::Report;
use crate::store::{ConsumerChannelState, Store};
use crate::wallet::Wallet;

/// What the engine works with, lent for each call.
pub struct Means<'a> {
    pub store: &'a mut Store,
    pub wallet: &'a mut Wallet,
    pub chain: &'a dyn Chain,
}

/// The consumer's channels that may still hold money.
pub struct Engine {
    pub(super) network: Network,
    /// The limit of what it pays; `None`: it only looks.
    pub(super) max_fee_rate: Option<FeeRate>,
    pub(super) watched: Watched,
    pub(super) channels: BTreeMap<OutPoint, HeldChannel>,
    positions: HashMap<OutPoint, Position>,
    /// At which tip each transaction was handed out last: once a block is enough.
    handed_out: HashMap<Txid, BlockHash>,
    /// Handed out, and not answered yet.
    unanswered: HashSet<Txid>,
    /// What was said last of each channel, so that it is not said again with every block.
    said: HashMap<OutPoint, String>,
    reports: Vec<Report>,
}

impl Engine {
    /// An engine that does what is due, and pays no more than that for it.
    pub fn new(network: Network, max_fee_rate: FeeRate) -> Self {
        Self {
            max_fee_rate: Some(max_fee_rate),
            ..Self::observer(network)
        }
    }

    /// An engine that only looks: it makes nothing and hands nothing out.
    pub fn observer(network: Network) -> Self {
        Self {
            network,
            max_fee_rate: None,
            watched: Watched::default(),
            channels: BTreeMap::new(),
            positions: HashMap::new(),
            handed_out: HashMap::new(),
            unanswered: HashSet::new(),
            said: HashMap::new(),
            reports: Vec::new(),
        }
    }

    /// What is to be said since it was last asked.
    pub fn reports(&mut self) -> Vec<Report> {
        std::mem::take(&mut self.reports)
    }

    /// Takes up what earlier runs left.
    pub fn recover(&mut self, means: &mut Means<'_>, dir: &std::path::Path) {
        self.tidy(means, dir);
        let (channels, damaged) = match means.store.unspent() {
            Ok(found) => found,
            Err(error) => return self.unreadable(&error),
        };
        for outpoint in damaged {
            let words = format!("The record of channel {outpoint} can't be read; it is left as it is.");
            self.say(notices::store_failed(words));
        }
        for stored in channels {
            let outpoint = stored.record.outpoint;
            match held(means.wallet.seed(), self.network, stored) {
                Ok(channel) => self.follow(means, channel),
                Err(words) => {
                    let words = format!("Channel {outpoint} can't be refunded: {words}.");
                    self.say(notices::store_failed(words));
                }
            }
        }
    }

    pub(super) fn follow(&mut self, means: &mut Means<'_>, channel: HeldChannel) {
        // A crash may have come between a child's record and its reservation.
        if let Some(child) = channel.children.last()
            && let Err(error) = means.wallet.reserve_for(&child.tx)
        {
            self.say(notices::store_failed(format!(
                "A child's coins are not reserved: {error}."
            )));
        }
        let outpoint = channel.channel.outpoint();
        let script = channel.channel.script().script_pubkey().clone();
        self.watched.add(means.chain, outpoint, script);
        self.positions.insert(outpoint, Position::Unknown);
        self.channels.insert(outpoint, channel);
    }

    /// Takes a chain event; true if the script is a channel's.
    pub fn script(
        &mut self,
        means: &mut Means<'_>,
        script: &Script,
        transactions: Vec<ScriptTransaction>,
    ) -> bool {
        match self.watched.update(script, transactions) {
            Some(outpoint) => {
                self.look_at(means, outpoint);
                true
            }
            None => false,
        }
    }

    /// Takes a chain event.
    pub fn broadcast_answer(&mut self, txid: Txid, result: Result<(), BroadcastError>) {
        self.unanswered.remove(&txid);
        let Err(error) = result else { return };
        if error == BroadcastError::Unreachable {
            self.handed_out.remove(&txid);
        }
        if let Some((outpoint, what)) = self.what_is(txid) {
            self.say_once(outpoint, notices::not_taken(what, txid, &error));
        }
    }

    /// Does what is to be done now: after a block, a change of fee rates, a sync, or when a server is back.
    pub fn look(&mut self, means: &mut Means<'_>) {
        let outpoints: Vec<OutPoint> = self.channels.keys().copied().collect();
        for outpoint in outpoints {
            self.look_at(means, outpoint);
        }
        if self.max_fee_rate.is_some()
            && let Some(tip) = means.chain.tip()
            && let Ok(withdrawals) = means.wallet.pending_withdrawals()
        {
            for withdrawal in withdrawals {
                self.hand_out(means.chain, &withdrawal, tip);
            }
        }
    }

    /// How far each channel is.
    pub fn positions(&self) -> impl Iterator<Item = (&HeldChannel, Position)> {
        let position = |outpoint| self.positions.get(outpoint).copied();
        self.channels
            .iter()
            .map(move |(outpoint, channel)| (channel, position(outpoint).unwrap_or(Position::Unknown)))
    }

    /// What the chain says of a channel; `None` while no server has answered.
    pub fn status(&self, chain: &dyn Chain, outpoint: OutPoint) -> Option<OutpointStatus> {
        chain.tip().and_then(|tip| self.status_at(outpoint, tip.height))
    }

    /// Returns the chain's view of a channel, without what can't be a spend of it.
    fn status_at(&self, outpoint: OutPoint, height: u32) -> Option<OutpointStatus> {
        let channel = self.channels.get(&outpoint).map(|held| &held.channel);
        let counts = |tx: &Transaction| channel.is_none_or(|channel| may_spend(channel, tx));
        self.watched.checked_status(outpoint, height, counts)
    }

    /// True when everything that can be done now has been done and answered.
    pub fn is_idle(&self) -> bool {
        self.unanswered.is_empty() && self.positions.values().all(|at| *at != Position::Unknown)
    }

    fn what_is(&self, txid: Txid) -> Option<(OutPoint, &'static str)> {
        let is = |tx: &Transaction| tx.compute_txid() == txid;
        self.channels.iter().find_map(|(outpoint, held)| {
            let what = if outpoint.txid == txid {
                "commitment transaction"
            } else if held.refunds.iter().any(|made| is(&made.tx)) {
                "refund"
            } else if held.children.iter().any(|made| is(&made.tx)) {
                "commitment transaction's child"
            } else {
                return None;
            };
            Some((*outpoint, what))
        })
    }

    fn look_at(&mut self, means: &mut Means<'_>, outpoint: OutPoint) {
        let Some(tip) = means.chain.tip() else { return };
        let Some(status) = self.status_at(outpoint, tip.height) else {
            return;
        };
        let market = Market {
            height: tip.height,
            estimate: means.chain.fee_rate(USUAL_TARGET_BLOCKS),
            max: self.max_fee_rate.unwrap_or(FeeRate::ZERO),
        };
        let Some(held) = self.channels.get_mut(&outpoint) else {
            return;
        };
        held.note_confirmation(status, tip.height);
        held.note_spend(status, tip.height);
        let step = held.step(status, &market);
        if held.waits_for_proof(&step, means.wallet, tip) {
            return;
        }
        self.positions.insert(outpoint, position(&step));
        if self.max_fee_rate.is_some() {
            self.act(means, outpoint, step, tip);
        }
    }

    fn act(&mut self, means: &mut Means<'_>, outpoint: OutPoint, step: Step, tip: Tip) {
        match step {
            Step::Recommit => self.recommit(means, outpoint, tip),
            Step::Unconfirmed => self.lift(means, outpoint, tip),
            Step::Wait { .. } => self.hand_out_child(means.chain, outpoint, tip),
            Step::Refund { fee_rate } => self.refund(means, outpoint, fee_rate, tip),
            Step::HandOut(refund) => self.hand_out(means.chain, &refund, tip),
            Step::Closing {
                txid,
                confirmations,
                ours,
            } => {
                if ours && confirmations == 0 {
                    // One server knows it; others may have lost it.
                    self.hand_out_refund(means, outpoint, tip);
                }
                self.say_once(outpoint, notices::closing(outpoint, txid, confirmations, ours));
            }
            Step::Closed { txid, ours } => {
                let report = notices::closing(outpoint, txid, super::CLOSED_CONFIRMATIONS, ours);
                self.say_once(outpoint, report);
                self.close(means, outpoint, ConsumerChannelState::Spent, txid);
            }
        }
    }

    fn recommit(&mut self, means: &mut Means<'_>, outpoint: OutPoint, tip: Tip) {
        let Some(held) = self.channels.get(&outpoint) else {
            return;
        };
        if let Some(conflict) = means.wallet.buried_conflict(&held.commitment) {
            self.say(notices::void(outpoint, conflict));
            return self.close(means, outpoint, ConsumerChannelState::Void, conflict);
        }
        let commitment = held.commitment.clone();
        self.note_committed(means, outpoint, tip);
        self.hand_out(means.chain, &commitment, tip);
        self.hand_out_child(means.chain, outpoint, tip);
    }

    /// The clock of a stuck commitment runs from when it was first handed out.
    pub(super) fn note_committed(&mut self, means: &mut Means<'_>, outpoint: OutPoint, tip: Tip) {
        let Some(held) = self.channels.get_mut(&outpoint) else {
            return;
        };
        if held.committed_height.is_none() {
            held.committed_height = Some(tip.height);
            if let Err(error) = means.store.save_committed_height(outpoint, tip.height) {
                let words = format!("The height of channel {outpoint} can't be recorded: {error}.");
                self.say(notices::store_failed(words));
            }
        }
    }

    /// The newest child, once a block until its change is spent for good: another may have been forgotten.
    pub(super) fn hand_out_child(&mut self, chain: &dyn Chain, outpoint: OutPoint, tip: Tip) {
        let child = self.channels.get(&outpoint).and_then(|held| held.children.last());
        if let Some(tx) = child.map(|made| made.tx.clone()) {
            self.hand_out(chain, &tx, tip);
        }
    }

    pub(super) fn hand_out(&mut self, chain: &dyn Chain, tx: &Transaction, tip: Tip) {
        let txid = tx.compute_txid();
        if self.handed_out.insert(txid, tip.hash) != Some(tip.hash) {
            self.unanswered.insert(txid);
            chain.broadcast(tx);
        }
    }

    fn close(&mut self, means: &mut Means<'_>, outpoint: OutPoint, state: ConsumerChannelState, txid: Txid) {
        if let Err(error) = means.store.set_consumer_state(outpoint, state, Some(txid)) {
            // It stays followed: nothing is closed that is not on record as closed.
            let words = format!("The end of channel {outpoint} can't be recorded: {error}.");
            return self.say_once(outpoint, notices::store_failed(words));
        }
        self.channels.remove(&outpoint);
        self.positions.remove(&outpoint);
        self.said.remove(&outpoint);
        self.watched.remove(means.chain, outpoint);
    }

    pub(super) fn say(&mut self, report: Report) {
        self.reports.push(report);
    }

    pub(super) fn say_once(&mut self, outpoint: OutPoint, report: Report) {
        let text = report.text.clone().unwrap_or_default();
        if self.said.insert(outpoint, text.clone()).as_ref() != Some(&text) {
            self.say(report);
        }
    }
}
