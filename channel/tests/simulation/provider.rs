//! The provider's computer: a process that crashes, a disk that stays, and a driver as simple as can be.

use crate::chain::{Kind, Spend};
use crate::clock::Clock;
use crate::events::{Answer, Conn, Event, Side};
use crate::keys;
use crate::world::World;
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::bitcoin::{FeeRate, OutPoint};
use streamium_channel::message::{GateState, encode};
use streamium_channel::money::Rate;
use streamium_channel::provider::{
    AccountRecord, ChannelFacts, CommitmentStatus, Keep, ProviderEffect as Effect, ProviderNotice,
    ProviderSession, Recalled,
};
use streamium_channel::record::ProviderRecord;

/// Payments and debits may wait this long for the disk.
pub const GROUP_COMMIT: Duration = Duration::from_millis(250);

/// What a refund costs here.
pub const FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

#[derive(Clone, Debug)]
pub struct Stored {
    pub record: ProviderRecord,
    pub due: bool,
    pub due_since: Duration,
    pub closing: Option<Spend>,
}

pub struct Live {
    pub session: ProviderSession,
    pub gate: GateState,
}

pub struct Provider {
    pub up: bool,
    pub frozen_until: Duration,
    pub clock: Clock,
    /// Which process this is.
    pub life: u64,
    // What survives.
    /// As it is set.
    pub rate: Rate,
    pub disk: BTreeMap<OutPoint, Stored>,
    next_key: u32,
    // What does not.
    pending: Vec<AccountRecord>,
    pub pending_since: Option<Duration>,
    pub sessions: BTreeMap<Conn, Live>,
    pub owner: BTreeMap<OutPoint, Conn>,
    /// Who is told that a channel is being settled.
    pub listeners: BTreeMap<OutPoint, Conn>,
    pub idle: BTreeMap<OutPoint, Duration>,
    pub views: BTreeMap<OutPoint, CommitmentStatus>,
    pub unreachable_since: Option<Duration>,
}

impl Provider {
    pub fn new(clock: Clock, rate: Rate) -> Self {
        Self {
            rate,
            up: true,
            frozen_until: Duration::ZERO,
            clock,
            life: 0,
            disk: BTreeMap::new(),
            next_key: 0,
            pending: Vec::new(),
            pending_since: None,
            sessions: BTreeMap::new(),
            owner: BTreeMap::new(),
            listeners: BTreeMap::new(),
            idle: BTreeMap::new(),
            views: BTreeMap::new(),
            unreachable_since: None,
        }
    }

    pub fn fresh_key(&mut self) -> streamium_channel::provider::ChannelKey {
        self.next_key += 1;
        keys::provider(self.next_key)
    }
}

impl World {
    pub fn provider_now(&self) -> Duration {
        self.provider.clock.at(self.now)
    }

    /// Lets a session of the provider's do something, and carries out what follows.
    pub fn with_provider(
        &mut self,
        conn: Conn,
        act: impl FnOnce(&mut ProviderSession, Duration) -> Vec<Effect>,
    ) {
        let now = self.provider_now();
        if let Some(live) = self.provider.sessions.get_mut(&conn) {
            let effects = act(&mut live.session, now);
            self.provider_effects(conn, effects);
        }
    }

    pub fn provider_effects(&mut self, conn: Conn, effects: Vec<Effect>) {
        let life = self.provider.life;
        for effect in effects {
            if self.provider.life != life || !self.provider.up {
                return;
            }
            if self.dice.ppm(self.chances().provider_crash) {
                return self.crash_provider();
            }
            self.note(|| format!("   provider {conn}: {effect:?}"));
            self.provider_effect(conn, effect);
        }
    }

    fn provider_effect(&mut self, conn: Conn, effect: Effect) {
        match effect {
            Effect::Send(message) => {
                self.judge_provider_message(conn, &message);
                self.send(Side::Consumer, conn, encode(&message).unwrap());
            }
            Effect::SaveChannel(record) => {
                self.judge_new_channel(&record);
                let (outpoint, record) = (record.outpoint, *record);
                self.provider.disk.insert(
                    outpoint,
                    Stored {
                        record,
                        due: false,
                        due_since: Duration::ZERO,
                        closing: None,
                    },
                );
                self.provider.owner.insert(outpoint, conn);
            }
            Effect::SaveAccount(account) => {
                self.judge_account(&account);
                self.judge_debited(&account);
                self.provider.pending.push(account);
                self.provider.pending_since.get_or_insert(self.now);
            }
            Effect::Switch { from, to } => {
                self.commit_accounts();
                self.judge_switch(&from, &to);
                self.save_account(&from);
                self.save_account(&to);
                let old = &mut self.provider.disk.get_mut(&from.outpoint).unwrap().record;
                old.went_on_to = Some(to.outpoint);
                if let Some(other) = self.provider.owner.get(&from.outpoint).copied()
                    && other != conn
                {
                    self.with_provider(other, |session, now| session.supersede(from.outpoint, now));
                    self.commit_accounts();
                }
                self.release(from.outpoint, Keep::Due);
            }
            Effect::FreshKey => self.answer_later(Side::Provider, conn, Answer::FreshKey),
            Effect::Recall(outpoint) => self.answer_later(Side::Provider, conn, Answer::Recall(outpoint)),
            Effect::TakeOver(outpoint) => self.take_over(conn, outpoint),
            Effect::Watch { outpoint, .. } => self.tell_provider(outpoint),
            Effect::Broadcast(transaction) => {
                let txid = transaction.compute_txid();
                let known = self.provider.disk.keys().any(|outpoint| outpoint.txid == txid);
                assert!(known, "the provider broadcast {txid} before it was on record");
                self.broadcast(txid);
            }
            Effect::Gate(state) => self.set_gate(conn, state),
            Effect::Release { outpoint, keep } => {
                self.commit_accounts();
                self.release(outpoint, keep);
            }
            Effect::CloseCooperatively {
                outpoint,
                transaction,
                payout,
            } => {
                self.judge_close(outpoint);
                let capacity = self.provider.disk[&outpoint].record.contract.capacity();
                let change = transaction.output[0].value;
                let spend = Spend::new(Kind::Cooperative, payout, change, capacity - change - payout);
                self.provider.disk.get_mut(&outpoint).unwrap().closing = Some(spend);
                let _ = self.chain.offer(outpoint, spend);
                self.tell_settled(outpoint);
            }
            Effect::Notice(notice) => self.provider_notice(&notice),
            Effect::End(_) => self.set_gate(conn, GateState::Closed),
        }
    }

    fn provider_notice(&mut self, notice: &ProviderNotice) {
        match notice {
            ProviderNotice::RolledOver { .. } => self.totals.rolled += 1,
            ProviderNotice::Paid { .. } => self.totals.payments += 1,
            ProviderNotice::Resumed { .. } => self.totals.resumed += 1,
            ProviderNotice::RateOffered { .. } => self.totals.offered += 1,
            ProviderNotice::RateAccepted { .. } => self.totals.repriced += 1,
            ProviderNotice::RateRefused { .. } => self.totals.left_over_rate += 1,
            _ => (),
        }
    }

    fn set_gate(&mut self, conn: Conn, state: GateState) {
        let Some(live) = self.provider.sessions.get_mut(&conn) else {
            return;
        };
        let was = live.gate == GateState::Open;
        live.gate = state;
        let is = state == GateState::Open;
        if is && !was {
            self.judge_gate_opens(conn);
        }
        if was != is {
            let at = self.now + self.conditions.latency;
            self.queue.push(at, Event::Flow(conn, is));
        }
    }

    fn take_over(&mut self, conn: Conn, outpoint: OutPoint) {
        let other = self
            .provider
            .owner
            .get(&outpoint)
            .copied()
            .filter(|other| *other != conn);
        if let Some(other) = other {
            self.with_provider(other, |session, now| session.supersede(outpoint, now));
            self.commit_accounts();
        }
        self.provider.idle.remove(&outpoint);
        self.provider.disk.get_mut(&outpoint).unwrap().due = false;
        self.provider.owner.insert(outpoint, conn);
    }

    fn save_account(&mut self, account: &AccountRecord) {
        let record = &mut self.provider.disk.get_mut(&account.outpoint).unwrap().record;
        assert!(
            account.consumed >= record.consumed,
            "the provider's count went backwards: {account:?}"
        );
        assert!(account.carried >= record.carried, "less is carried than before");
        (record.carried, record.consumed) = (account.carried, account.consumed);
        let cumulative =
            |best: Option<streamium_channel::record::PaymentRecord>| best.map(|best| best.cumulative);
        assert!(
            cumulative(account.best) >= cumulative(record.best),
            "the balance went backwards"
        );
        record.best = account.best;
    }

    pub fn commit_accounts(&mut self) {
        self.provider.pending_since = None;
        for account in std::mem::take(&mut self.provider.pending) {
            self.save_account(&account);
        }
    }

    pub fn answer_provider(&mut self, conn: Conn, answer: Answer) {
        match answer {
            Answer::FreshKey => {
                let key = self.provider.fresh_key();
                self.with_provider(conn, |session, now| session.fresh_key(key, now));
            }
            Answer::Recall(outpoint) => {
                // Sessions that still have it, or the one before it, bring the records up to date.
                let stored = self.provider.disk.get(&outpoint);
                let former = stored.and_then(|stored| stored.record.follows);
                for outpoint in [Some(outpoint), former].into_iter().flatten() {
                    if let Some(other) = self.provider.owner.get(&outpoint).copied() {
                        let life = self.provider.life;
                        self.with_provider(other, |session, now| session.book(now));
                        if self.provider.life != life {
                            return;
                        }
                    }
                }
                self.commit_accounts();
                let recalled = self.recall(outpoint);
                if recalled.is_err() {
                    self.totals.not_resumed += 1;
                }
                self.with_provider(conn, |session, now| session.recalled(recalled, now));
            }
            _ => (),
        }
    }

    fn provider_record(&self, outpoint: OutPoint) -> ProviderRecord {
        self.provider.disk[&outpoint].record.clone()
    }

    fn recall(&self, outpoint: OutPoint) -> Result<Recalled, String> {
        let stored = self.provider.disk.get(&outpoint).ok_or("unknown")?;
        let status = self.provider.views.get(&outpoint).copied();
        Ok(Recalled {
            record: stored.record.clone(),
            former: stored.record.follows.map(|former| self.provider_record(former)),
            facts: ChannelFacts {
                is_settling: stored.closing.is_some(),
                spent_by: self.chain.spend(outpoint).map(|_| outpoint.txid),
                ..ChannelFacts::default()
            },
            key: keys::provider(stored.record.key_index),
            status: status.unwrap_or(CommitmentStatus::Mempool),
        })
    }

    pub fn crash_provider(&mut self) {
        self.totals.provider_crashes += 1;
        self.note(|| "-- the provider crashes".into());
        self.judge_provider_crash();
        let conns: Vec<_> = self.provider.sessions.keys().copied().collect();
        for conn in conns {
            self.cut(conn);
            self.queue.push(self.now, Event::Flow(conn, false));
        }
        let provider = &mut self.provider;
        (provider.up, provider.life) = (false, provider.life + 1);
        provider.pending.clear();
        provider.pending_since = None;
        provider.sessions.clear();
        provider.owner.clear();
        provider.listeners.clear();
        provider.idle.clear();
        provider.views.clear();
        let back = self.now + self.dice.up_to(self.conditions.downtime);
        self.queue.push(back, Event::Restart(Side::Provider));
    }

    /// Takes up what is on record.
    pub fn restart_provider(&mut self) {
        self.provider.up = true;
        let until = self.now + self.conditions.settle_delay;
        let open: Vec<_> = self
            .provider
            .disk
            .iter()
            .filter(|(_, stored)| !stored.due)
            .map(|(o, _)| *o)
            .collect();
        for outpoint in open {
            self.provider.idle.insert(outpoint, until);
            self.provider.views.insert(outpoint, self.chain.status(outpoint));
        }
    }
}
