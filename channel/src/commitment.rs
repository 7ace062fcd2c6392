//! What a provider checks before it takes a transaction for the commitment of a contract (protocol.md section 5).

use crate::contract::{Channel, Contract};
use crate::script::ScriptError;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxIn};
use std::collections::BTreeSet;
use thiserror::Error;

/// How many blocks the consumer's server may be ahead of the provider's.
const TIP_LAG: u32 = 1;

/// A transaction of exactly 64 bytes without witness could pose as an inner node of a merkle tree.
const AMBIGUOUS_SIZE: usize = 64;

/// The largest commitment, in weight units: more than sixty inputs. Every server is sent each one, at the cost of whoever asks.
pub const MAX_COMMITMENT_WEIGHT: u64 = 16_000;

/// Why a transaction is not the commitment of this contract.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CommitmentError {
    /// The output does not exist.
    #[error("the transaction has no output {0}")]
    NoOutput(u32),
    /// The output pays something else.
    #[error("the output's script is not the channel's")]
    Script,
    /// The output has another value.
    #[error("the output holds {found}, not the capacity of {capacity}")]
    Value {
        /// What the output holds.
        found: Amount,
        /// What was agreed.
        capacity: Amount,
    },
    /// Only version 2: a version-3 parent would limit its descendants, version 1 has no relative lock.
    #[error("the transaction has version {0}, not 2")]
    Version(i32),
    /// An input without a witness, or with a signature script: the transaction id could still change.
    #[error("input {0} is not a native segwit spend, so the transaction's id is not fixed")]
    Malleable(usize),
    /// It can't be mined yet.
    #[error("the transaction is locked until {0}, it can't be mined yet")]
    NotFinal(u32),
    /// See the constant: 64 bytes without witness.
    #[error("a transaction of 64 bytes can't be told from a merkle node")]
    AmbiguousSize,
    /// More than [`MAX_COMMITMENT_WEIGHT`].
    #[error("the transaction weighs {0} units; a commitment may weigh {MAX_COMMITMENT_WEIGHT}")]
    TooLarge(u64),
    /// No network takes it, whatever the coins: an input twice or of a coinbase, or more money than there is.
    #[error("the transaction can be valid in no chain")]
    Impossible,
    /// See [`ScriptError`].
    #[error(transparent)]
    Derivation(#[from] ScriptError),
}

/// Checks form, output and value, and binds the contract to the output.
///
/// `height` is the provider's tip, if it knows one: a lock time in heights above the next block is refused; a
/// lock time in seconds always is. Whether the coins exist only the chain can say.
///
/// # Errors
/// See [`CommitmentError`].
pub fn check(
    contract: &Contract,
    transaction: &Transaction,
    vout: u32,
    height: Option<u32>,
) -> Result<Channel, CommitmentError> {
    if transaction.version != Version::TWO {
        return Err(CommitmentError::Version(transaction.version.0));
    }
    if transaction.base_size() == AMBIGUOUS_SIZE {
        return Err(CommitmentError::AmbiguousSize);
    }
    if let Some(index) = transaction
        .input
        .iter()
        .position(|i| i.witness.is_empty() || i.script_sig != ScriptBuf::new())
    {
        return Err(CommitmentError::Malleable(index));
    }
    if transaction.input.is_empty() {
        return Err(CommitmentError::Malleable(0));
    }
    check_final(transaction, height)?;
    let output = usize::try_from(vout)
        .ok()
        .and_then(|index| transaction.output.get(index));
    let output = output.ok_or(CommitmentError::NoOutput(vout))?;
    if output.value != contract.capacity() {
        return Err(CommitmentError::Value {
            found: output.value,
            capacity: contract.capacity(),
        });
    }
    let channel = Channel::new(
        contract.clone(),
        OutPoint {
            txid: transaction.compute_txid(),
            vout,
        },
    )?;
    if output.script_pubkey != *channel.script().script_pubkey() {
        return Err(CommitmentError::Script);
    }
    Ok(channel)
}

/// Checks what costs nothing to check, before a commitment goes to servers: its size, and that some chain could take it.
/// Not for a commitment on record, which may be in the chain already.
///
/// # Errors
/// [`CommitmentError::TooLarge`], [`CommitmentError::Impossible`].
pub fn check_cost(transaction: &Transaction) -> Result<(), CommitmentError> {
    let weight = transaction.weight().to_wu();
    if weight > MAX_COMMITMENT_WEIGHT {
        return Err(CommitmentError::TooLarge(weight));
    }
    if !is_possible(transaction) {
        return Err(CommitmentError::Impossible);
    }
    Ok(())
}

/// Returns whether some chain could take the transaction, as far as that shows without its coins.
fn is_possible(transaction: &Transaction) -> bool {
    let mut spent = BTreeSet::new();
    let spends = |input: &TxIn, spent: &mut BTreeSet<OutPoint>| {
        !input.previous_output.is_null() && spent.insert(input.previous_output)
    };
    let paid = transaction
        .output
        .iter()
        .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value));
    transaction.input.iter().all(|input| spends(input, &mut spent))
        && paid.is_some_and(|paid| paid <= Amount::MAX_MONEY)
}

fn check_final(transaction: &Transaction, height: Option<u32>) -> Result<(), CommitmentError> {
    let lock = transaction.lock_time;
    if !transaction.is_lock_time_enabled() || lock == bitcoin::absolute::LockTime::ZERO {
        return Ok(());
    }
    // A transaction with lock time h can be in block h + 1 and later.
    let latest = height.map_or(0, |tip| tip.saturating_add(TIP_LAG));
    let minable = lock.is_block_height() && lock.to_consensus_u32() <= latest;
    if minable {
        Ok(())
    } else {
        Err(CommitmentError::NotFinal(lock.to_consensus_u32()))
    }
}
