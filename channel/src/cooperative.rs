//! Cooperative close: both sign one transaction that pays each its part at once (protocol.md section 6).
//!
//! The consumer offers it and pays the fee from its own change, so the provider never gets less than its
//! balance; a balance too small to settle then does not lock the consumer's money for the whole delay.
//!
//! It is of version 2, so the consumer can pin it: hang many cheap descendants on its change, which whoever replaces
//! the close has to pay for. So it never stands in the place of a settlement that is worth making, and of no
//! balance above [`MAX_CLOSING_BALANCE`].

use crate::contract::Channel;
use crate::secp::secp;
use crate::settlement::SINGLE_SETTLEMENT_VB;
use crate::spend::{self, SighashError};
use bitcoin::secp256k1::{Keypair, schnorr};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, ScriptBuf, Sequence, Transaction, TxIn, TxOut, absolute};
use thiserror::Error;

/// No balance above this is left to a cooperative close, however high fees are said to be.
pub const MAX_CLOSING_BALANCE: Amount = Amount::from_sat(10_000);

/// The lowest fee rate that nodes relay.
const MIN_CLOSING_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// Above this a node may take the fee for a mistake and not relay it: Bitcoin Core's `sendrawtransaction` refuses
/// 10,000 sat/vB, and servers may be stricter.
const MAX_CLOSING_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1_000);

/// The conditions that a provider sets for a close at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosingTerms {
    rate: FeeRate,
}

impl ClosingTerms {
    /// The terms while a settlement of one channel would be made at `rate`.
    #[must_use]
    pub fn new(rate: FeeRate) -> Self {
        let rate = rate.clamp(MIN_CLOSING_FEE_RATE, MAX_CLOSING_FEE_RATE);
        Self { rate }
    }

    /// The most that is left to a close: what its own settlement would cost, and the dust limit of its payout.
    fn max_balance(self, payout: &ScriptBuf) -> Amount {
        let cost = self.rate.fee_vb(SINGLE_SETTLEMENT_VB);
        cost.and_then(|cost| cost.checked_add(payout.minimal_non_dust()))
            .map_or(MAX_CLOSING_BALANCE, |cost| cost.min(MAX_CLOSING_BALANCE))
    }

    /// Checks that a complete close may stand in the place of settling `balance`, which must not be worth it now, and
    /// that its fee suits the present rate.
    ///
    /// # Errors
    /// [`ClosingError::WorthSettling`], [`ClosingError::Fee`].
    pub fn check(
        self,
        closing: &Closing<'_>,
        balance: Amount,
        transaction: &Transaction,
    ) -> Result<(), ClosingError> {
        let most = self.max_balance(closing.payout);
        if balance > most {
            return Err(ClosingError::WorthSettling { balance, most });
        }
        let (fee, rate) = (closing.fee, self.rate);
        let vsize = transaction.vsize() as u64;
        let (least, highest) = (rate.fee_vb(vsize), MAX_CLOSING_FEE_RATE.fee_vb(vsize));
        if least.is_none_or(|least| fee < least) || highest.is_none_or(|highest| fee > highest) {
            return Err(ClosingError::Fee { fee, rate });
        }
        Ok(())
    }
}

/// What both sides build the same transaction from.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// The channel.
    pub channel: &'a Channel,
    /// What the provider has been paid.
    pub balance: Amount,
    /// Where it gets it. A balance below this script's dust limit gets no output: it goes to the fee.
    pub payout: &'a ScriptBuf,
    /// The fee, out of the consumer's change.
    pub fee: Amount,
}

/// Why there is no cooperative close.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ClosingError {
    /// The consumer's change would be dust or less.
    #[error("balance {balance} and fee {fee} leave the consumer less than its dust limit of {capacity}")]
    NoChange {
        /// What the provider has been paid.
        balance: Amount,
        /// The fee.
        fee: Amount,
        /// The channel's capacity.
        capacity: Amount,
    },
    /// The offer is below what the provider holds.
    #[error("the offer pays {offered}, less than the balance of {balance}")]
    Lower {
        /// What the offer pays.
        offered: Amount,
        /// The provider's best payment.
        balance: Amount,
    },
    /// The balance is worth its settlement.
    #[error("the balance of {balance} is settled: a close takes at most {most}")]
    WorthSettling {
        /// The provider's best payment.
        balance: Amount,
        /// The largest balance that a close may take.
        most: Amount,
    },
    /// Nobody would relay or mine it now.
    #[error("a fee of {fee} is too low or too high for a close at {rate} sat/kwu")]
    Fee {
        /// The fee of the close.
        fee: Amount,
        /// The present fee rate.
        rate: FeeRate,
    },
    /// The consumer's signature is not for this transaction.
    #[error("the consumer's signature is not for this closing transaction")]
    Signature,
    /// See [`SighashError`].
    #[error(transparent)]
    Sighash(#[from] SighashError),
}

impl Closing<'_> {
    /// The unsigned transaction: the consumer's change, then the payout where it is not dust.
    ///
    /// # Errors
    /// [`ClosingError::NoChange`].
    pub fn transaction(&self) -> Result<Transaction, ClosingError> {
        let contract = self.channel.contract();
        let no_change = || ClosingError::NoChange {
            balance: self.balance,
            fee: self.fee,
            capacity: contract.capacity(),
        };
        let taken = self.balance.checked_add(self.fee).ok_or_else(no_change)?;
        let change = self.channel.change_output(taken).ok_or_else(no_change)?;
        let mut output = vec![change];
        if self.balance >= self.payout.minimal_non_dust() {
            output.push(TxOut {
                value: self.balance,
                script_pubkey: self.payout.clone(),
            });
        }
        let previous_output = self.channel.outpoint();
        Ok(Transaction {
            version: Version::TWO,
            lock_time: absolute::LockTime::ZERO,
            input: vec![TxIn {
                previous_output,
                sequence: Sequence::ENABLE_RBF_NO_LOCKTIME,
                ..TxIn::default()
            }],
            output,
        })
    }

    /// The consumer's half: a signature with SIGHASH_DEFAULT.
    ///
    /// # Errors
    /// As [`Closing::transaction`].
    pub fn offer(&self, consumer: &Keypair) -> Result<schnorr::Signature, ClosingError> {
        let transaction = self.transaction()?;
        Ok(spend::sign(&self.message(&transaction)?, consumer))
    }

    /// The provider's half: checks that the offer pays at least `balance` and carries the consumer's
    /// signature, then completes it. Whether to take it at all says [`ClosingTerms::check`].
    ///
    /// # Errors
    /// See [`ClosingError`].
    pub fn complete(
        &self,
        offer: &schnorr::Signature,
        balance: Amount,
        provider: &Keypair,
    ) -> Result<Transaction, ClosingError> {
        if self.balance < balance {
            return Err(ClosingError::Lower {
                offered: self.balance,
                balance,
            });
        }
        let mut transaction = self.transaction()?;
        let message = self.message(&transaction)?;
        let consumer = self.channel.contract().keys().consumer();
        secp()
            .verify_schnorr(offer, &message, &consumer)
            .map_err(|_| ClosingError::Signature)?;
        let signature = spend::sign(&message, provider);
        let leaf = self.channel.script().payment();
        if let Some(input) = transaction.input.first_mut() {
            input.witness = spend::payment_witness(leaf, &offer.serialize(), &signature.serialize());
        }
        Ok(transaction)
    }

    fn message(&self, transaction: &Transaction) -> Result<bitcoin::secp256k1::Message, SighashError> {
        spend::sighash_all(
            transaction,
            0,
            &[self.channel.output()],
            self.channel.script().payment(),
        )
    }
}
