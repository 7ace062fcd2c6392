//! Refund: the consumer takes the whole channel back once the delay has passed (protocol.md section 6).

use crate::contract::Channel;
use crate::spend::{self, SighashError};
use bitcoin::secp256k1::Keypair;
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxIn, TxOut, absolute};
use thiserror::Error;

/// Why there is no refund.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RefundError {
    /// The key is not the consumer's of this channel.
    #[error("the key does not belong to channel {0}")]
    Key(bitcoin::OutPoint),
    /// The capacity does not pay for it at this fee rate.
    #[error("a capacity of {capacity} does not pay a fee of {fee}")]
    NotWorthIt {
        /// The value of the channel.
        capacity: Amount,
        /// What the refund costs.
        fee: Amount,
    },
    /// The fee rate is beyond what a fee can be.
    #[error("the fee rate is out of range")]
    FeeRate,
    /// See [`SighashError`].
    #[error(transparent)]
    Sighash(#[from] SighashError),
}

/// Builds and signs the refund to `destination`. The node accepts it once the commitment has as many
/// confirmations as the delay has blocks (BIP68, BIP112); before, it answers `non-BIP68-final`.
///
/// # Errors
/// See [`RefundError`].
pub fn refund(
    channel: &Channel,
    consumer: &Keypair,
    destination: &ScriptBuf,
    fee_rate: FeeRate,
) -> Result<Transaction, RefundError> {
    if consumer.x_only_public_key().0 != channel.contract().keys().consumer() {
        return Err(RefundError::Key(channel.outpoint()));
    }
    let capacity = channel.contract().capacity();
    let sequence = channel.contract().delay().sequence();
    let mut transaction = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: channel.outpoint(),
            sequence,
            ..TxIn::default()
        }],
        output: vec![TxOut {
            value: Amount::ZERO,
            script_pubkey: destination.clone(),
        }],
    };
    sign(&mut transaction, channel, consumer)?;
    let fee = fee_rate
        .fee_vb(transaction.vsize() as u64)
        .ok_or(RefundError::FeeRate)?;
    let value = capacity
        .checked_sub(fee)
        .filter(|value| *value >= destination.minimal_non_dust());
    let value = value.ok_or(RefundError::NotWorthIt { capacity, fee })?;
    if let Some(output) = transaction.output.last_mut() {
        output.value = value;
    }
    sign(&mut transaction, channel, consumer)?;
    Ok(transaction)
}

fn sign(transaction: &mut Transaction, channel: &Channel, consumer: &Keypair) -> Result<(), SighashError> {
    let leaf = channel.script().refund();
    let message = spend::sighash_all(transaction, 0, &[channel.output()], leaf)?;
    let signature = spend::sign(&message, consumer);
    if let Some(input) = transaction.input.first_mut() {
        input.witness = spend::refund_witness(leaf, &signature.serialize());
    }
    Ok(())
}
