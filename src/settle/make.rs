//! Building a settlement within its bounds, recording it, handing it out.

use bitcoin::{Address, Amount, FeeRate, OutPoint, Txid};
use streamium_channel::settlement::{Claim, Settlement, SettlementError};

use super::due::{Due, Made, Rival, Topic};
use super::view::View;
use super::{Engine, Outside, Said, fees, notices};
use crate::store::{NewSettlement, SettlementKind};

/// What a settlement has to be.
#[derive(Debug)]
pub struct Wish {
    /// In the order of its inputs.
    pub channels: Vec<OutPoint>,
    /// At least.
    pub rate: FeeRate,
    /// The transactions that it has to replace, where they may be in memory pools.
    pub replaces: Vec<Txid>,
    /// Somebody else's transactions that it has to replace.
    pub rivals: Vec<Rival>,
    /// Why it replaces something, for people.
    pub why: Option<&'static str>,
}

/// Why there is no settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmade {
    /// It would cost more than its channels may pay for it now.
    NotWorthIt {
        balance: Amount,
        fee: Amount,
        rate: FeeRate,
    },
    /// It would take a rate above the highest allowed.
    TooHigh { rate: FeeRate },
    /// Something is wrong with record or store.
    Failed(String),
}

/// A settlement that may be made, and at what rate.
struct Quote {
    rate: FeeRate,
    index: Option<u32>,
}

impl Engine {
    /// Makes a settlement: it is on record and handed out when this returns `Ok`.
    pub(super) fn make(&mut self, wish: &Wish, view: &View, out: &mut Outside<'_>) -> Result<Txid, Unmade> {
        let quote = self.quote(wish, view)?;
        let (address, index) = self.payout_for(quote.index, out)?;
        let claims = self.claims(&wish.channels)?;
        let settlement = Settlement::new(&claims, &address.script_pubkey(), quote.rate)
            .map_err(|error| unmade(error, quote.rate))?;
        self.record(wish, &settlement, &address, index, out)?;
        let txid = settlement.transaction.compute_txid();
        self.say_settling(wish, &settlement, &address);
        self.hand_out(txid, out);
        Ok(txid)
    }

    /// The rate that it takes, if that is within the bounds.
    fn quote(&self, wish: &Wish, view: &View) -> Result<Quote, Unmade> {
        let replaced: Vec<&Made> = wish
            .replaces
            .iter()
            .filter_map(|txid| self.made.get(txid))
            .collect();
        let index = replaced.iter().find_map(|made| self.kept_index(made));
        let sample = self
            .payout
            .address(index.unwrap_or(0))
            .map_err(|error| Unmade::Failed(error.to_string()))?;
        let claims = self.claims(&wish.channels)?;
        let draft = Settlement::new(&claims, &sample.script_pubkey(), fees::MIN_FEE_RATE)
            .map_err(|error| unmade(error, fees::MIN_FEE_RATE))?;
        let vsize = draft.transaction.vsize() as u64;

        // In a memory pool there is either what is ours or the rival.
        let ours = sum(replaced.iter().map(|made| made.fee));
        let others = ours.max(sum(wish.rivals.iter().map(|rival| rival.fee)));
        let more = fees::INCREMENTAL_FEE_RATE
            .fee_vb(vsize)
            .unwrap_or(Amount::MAX_MONEY);
        // BIP125, rules 3, 4 and 6: more in all, by as much as relaying it again costs, and for each vB.
        let mut least = fees::MIN_FEE_RATE;
        if others > Amount::ZERO {
            let fee = others.checked_add(more).unwrap_or(Amount::MAX_MONEY);
            least = least.max(fees::rate_for(fee, vsize));
        }
        let sizes = replaced
            .iter()
            .map(|made| (made.fee, made.transaction.vsize() as u64));
        let rivals = wish.rivals.iter().map(|rival| (rival.fee, rival.vsize));
        for (fee, vsize) in sizes.chain(rivals) {
            let paid = fees::rate_for(fee, vsize).to_sat_per_kwu();
            least = least.max(FeeRate::from_sat_per_kwu(paid.saturating_add(1)));
        }
        let dust = sample.script_pubkey().minimal_non_dust();
        let rate = self.bounded(wish, view, least, vsize, dust)?;
        Ok(Quote { rate, index })
    }

    /// The rate wished for, at least what a replacement takes, at most what the balances allow. Where the deadline
    /// presses, what they allow is better than nothing.
    fn bounded(
        &self,
        wish: &Wish,
        view: &View,
        least: FeeRate,
        vsize: u64,
        dust: Amount,
    ) -> Result<FeeRate, Unmade> {
        let balance = self.balance(&wish.channels);
        let payable = balance.checked_sub(dust).unwrap_or(Amount::ZERO);
        let max = self.max_fee(&wish.channels, view).min(payable);
        let mut rate = wish.rate.max(least);
        let left = wish
            .channels
            .iter()
            .filter_map(|outpoint| self.channels.get(outpoint));
        if left.map(|due| view.left(due)).any(fees::is_pressing) {
            rate = rate.min(fees::rate_of(max, vsize)).max(least);
        }
        if rate > self.policy.max_fee_rate {
            return Err(Unmade::TooHigh { rate });
        }
        let fee = rate.fee_vb(vsize).unwrap_or(Amount::MAX_MONEY);
        if fee > max {
            return Err(Unmade::NotWorthIt { balance, fee, rate });
        }
        Ok(rate)
    }

    /// The most that may be paid for these channels together: of each its share.
    pub(super) fn max_fee(&self, channels: &[OutPoint], view: &View) -> Amount {
        let dues = channels.iter().filter_map(|outpoint| self.channels.get(outpoint));
        dues.map(|due| fees::max_fee(due.balance(), view.left(due), self.was_tried(due, view)))
            .try_fold(Amount::ZERO, Amount::checked_add)
            .unwrap_or(Amount::MAX_MONEY)
    }

    /// Whether something that was handed out for it has waited for a block in vain.
    fn was_tried(&self, due: &Due, view: &View) -> bool {
        let mut made = due.made.iter().filter_map(|txid| self.made.get(txid));
        made.any(|made| made.height < view.heights.tip.height)
    }

    /// A bump keeps its payout script, unless the broadcaster has named another payout since.
    fn kept_index(&self, made: &Made) -> Option<u32> {
        let index = made.payout_index?;
        let script = self.payout.address(index).ok()?.script_pubkey();
        let paid = made.transaction.output.last()?;
        (paid.script_pubkey == script).then_some(index)
    }

    fn claims(&self, channels: &[OutPoint]) -> Result<Vec<Claim<'_>>, Unmade> {
        let claim = |outpoint: &OutPoint| self.channels.get(outpoint).and_then(|due| due.claim());
        let claims: Option<Vec<_>> = channels.iter().map(claim).collect();
        claims.ok_or_else(|| Unmade::Failed("a channel without a payment can't be settled".into()))
    }

    /// A new index is reserved on disk before its address is used.
    fn payout_for(&self, kept: Option<u32>, out: &mut Outside<'_>) -> Result<(Address, Option<u32>), Unmade> {
        let index = match (kept, self.payout.descriptor()) {
            (_, None) => None,
            (Some(kept), Some(_)) => Some(kept),
            (None, Some(descriptor)) => {
                let next = out.store.next_payout_index(&descriptor);
                Some(next.map_err(|error| Unmade::Failed(error.to_string()))?)
            }
        };
        let address = self.payout.address(index.unwrap_or(0));
        Ok((address.map_err(|error| Unmade::Failed(error.to_string()))?, index))
    }

    /// On record, in the store first.
    fn record(
        &mut self,
        wish: &Wish,
        settlement: &Settlement,
        address: &Address,
        index: Option<u32>,
        out: &mut Outside<'_>,
    ) -> Result<(), Unmade> {
        let made_height = out.chain.tip().map_or(0, |tip| tip.height);
        let stored = out.store.insert_settlement(&NewSettlement {
            kind: SettlementKind::Settlement,
            transaction: &settlement.transaction,
            channels: &wish.channels,
            payout: settlement.payout,
            fee: settlement.fee,
            payout_address: Some(&address.to_string()),
            payout_index: index,
            made_height,
        });
        stored.map_err(|error| Unmade::Failed(error.to_string()))?;
        let txid = settlement.transaction.compute_txid();
        let newest = self.made.values().map(|made| made.order).max();
        let made = Made {
            kind: SettlementKind::Settlement,
            transaction: settlement.transaction.clone(),
            channels: wish.channels.clone(),
            fee: settlement.fee,
            payout_index: index,
            height: made_height,
            order: newest.unwrap_or(0).saturating_add(1),
            refused: false,
            handed_out: None,
            confirmed: false,
        };
        self.made.insert(txid, made);
        for outpoint in &wish.channels {
            if let Some(due) = self.channels.get_mut(outpoint) {
                due.made.push(txid);
            }
        }
        Ok(())
    }

    /// Consumers hear of the first settlement of their channel, and not of its bumps.
    fn say_settling(&mut self, wish: &Wish, settlement: &Settlement, address: &Address) {
        let txid = settlement.transaction.compute_txid();
        for outpoint in &wish.channels {
            let made = self.channels.get(outpoint).map_or(0, |due| due.made.len());
            if made == 1 {
                let outpoint = *outpoint;
                self.said.push(Said::Settling { outpoint, txid });
            }
        }
        self.report(notices::settling(wish, settlement, address));
    }

    /// Says why a settlement was not made, once.
    pub(super) fn say_unmade(&mut self, channels: &[OutPoint], why: &Unmade, view: &View) {
        for outpoint in channels {
            let Some(due) = self.channels.get_mut(outpoint) else {
                continue;
            };
            let topic = match why {
                Unmade::NotWorthIt { .. } => Topic::NotWorthIt,
                Unmade::TooHigh { .. } => Topic::FeesTooHigh,
                Unmade::Failed(words) => Topic::Failed(words.clone()),
            };
            if due.said.insert(topic) {
                let (balance, left) = (due.balance(), view.left(due));
                let max = self.policy.max_fee_rate;
                self.report(notices::unmade(*outpoint, balance, left, max, why));
            }
        }
    }
}

fn sum(fees: impl Iterator<Item = Amount>) -> Amount {
    let mut fees = fees;
    fees.try_fold(Amount::ZERO, Amount::checked_add)
        .unwrap_or(Amount::MAX_MONEY)
}

fn unmade(error: SettlementError, rate: FeeRate) -> Unmade {
    match error {
        SettlementError::NotWorthIt { balance, fee, .. } => Unmade::NotWorthIt { balance, fee, rate },
        error => Unmade::Failed(error.to_string()),
    }
}
