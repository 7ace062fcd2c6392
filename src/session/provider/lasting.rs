//! Channels of a session: opened, taken up again, followed by the next.

use std::time::SystemTime;

use bitcoin::{Amount, OutPoint};
use streamium_channel::provider::{
    AccountRecord, ChannelFacts, ChannelKey, CommitmentStatus, Keep, Recalled,
};
use streamium_channel::record::ProviderRecord;

use super::driver::Driver;
use super::live::Live;
use crate::chain::OutpointStatus;
use crate::keys;
use crate::settle::NotResumable;
use crate::store::Role;

impl Driver {
    /// A key that no channel has had, reserved for ever.
    pub(super) fn fresh_channel_key(&mut self) -> Result<ChannelKey, String> {
        let index = self.store.next_key_index(Role::Provider);
        self.channel_key(index.map_err(|error| error.to_string())?)
    }

    pub(super) fn channel_key(&self, index: u32) -> Result<ChannelKey, String> {
        let key = keys::channel(&self.seed, self.options.network, Role::Provider, index);
        Ok(ChannelKey {
            key: key.map_err(|error| error.to_string())?,
            index,
        })
    }

    /// A session opens its next channel.
    pub(super) fn fresh_key(&mut self, id: &str) -> Result<(), String> {
        let (key, now) = (self.fresh_channel_key()?, self.now());
        if let Some(session) = self.sessions.get_mut(id).and_then(Live::session) {
            let effects = session.fresh_key(key, now);
            self.carry_out(id, effects);
        }
        Ok(())
    }

    /// Durable before the commitment is broadcast or acknowledged.
    pub(super) fn save_channel(&mut self, id: &str, record: &ProviderRecord) -> Result<(), String> {
        self.store
            .insert_provider_channel(record)
            .map_err(|error| error.to_string())?;
        self.own(id, record.outpoint);
        Ok(())
    }

    /// The channel is this session's from now on.
    fn own(&mut self, id: &str, outpoint: OutPoint) {
        self.limit_unconfirmed(id, outpoint);
        let now = self.now();
        if let Some(money) = &mut self.money {
            money.sessions.insert(outpoint, id.to_owned());
            money.deadlines_at = None;
            if !money.seen.contains(&outpoint) {
                money.unseen.insert(outpoint, now);
            }
        }
    }

    /// What may count of a channel before it is confirmed is limited over all sessions. A commitment that the chain does
    /// not know counts nothing, and takes nothing from the others; when it comes back there may be less left for it.
    pub(super) fn limit_unconfirmed(&mut self, id: &str, outpoint: OutPoint) {
        let taken: Amount = self
            .sessions
            .values_mut()
            .filter_map(Live::session)
            .map(|session| session.unconfirmed_limit())
            .sum();
        let Some(paid) = &self.options.paid else { return };
        if let Some(session) = self.sessions.get_mut(id).and_then(Live::session) {
            let others = taken
                .checked_sub(session.unconfirmed_limit())
                .unwrap_or(Amount::ZERO);
            let left = paid.unconfirmed_total.checked_sub(others).unwrap_or(Amount::ZERO);
            session.lower_unconfirmed_limit(outpoint, left);
        }
    }

    /// What is on record of a channel that a consumer names, with the account of a session that still has it.
    pub(super) fn recall(&mut self, id: &str, outpoint: OutPoint) -> Result<(), String> {
        let now = self.now();
        self.book(outpoint);
        let stored = self.store.provider_channel(outpoint).ok();
        if let Some(former) = stored.and_then(|stored| stored.record.follows) {
            self.book(former);
        }
        let recalled = self.look_up(outpoint);
        if let Some(session) = self.sessions.get_mut(id).and_then(Live::session) {
            let effects = session.recalled(recalled, now);
            self.carry_out(id, effects);
        }
        Ok(())
    }

    /// Brings the record of a channel up to date that a session still has.
    fn book(&mut self, outpoint: OutPoint) {
        let now = self.now();
        if let Some(other) = self.session_of(outpoint)
            && let Some(session) = self.sessions.get_mut(&other).and_then(Live::session)
        {
            let effects = session.book(now);
            self.carry_out(&other, effects);
            self.commit_accounts();
        }
    }

    fn look_up(&mut self, outpoint: OutPoint) -> Result<Recalled, String> {
        let stored = if self.session_of(outpoint).is_some() {
            let stored = self.store.provider_channel(outpoint);
            stored.map_err(|error| error.to_string())?
        } else {
            let stored = self.engine(|engine, out| engine.look_up(outpoint, out));
            stored
                .ok_or("this stream is free")?
                .map_err(|error| error.to_string())?
        };
        let held = self.engine(|engine, out| engine.status(outpoint, out)).flatten();
        let status = self
            .money
            .as_ref()
            .and_then(|money| money.status(outpoint))
            .or(held);
        let seen = self.engine(|engine, out| {
            let former = engine.former(&stored.record, out)?;
            Ok::<_, NotResumable>((former, engine.facts(&stored, out)))
        });
        let seen = seen.ok_or("this stream is free")?;
        let (former, facts) = seen.map_err(|error| error.to_string())?;
        Ok(Recalled {
            key: self.channel_key(stored.record.key_index)?,
            former,
            facts: self.facts(facts, status),
            record: stored.record,
            // The chain is asked again anyway; unknown counts as unconfirmed.
            status: status.map_or(CommitmentStatus::Mempool, commitment_status),
        })
    }

    /// The engine's facts, with what is known of the channel of a session.
    fn facts(&self, facts: ChannelFacts, status: Option<OutpointStatus>) -> ChannelFacts {
        let tip = self.money.as_ref().and_then(|money| money.chain.tip());
        let hidden = tip.map_or(0, |tip| tip.hidden_blocks(SystemTime::now()));
        let age = status.and_then(|status| status.age(hidden)).unwrap_or(0);
        let spend = status.and_then(|status| status.spend);
        ChannelFacts {
            confirmations: facts.confirmations.max(age),
            spent_by: facts.spent_by.or(spend.map(|spend| spend.txid)),
            ..facts
        }
    }

    /// The proof holds: the channel is this session's, and no other's.
    pub(super) fn take_over(&mut self, id: &str, outpoint: OutPoint) -> Result<(), String> {
        let is_used = self.session_of(outpoint).is_some();
        self.supersede(id, outpoint);
        // From the engine, or from its record, which is open from here on: only that says that it may be paid through.
        if !is_used {
            let taken = self.engine(|engine, out| engine.take(outpoint, out));
            taken.transpose().map_err(|error| error.to_string())?;
        }
        self.own(id, outpoint);
        Ok(())
    }

    /// A session that had the channel ends, and keeps nothing of it.
    fn supersede(&mut self, id: &str, outpoint: OutPoint) {
        let now = self.now();
        if let Some(other) = self.session_of(outpoint).filter(|other| other != id)
            && let Some(session) = self.sessions.get_mut(&other).and_then(Live::session)
        {
            let effects = session.supersede(outpoint, now);
            self.carry_out(&other, effects);
            self.commit_accounts();
        }
    }

    /// The account goes on with another channel: durable at once, and the old one is due.
    pub(super) fn switch(
        &mut self,
        id: &str,
        from: &AccountRecord,
        to: &AccountRecord,
    ) -> Result<(), String> {
        self.commit_accounts();
        self.store
            .switch_account(from, to)
            .map_err(|error| error.to_string())?;
        let is_used = self.session_of(from.outpoint).is_some();
        self.supersede(id, from.outpoint);
        let money = self.money.as_ref();
        if is_used || money.is_some_and(|money| money.engine.holds(from.outpoint)) {
            return self.release(from.outpoint, Keep::Due);
        }
        // It is closed, or nothing was ever paid through it.
        Ok(())
    }

    pub(super) fn session_of(&self, outpoint: OutPoint) -> Option<String> {
        self.money.as_ref()?.sessions.get(&outpoint).cloned()
    }
}

/// What the chain's view means for a session.
pub(super) fn commitment_status(status: OutpointStatus) -> CommitmentStatus {
    match (status.spend, status.made) {
        // Somebody spent it, or it is not known any more: nothing of it counts.
        (Some(_), _) | (None, None) => CommitmentStatus::Missing,
        (None, Some(0)) => CommitmentStatus::Mempool,
        (None, Some(confirmations)) => CommitmentStatus::Confirmed { confirmations },
    }
}
