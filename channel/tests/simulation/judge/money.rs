//! What becomes of the money.

use super::*;
use crate::world::World;

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

fn is_worth_it(record: &ProviderRecord) -> bool {
    let fee = FEE_RATE.fee_vb(SINGLE_SETTLEMENT_VB).unwrap();
    record
        .best
        .is_some_and(|best| best.cumulative >= fee + Amount::from_sat(330))
}
