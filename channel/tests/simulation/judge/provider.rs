//! What the provider may do.

use super::*;
use crate::world::World;

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
        // The next channel is resumed without a payment: only the debt goes on with it, into an account of its own.
        if to.best.is_none() {
            assert_eq!(to.carried, Amount::ZERO, "credit goes on by a payment only");
            return;
        }
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
        let rate = self.judge.peak;
        for account in &mut self.judge.provider {
            let present = account.channels.last().expect("an account has a channel");
            let record = &self.provider.disk[present].record;
            account.held = record.carried + record.best.map_or(Amount::ZERO, |best| best.cumulative);
            let due_forgotten = account.due.total().minus(record.consumed);
            account.due_forgotten = due_forgotten.max(account.due_forgotten);
            let sent = account.sent.total();
            let forgotten = sent.minus(record.consumed);
            let new = forgotten.minus(account.forgotten);
            let bound = rate.cost(FORGOTTEN).plus(slack(sent));
            assert!(new <= bound, "the provider forgot {new} that it had sent");
            account.forgotten = forgotten.max(account.forgotten);
        }
    }

    pub fn judge_sent(&mut self, span: Duration) {
        if !self.provider.up || self.now < self.provider.frozen_until {
            return;
        }
        self.judge_due(span);
        let (conditions, peak) = (&self.conditions, self.judge.peak);
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
            account.sent.add(live.session.rate(), span);
            let sent = account.sent.total();
            let ahead = peak.cost(conditions.grace + ROUNDING);
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
