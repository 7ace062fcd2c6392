//! Refunds: what the consumer gets back of a channel that its provider never settled.
//!
//! It decides from what the chain says; the consumer's driver carries out, and records first.

use bitcoin::secp256k1::Keypair;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;
use streamium_channel::contract::Channel;
use streamium_channel::refund::{RefundError, refund};

use crate::chain::OutpointStatus;

/// A channel that may still hold the consumer's money.
#[derive(Debug)]
pub struct OpenChannel {
    pub channel: Channel,
    pub key: Keypair,
    pub commitment: Transaction,
    pub refund: Option<Transaction>,
}

/// What to do next with it.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand the commitment out again: no server knows it. Its coins stay reserved, since the provider has it.
    Recommit,
    /// Nothing now: this many blocks until the refund leaf opens.
    Wait { blocks: u32 },
    /// Record this, then broadcast it.
    Refund(Transaction),
    /// Hand out what has been made already.
    Rebroadcast(Transaction),
    /// A spend is on its way.
    Pending(Txid),
    /// A spend is buried: closed.
    Spent(Txid),
    /// It can't be refunded now, as the error says.
    Stuck(RefundError),
}

impl OpenChannel {
    /// Decides. `destination` is where a refund would go.
    pub fn step(&self, status: OutpointStatus, destination: &ScriptBuf, fee_rate: FeeRate) -> Step {
        if let Some(spend) = status.spend {
            return match spend.confirmations >= BURIED_CONFIRMATIONS {
                true => Step::Spent(spend.txid),
                false => Step::Pending(spend.txid),
            };
        }
        let Some(confirmations) = status.made else {
            return Step::Recommit;
        };
        // The next block's transactions see one confirmation more than there are now.
        let delay = u32::from(self.channel.contract().delay().blocks());
        match delay.saturating_sub(confirmations) {
            0 => match &self.refund {
                Some(made) => Step::Rebroadcast(made.clone()),
                None => match refund(&self.channel, &self.key, destination, fee_rate) {
                    Ok(made) => Step::Refund(made),
                    Err(error) => Step::Stuck(error),
                },
            },
            blocks => Step::Wait { blocks },
        }
    }
}
