//! The provider's channels after their sessions: kept for the consumer's return, then settled.

use crate::chain::{Kind, Spend};
use crate::common::p2tr;
use crate::events::Side;
use crate::keys;
use crate::world::World;
use std::time::Duration;
use streamium_channel::bitcoin::OutPoint;
use streamium_channel::message::{ProviderMessage, encode};
use streamium_channel::provider::{CommitmentStatus, Keep};
use streamium_channel::settlement::{Claim, Settlement};

impl World {
    /// A session is done with a channel.
    pub fn release(&mut self, outpoint: OutPoint, keep: Keep) {
        if let Some(conn) = self.provider.owner.remove(&outpoint) {
            self.provider.listeners.insert(outpoint, conn);
        }
        let until = match keep {
            Keep::Due => None,
            Keep::SettleDelay => Some(self.now + self.conditions.settle_delay),
            Keep::UntilDeadline => Some(Duration::MAX),
        };
        if let Some(until) = until {
            self.provider.idle.insert(outpoint, until);
            return;
        }
        self.provider.idle.remove(&outpoint);
        let (now, stored) = (self.now, self.provider.disk.get_mut(&outpoint).unwrap());
        (stored.due, stored.due_since) = (true, now);
        self.settle(outpoint);
    }

    /// The driver's work that no session asks for.
    pub fn provider_housekeeping(&mut self) {
        if !self.provider.up || self.now < self.provider.frozen_until {
            return;
        }
        let over: Vec<_> = self
            .provider
            .idle
            .iter()
            .filter(|(o, until)| self.now >= **until || self.is_old(**o))
            .map(|(o, _)| *o)
            .collect();
        for outpoint in over {
            self.release(outpoint, Keep::Due);
        }
        let due: Vec<_> = self
            .provider
            .disk
            .iter()
            .filter(|(_, stored)| stored.due)
            .map(|(o, _)| *o)
            .collect();
        for outpoint in due {
            self.settle(outpoint);
        }
        if let Some(since) = self.provider.unreachable_since {
            self.deadlines_by_clock(since);
        }
    }

    /// Whether a channel that waits for its consumer has to be settled now.
    fn is_old(&self, outpoint: OutPoint) -> bool {
        let last = self.provider.disk[&outpoint]
            .record
            .contract
            .delay()
            .last_usable_confirmation();
        self.chain.confirmations(outpoint) >= last
    }

    fn deadlines_by_clock(&mut self, since: Duration) {
        let hidden = (self.now - since).as_nanos() / self.conditions.block.as_nanos();
        let hidden = u32::try_from(hidden).unwrap();
        let owned: Vec<_> = self
            .provider
            .owner
            .iter()
            .map(|(outpoint, conn)| (*outpoint, *conn))
            .collect();
        for (outpoint, conn) in owned {
            if let Some(CommitmentStatus::Confirmed { confirmations }) = self.provider.views.get(&outpoint) {
                let deep = confirmations + hidden;
                self.with_provider(conn, |session, now| session.age(outpoint, deep, now));
            }
        }
    }

    /// Settles by what is on record, if that can be done now.
    pub fn settle(&mut self, outpoint: OutPoint) {
        if self.provider.unreachable_since.is_some() || self.chain.spend(outpoint).is_some() {
            return;
        }
        let stored = &self.provider.disk[&outpoint];
        if let Some(closing) = stored.closing {
            let _ = self.chain.offer(outpoint, closing);
            return;
        }
        let waits = !self.ending && self.now < stored.due_since + self.conditions.batch;
        if waits && !self.is_old(outpoint) {
            return;
        }
        if stored.record.best.is_none() || self.chain.confirmations(outpoint) == 0 {
            return;
        }
        let (channel, payment) = stored.record.restore().expect("what is on record is valid");
        let payment = payment.unwrap();
        let key = keys::provider(stored.record.key_index).key;
        let claim = Claim {
            channel: &channel,
            payment: &payment,
            key: &key,
        };
        let Ok(settlement) = Settlement::new(&[claim], &p2tr(0x77), self.fee_rate()) else {
            return;
        };
        let change = settlement.transaction.output[0].value;
        assert_eq!(
            change + settlement.payout + settlement.fee,
            channel.contract().capacity(),
            "money is made or lost"
        );
        let spend = Spend::new(Kind::Settlement, settlement.payout, change, settlement.fee);
        self.chain
            .offer(outpoint, spend)
            .expect("a settlement of a confirmed, unspent channel is taken");
        self.tell_settled(outpoint);
    }

    pub fn tell_settled(&mut self, outpoint: OutPoint) {
        if let Some(conn) = self.provider.listeners.remove(&outpoint) {
            let txid = outpoint.txid;
            let text = encode(&ProviderMessage::Settled { outpoint, txid }).unwrap();
            self.send(Side::Consumer, conn, text);
        }
    }
}
