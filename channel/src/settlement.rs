//! Settlement: the provider cashes the best payment of one channel or of several in one transaction
//! (protocol.md section 6).
//!
//! Input *i* and output *i* are a channel and its consumer's change, as the payments sign them; the last output
//! is the payout. The provider signs with SIGHASH_DEFAULT only: with SINGLE|ANYONECANPAY from both sides
//! any observer could redirect the rest.

use crate::contract::Channel;
use crate::payment::{Payment, settlement_shell};
use crate::spend::{self, SighashError};
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, FeeRate, ScriptBuf, Transaction, TxOut};
use thiserror::Error;

/// A version-3 transaction of more than 10,000 vB is not relayed (BIP431).
pub const MAX_SETTLEMENT_VB: u64 = 10_000;

/// As many channels as always fit into [`MAX_SETTLEMENT_VB`].
pub const MAX_SETTLEMENT_CHANNELS: usize = 65;

/// What settling one channel to a P2TR payout weighs, in vB. Other kinds of payout weigh less, or a few vB more.
pub const SINGLE_SETTLEMENT_VB: u64 = 205;

/// What each further channel adds to a settlement, in vB, rounded up.
pub const ADDED_CHANNEL_VB: u64 = 151;

const _: () = assert!(
    SINGLE_SETTLEMENT_VB + (MAX_SETTLEMENT_CHANNELS as u64 - 1) * ADDED_CHANNEL_VB <= MAX_SETTLEMENT_VB,
    "a settlement of the most channels is relayed"
);

/// One channel to settle, with its best payment and the provider's key.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// Its best payment.
    pub payment: &'a Payment,
    /// The provider's channel key.
    pub key: &'a Keypair,
}

/// A signed settlement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The transaction, ready to be recorded and then broadcast.
    pub transaction: Transaction,
    /// What the payout output holds.
    pub payout: Amount,
    /// The fee; it comes out of the provider's part.
    pub fee: Amount,
}

/// Why nothing can be settled.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SettlementError {
    /// No channel, or more than fit.
    #[error("{0} channels can't be settled in one transaction; it takes 1 to {MAX_SETTLEMENT_CHANNELS}")]
    Count(usize),
    /// A payment's amount does not fit its channel: the record is damaged.
    #[error("a payment of {0} does not fit its channel")]
    Payment(Amount),
    /// The key is not the one in the channel's script: the record or the seed is not the right one.
    #[error("the key does not belong to channel {0}")]
    Key(bitcoin::OutPoint),
    /// The balance does not pay for its own settlement at this fee rate.
    #[error("a balance of {balance} does not pay a fee of {fee} and a payout of at least {dust}")]
    NotWorthIt {
        /// What the channels have paid together.
        balance: Amount,
        /// What the settlement costs.
        fee: Amount,
        /// The smallest payout that is relayed.
        dust: Amount,
    },
    /// The fee rate is beyond what a fee can be.
    #[error("the fee rate is out of range")]
    FeeRate,
    /// See [`SighashError`].
    #[error(transparent)]
    Sighash(#[from] SighashError),
}

impl Settlement {
    /// Builds and signs.
    ///
    /// # Errors
    /// See [`SettlementError`]. Nothing is durable here; the caller records the transaction before it is sent.
    pub fn new(claims: &[Claim<'_>], payout: &ScriptBuf, fee_rate: FeeRate) -> Result<Self, SettlementError> {
        if claims.is_empty() || claims.len() > MAX_SETTLEMENT_CHANNELS {
            return Err(SettlementError::Count(claims.len()));
        }
        let mut transaction = unsigned(claims)?;
        transaction.output.push(TxOut {
            value: Amount::ZERO,
            script_pubkey: payout.clone(),
        });
        sign(&mut transaction, claims)?;

        // Signatures have one length, so the size is final before the payout's value is.
        let fee = fee_rate
            .fee_vb(transaction.vsize() as u64)
            .ok_or(SettlementError::FeeRate)?;
        let balance = claims
            .iter()
            .map(|c| c.payment.cumulative())
            .try_fold(Amount::ZERO, Amount::checked_add);
        let balance = balance.ok_or(SettlementError::FeeRate)?;
        let dust = payout.minimal_non_dust();
        let value = balance.checked_sub(fee).filter(|value| *value >= dust);
        let value = value.ok_or(SettlementError::NotWorthIt { balance, fee, dust })?;
        if let Some(output) = transaction.output.last_mut() {
            output.value = value;
        }
        sign(&mut transaction, claims)?;
        Ok(Self {
            transaction,
            payout: value,
            fee,
        })
    }
}

fn unsigned(claims: &[Claim<'_>]) -> Result<Transaction, SettlementError> {
    let pairs = claims.iter().map(|claim| {
        let cumulative = claim.payment.cumulative();
        if claim.key.x_only_public_key().0 != claim.channel.contract().keys().provider() {
            return Err(SettlementError::Key(claim.channel.outpoint()));
        }
        let change = claim
            .channel
            .change_output(cumulative)
            .ok_or(SettlementError::Payment(cumulative))?;
        Ok((claim.channel.outpoint(), change))
    });
    Ok(settlement_shell(pairs.collect::<Result<Vec<_>, _>>()?))
}

fn sign(transaction: &mut Transaction, claims: &[Claim<'_>]) -> Result<(), SettlementError> {
    let spent: Vec<TxOut> = claims.iter().map(|claim| claim.channel.output()).collect();
    let mut witnesses = Vec::with_capacity(claims.len());
    for (index, claim) in claims.iter().enumerate() {
        let leaf = claim.channel.script().payment();
        let message = spend::sighash_all(transaction, index, &spent, leaf)?;
        let provider = spend::sign(&message, claim.key);
        let consumer = claim.payment.signature().to_vec();
        witnesses.push(spend::payment_witness(leaf, &consumer, &provider.serialize()));
    }
    for (input, witness) in transaction.input.iter_mut().zip(witnesses) {
        input.witness = witness;
    }
    Ok(())
}
