//! A provider's and a consumer's session against each other, in simulated time, over a link that may delay.

use super::*;
use std::collections::{BTreeMap, VecDeque};
use streamium_channel::agreement::Agreement;
use streamium_channel::consumer::{
    Arrivals, ChannelKeys, ConsumerEffect, ConsumerEnd, ConsumerIdentity, ConsumerNotice, ConsumerSession,
    Past, Resumable,
};
use streamium_channel::handshake::Certificates;
use streamium_channel::link::Link;
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage, encode};
use streamium_channel::money::Msat;
use streamium_channel::provider::{
    AccountRecord, ChannelFacts, ChannelKey, CommitmentStatus, EndReason, Keep, ProviderEffect,
    ProviderIdentity, ProviderNotice, ProviderSession, Recalled,
};
use streamium_channel::record::{ConsumerRecord, PaymentRecord, ProviderRecord};
use streamium_channel::terms::{PROTOCOL_VERSION, Terms};

const STEP: Duration = Duration::from_millis(50);

pub struct Pair {
    pub now: Duration,
    pub provider: ProviderSession,
    pub consumer: ConsumerSession,
    /// How long a message travels.
    pub latency: Duration,
    /// Media arrives while the gate is open, unless this says no.
    pub media: bool,
    /// The wallet answers `AwaitFunds` at once, unless this says no.
    pub funded: bool,
    /// The application answers `Authorize` with this at once; `None`: not by itself.
    pub authorizes: Option<bool>,
    /// What the application was asked.
    pub questions: Vec<(u32, Terms)>,
    to_provider: VecDeque<(Duration, String)>,
    to_consumer: VecDeque<(Duration, String)>,
    pub gate: GateState,
    pub open_time: Duration,
    /// The newest channel's record, as it was when it was opened.
    pub provider_record: Option<ProviderRecord>,
    pub consumer_record: Option<ConsumerRecord>,
    /// All records, up to date.
    pub provider_records: BTreeMap<OutPoint, ProviderRecord>,
    pub consumer_records: BTreeMap<OutPoint, ConsumerRecord>,
    /// What the provider's session was done with, and whether it waits for its consumer.
    pub released: Vec<(OutPoint, Keep)>,
    /// Channels whose account went on with another. For looking at: nothing is refused here by it.
    pub used_up: Vec<OutPoint>,
    /// What the chain said last.
    pub statuses: BTreeMap<OutPoint, CommitmentStatus>,
    fresh_keys: u8,
    /// How often the consumer has asked for keys: each of them is used up.
    pub keys_given: u32,
    tolerated: Msat,
    agreed: Option<Agreement>,
    pub best: Option<PaymentRecord>,
    pub consumed: Msat,
    pub settle_due: bool,
    pub closing: Option<Transaction>,
    pub broadcasts: Vec<Transaction>,
    pub notices: Vec<ConsumerNotice>,
    pub provider_notices: Vec<ProviderNotice>,
    pub provider_end: Option<EndReason>,
    pub consumer_end: Option<ConsumerEnd>,
    pub paid: Amount,
    /// What went over the wire, for looking at.
    pub log: Vec<String>,
}

pub fn link() -> Link {
    Link {
        tls: false,
        host: "h".into(),
        port: 1,
        stream: StreamName::new("cats").unwrap(),
        key: key(IDENTITY).x_only_public_key().0,
    }
}

pub fn provider_identity() -> ProviderIdentity {
    ProviderIdentity {
        identity: key(IDENTITY),
        channel_key: ChannelKey {
            key: key(PROVIDER),
            index: 3,
        },
        nonce: Bytes32::new([1; 32]),
        certificates: Certificates {
            own: Bytes32::new([0xaa; 32]),
            peer: Bytes32::new([0xbb; 32]),
        },
    }
}

pub fn consumer_identity() -> ConsumerIdentity {
    ConsumerIdentity {
        link: link(),
        chain: Bytes32::genesis(Network::Regtest),
        nonce: Bytes32::new([2; 32]),
        certificates: Certificates {
            own: Bytes32::new([0xbb; 32]),
            peer: Bytes32::new([0xaa; 32]),
        },
    }
}

/// Returns the terms that the pair's provider offers its consumer.
pub fn terms() -> Terms {
    let (config, provider, consumer) = (config(), provider_identity(), consumer_identity());
    Terms {
        version: PROTOCOL_VERSION,
        chain: config.chain,
        stream: config.stream.to_string(),
        tracks: config.tracks,
        rate: config.rate,
        opening: config.opening,
        window_ms: 5_000,
        min_capacity: config.min_capacity,
        max_capacity: config.max_capacity,
        min_refund_delay: config.min_refund_delay,
        max_refund_delay: config.max_refund_delay,
        commitment_fee_rate_sat_per_kvb: config.commitment_fee_rate_sat_per_kvb,
        min_confirmations: config.min_confirmations,
        unconfirmed_limit: config.unconfirmed_limit,
        settle_delay_ms: 60_000,
        valid_ms: 3_600_000,
        channel_key: provider.channel_key.key.x_only_public_key().0,
        provider_certificate: provider.certificates.own,
        consumer_certificate: provider.certificates.peer,
        provider_nonce: provider.nonce,
        consumer_nonce: consumer.nonce,
    }
}

/// The provider's key of an index; the first ones are those of the other tests.
pub fn provider_key(index: u32) -> ChannelKey {
    let byte = match index {
        3 => PROVIDER,
        other => 0x80 + u8::try_from(other).unwrap(),
    };
    ChannelKey {
        key: key(byte),
        index,
    }
}

pub fn consumer_key(index: u32) -> Keypair {
    match index {
        5 => key(CONSUMER),
        other => key(0xc0 + u8::try_from(other).unwrap()),
    }
}

fn fresh_provider_key(n: u8) -> ChannelKey {
    provider_key(u32::from(n) + 10)
}

fn fresh_consumer_keys(n: u8) -> ChannelKeys {
    let index = u32::from(n) + 10;
    ChannelKeys {
        key: consumer_key(index),
        index,
        change: ChangeScript::new(p2tr(0x55)).unwrap(),
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(config(), policy(), consumer_identity())
    }

    pub fn with(config: ProviderConfig, policy: ConsumerPolicy, consumer: ConsumerIdentity) -> Self {
        let now = seconds(1_000);
        let mut pair = Self {
            now,
            provider: ProviderSession::new(config, provider_identity(), now),
            consumer: ConsumerSession::new(policy, consumer, Past::default(), None, now),
            latency: Duration::from_millis(40),
            media: true,
            funded: true,
            authorizes: Some(true),
            questions: Vec::new(),
            to_provider: VecDeque::new(),
            to_consumer: VecDeque::new(),
            gate: GateState::Unpaid,
            open_time: Duration::ZERO,
            provider_record: None,
            consumer_record: None,
            provider_records: BTreeMap::new(),
            consumer_records: BTreeMap::new(),
            released: Vec::new(),
            used_up: Vec::new(),
            statuses: BTreeMap::new(),
            fresh_keys: 0,
            keys_given: 0,
            tolerated: Msat::ZERO,
            agreed: None,
            best: None,
            consumed: Msat::ZERO,
            settle_due: false,
            closing: None,
            broadcasts: Vec::new(),
            notices: Vec::new(),
            provider_notices: Vec::new(),
            provider_end: None,
            consumer_end: None,
            paid: Amount::ZERO,
            log: Vec::new(),
        };
        let effects = pair.provider.start();
        pair.provider_effects(effects);
        let effects = pair.consumer.start();
        pair.consumer_effects(effects);
        pair
    }

    /// On a confirmed channel, while media flows.
    pub fn playing(policy: ConsumerPolicy) -> Self {
        let mut pair = Self::with(config(), policy, consumer_identity());
        pair.until_playing();
        pair.confirm(1);
        pair
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until something holds; fails after two simulated minutes.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = self.now + seconds(120);
        while !holds(self) {
            assert!(
                self.now < end,
                "waited in vain for {what}; the wire said {:#?}",
                self.log
            );
            self.step();
        }
    }

    pub fn until_playing(&mut self) {
        self.until("media", |pair| pair.gate == GateState::Open);
    }

    pub fn until_both_ended(&mut self) {
        self.until("the end", |pair| {
            pair.provider_end.is_some() && pair.consumer_end.is_some()
        });
    }

    /// The player goes on, or is paused.
    pub fn set_playing(&mut self, playing: bool) {
        let effects = self.consumer.set_playing(playing, self.now);
        self.consumer_effects(effects);
    }

    /// All commitments are so deep now.
    pub fn confirm(&mut self, confirmations: u32) {
        for outpoint in self.provider.channels() {
            self.chain_says(outpoint, CommitmentStatus::Confirmed { confirmations });
        }
    }

    pub fn chain_says(&mut self, outpoint: OutPoint, status: CommitmentStatus) {
        self.statuses.insert(outpoint, status);
        let effects = self.provider.commitment_status(outpoint, status, self.now);
        self.provider_effects(effects);
    }

    /// What a driver would know of a channel that is taken up again: unknown counts as unconfirmed.
    fn status(&self, outpoint: OutPoint) -> CommitmentStatus {
        let status = self.statuses.get(&outpoint).copied();
        status.unwrap_or(CommitmentStatus::Mempool)
    }

    /// What is on its way never arrives.
    pub fn drop_mail(&mut self) {
        self.to_provider.clear();
        self.to_consumer.clear();
    }

    /// Offers of a new rate that are on their way never arrive: for this consumer the message means nothing.
    pub fn lose_rates(&mut self) {
        self.to_consumer
            .retain(|(_, text)| !text.contains("\"type\":\"rate\""));
    }

    /// Both sides lose the connection; what was on its way is lost.
    pub fn cut(&mut self) {
        self.drop_mail();
        let effects = self.provider.disconnected(self.now);
        self.provider_effects(effects);
        let effects = self.consumer.disconnected(self.now);
        self.consumer_effects(effects);
    }

    /// A new connection, with fresh keys and nonces, on which the consumer may go on with these.
    pub fn reconnect(&mut self, config: ProviderConfig, policy: ConsumerPolicy, past: Past) {
        self.fresh_keys += 1;
        let mut provider = provider_identity();
        provider.nonce = Bytes32::new([0x80 + self.fresh_keys; 32]);
        provider.channel_key = fresh_provider_key(self.fresh_keys);
        let mut consumer = consumer_identity();
        consumer.nonce = Bytes32::new([0xc0 + self.fresh_keys; 32]);
        (self.provider_end, self.consumer_end) = (None, None);
        self.provider = ProviderSession::new(config, provider, self.now);
        self.consumer = ConsumerSession::new(policy, consumer, past, None, self.now);
        let effects = self.consumer.start();
        self.consumer_effects(effects);
    }

    /// The first channel's keys are those of the other tests.
    fn consumer_keys(&mut self) -> ChannelKeys {
        self.keys_given += 1;
        if self.keys_given > 1 {
            self.fresh_keys += 1;
            return fresh_consumer_keys(self.fresh_keys);
        }
        ChannelKeys {
            key: key(CONSUMER),
            index: 5,
            change: ChangeScript::new(p2tr(0x55)).unwrap(),
        }
    }

    /// What the consumer can go on with, newest first. `from_disk`: after a crash of its own.
    pub fn past(&self, from_disk: bool) -> Past {
        let records: Vec<_> = self.consumer_records.values().cloned().collect();
        let mut resumable: Vec<_> = records
            .into_iter()
            .filter(|record| record.paid < record.contract.payable())
            .map(|record| Resumable {
                key: consumer_key(record.key_index),
                spent: record.paid + record.carried,
                record,
                from_disk,
            })
            .collect();
        resumable.sort_by_key(|resumable| std::cmp::Reverse(resumable.record.carried));
        Past {
            tolerated: self.tolerated,
            agreed: self.agreed.clone(),
            spent: resumable
                .iter()
                .map(|resumable| resumable.spent)
                .max()
                .unwrap_or_default(),
            resumable,
        }
    }

    /// The application's answer to the last question.
    pub fn authorize(&mut self, yes: bool) {
        let (question, terms) = self.questions.last().unwrap().clone();
        if yes {
            self.agreed = Some(Agreement::of(&terms));
        }
        let effects = self.consumer.authorized(question, yes, self.now);
        self.consumer_effects(effects);
    }

    /// The rates that are debited and counted at now, in msat/s.
    pub fn rates(&self) -> (u64, u64) {
        let (debited, counted) = (self.provider.rate(), self.consumer.rate());
        (debited.msat_per_s(), counted.msat_per_s())
    }

    /// How many messages with these words were sent.
    pub fn sent(&self, words: &str) -> usize {
        self.log.iter().filter(|line| line.contains(words)).count()
    }

    /// What the consumer found wrong with its provider.
    pub fn faults(&self) -> Vec<&ConsumerNotice> {
        let is = |notice: &&ConsumerNotice| matches!(notice, ConsumerNotice::Fault(_));
        self.notices.iter().filter(is).collect()
    }

    /// The broadcaster sets another rate.
    pub fn set_rate(&mut self, msat_per_s: u64) {
        let effects = self
            .provider
            .set_rate(Rate::new(msat_per_s), sat(1_000), self.now);
        self.provider_effects(effects);
    }

    fn save_account(&mut self, account: &AccountRecord) {
        assert!(account.consumed >= self.consumed, "the ledger went backwards");
        let record = self
            .provider_records
            .get_mut(&account.outpoint)
            .expect("an account without a record");
        let cumulative = |best: Option<PaymentRecord>| best.map(|best| best.cumulative);
        assert!(
            cumulative(account.best) >= cumulative(record.best),
            "the balance went backwards"
        );
        (record.best, record.carried, record.consumed) = (account.best, account.carried, account.consumed);
        (self.best, self.consumed) = (account.best, account.consumed);
    }

    /// What the consumer sends next, by hand.
    pub fn inject(&mut self, message: &ConsumerMessage) {
        let effects = self.provider.text(&encode(message).unwrap(), self.now);
        self.provider_effects(effects);
    }

    /// What the provider sends next, by hand.
    pub fn inject_to_consumer(&mut self, message: &ProviderMessage) {
        let effects = self.consumer.text(&encode(message).unwrap(), self.now);
        self.consumer_effects(effects);
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.gate == GateState::Open {
            self.open_time += STEP;
            if self.media {
                self.consumer.media(Arrivals {
                    audio: Some(self.now),
                    video: Some(self.now),
                });
            }
        }
        while let Some(text) = due(&mut self.to_provider, self.now) {
            let effects = self.provider.text(&text, self.now);
            self.provider_effects(effects);
        }
        while let Some(text) = due(&mut self.to_consumer, self.now) {
            let effects = self.consumer.text(&text, self.now);
            self.consumer_effects(effects);
        }
        let effects = self.provider.tick(self.now);
        self.provider_effects(effects);
        let effects = self.consumer.tick(self.now);
        self.consumer_effects(effects);
        // Whoever sleeps until then must not find that nothing was due, again and again.
        let later = |at: Option<Duration>| at.is_none_or(|at| at > self.now);
        assert!(
            later(self.provider.next(self.now)),
            "the provider's driver would spin"
        );
        assert!(
            later(self.consumer.next(self.now)),
            "the consumer's driver would spin"
        );
    }

    pub fn provider_effects(&mut self, effects: Vec<ProviderEffect>) {
        for effect in effects {
            match effect {
                ProviderEffect::Send(message) => {
                    let text = encode(&message).unwrap();
                    self.log.push(format!("{:?} <- {text}", self.now));
                    self.to_consumer.push_back((self.now + self.latency, text));
                }
                ProviderEffect::SaveChannel(record) => {
                    self.provider_records.insert(record.outpoint, (*record).clone());
                    self.provider_record = Some(*record);
                }
                ProviderEffect::SaveAccount(account) => self.save_account(&account),
                ProviderEffect::Switch { from, to } => {
                    self.save_account(&from);
                    // Without a payment only the debt goes on.
                    if to.best.is_none() {
                        (self.best, self.consumed) = (None, Msat::ZERO);
                    }
                    self.save_account(&to);
                    let old = self.provider_records.get_mut(&from.outpoint).unwrap();
                    old.went_on_to = Some(to.outpoint);
                    self.used_up.push(from.outpoint);
                }
                ProviderEffect::FreshKey => {
                    self.fresh_keys += 1;
                    let key = fresh_provider_key(self.fresh_keys);
                    let effects = self.provider.fresh_key(key, self.now);
                    self.provider_effects(effects);
                }
                ProviderEffect::Recall(outpoint) => {
                    let recalled = match self.provider_records.get(&outpoint) {
                        Some(record) => Ok(Recalled {
                            record: record.clone(),
                            former: record
                                .follows
                                .and_then(|o| self.provider_records.get(&o).cloned()),
                            facts: ChannelFacts::default(),
                            key: provider_key(record.key_index),
                            status: self.status(outpoint),
                        }),
                        None => Err("it is not on record".to_owned()),
                    };
                    let effects = self.provider.recalled(recalled, self.now);
                    self.provider_effects(effects);
                }
                ProviderEffect::TakeOver(outpoint) => {
                    let record = self.provider_records.get(&outpoint).unwrap();
                    (self.best, self.consumed) = (record.best, record.consumed);
                }
                ProviderEffect::Broadcast(tx) => {
                    assert!(self.provider_record.is_some(), "broadcast before it was durable");
                    self.broadcasts.push(tx);
                }
                ProviderEffect::Gate(state) => self.gate = state,
                ProviderEffect::Release { outpoint, keep } => {
                    self.released.push((outpoint, keep));
                    let record = self.provider_records.get(&outpoint);
                    let paid = record.is_some_and(|record| record.best.is_some());
                    if keep != Keep::Due || !paid {
                        continue;
                    }
                    self.settle_due = true;
                    // It is made, and said, once the commitment is confirmed.
                    if matches!(self.status(outpoint), CommitmentStatus::Confirmed { .. }) {
                        self.tell_settled(outpoint, bitcoin::Txid::from_byte_array([7; 32]));
                    }
                }
                ProviderEffect::CloseCooperatively {
                    outpoint,
                    transaction,
                    ..
                } => {
                    self.tell_settled(outpoint, transaction.compute_txid());
                    self.closing = Some(transaction);
                }
                ProviderEffect::End(reason) => self.provider_end = Some(reason),
                ProviderEffect::Notice(notice) => self.provider_notices.push(notice),
                ProviderEffect::Watch { .. } => (),
            }
        }
    }

    fn tell_settled(&mut self, outpoint: OutPoint, txid: bitcoin::Txid) {
        let settled = ProviderMessage::Settled { outpoint, txid };
        self.provider_effects(vec![ProviderEffect::Send(settled)]);
    }

    pub fn consumer_effects(&mut self, effects: Vec<ConsumerEffect>) {
        for effect in effects {
            match effect {
                ConsumerEffect::Send(message) => {
                    if matches!(message, ConsumerMessage::Commitment { .. }) {
                        assert!(self.consumer_record.is_some(), "sent before it was durable");
                    }
                    let text = encode(&message).unwrap();
                    self.log.push(format!("{:?} -> {text}", self.now));
                    self.to_provider.push_back((self.now + self.latency, text));
                }
                ConsumerEffect::Authorize { question, terms } => {
                    self.questions.push((question, *terms));
                    if let Some(yes) = self.authorizes {
                        self.authorize(yes);
                    }
                }
                ConsumerEffect::AwaitFunds { .. } if self.funded => {
                    let effects = self.consumer.funded(self.now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::BuildCommitment { contract, .. } => {
                    let effects = self.consumer.commitment_built(commitment(&contract), 1, self.now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::SaveChannel(record) => {
                    self.consumer_records.insert(record.outpoint, (*record).clone());
                    self.consumer_record = Some(*record);
                }
                ConsumerEffect::SavePaid {
                    outpoint,
                    paid,
                    carried,
                    consumed,
                    rate,
                } => {
                    let record = self.consumer_records.get_mut(&outpoint).unwrap();
                    assert!(
                        paid >= record.paid && consumed >= record.consumed,
                        "the consumer's ledger went backwards"
                    );
                    assert!(rate >= record.rate, "the highest rate was forgotten");
                    (record.paid, record.carried, record.consumed) = (paid, carried, consumed);
                    record.rate = rate;
                    self.paid = paid;
                }
                ConsumerEffect::FreshKeys => {
                    let keys = self.consumer_keys();
                    let effects = self.consumer.fresh_keys(keys, self.now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::Broadcast(tx) => {
                    assert!(self.consumer_record.is_some(), "broadcast before it was durable");
                    self.broadcasts.push(tx);
                }
                ConsumerEffect::Notice(notice) => {
                    if let ConsumerNotice::Resumed { tolerated, .. } = &notice {
                        self.tolerated = *tolerated;
                    }
                    self.notices.push(notice);
                }
                ConsumerEffect::End(end) => self.consumer_end = Some(end),
                ConsumerEffect::AwaitFunds { .. } | ConsumerEffect::Watch { .. } => (),
            }
        }
    }
}

fn due(queue: &mut VecDeque<(Duration, String)>, now: Duration) -> Option<String> {
    queue
        .front()
        .is_some_and(|(at, _)| *at <= now)
        .then(|| queue.pop_front().unwrap().1)
}
