//! Payments: the consumer's signature over a higher cumulative amount (protocol.md section 5).
//!
//! It is a BIP340 signature of type SIGHASH_SINGLE|ANYONECANPAY for the payment leaf, over a version-3
//! transaction with locktime 0, sequence 0xfffffffd, no annex, its own input, and one output: the consumer's
//! change, capacity less the cumulative amount. Everything else about the settlement the provider decides later.

use crate::contract::Channel;
use crate::secp::secp;
use crate::spend::{self, SighashError};
use bitcoin::secp256k1::{Keypair, schnorr};
use bitcoin::transaction::Version;
use bitcoin::{Amount, Sequence, Transaction, TxIn, TxOut, absolute};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The sighash byte that ends every payment signature: SIGHASH_SINGLE|ANYONECANPAY.
pub const PAYMENT_SIGHASH: u8 = 0x83;

/// Version 3 (BIP431): bounds what a spend of the consumer's change can do to the settlement's fee rate.
pub(crate) const SETTLEMENT_VERSION: Version = Version(3);

/// Settlements signal replacement, and lock nothing.
pub(crate) const SETTLEMENT_SEQUENCE: Sequence = Sequence::ENABLE_RBF_NO_LOCKTIME;

/// A payment's signature as it travels: 65 bytes, the last one [`PAYMENT_SIGHASH`]; hex in text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PaymentSignature(schnorr::Signature);

/// Why bytes are no payment signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SignatureFormError {
    /// Not hexadecimal, or not 65 bytes. A 64-byte signature would mean SIGHASH_DEFAULT.
    #[error("a payment signature is 65 bytes in hexadecimal")]
    Length,
    /// Another sighash type.
    #[error("a payment signature ends in 0x83 (SIGHASH_SINGLE|ANYONECANPAY), not in {0:#04x}")]
    SighashType(u8),
}

impl PaymentSignature {
    /// Reads the 65 bytes.
    ///
    /// # Errors
    /// Any other length or last byte.
    pub fn from_slice(bytes: &[u8]) -> Result<Self, SignatureFormError> {
        let Some((&kind, signature)) = bytes.split_last() else {
            return Err(SignatureFormError::Length);
        };
        let signature = schnorr::Signature::from_slice(signature).map_err(|_| SignatureFormError::Length)?;
        if kind != PAYMENT_SIGHASH {
            return Err(SignatureFormError::SighashType(kind));
        }
        Ok(Self(signature))
    }

    /// The 65 bytes.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = self.0.serialize().to_vec();
        bytes.push(PAYMENT_SIGHASH);
        bytes
    }
}

impl FromStr for PaymentSignature {
    type Err = SignatureFormError;

    fn from_str(hex: &str) -> Result<Self, Self::Err> {
        let bytes: Vec<u8> = bitcoin::hex::FromHex::from_hex(hex).map_err(|_| SignatureFormError::Length)?;
        Self::from_slice(&bytes)
    }
}

impl TryFrom<String> for PaymentSignature {
    type Error = SignatureFormError;

    fn try_from(hex: String) -> Result<Self, Self::Error> {
        hex.parse()
    }
}

impl From<PaymentSignature> for String {
    fn from(signature: PaymentSignature) -> String {
        signature.to_string()
    }
}

impl fmt::Display for PaymentSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PAYMENT_SIGHASH:02x}", self.0)
    }
}

impl fmt::Debug for PaymentSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PaymentSignature({self})")
    }
}

/// A payment whose signature has been checked, or that we signed ourselves: there is no other way to one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    cumulative: Amount,
    signature: PaymentSignature,
}

/// Why a payment is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PaymentError {
    /// Nothing, or more than the channel can pay.
    #[error(
        "a cumulative amount of {cumulative} is not from 1 sat to the {payable} that this channel can pay"
    )]
    OutOfRange {
        /// What was offered.
        cumulative: Amount,
        /// The most this channel can pay.
        payable: Amount,
    },
    /// The signature is for another state, another channel or another key.
    #[error("the signature is not the consumer's for {0} of this channel")]
    Signature(Amount),
    /// Less than what is paid already.
    #[error("{offered} is less than the balance of {balance}")]
    Lower {
        /// What was offered.
        offered: Amount,
        /// The best payment so far.
        balance: Amount,
    },
}

impl Payment {
    /// Signs as the consumer.
    ///
    /// # Errors
    /// When the amount is outside 1 sat to [`Contract::payable`](crate::contract::Contract::payable).
    /// Nothing is durable here: the signed amount is the most that can be lost, and the caller records it first.
    pub fn sign(channel: &Channel, consumer: &Keypair, cumulative: Amount) -> Result<Self, PaymentError> {
        let message = payment_message(channel, cumulative)?;
        Ok(Self {
            cumulative,
            signature: PaymentSignature(spend::sign(&message, consumer)),
        })
    }

    /// Checks an amount and its signature as the provider does: for this channel, its change and its leaf.
    ///
    /// # Errors
    /// [`PaymentError::OutOfRange`] or [`PaymentError::Signature`].
    pub fn check(
        channel: &Channel,
        cumulative: Amount,
        signature: PaymentSignature,
    ) -> Result<Self, PaymentError> {
        let message = payment_message(channel, cumulative)?;
        secp()
            .verify_schnorr(&signature.0, &message, &channel.contract().keys().consumer())
            .map_err(|_| PaymentError::Signature(cumulative))?;
        Ok(Self {
            cumulative,
            signature,
        })
    }

    /// All that this channel has paid, up to and with this payment.
    pub const fn cumulative(&self) -> Amount {
        self.cumulative
    }

    /// The signature.
    pub const fn signature(&self) -> PaymentSignature {
        self.signature
    }
}

/// The transaction that a payment signs: its own input and its own change, nothing else.
pub fn payment_transaction(channel: &Channel, cumulative: Amount) -> Result<Transaction, PaymentError> {
    let out_of_range = PaymentError::OutOfRange {
        cumulative,
        payable: channel.contract().payable(),
    };
    if cumulative == Amount::ZERO {
        return Err(out_of_range);
    }
    let change = channel.change_output(cumulative).ok_or(out_of_range)?;
    Ok(settlement_shell([(channel.outpoint(), change)]))
}

fn payment_message(
    channel: &Channel,
    cumulative: Amount,
) -> Result<bitcoin::secp256k1::Message, PaymentError> {
    let tx = payment_transaction(channel, cumulative)?;
    spend::sighash_single(&tx, 0, channel).map_err(|SighashError { .. }| PaymentError::Signature(cumulative))
}

/// Unsigned: each channel's input, with its change at the same index.
pub(crate) fn settlement_shell(
    channels: impl IntoIterator<Item = (bitcoin::OutPoint, TxOut)>,
) -> Transaction {
    let (input, output) = channels
        .into_iter()
        .map(|(previous_output, change)| {
            (
                TxIn {
                    previous_output,
                    sequence: SETTLEMENT_SEQUENCE,
                    ..TxIn::default()
                },
                change,
            )
        })
        .unzip();
    Transaction {
        version: SETTLEMENT_VERSION,
        lock_time: absolute::LockTime::ZERO,
        input,
        output,
    }
}
