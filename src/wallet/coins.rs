//! What the wallet has, what of it can be spent now, and what is set aside.

use std::collections::HashSet;

use bdk_wallet::LocalOutput;
use bdk_wallet::chain::ChainPosition;
use bitcoin::constants::COINBASE_MATURITY;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, Txid};

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

    fn confirmations<A: bdk_wallet::chain::Anchor>(&self, position: &ChainPosition<A>) -> u32 {
        match position {
            ChainPosition::Confirmed { anchor, .. } => {
                let tip = self.inner.latest_checkpoint().height();
                tip.saturating_add(1)
                    .saturating_sub(anchor.confirmation_height_upper_bound())
            }
            ChainPosition::Unconfirmed { .. } => 0,
        }
    }

    /// Locks a transaction's coins for it, and makes that durable.
    pub(super) fn reserve(&mut self, txid: Txid, coins: &[OutPoint]) -> Result<(), WalletError> {
        for coin in coins {
            self.inner.lock_outpoint(*coin);
        }
        self.commit(|db| {
            coins
                .iter()
                .try_for_each(|coin| database::reserve_coin(db, &txid, coin))
        })
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

    /// All coins of reservations that are over: of the transaction itself or one that conflicts with it,
    /// one is buried in the chain.
    pub(super) fn settled_reservations(&self) -> Result<Vec<(Txid, OutPoint)>, WalletError> {
        let mut reserved = database::reserved_coins(&self.db)?;
        let over: HashSet<Txid> = reserved
            .iter()
            .filter(|(_, coin)| self.is_spent_for_good(coin))
            .map(|(txid, _)| *txid)
            .collect();
        reserved.retain(|(txid, _)| over.contains(txid));
        Ok(reserved)
    }

    fn is_spent_for_good(&self, coin: &OutPoint) -> bool {
        self.inner.tx_graph().outspends(*coin).iter().any(|spender| {
            self.inner
                .get_tx(*spender)
                .is_some_and(|tx| self.confirmations(&tx.chain_position) >= SETTLED_CONFIRMATIONS)
        })
    }
}
