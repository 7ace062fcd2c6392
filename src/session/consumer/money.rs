//! The consumer's wallet, chain and refunds.

use std::collections::HashMap;
use std::sync::mpsc::Sender;

use bitcoin::{Amount, FeeRate, OutPoint, Script, ScriptBuf, Transaction};
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::money::Msat;
use streamium_channel::record::ConsumerRecord;

use super::driver::Driver;
use super::{ConsumerStartError, ConsumerStatus, Event};
use crate::chain::{Chain, ChainEvent, ElectrumChain};
use crate::refund::{OpenChannel, Step};
use crate::session::watched::Watched;
use crate::session::{ChainConfig, Report, Severity, keys, sats, span};
use crate::settle::settlement_fee_rate;
use crate::store::{ConsumerChannelState, Role, StoredConsumerChannel};
use crate::wallet::{Wallet, bip21};

/// The wallet, the chain, and the channels that may still hold our money.
pub struct Money {
    pub chain: Box<dyn Chain>,
    pub wallet: Wallet,
    watched: Watched,
    channels: HashMap<OutPoint, OpenChannel>,
    /// The channel of the running session.
    in_use: Option<OutPoint>,
    funding_script: Option<ScriptBuf>,
    syncing: bool,
    /// Something changed while a sync was under way.
    sync_again: bool,
    synced_once: bool,
    awaiting: Option<Awaiting>,
    /// What was said last of each channel, so that it is not said again with every block.
    said: HashMap<OutPoint, String>,
}

/// Funds that the session waits for.
struct Awaiting {
    capacity: Amount,
    fee_rate: FeeRate,
    /// The amount last asked for.
    asked: Option<Amount>,
}

impl Money {
    pub fn start(
        config: &ChainConfig,
        wallet: Wallet,
        events: Sender<Event>,
    ) -> Result<Self, ConsumerStartError> {
        let chain = ElectrumChain::start(
            config.servers.clone(),
            config.proxy.clone(),
            config.network,
            Box::new(move |event| {
                // A driver that has stopped needs no news.
                let _ = events.send(Event::Chain(event));
            }),
        )?;
        Ok(Self {
            chain: Box::new(chain),
            wallet,
            watched: Watched::default(),
            channels: HashMap::new(),
            in_use: None,
            funding_script: None,
            syncing: false,
            sync_again: false,
            synced_once: false,
            awaiting: None,
            said: HashMap::new(),
        })
    }

    /// The session is over: its channel may be refunded when the time comes.
    pub fn release_session(&mut self) {
        self.awaiting = None;
        if let Some(channel) = self
            .in_use
            .take()
            .and_then(|outpoint| self.channels.get_mut(&outpoint))
        {
            channel.in_use = false;
        }
    }

    fn sync(&mut self) {
        if self.syncing {
            self.sync_again = true;
            return;
        }
        self.syncing = true;
        self.chain.sync_wallet(self.wallet.sync_request());
    }

    fn follow(&mut self, channel: OpenChannel) {
        let outpoint = channel.channel.outpoint();
        let script = channel.channel.script().script_pubkey().clone();
        self.watched.add(&*self.chain, outpoint, script);
        self.channels.insert(outpoint, channel);
    }
}

impl Driver {
    /// Takes up the channels of earlier runs: their change or their refund is still to come.
    pub(super) fn recover(&mut self) {
        match self.store.unspent() {
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

    fn take_up(&mut self, stored: StoredConsumerChannel) {
        let outpoint = stored.record.outpoint;
        match self.open_channel(&stored.record, false) {
            Ok(channel) => self.money.follow(OpenChannel {
                refund: stored.refund,
                ..channel
            }),
            Err(words) => {
                let words = format!("Channel {outpoint} can't be refunded: {words}.");
                self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            }
        }
    }

    fn open_channel(&self, record: &ConsumerRecord, in_use: bool) -> Result<OpenChannel, String> {
        let channel =
            Channel::new(record.contract.clone(), record.outpoint).map_err(|error| error.to_string())?;
        let seed = self.money.wallet.seed();
        let key = keys::channel(seed, self.options.network, Role::Consumer, record.key_index)
            .map_err(|error| error.to_string())?;
        Ok(OpenChannel {
            channel,
            key,
            commitment: record.commitment.clone(),
            in_use,
            refund: None,
        })
    }

    /// Follows the funding address, and syncs.
    pub(super) fn watch_funding(&mut self) {
        let money = &mut self.money;
        match money.wallet.funding_address() {
            Ok(address) => {
                let script = address.script_pubkey();
                if money.funding_script.as_ref() != Some(&script) {
                    money.chain.watch(&script);
                    money.funding_script = Some(script);
                    self.set_status(ConsumerStatus::FundingAddress(address.to_string()));
                }
                self.money.sync();
            }
            Err(error) => self.fail(&error.to_string()),
        }
    }

    /// The session wants a channel: if the wallet can pay for it, at once; else a person is asked.
    pub(super) fn await_funds(&mut self, capacity: Amount, fee_rate: FeeRate) -> Result<(), String> {
        self.money.awaiting = Some(Awaiting {
            capacity,
            fee_rate,
            asked: None,
        });
        // Before the first sync the wallet only seems empty.
        if self.money.synced_once {
            self.check_funds()
        } else {
            Ok(())
        }
    }

    fn check_funds(&mut self) -> Result<(), String> {
        let now = self.now();
        let money = &mut self.money;
        let Some(awaiting) = &mut money.awaiting else {
            return Ok(());
        };
        let Some(missing) = money.wallet.missing_for(awaiting.capacity, awaiting.fee_rate) else {
            let funded_by_person = awaiting.asked.is_some();
            money.awaiting = None;
            if funded_by_person {
                let balance = money.wallet.spendable();
                self.say(
                    Report::new("funded")
                        .sat("balance-sat", balance)
                        .say(format!("Funds seen: {} in the wallet.", sats(balance))),
                );
            }
            self.with_session(|session| session.funded(now));
            return Ok(());
        };
        if awaiting.asked == Some(missing) {
            return Ok(());
        }
        awaiting.asked = Some(missing);
        let capacity = awaiting.capacity;
        let address = money
            .wallet
            .funding_address()
            .map_err(|error| error.to_string())?;
        self.ask_for_funds(&address, missing, capacity);
        Ok(())
    }

    fn ask_for_funds(&self, address: &bitcoin::Address, missing: Amount, capacity: Amount) {
        let uri = bip21(address, missing);
        let budget = self.options.policy.budget.min(capacity);
        let buys = self.rate().time(Msat::from(budget));
        self.set_status(ConsumerStatus::State("awaiting-funds"));
        self.say(
            Report::new("funding-required")
                .text_field("address", address)
                .sat("amount-sat", missing)
                .text_field("uri", &uri)
                .sat("capacity-sat", capacity)
                .say(format!(
                    "To watch, send {} to {address} from any wallet: {uri} (up to {} of video; what is not spent comes back to the wallet).",
                    sats(missing),
                    span(buys)
                )),
        );
    }

    pub(super) fn build_commitment(&mut self, contract: &Contract, script: &Script, fee_rate: FeeRate) {
        let now = self.now();
        match self
            .money
            .wallet
            .build_commitment(script, contract.capacity(), fee_rate)
        {
            Ok(built) => self.with_session(|session| session.commitment_built(built.tx, built.vout, now)),
            Err(error) => self.with_session(|session| session.commitment_failed(error.to_string(), now)),
        }
    }

    /// On record, with all that a refund needs, before a byte of the commitment is sent.
    pub(super) fn save_channel(&mut self, record: &ConsumerRecord) -> Result<(), String> {
        let channel = self.open_channel(record, true)?;
        let descriptor = channel.channel.script().descriptor().to_owned();
        self.store
            .insert_consumer_channel(record, &descriptor)
            .map_err(|error| error.to_string())?;
        self.money.in_use = Some(record.outpoint);
        self.money.follow(channel);
        Ok(())
    }

    pub(super) fn chain_event(&mut self, event: ChainEvent) {
        match event {
            ChainEvent::Tip(_) => {
                self.money.sync();
                let outpoints: Vec<_> = self.money.channels.keys().copied().collect();
                for outpoint in outpoints {
                    self.channel_news(outpoint);
                }
            }
            ChainEvent::Script { script, transactions } => {
                match self.money.watched.update(&script, transactions) {
                    Some(outpoint) => {
                        self.channel_news(outpoint);
                        // Change or refund may have come home.
                        self.money.sync();
                    }
                    None => self.watch_funding(),
                }
            }
            ChainEvent::WalletSynced(update) => self.synced(*update),
            ChainEvent::WalletSyncFailed(_) => self.money.syncing = false,
            ChainEvent::Reachable { server } => {
                self.say(
                    Report::new("chain")
                        .text_field("server", &server)
                        .flag("reachable", true)
                        .say(format!("Electrum server {server} answers.")),
                );
                self.money.sync();
            }
            ChainEvent::Unreachable { server, why } => self.say(
                Report::new("chain")
                    .text_field("server", &server)
                    .flag("reachable", false)
                    .text_field("reason", &why)
                    .severity(Severity::Warning)
                    .say(format!("Electrum server {server} can't be used: {why}.")),
            ),
            ChainEvent::Broadcast { txid, result } => self.broadcast_answer(txid, result),
            ChainEvent::FeeRate(_) => (),
        }
    }

    fn synced(&mut self, update: bdk_wallet::Update) {
        self.money.syncing = false;
        if let Err(error) = self.money.wallet.apply(update) {
            let words = format!("The wallet could not take what the server sent: {error}.");
            self.say(Report::new("wallet").say(words).severity(Severity::Warning));
        }
        self.money.synced_once = true;
        if std::mem::take(&mut self.money.sync_again) {
            self.money.sync();
        }
        if let Err(words) = self.check_funds() {
            self.fail(&words);
        }
    }

    fn broadcast_answer(&mut self, txid: bitcoin::Txid, result: Result<(), crate::chain::BroadcastError>) {
        let Err(error) = result else { return };
        // A channel that was spent meanwhile is no news; a commitment that nobody takes is.
        let commitment = self.money.in_use.is_some_and(|outpoint| outpoint.txid == txid);
        if commitment {
            let words =
                format!("The commitment transaction {txid} was not taken, and is tried again: {error}.");
            self.say(
                Report::new("chain")
                    .text_field("reason", &error)
                    .say(words)
                    .severity(Severity::Warning),
            );
        }
    }

    /// Does the next step for a channel that may hold our money.
    fn channel_news(&mut self, outpoint: OutPoint) {
        let Some(tip) = self.money.chain.tip() else { return };
        let Some(status) = self.money.watched.status(outpoint, tip.height) else {
            return;
        };
        let Some(channel) = self.money.channels.get(&outpoint) else {
            return;
        };
        // The provider's change script is a fresh one of this wallet: as good a destination as any.
        let destination = channel.channel.contract().change().script().clone();
        let fee_rate = settlement_fee_rate(self.money.chain.fee_rate()).min(self.options.policy.max_fee_rate);
        match channel.step(status, &destination, fee_rate) {
            Step::Recommit => self.money.chain.broadcast(&channel.commitment),
            Step::Wait { .. } => (),
            Step::Rebroadcast(transaction) => self.money.chain.broadcast(&transaction),
            Step::Refund(transaction) => self.refund(outpoint, transaction),
            Step::Pending(txid) => {
                let report = Report::new("settled")
                    .text_field("outpoint", outpoint)
                    .text_field("txid", txid);
                self.say_once(
                    outpoint,
                    report.say(format!(
                        "Channel {outpoint} was closed in {txid}; the rest is yours again."
                    )),
                );
            }
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

    /// On record first, then handed out. A channel in use is past its time by then: its provider should have
    /// settled long ago.
    fn refund(&mut self, outpoint: OutPoint, transaction: Transaction) {
        let txid = transaction.compute_txid();
        if let Err(error) = self.store.save_refund(outpoint, &transaction) {
            let words = format!("The refund of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
            return;
        }
        self.money.chain.broadcast(&transaction);
        let value = transaction
            .output
            .first()
            .map_or(Amount::ZERO, |output| output.value);
        if let Some(channel) = self.money.channels.get_mut(&outpoint) {
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

    fn close_channel(&mut self, outpoint: OutPoint, txid: bitcoin::Txid) {
        if let Err(error) = self
            .store
            .set_consumer_state(outpoint, ConsumerChannelState::Spent, Some(txid))
        {
            let words = format!("The end of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
        self.money.channels.remove(&outpoint);
        self.money.said.remove(&outpoint);
        self.money.watched.remove(&*self.money.chain, outpoint);
    }

    fn say_once(&mut self, outpoint: OutPoint, report: Report) {
        let text = report.text.clone().unwrap_or_default();
        if self.money.said.insert(outpoint, text.clone()).as_ref() != Some(&text) {
            self.say(report);
        }
    }
}
