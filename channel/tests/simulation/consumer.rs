//! The consumer's computer: a process that crashes, a disk that stays, and a driver as simple as can be.

use crate::chain::{Kind, Spend};
use crate::clock::Clock;
use crate::common::{commitment, p2tr};
use crate::events::{Answer, Conn, Event, Side};
use crate::keys;
use crate::provider::FEE_RATE;
use crate::world::World;
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::agreement::Agreement;
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::consumer::{
    Arrivals, ChannelKeys, ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice, ConsumerSession, Past,
    Resumable,
};
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::fault::Fault;
use streamium_channel::message::encode;
use streamium_channel::money::Msat;
use streamium_channel::record::ConsumerRecord;
use streamium_channel::refund::refund;
use streamium_channel::script::ChangeScript;

/// The driver looks at the media this often.
pub const MEDIA_INTERVAL: Duration = Duration::from_millis(200);

pub struct Consumer {
    pub up: bool,
    pub frozen_until: Duration,
    pub clock: Clock,
    pub life: u64,
    // What survives.
    pub disk: BTreeMap<OutPoint, ConsumerRecord>,
    /// In the order in which they were opened.
    pub order: Vec<OutPoint>,
    next_key: u32,
    // What does not.
    pub live: Option<(Conn, ConsumerSession)>,
    /// What each account has paid in this run, by its present channel.
    pub accounts: BTreeMap<OutPoint, Amount>,
    /// And what it has paid through channels that no account goes on with.
    pub left_behind: Amount,
    pub tolerated: Msat,
    pub agreed: Option<Agreement>,
    pub present: Option<OutPoint>,
    pub last_tick: Duration,
    pub arrivals: Arrivals,
    pub playing: bool,
    /// When the viewer pressed play or pause last.
    pub pressed_at: Option<Duration>,
    pub budget: Amount,
    /// Does not come back by itself any more.
    pub stopped: bool,
}

impl Consumer {
    pub fn new(clock: Clock, budget: Amount) -> Self {
        Self {
            up: true,
            frozen_until: Duration::ZERO,
            clock,
            life: 0,
            disk: BTreeMap::new(),
            order: Vec::new(),
            next_key: 0,
            live: None,
            accounts: BTreeMap::new(),
            left_behind: Amount::ZERO,
            tolerated: Msat::ZERO,
            agreed: None,
            present: None,
            last_tick: Duration::ZERO,
            arrivals: Arrivals::default(),
            playing: true,
            pressed_at: None,
            budget,
            stopped: false,
        }
    }

    pub fn fresh_keys(&mut self) -> ChannelKeys {
        self.next_key += 1;
        ChannelKeys {
            key: keys::consumer(self.next_key),
            index: self.next_key,
            change: ChangeScript::new(p2tr(0x55)).unwrap(),
        }
    }
}

impl World {
    pub fn consumer_now(&self) -> Duration {
        self.consumer.clock.at(self.now)
    }

    pub fn with_consumer(&mut self, act: impl FnOnce(&mut ConsumerSession, Duration) -> Vec<Effect>) {
        let now = self.consumer_now();
        if let Some((conn, session)) = &mut self.consumer.live {
            let conn = *conn;
            let effects = act(session, now);
            self.consumer_effects(conn, effects);
        }
    }

    pub fn consumer_effects(&mut self, conn: Conn, effects: Vec<Effect>) {
        let life = self.consumer.life;
        for effect in effects {
            if self.consumer.life != life || !self.consumer.up {
                return;
            }
            if self.dice.ppm(self.chances().consumer_crash) {
                return self.crash_consumer();
            }
            self.note(|| format!("   consumer {conn}: {effect:?}"));
            self.consumer_effect(conn, effect);
        }
    }

    fn consumer_effect(&mut self, conn: Conn, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                self.judge_consumer_message(&message);
                self.send(Side::Provider, conn, encode(&message).unwrap());
            }
            Effect::Authorize { question, terms } => {
                self.answer_later(
                    Side::Consumer,
                    conn,
                    Answer::Authorized(question, Agreement::of(&terms)),
                );
            }
            Effect::AwaitFunds { .. } => self.answer_later(Side::Consumer, conn, Answer::Funded),
            Effect::BuildCommitment { contract, .. } => {
                self.answer_later(Side::Consumer, conn, Answer::Build(contract));
            }
            Effect::SaveChannel(record) => {
                if self.dice.percent(self.conditions.unknown) {
                    self.totals.unknown += 1;
                    self.chain.refuse(record.outpoint.txid);
                }
                self.consumer.order.push(record.outpoint);
                self.consumer.disk.insert(record.outpoint, *record);
                self.totals.channels += 1;
            }
            Effect::FreshKeys => self.answer_later(Side::Consumer, conn, Answer::FreshKeys),
            Effect::SavePaid {
                outpoint,
                paid,
                carried,
                consumed,
                rate,
            } => {
                self.judge_paid(outpoint, paid, carried, consumed);
                let total = carried + paid;
                let before = self
                    .consumer
                    .accounts
                    .insert(outpoint, total)
                    .unwrap_or(Amount::ZERO);
                self.consumer.left_behind += before.checked_sub(total).unwrap_or(Amount::ZERO);
                let record = self.consumer.disk.get_mut(&outpoint).unwrap();
                assert!(rate >= record.rate, "the highest rate was forgotten");
                (record.paid, record.carried, record.consumed) = (paid, carried, consumed);
                record.rate = rate;
            }
            Effect::Watch { .. } => (),
            Effect::Broadcast(transaction) => {
                let txid = transaction.compute_txid();
                assert!(
                    self.is_recorded(txid),
                    "the consumer broadcast {txid} before it was on record"
                );
                self.broadcast(txid);
            }
            Effect::Notice(notice) => self.consumer_notice(&notice),
            Effect::End(end) => self.consumer_ended(conn, &end),
        }
    }

    pub fn is_recorded(&self, txid: streamium_channel::bitcoin::Txid) -> bool {
        self.consumer.disk.keys().any(|outpoint| outpoint.txid == txid)
    }

    fn consumer_notice(&mut self, notice: &ConsumerNotice) {
        match notice {
            ConsumerNotice::Committed { outpoint, .. } => {
                self.judge_opened(*outpoint);
                self.consumer.present.get_or_insert(*outpoint);
            }
            ConsumerNotice::Resumed {
                outpoint, tolerated, ..
            } => {
                self.consumer.present = Some(*outpoint);
                self.consumer.tolerated = *tolerated;
            }
            ConsumerNotice::RolledOver { from, to } => {
                let total = self.consumer.accounts.remove(from).unwrap_or(Amount::ZERO);
                self.consumer.accounts.insert(*to, total);
                self.consumer.present = Some(*to);
                self.judge_rolled_over(*from, *to);
            }
            ConsumerNotice::Fault(Fault::Drift { .. }) => self.totals.drifts += 1,
            ConsumerNotice::Fault(_) => self.totals.faults += 1,
            _ => (),
        }
    }

    fn consumer_ended(&mut self, conn: Conn, _end: &ConsumerEnd) {
        self.cut(conn);
        self.consumer.live = None;
        self.consumer.present = None;
        let again = self.now + Duration::from_millis(100) + self.dice.up_to(Duration::from_secs(4));
        self.queue.push(again, Event::Reconnect);
    }

    pub fn answer_consumer(&mut self, conn: Conn, answer: Answer) {
        if self.consumer.live.as_ref().is_none_or(|(live, _)| *live != conn) {
            return;
        }
        match answer {
            Answer::Authorized(question, agreed) => {
                self.consumer.agreed = Some(agreed);
                self.with_consumer(|session, now| session.authorized(question, true, now));
            }
            Answer::Funded => self.with_consumer(ConsumerSession::funded),
            Answer::Build(_) if self.dice.percent(self.conditions.wallet_fails) => {
                self.with_consumer(|session, now| session.commitment_failed("no coins".into(), now));
            }
            Answer::Build(contract) => self.build(&contract),
            Answer::FreshKeys => {
                let keys = self.consumer.fresh_keys();
                self.with_consumer(|session, now| session.fresh_keys(keys, now));
            }
            Answer::FreshKey | Answer::Recall(_) => (),
        }
    }

    fn build(&mut self, contract: &Contract) {
        let transaction = commitment(contract);
        self.with_consumer(|session, now| session.commitment_built(transaction, 1, now));
    }

    /// What a new session may go on with.
    pub fn past(&mut self) -> Past {
        let greedy = self.dice.percent(self.conditions.greedy);
        let consumer = &self.consumer;
        let mut order = consumer.order.clone();
        if !greedy {
            order.reverse();
        }
        let candidates = order.iter().map(|outpoint| &consumer.disk[outpoint]);
        let usable = |record: &&ConsumerRecord| {
            let last = record.contract.delay().last_usable_confirmation();
            (greedy || record.paid < record.contract.payable())
                && self.chain.spend(record.outpoint).is_none()
                && self.chain.confirmations(record.outpoint) < last
        };
        let resumable = candidates.filter(usable).map(|record| {
            let spent = consumer.accounts.get(&record.outpoint).copied();
            Resumable {
                record: record.clone(),
                key: keys::consumer(record.key_index),
                spent: spent.unwrap_or(Amount::ZERO),
                from_disk: spent.is_none(),
            }
        });
        Past {
            spent: consumer.accounts.values().copied().sum::<Amount>() + consumer.left_behind,
            resumable: resumable.collect(),
            tolerated: consumer.tolerated,
            agreed: consumer.agreed.clone(),
        }
    }

    pub fn crash_consumer(&mut self) {
        self.totals.consumer_crashes += 1;
        self.note(|| "-- the consumer crashes".into());
        self.judge_consumer_crash();
        let consumer = &mut self.consumer;
        (consumer.up, consumer.life) = (false, consumer.life + 1);
        consumer.accounts.clear();
        consumer.left_behind = Amount::ZERO;
        consumer.tolerated = Msat::ZERO;
        consumer.agreed = None;
        consumer.present = None;
        if let Some((conn, _)) = consumer.live.take() {
            self.cut(conn);
        }
        let back = self.now + self.dice.up_to(self.conditions.downtime);
        self.queue.push(back, Event::Restart(Side::Consumer));
    }

    /// Commitments that nobody has seen are handed out again; what nobody settled comes back.
    pub fn consumer_housekeeping(&mut self) {
        if !self.consumer.up || self.now < self.consumer.frozen_until {
            return;
        }
        for index in 0..self.consumer.order.len() {
            let outpoint = self.consumer.order[index];
            if self.chain.is_unknown(outpoint) {
                self.broadcast(outpoint.txid);
            }
            let after = self.consumer.disk[&outpoint].contract.delay().blocks();
            let open = self.chain.confirmations(outpoint) >= u32::from(after);
            if open && self.chain.spend(outpoint).is_none() {
                self.refund(outpoint, after);
            }
        }
    }

    fn refund(&mut self, outpoint: OutPoint, after: u16) {
        let record = &self.consumer.disk[&outpoint];
        let channel = Channel::new(record.contract.clone(), outpoint).unwrap();
        let key = keys::consumer(record.key_index);
        let transaction = refund(&channel, &key, &p2tr(0x55), FEE_RATE).unwrap();
        let back = transaction.output[0].value;
        let capacity = record.contract.capacity();
        let spend = Spend::new(Kind::Refund { after }, Amount::ZERO, back, capacity - back);
        self.judge_refund(outpoint);
        self.chain
            .offer(outpoint, spend)
            .expect("a refund after the delay is taken");
    }
}
