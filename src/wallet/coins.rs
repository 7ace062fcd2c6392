//! What the wallet has, what of it can be spent now, and what is set aside.

use std::collections::HashSet;

use bdk_wallet::LocalOutput;
use bdk_wallet::chain::ChainPosition;
use bitcoin::constants::COINBASE_MATURITY;
use bitcoin::transaction::Version;
use bitcoin::{Amount, BlockHash, OutPoint, Transaction, Txid};

use super::{Wallet, WalletError, database};

/// From this depth on a spend counts as settled: only a reorganisation nobody has seen yet undoes it.
const SETTLED_CONFIRMATIONS: u32 = 6;

/// What the wallet has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Balance {
    /// Can be spent now.
    pub confirmed: Amount,
    /// Can be spent now too, though a sender could still take it back.
    pub unconfirmed: Amount,
    /// Can't be spent before it confirms: change of a settlement (a version 3 transaction), or newly mined.
    pub waiting: Amount,
    /// Set aside for a transaction already built.
    pub reserved: Amount,
}

impl Balance {
    /// What can be spent now.
    pub fn spendable(&self) -> Amount {
        self.confirmed + self.unconfirmed
    }
}

enum Kind {
    Confirmed,
    Unconfirmed,
    Waiting,
    Reserved,
}

impl Wallet {
    /// What the wallet had when it was synced last, less what was built since.
    pub fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for output in self.inner.list_unspent() {
            let part = match self.kind(&output) {
                Kind::Confirmed => &mut balance.confirmed,
                Kind::Unconfirmed => &mut balance.unconfirmed,
                Kind::Waiting => &mut balance.waiting,
                Kind::Reserved => &mut balance.reserved,
            };
            *part += output.txout.value;
        }
        balance
    }

    /// What can be spent now.
    pub fn spendable(&self) -> Amount {
        self.balance().spendable()
    }

    fn kind(&self, output: &LocalOutput) -> Kind {
        let parent = self.inner.tx_graph().get_tx(output.outpoint.txid);
        let is_truc = parent.as_ref().is_some_and(|tx| tx.version == Version(3));
        let is_coinbase = parent.as_ref().is_some_and(|tx| tx.is_coinbase());
        let confirmations = self.confirmations(&output.chain_position);
        if self.inner.is_outpoint_locked(output.outpoint) {
            Kind::Reserved
        } else if is_coinbase && confirmations < COINBASE_MATURITY {
            Kind::Waiting
        } else if confirmations > 0 {
            Kind::Confirmed
        } else if is_truc {
            // BIP431: a transaction of another version can't spend it before it confirms.
            Kind::Waiting
        } else {
            Kind::Unconfirmed
        }
    }

    /// May be spent by anything, and is in a block.
    pub(super) fn is_confirmed_and_free(&self, output: &LocalOutput) -> bool {
        matches!(self.kind(output), Kind::Confirmed)
    }

    pub(super) fn confirmations<A: bdk_wallet::chain::Anchor>(&self, position: &ChainPosition<A>) -> u32 {
        match position {
            ChainPosition::Confirmed { anchor, .. } => {
                let tip = self.inner.latest_checkpoint().height();
                tip.saturating_add(1)
                    .saturating_sub(anchor.confirmation_height_upper_bound())
            }
            ChainPosition::Unconfirmed { .. } => 0,
        }
    }

    /// Locks a transaction's coins for it, and makes both durable.
    pub(super) fn reserve(&mut self, tx: &Transaction, kind: database::Kind) -> Result<(), WalletError> {
        let txid = tx.compute_txid();
        for coin in coins_of(tx) {
            self.inner.lock_outpoint(coin);
        }
        self.commit(|db| {
            database::insert_transaction(db, kind, tx)?;
            coins_of(tx).try_for_each(|coin| database::reserve_coin(db, &txid, &coin))
        })
    }

    /// Locks the coins of a transaction that is on record elsewhere: a child, which takes over those of the child
    /// that it replaces, or a restored commitment.
    pub fn reserve_for(&mut self, tx: &Transaction) -> Result<(), WalletError> {
        let txid = tx.compute_txid();
        for coin in coins_of(tx) {
            self.inner.lock_outpoint(coin);
        }
        self.commit(|db| coins_of(tx).try_for_each(|coin| database::take_over_coin(db, &txid, &coin)))
    }

    /// Frees the coins of a transaction that was built and **never left this program**.
    ///
    /// From the moment its bytes were sent to anyone this is wrong: that one may broadcast it at any time.
    /// Such coins come free by themselves when a transaction that conflicts with it is settled.
    pub fn release_unsent(&mut self, txid: &Txid) -> Result<(), WalletError> {
        for (for_txid, coin) in database::reserved_coins(&self.db)? {
            if for_txid == *txid {
                self.inner.unlock_outpoint(coin);
            }
        }
        self.commit(|db| database::forget_reservation(db, txid))
    }

    /// True when the last sync was of the chain up to this block, so that what this wallet's transactions are in is known.
    pub fn is_synced_to(&self, tip: BlockHash) -> bool {
        self.inner.latest_checkpoint().hash() == tip
    }

    /// How deep a transaction was at the last sync; `None` for one that is not this wallet's.
    pub fn confirmations_of(&self, txid: Txid) -> Option<u32> {
        let tx = self.inner.get_tx(txid)?;
        Some(self.confirmations(&tx.chain_position))
    }

    /// What a coin is reserved for.
    pub(super) fn reserved_for(&self, coin: OutPoint) -> Result<Option<Txid>, WalletError> {
        let reserved = database::reserved_coins(&self.db)?;
        Ok(reserved
            .into_iter()
            .find(|(_, of)| *of == coin)
            .map(|(txid, _)| txid))
    }

    /// The commitments whose coins are reserved, whether they were sent or not: the record of channels says.
    pub fn reserved_commitments(&self) -> Result<Vec<Txid>, WalletError> {
        let commitments = database::transactions(&self.db, database::Kind::Commitment)?;
        Ok(commitments.iter().map(Transaction::compute_txid).collect())
    }

    /// The withdrawals of which nothing is buried yet, to be handed out again.
    pub fn pending_withdrawals(&self) -> Result<Vec<Transaction>, WalletError> {
        database::transactions(&self.db, database::Kind::Withdrawal)
    }

    /// All coins of reservations that are over: of the transaction itself or one that conflicts with it, one is
    /// buried in the chain; or it spends what can't come to be any more.
    pub(super) fn settled_reservations(&self) -> Result<Vec<(Txid, OutPoint)>, WalletError> {
        let mut reserved = database::reserved_coins(&self.db)?;
        let (mut over, mut void) = (HashSet::new(), HashSet::new());
        for (txid, coin) in &reserved {
            if let Some(spender) = self.buried_spender(coin) {
                over.insert(*txid);
                if spender != *txid {
                    void.insert(*txid);
                }
            }
        }
        let orphans = reserved.iter().filter(|(_, coin)| void.contains(&coin.txid));
        over.extend(orphans.map(|(txid, _)| *txid));
        reserved.retain(|(txid, _)| over.contains(txid));
        Ok(reserved)
    }

    /// The buried transaction that keeps this one from ever confirming, if there is one.
    pub fn buried_conflict(&self, tx: &Transaction) -> Option<Txid> {
        let txid = tx.compute_txid();
        let mut spenders = coins_of(tx).filter_map(|coin| self.buried_spender(&coin));
        spenders.find(|spender| *spender != txid)
    }

    fn buried_spender(&self, coin: &OutPoint) -> Option<Txid> {
        let buried = |spender: &Txid| {
            self.inner
                .get_tx(*spender)
                .is_some_and(|tx| self.confirmations(&tx.chain_position) >= SETTLED_CONFIRMATIONS)
        };
        let mut spenders = self.inner.tx_graph().outspends(*coin).iter().copied();
        spenders.find(buried)
    }
}

fn coins_of(tx: &Transaction) -> impl Iterator<Item = OutPoint> {
    tx.input.iter().map(|input| input.previous_output)
}
