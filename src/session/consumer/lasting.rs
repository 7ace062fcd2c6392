//! Channels of earlier sessions, and the next channel of this one.

use bitcoin::{Amount, OutPoint};
use streamium_channel::consumer::{Past, Resumable};
use streamium_channel::link::Link;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::ConsumerRecord;

use super::driver::Driver;
use super::money::Money;
use crate::keys;
use crate::report::{Report, Severity};
use crate::store::Role;

impl Driver {
    /// What a new session may go on with, and what counts against its budget.
    pub(super) fn past(&self) -> Past {
        let Some(money) = &self.money else {
            return Past::default();
        };
        Past {
            spent: self.spent(),
            resumable: self.resumable(money),
            tolerated: money.tolerated,
            agreed: self.agreed.clone(),
        }
    }

    /// What this run has paid, and what the accounts that it goes on with had paid before.
    pub(super) fn spent(&self) -> Amount {
        let Some(money) = &self.money else {
            return Amount::ZERO;
        };
        let mut accounts = money.accounts.values().copied();
        let spent = accounts.try_fold(money.left_behind, Amount::checked_add);
        spent.unwrap_or(Amount::MAX_MONEY)
    }

    /// Open channels with the link's provider, the newest first.
    fn resumable(&self, money: &Money) -> Vec<Resumable> {
        // A store that can't be read says so where channels are taken up; a new channel can still be opened.
        let (channels, _) = money.store.unspent().unwrap_or_default();
        let candidates = channels.into_iter().rev();
        candidates
            .filter(|stored| stored.refunds.is_empty() && self.is_usable(money, &stored.record))
            .filter_map(|stored| {
                let index = stored.record.key_index;
                let key = keys::channel(money.wallet.seed(), self.options.network, Role::Consumer, index);
                let spent = money.accounts.get(&stored.record.outpoint);
                Some(Resumable {
                    key: key.ok()?,
                    spent: spent.copied().unwrap_or(Amount::ZERO),
                    from_disk: spent.is_none(),
                    record: stored.record,
                })
            })
            .collect()
    }

    /// With this provider, unspent as far as is known, and with something left to pay.
    fn is_usable(&self, money: &Money, record: &ConsumerRecord) -> bool {
        let link = record.link.parse::<Link>();
        let last = record.contract.delay().last_usable_confirmation();
        let status = money.status(record.outpoint);
        let open = status.is_none_or(|status| {
            status.spend.is_none() && status.made.is_none_or(|confirmations| confirmations < last)
        });
        open && !money.refused.contains(&record.outpoint)
            && record.paid < record.contract.payable()
            && link.is_ok_and(|link| link.key == self.options.link.key)
    }

    /// Recorded before it is sent.
    pub(super) fn save_paid(
        &mut self,
        outpoint: OutPoint,
        (paid, carried): (Amount, Amount),
        consumed: Msat,
        rate: Rate,
    ) -> Result<(), String> {
        let Some(money) = &mut self.money else {
            return Ok(());
        };
        let total = carried.checked_add(paid).unwrap_or(Amount::MAX_MONEY);
        let before = money.accounts.insert(outpoint, total).unwrap_or(Amount::ZERO);
        // Less than before: the account began anew. What it had paid stays spent.
        let left = before.checked_sub(total).unwrap_or(Amount::ZERO);
        money.left_behind = money.left_behind.checked_add(left).unwrap_or(Amount::MAX_MONEY);
        money
            .store
            .save_paid(outpoint, paid, carried, consumed, rate)
            .map_err(|error| error.to_string())
    }

    /// The session is about to propose a channel.
    pub(super) fn fresh_keys(&mut self) {
        let (now, network) = (self.now(), self.options.network);
        let Some(money) = &mut self.money else { return };
        match money.channel_keys(network) {
            Ok(keys) => self.with_session(|session| session.fresh_keys(keys, now)),
            Err(words) => {
                let report = Report::new("wallet").severity(Severity::Warning);
                self.say(report.say(format!("No keys for a channel: {words}.")));
                self.with_session(|session| session.no_fresh_keys(words, now));
            }
        }
    }

    /// The session goes on with an open channel, believing so much in all.
    pub(super) fn tolerated(&mut self, tolerated: Msat) {
        if let Some(money) = &mut self.money {
            money.tolerated = tolerated;
        }
    }

    /// The provider does not go on with a channel.
    pub(super) fn refused(&mut self, outpoint: OutPoint) {
        if let Some(money) = &mut self.money {
            money.refused.insert(outpoint);
        }
    }

    /// The account goes on with another channel.
    pub(super) fn leave_channel(&mut self, from: OutPoint, to: OutPoint) {
        if let Some(money) = &mut self.money {
            let total = money.accounts.remove(&from).unwrap_or(Amount::ZERO);
            money.accounts.insert(to, total);
        }
    }
}
