//! Transactions the wallet pays for: commitments and withdrawals.

use bdk_wallet::coin_selection::{
    CoinSelectionAlgorithm, CoinSelectionResult, Excess, InsufficientFunds, LargestFirstCoinSelection,
    decide_change,
};
use bdk_wallet::error::CreateTxError;
use bdk_wallet::{SignOptions, TxOrdering, WeightedUtxo};
use bitcoin::psbt::Psbt;
use bitcoin::{Address, Amount, FeeRate, OutPoint, Script, Transaction};

use super::database::Kind;
use super::{CommitmentError, Wallet};

/// Above this (10,000 sat/vB) a fee rate is a mistake; bdk would overflow somewhere beyond.
const MAX_FEE_RATE: FeeRate = FeeRate::from_sat_per_kwu(2_500_000);

/// Spending one coin of this wallet, in virtual bytes, rounded up.
const INPUT_VB: u64 = 58;

/// A commitment transaction, signed and not yet sent to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commitment {
    pub tx: Transaction,
    /// The channel's output.
    pub vout: u32,
    /// The wallet's change. It is always there: a child that spends it is the only way to speed a
    /// commitment up, which is never replaced.
    pub change: OutPoint,
    pub fee: Amount,
}

/// How much to withdraw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithdrawalAmount {
    /// Everything that can be spent now; the fee is taken from it.
    All,
    /// So much arrives; the fee comes on top.
    Exactly(Amount),
}

/// A withdrawal, signed and not yet sent to anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    pub tx: Transaction,
    pub fee: Amount,
}

/// The least change a commitment leaves: what a child of 150 vB needs to bring itself and its parent
/// (about 300 vB with a few coins) to twice the fee rate, and its own output.
pub fn min_change(fee_rate: FeeRate) -> Amount {
    const DUST: Amount = Amount::from_sat(330);
    const LEAST: Amount = Amount::from_sat(1_000);
    (DUST + fee(fee_rate, 2 * 150 + 300)).max(LEAST)
}

/// What the funding address must receive for a channel of that capacity: generous, as a person would
/// rather not be asked twice. It covers a commitment from five coins.
pub fn needed_for(capacity: Amount, fee_rate: FeeRate) -> Amount {
    const WITHOUT_INPUTS_VB: u64 = 11 + 43 + 43;
    let fee = fee(fee_rate, WITHOUT_INPUTS_VB + 5 * INPUT_VB);
    capacity
        .checked_add(fee + min_change(fee_rate))
        .unwrap_or(Amount::MAX_MONEY)
}

pub(super) fn fee(fee_rate: FeeRate, size_vb: u64) -> Amount {
    fee_rate
        .min(MAX_FEE_RATE)
        .fee_vb(size_vb)
        .unwrap_or(Amount::MAX_MONEY)
}

impl Wallet {
    /// What a transaction of this wallet's pays in fees; `None` while the wallet does not know all its coins.
    pub fn fee_of(&self, tx: &Transaction) -> Option<Amount> {
        self.inner.calculate_fee(tx).ok()
    }

    /// What is missing for a channel of that capacity; `None` if there is enough already.
    pub fn missing_for(&self, capacity: Amount, fee_rate: FeeRate) -> Option<Amount> {
        // Some wallets do not send less.
        const LEAST: Amount = Amount::from_sat(1_000);
        let missing = needed_for(capacity, fee_rate).checked_sub(self.spendable())?;
        (missing > Amount::ZERO).then(|| missing.max(LEAST))
    }

    /// Builds and signs a commitment transaction, and sets its coins aside. Confirmed coins are used where
    /// they suffice, else unconfirmed ones too: a viewer who just paid does not wait for a block.
    ///
    /// It is final: no replacement is ever to be made, since a new outpoint would void every payment.
    pub fn build_commitment(
        &mut self,
        output: &Script,
        capacity: Amount,
        fee_rate: FeeRate,
    ) -> Result<Commitment, CommitmentError> {
        check(capacity, output, fee_rate)?;
        let psbt = match self.commitment_psbt(output, capacity, fee_rate, Coins::Confirmed) {
            Err(CreateTxError::CoinSelection(_)) => {
                self.commitment_psbt(output, capacity, fee_rate, Coins::All)
            }
            other => other,
        };
        let psbt = psbt.map_err(|error| self.explain(error, fee_rate))?;
        let (tx, fee) = self.finish(psbt, Kind::Commitment)?;
        let vout = index_of(&tx, |script| script == output)?;
        let change = OutPoint::new(tx.compute_txid(), index_of(&tx, |script| script != output)?);
        Ok(Commitment {
            tx,
            vout,
            change,
            fee,
        })
    }

    fn commitment_psbt(
        &mut self,
        output: &Script,
        capacity: Amount,
        fee_rate: FeeRate,
        coins: Coins,
    ) -> Result<Psbt, CreateTxError> {
        let selection = LeaveChange {
            min_change: min_change(fee_rate),
        };
        let mut builder = self.inner.build_tx().coin_selection(selection);
        builder
            .add_recipient(output.to_owned(), capacity)
            .fee_rate(fee_rate)
            .version(2);
        if coins == Coins::Confirmed {
            builder.exclude_unconfirmed();
        }
        builder.finish()
    }

    /// Builds and signs a payment to any address, and sets its coins aside.
    pub fn withdraw(
        &mut self,
        address: &Address,
        fee_rate: FeeRate,
        amount: WithdrawalAmount,
    ) -> Result<Withdrawal, CommitmentError> {
        let script = address.script_pubkey();
        if !address.as_unchecked().is_valid_for_network(self.network()) {
            return Err(CommitmentError::OtherNetwork {
                expected: self.network(),
            });
        }
        let value = match amount {
            WithdrawalAmount::All => script.minimal_non_dust(),
            WithdrawalAmount::Exactly(value) => value,
        };
        check(value, &script, fee_rate)?;
        let mut builder = self.inner.build_tx();
        builder
            .fee_rate(fee_rate)
            .version(2)
            .ordering(TxOrdering::Shuffle);
        match amount {
            WithdrawalAmount::All => builder.drain_wallet().drain_to(script),
            WithdrawalAmount::Exactly(value) => builder.add_recipient(script, value),
        };
        let psbt = builder.finish().map_err(|error| self.explain(error, fee_rate))?;
        let (tx, fee) = self.finish(psbt, Kind::Withdrawal)?;
        Ok(Withdrawal { tx, fee })
    }

    /// Signs, then makes the reservation of the coins (and of the change's index) durable.
    fn finish(&mut self, psbt: Psbt, kind: Kind) -> Result<(Transaction, Amount), CommitmentError> {
        let (tx, fee) = self.sign(psbt)?;
        self.reserve(&tx, kind)?;
        Ok((tx, fee))
    }

    /// Signs; nothing is reserved or written.
    pub(super) fn sign(&self, mut psbt: Psbt) -> Result<(Transaction, Amount), CommitmentError> {
        let fee = psbt
            .fee()
            .map_err(|error| CommitmentError::Sign(error.to_string()))?;
        let signers = self.signers.each_ref();
        let finalized = self
            .inner
            .sign_with_signers(&mut psbt, &signers, SignOptions::default())
            .map_err(|error| CommitmentError::Sign(error.to_string()))?;
        if !finalized {
            return Err(CommitmentError::Sign("a key is missing".to_owned()));
        }
        // The fee rate has been bounded by whoever built it; the library's own bound is for those who don't.
        Ok((psbt.extract_tx_unchecked_fee_rate(), fee))
    }

    fn explain(&self, error: CreateTxError, fee_rate: FeeRate) -> CommitmentError {
        match error {
            CreateTxError::CoinSelection(InsufficientFunds { needed, .. }) => {
                // The coin that makes up for it has to be spent, too.
                let needed = needed
                    .checked_add(fee(fee_rate, INPUT_VB))
                    .unwrap_or(Amount::MAX_MONEY);
                CommitmentError::NotEnough {
                    needed,
                    available: self.spendable(),
                }
            }
            other => CommitmentError::Build(other),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Coins {
    Confirmed,
    All,
}

fn check(value: Amount, script: &Script, fee_rate: FeeRate) -> Result<(), CommitmentError> {
    if value < script.minimal_non_dust() || value > Amount::MAX_MONEY {
        return Err(CommitmentError::Value(value));
    }
    if fee_rate > MAX_FEE_RATE {
        return Err(CommitmentError::FeeRate(fee_rate));
    }
    Ok(())
}

fn index_of(tx: &Transaction, is_it: impl Fn(&Script) -> bool) -> Result<u32, CommitmentError> {
    tx.output
        .iter()
        .position(|output| is_it(&output.script_pubkey))
        .and_then(|index| u32::try_from(index).ok())
        .ok_or_else(|| CommitmentError::Sign("an output is missing".to_owned()))
}

/// Coin selection that always leaves a change output of at least `min_change`; the largest coins first, so
/// the transaction is small.
#[derive(Debug, Clone, Copy)]
struct LeaveChange {
    min_change: Amount,
}

impl CoinSelectionAlgorithm for LeaveChange {
    fn coin_select<R: bitcoin::key::rand::RngCore>(
        &self,
        required_utxos: Vec<WeightedUtxo>,
        optional_utxos: Vec<WeightedUtxo>,
        fee_rate: FeeRate,
        target_amount: Amount,
        drain_script: &Script,
        rand: &mut R,
    ) -> Result<CoinSelectionResult, InsufficientFunds> {
        // Select for the change as if it were one more thing to pay, then decide it with that money back.
        let change_fee = fee(fee_rate, 8 + 1 + drain_script.len() as u64);
        let kept_back = self.min_change + change_fee;
        let mut result = LargestFirstCoinSelection.coin_select(
            required_utxos,
            optional_utxos,
            fee_rate,
            target_amount + kept_back,
            drain_script,
            rand,
        )?;
        let spare = match result.excess {
            Excess::NoChange { remaining_amount, .. } => remaining_amount,
            Excess::Change { amount, fee } => amount + fee,
        };
        result.excess = decide_change(spare + kept_back, fee_rate, drain_script);
        Ok(result)
    }
}
