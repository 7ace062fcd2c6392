//! What must hold at every step and at the end. It counts by true time what no clock in the world shows.

use crate::events::Conn;
use crate::provider::FEE_RATE;
use crate::world::{TRACK_INTERVAL, World};
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::money::Msat;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::ProviderRecord;
use streamium_channel::settlement::SINGLE_SETTLEMENT_VB;

/// What clocks that differ, and what is rounded, may explain: 200 ppm each, and some milliseconds.
const SKEW_PPM: u64 = 500;
const ROUNDING: Duration = Duration::from_millis(50);

/// After a crash the consumer believes two payment intervals that it had not written down (protocol.md section 4).
const UNWRITTEN: Duration = Duration::from_secs(2);

/// What a provider's crash may make it forget having sent: what it had not written down.
const FORGOTTEN: Duration = Duration::from_millis(1_500);

#[derive(Default)]
pub struct ProviderAccount {
    channels: Vec<OutPoint>,
    /// For how long media was sent.
    sent: Duration,
    /// What it holds, as far as it knows.
    held: Amount,
    /// What it sent and forgot.
    forgotten: Msat,
}

#[derive(Default)]
pub struct ConsumerAccount {
    channels: Vec<OutPoint>,
    /// The time in which every track arrived.
    arrived: Duration,
    crashes: u32,
    /// Channels that were left because of their age: each asked for an opening payment of its own.
    left_old: u32,
}

#[derive(Default)]
pub struct Judge {
    provider: Vec<ProviderAccount>,
    consumer: Vec<ConsumerAccount>,
    provider_of: BTreeMap<OutPoint, usize>,
    consumer_of: BTreeMap<OutPoint, usize>,
    /// What the consumer has signed since its last start.
    run_paid: Amount,
}

impl Judge {
    fn provider_account(&mut self, outpoint: OutPoint) -> usize {
        *self.provider_of.entry(outpoint).or_insert_with(|| {
            self.provider.push(ProviderAccount {
                channels: vec![outpoint],
                ..ProviderAccount::default()
            });
            self.provider.len() - 1
        })
    }

    fn consumer_account(&mut self, outpoint: OutPoint) -> usize {
        match self.consumer_of.get(&outpoint) {
            Some(account) => *account,
            None => self.new_consumer_account(outpoint),
        }
    }

    fn new_consumer_account(&mut self, outpoint: OutPoint) -> usize {
        for account in &mut self.consumer {
            account.channels.retain(|other| *other != outpoint);
        }
        self.consumer.push(ConsumerAccount {
            channels: vec![outpoint],
            ..ConsumerAccount::default()
        });
        self.consumer_of.insert(outpoint, self.consumer.len() - 1);
        self.consumer.len() - 1
    }
}

// What the provider does.
impl World {
    pub fn judge_new_channel(&mut self, record: &ProviderRecord) {
        let ours = self.consumer.disk.get(&record.outpoint);
        let ours = ours.expect("a commitment reached the provider before its record was durable");
        assert_eq!(ours.contract, record.contract);
    }

    pub fn judge_provider_message(&mut self, conn: Conn, message: &ProviderMessage) {
        match message {
            ProviderMessage::Channel { outpoint, .. } => {
                assert!(
                    self.provider.disk.contains_key(outpoint),
                    "{message:?} before it was on record"
                );
            }
            ProviderMessage::Credit {
                outpoint, balance, ..
            } => {
                assert!(
                    *balance <= self.consumer.disk[outpoint].paid,
                    "credit for what nobody signed: {message:?}"
                );
                let owner = self.provider.owner.get(outpoint);
                assert!(
                    owner == Some(&conn),
                    "credit of {outpoint} for {conn}, but it is {owner:?}'s"
                );
            }
            ProviderMessage::Resumed {
                outpoint,
                carried,
                consumed_msat,
                balance,
                ..
            } => {
                let record = &self.provider.disk[outpoint].record;
                let held = record.best.map_or(Amount::ZERO, |best| best.cumulative);
                let account = (record.carried, record.consumed.to_msat(), held);
                assert_eq!(
                    (*carried, *consumed_msat, *balance),
                    account,
                    "not what is on record"
                );
            }
            _ => (),
        }
    }

    pub fn judge_account(&mut self, account: &AccountRecord) {
        let stored = &self.provider.disk[&account.outpoint];
        let balance = account.best.map_or(Amount::ZERO, |best| best.cumulative);
        assert!(
            balance <= stored.record.contract.payable(),
            "a balance beyond what the channel can pay"
        );
        assert!(
            balance <= self.consumer.disk[&account.outpoint].paid,
            "a balance that nobody signed"
        );
        let of = self.judge.provider_account(account.outpoint);
        let former = self.judge.provider[of]
            .channels
            .iter()
            .filter(|other| **other != account.outpoint);
        let paid = former.map(|other| {
            let best = self.provider.disk[other].record.best;
            best.map_or(Amount::ZERO, |best| best.cumulative)
        });
        let paid: Amount = paid.sum();
        assert_eq!(
            account.carried, paid,
            "what is carried is not what the channels before have paid"
        );
        let held = &mut self.judge.provider[of].held;
        assert!(
            account.carried + balance >= *held,
            "the provider's account went backwards"
        );
        *held = account.carried + balance;
    }

    pub fn judge_switch(&mut self, from: &AccountRecord, to: &AccountRecord) {
        self.judge_account(from);
        assert!(self.provider.owner.contains_key(&from.outpoint) && !self.provider.disk[&from.outpoint].due);
        let of = self.judge.provider_account(from.outpoint);
        assert!(
            !self.judge.provider_of.contains_key(&to.outpoint),
            "a channel with two accounts"
        );
        self.judge.provider_of.insert(to.outpoint, of);
        self.judge.provider[of].channels.push(to.outpoint);
        // What the last one paid is on record with this very effect.
        if let Some(stored) = self.provider.disk.get_mut(&from.outpoint) {
            stored.record.best = from.best;
        }
        self.judge_account(to);
    }

    /// What is in memory is lost; what was sent and not written down is forgotten.
    pub fn judge_provider_crash(&mut self) {
        let rate = self.conditions.rate;
        for (outpoint, conn) in self.provider.owner.clone() {
            let present = self.provider.sessions[&conn].session.channels().first() == Some(&outpoint);
            let Some(of) = self.judge.provider_of.get(&outpoint).copied().filter(|_| present) else {
                continue;
            };
            let record = &self.provider.disk[&outpoint].record;
            let account = &mut self.judge.provider[of];
            account.held = record.carried + record.best.map_or(Amount::ZERO, |best| best.cumulative);
            let forgotten = rate.cost(account.sent).minus(record.consumed);
            let new = forgotten.minus(account.forgotten);
            let bound = rate
                .cost(FORGOTTEN)
                .plus(slack(self.conditions.rate.cost(account.sent)));
            assert!(new <= bound, "the provider forgot {new} that it had sent");
            account.forgotten = forgotten.max(account.forgotten);
        }
    }

    pub fn judge_sent(&mut self, span: Duration) {
        if !self.provider.up || self.now < self.provider.frozen_until {
            return;
        }
        let conditions = &self.conditions;
        for (conn, live) in &self.provider.sessions {
            if live.gate != GateState::Open {
                continue;
            }
            let outpoint = *live.session.channels().first().expect("media without a channel");
            let of = *self
                .judge
                .provider_of
                .get(&outpoint)
                .expect("media before a payment");
            let account = &mut self.judge.provider[of];
            account.sent += span;
            let sent = conditions.rate.cost(account.sent);
            let ahead = conditions.rate.cost(conditions.grace + ROUNDING);
            let bound = Msat::from(account.held)
                .plus(ahead)
                .plus(account.forgotten)
                .plus(slack(sent));
            assert!(
                sent <= bound,
                "{conn}: media for {sent} was sent, {bound} is the most for {}",
                account.held
            );
        }
    }

    pub fn judge_sessions(&self) {
        if self.provider.sessions.len() < 2 {
            return;
        }
        let mut seen: Vec<OutPoint> = Vec::new();
        for live in self
            .provider
            .sessions
            .values()
            .filter(|live| !live.session.has_ended())
        {
            for outpoint in live.session.channels() {
                assert!(!seen.contains(&outpoint), "two sessions have {outpoint}");
                seen.push(outpoint);
            }
        }
    }
}

// What the consumer does.
impl World {
    pub fn judge_consumer_message(&self, message: &ConsumerMessage) {
        match message {
            ConsumerMessage::Commitment { transaction, .. } => {
                assert!(
                    self.is_recorded(transaction.compute_txid()),
                    "sent before it was on record"
                );
            }
            ConsumerMessage::Payment {
                outpoint, cumulative, ..
            } => {
                assert!(
                    self.consumer.disk[outpoint].paid >= *cumulative,
                    "paid before it was on record"
                );
            }
            _ => (),
        }
    }

    pub fn judge_opened(&mut self, outpoint: OutPoint) {
        if self.consumer.present.is_none() {
            self.judge.consumer_account(outpoint);
        }
    }

    pub fn judge_rolled_over(&mut self, from: OutPoint, to: OutPoint) {
        let of = self.judge.consumer_account(from);
        let record = &self.consumer.disk[&from];
        self.judge.consumer[of].left_old += u32::from(record.paid < record.contract.payable());
        self.judge.consumer_of.insert(to, of);
        self.judge.consumer[of].channels.push(to);
    }

    pub fn judge_paid(&mut self, outpoint: OutPoint, paid: Amount, carried: Amount, consumed: Msat) {
        let record = &self.consumer.disk[&outpoint];
        assert!(paid >= record.paid, "the consumer's payments went backwards");
        assert!(paid <= record.contract.payable());
        if paid > record.paid {
            self.judge.run_paid += paid - record.paid;
            let (run_paid, budget) = (self.judge.run_paid, self.consumer.budget);
            assert!(run_paid <= budget, "{run_paid} paid with a budget of {budget}");
        }
        let mut of = self.judge.consumer_account(outpoint);
        let former = self.judge.consumer[of]
            .channels
            .iter()
            .filter(|other| **other != outpoint);
        let former: Amount = former.map(|other| self.consumer.disk[other].paid).sum();
        if carried != former || consumed < record.consumed {
            // The provider knows nothing of this channel yet: it begins anew (protocol.md section 4).
            assert_eq!(
                carried,
                Amount::ZERO,
                "what is carried is not what the channels before have paid"
            );
            of = self.judge.new_consumer_account(outpoint);
        }
        let account = &self.judge.consumer[of];
        let former = account.channels.iter().filter(|other| **other != outpoint);
        let all: Amount = former.map(|other| self.consumer.disk[other].paid).sum::<Amount>() + paid;
        let bound = self.consumer_bound(of);
        let arrived = account.arrived;
        assert!(
            Msat::from(all) <= bound,
            "{all} paid for {arrived:?} of media; the bound is {bound}"
        );
    }

    /// Opening and window ahead, and what the provider's count is believed to be ahead (protocol.md section 7).
    fn consumer_bound(&self, of: usize) -> Msat {
        let (account, conditions) = (&self.judge.consumer[of], &self.conditions);
        let arrived = conditions
            .rate
            .cost(account.arrived + UNWRITTEN * account.crashes);
        let ahead = conditions.rate.cost(conditions.window * 2 + ROUNDING);
        let openings = u64::from(1 + account.left_old);
        let opening = Msat::from(Amount::from_sat(conditions.opening_sat) * openings);
        arrived
            .plus(arrived.percent(2))
            .plus(ahead)
            .plus(opening)
            .plus(slack(arrived))
    }

    pub fn judge_consumer_crash(&mut self) {
        self.judge.run_paid = Amount::ZERO;
        if let Some(outpoint) = self.consumer.present {
            let of = self.judge.consumer_account(outpoint);
            self.judge.consumer[of].crashes += 1;
        }
    }

    pub fn judge_arrived(&mut self, from: Duration, to: Duration) {
        let (Some(outpoint), true) = (self.consumer.present, self.consumer.playing) else {
            return;
        };
        let (Some(audio), Some(video)) = (self.audio_last, self.video_last) else {
            return;
        };
        let until = to.min(audio.min(video) + TRACK_INTERVAL);
        if until > from {
            let of = self.judge.consumer_account(outpoint);
            self.judge.consumer[of].arrived += until - from;
        }
    }
}

// What becomes of the money.
impl World {
    /// A provider that is there has settled before the refund leaf opens.
    pub fn judge_chain(&self) {
        if self.conditions.provider_gone {
            return;
        }
        for (outpoint, stored) in &self.provider.disk {
            let deep = self.chain.confirmations(*outpoint);
            let open = deep >= u32::from(stored.record.contract.delay().blocks());
            if open && self.chain.spend(*outpoint).is_none() {
                assert!(
                    !is_worth_it(&stored.record),
                    "{outpoint} can be refunded, though it has been paid"
                );
            }
        }
    }

    pub fn judge_refund(&self, outpoint: OutPoint) {
        let stored = self.provider.disk.get(&outpoint);
        let gone = self.conditions.provider_gone;
        let unpaid = stored.is_none_or(|stored| !is_worth_it(&stored.record));
        assert!(gone || unpaid, "{outpoint} is refunded, though it has been paid");
    }

    /// What a commitment that never confirmed cost the provider.
    pub fn judge_losses(&self) {
        let conditions = &self.conditions;
        for account in &self.judge.provider {
            let (vanished, real): (Vec<_>, Vec<_>) = account
                .channels
                .iter()
                .partition(|outpoint| self.chain.has_vanished(**outpoint));
            let held = |outpoint: &OutPoint| {
                let best = self.provider.disk[outpoint].record.best;
                best.map_or(Amount::ZERO, |best| best.cumulative)
            };
            let held: Amount = real.into_iter().map(held).sum();
            let limit = Amount::from_sat(conditions.unconfirmed_limit_sat) * vanished.len() as u64;
            let sent = conditions.rate.cost(account.sent);
            let ahead = conditions.rate.cost(conditions.grace + ROUNDING);
            let bound = Msat::from(held + limit)
                .plus(ahead)
                .plus(account.forgotten)
                .plus(slack(sent));
            assert!(
                sent <= bound,
                "media for {sent} was sent, {bound} is the most for {held} and {limit}"
            );
        }
    }
}

fn slack(of: Msat) -> Msat {
    Msat::new(of.to_msat() * SKEW_PPM / 1_000_000 + 1_000)
}

fn is_worth_it(record: &ProviderRecord) -> bool {
    let fee = FEE_RATE.fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
    record
        .best
        .is_some_and(|best| best.cumulative >= fee + Amount::from_sat(330))
}
