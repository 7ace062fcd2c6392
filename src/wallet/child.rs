//! Child pays for parent: a transaction that spends a commitment's change with a fee for both.
//!
//! The commitment itself is never replaced, since a new outpoint would void every payment. Its change is the wallet's,
//! so the wallet makes miners take both for the fee of the child. No package relay is assumed: a node takes the child
//! only where it has the commitment already.

use bdk_wallet::{LocalOutput, SignOptions};
use bitcoin::psbt::Psbt;
use bitcoin::transaction::Version;
use bitcoin::{
    Amount, FeeRate, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Txid, Weight, absolute,
};

use super::spend::fee;
use super::{CommitmentError, Wallet, WalletError};

/// What nodes ask for each virtual byte of a replacement, beyond the fee of what it replaces (BIP125, rule 4).
const INCREMENT: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// Of the output; below, it would not be relayed.
const DUST: Amount = Amount::from_sat(330);

/// A child, signed, with nothing reserved yet: record it, then [`Wallet::reserve_for`] it, then send it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    pub tx: Transaction,
    pub fee: Amount,
}

/// Why there is no child.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The wallet has not seen the parent in a mempool yet.
    #[error("the wallet does not know {0} yet")]
    UnknownParent(Txid),
    /// What spends the change already lifts the parent as well.
    #[error("its change is spent by another transaction already")]
    ChangeTaken,
    /// Nothing confirmed is left to pay more with.
    #[error("{available} are there to pay for it, {needed} are needed")]
    NotEnough { needed: Amount, available: Amount },
    #[error(transparent)]
    Sign(#[from] CommitmentError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
}

impl Wallet {
    /// Builds a child of `parent` (whose output `channel_vout` is the channel's) that lifts both together to `target`, or
    /// as far as the wallet's money goes. Beside the change it spends confirmed coins where it must: unconfirmed
    /// ones could not be added in a replacement. `earlier` is the child it replaces, with its fee.
    pub fn build_child(
        &mut self,
        parent: &Transaction,
        channel_vout: u32,
        target: FeeRate,
        earlier: Option<(&Transaction, Amount)>,
    ) -> Result<Child, ChildError> {
        let parent_fee = self
            .fee_of(parent)
            .ok_or_else(|| ChildError::UnknownParent(parent.compute_txid()))?;
        let mut coins = self.child_coins(parent, channel_vout, earlier.map(|(tx, _)| tx))?;
        let least = |size| match earlier {
            Some((_, paid)) => add(paid, fee(INCREMENT, size)),
            None => fee(INCREMENT, size),
        };
        let wanted = |size| {
            let both = fee(target, size + parent.vsize() as u64);
            let missing = both.checked_sub(parent_fee).unwrap_or(Amount::ZERO);
            missing.max(least(size))
        };
        let mut more = self.confirmed_coins(&coins).into_iter();
        let paid = loop {
            let size = child_vsize(coins.len());
            let spare = value(&coins).checked_sub(DUST).unwrap_or(Amount::ZERO);
            if spare >= wanted(size) {
                break wanted(size);
            }
            match more.next() {
                Some(coin) => coins.push(coin),
                None if spare >= least(size) => break spare,
                None => {
                    let needed = add(least(size), DUST);
                    let available = value(&coins);
                    return Err(ChildError::NotEnough { needed, available });
                }
            }
        };
        let script = match earlier.and_then(|(tx, _)| tx.output.first()) {
            Some(output) => output.script_pubkey.clone(),
            None => self.fresh_change_script()?,
        };
        let left = value(&coins).checked_sub(paid).unwrap_or(DUST);
        let psbt = self.child_psbt(coins, script, left)?;
        let (tx, fee) = self.sign(psbt)?;
        Ok(Child { tx, fee })
    }

    /// The change, and what else the child to be replaced spends.
    fn child_coins(
        &self,
        parent: &Transaction,
        channel_vout: u32,
        earlier: Option<&Transaction>,
    ) -> Result<Vec<LocalOutput>, ChildError> {
        let txid = parent.compute_txid();
        let outputs: Vec<LocalOutput> = self.inner.list_output().collect();
        let find = |coin: &OutPoint| outputs.iter().find(|output| output.outpoint == *coin).cloned();
        let unknown = || ChildError::UnknownParent(txid);
        let change = outputs
            .iter()
            .find(|output| output.outpoint.txid == txid && output.outpoint.vout != channel_vout)
            .ok_or_else(unknown)?;
        let ours = earlier.map(Transaction::compute_txid);
        let reserved = self.reserved_for(change.outpoint)?;
        match earlier {
            _ if reserved.is_some() && reserved != ours => Err(ChildError::ChangeTaken),
            None if change.is_spent => Err(ChildError::ChangeTaken),
            None => Ok(vec![change.clone()]),
            Some(tx) => {
                let coins = tx.input.iter().map(|input| find(&input.previous_output));
                coins.collect::<Option<Vec<_>>>().ok_or_else(unknown)
            }
        }
    }

    /// What may be added, the largest first.
    fn confirmed_coins(&self, but: &[LocalOutput]) -> Vec<LocalOutput> {
        let mut coins: Vec<LocalOutput> = self
            .inner
            .list_unspent()
            .filter(|coin| self.is_confirmed_and_free(coin))
            .filter(|coin| but.iter().all(|other| other.outpoint != coin.outpoint))
            .collect();
        coins.sort_by_key(|coin| std::cmp::Reverse(coin.txout.value));
        coins
    }

    fn child_psbt(
        &self,
        coins: Vec<LocalOutput>,
        script_pubkey: ScriptBuf,
        value: Amount,
    ) -> Result<Psbt, CommitmentError> {
        let input = |coin: &LocalOutput| TxIn {
            previous_output: coin.outpoint,
            sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
            ..TxIn::default()
        };
        let tx = Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: coins.iter().map(input).collect(),
            output: vec![TxOut { value, script_pubkey }],
        };
        let mut psbt =
            Psbt::from_unsigned_tx(tx).map_err(|error| CommitmentError::Sign(error.to_string()))?;
        for (slot, coin) in psbt.inputs.iter_mut().zip(coins) {
            *slot = self
                .inner
                .get_psbt_input(coin, None, SignOptions::default().trust_witness_utxo)
                .map_err(CommitmentError::Build)?;
        }
        Ok(psbt)
    }
}

/// The exact size with one P2TR output: every coin of this wallet is spent by a 64-byte signature.
fn child_vsize(inputs: usize) -> u64 {
    const FIXED: u64 = 4 * (4 + 4 + 1 + 1 + 43) + 2;
    const INPUT: u64 = 4 * 41 + 1 + 1 + 64;
    Weight::from_wu(FIXED + INPUT * inputs as u64).to_vbytes_ceil()
}

fn value(coins: &[LocalOutput]) -> Amount {
    coins.iter().map(|coin| coin.txout.value).sum()
}

fn add(a: Amount, b: Amount) -> Amount {
    a.checked_add(b).unwrap_or(Amount::MAX_MONEY)
}
