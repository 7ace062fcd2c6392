//! What becomes of the money.

use super::*;
use crate::chain::Spend;
use crate::world::World;

/// See `consumer/closing.rs`.
const CLOSING_FEE_PART: u64 = 10;

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
                    !self.is_worth_it(&stored.record),
                    "{outpoint} can be refunded, though it has been paid"
                );
            }
        }
    }

    /// Nothing that is worth a settlement now is closed another way: a close that waits stands in the settlement's place.
    pub fn judge_close(&self, outpoint: OutPoint) {
        let record = &self.provider.disk[&outpoint].record;
        assert!(
            !self.is_worth_it(record),
            "{outpoint} is closed with {:?}, which could be settled",
            record.best.map(|best| best.cumulative)
        );
    }

    /// What the consumer burns for having its money back at once is a small part of it.
    pub fn judge_closed(&self, outpoint: OutPoint, spend: Spend) {
        let capacity = self.consumer.disk[&outpoint].contract.capacity();
        let back = capacity - spend.to_provider;
        // A balance that is dust goes to the miner as well.
        let dust = Amount::from_sat(330);
        if !self.judge.closes.contains_key(&outpoint) {
            assert!(
                spend.fee <= back / CLOSING_FEE_PART + dust,
                "{} of {back} was burnt to close {outpoint}",
                spend.fee
            );
        }
    }

    pub fn judge_refund(&self, outpoint: OutPoint) {
        let stored = self.provider.disk.get(&outpoint);
        let gone = self.conditions.provider_gone;
        let unpaid = stored.is_none_or(|stored| !self.is_worth_it(&stored.record));
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
            let sent = account.sent.total();
            let ahead = self.judge.peak.cost(conditions.grace + ROUNDING);
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

impl World {
    /// Whether its balance covers its settlement now.
    fn is_worth_it(&self, record: &ProviderRecord) -> bool {
        let fee = self.fee_rate().fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
        record
            .best
            .is_some_and(|best| best.cumulative >= fee + Amount::from_sat(330))
    }
}
