//! Settling: what has to happen to a channel that is due, seen from what the chain says of it.
//!
//! In its plain form: each channel by itself, once its commitment is confirmed, and handed out again with every
//! block until it is buried. It decides; the provider's driver carries out, and records first.

use bitcoin::secp256k1::Keypair;
use bitcoin::{FeeRate, ScriptBuf, Transaction, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;
use streamium_channel::contract::Channel;
use streamium_channel::payment::Payment;
use streamium_channel::settlement::{Claim, Settlement, SettlementError};

use crate::chain::OutpointStatus;

/// Nothing is settled for less: below, it would hardly be relayed or mined.
const MIN_FEE_RATE: FeeRate = FeeRate::from_sat_per_vb_u32(1);

/// The fee rate is what the chain suggests, but never below what is sure to be relayed.
pub fn settlement_fee_rate(suggested: Option<FeeRate>) -> FeeRate {
    suggested.unwrap_or(MIN_FEE_RATE).max(MIN_FEE_RATE)
}

/// A channel that is due.
#[derive(Debug)]
pub struct DueChannel {
    pub channel: Channel,
    /// The best payment; `None` where only a cooperative close is to be buried.
    pub payment: Option<Payment>,
    pub key: Keypair,
    pub commitment: Transaction,
    /// All that was made to spend it, the newest last.
    pub settlements: Vec<Transaction>,
}

/// What to do next with a due channel.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Hand the commitment out again: no server knows it, so nothing can be settled yet.
    Recommit,
    /// Wait for the commitment's first confirmation: a version-3 settlement can't spend it before.
    Wait,
    /// Record this, then broadcast it.
    Settle(Settlement),
    /// Hand out what has been made already.
    Rebroadcast(Transaction),
    /// Something spent it and is not buried yet.
    Pending,
    /// One of our settlements is buried: closed.
    Settled(Txid),
    /// Something else is buried: closed, with a loss if anything had been paid.
    Lost(Txid),
    /// It can't be settled now, as the error says.
    Stuck(SettlementError),
}

impl DueChannel {
    /// Decides.
    pub fn step(&self, status: OutpointStatus, payout: &ScriptBuf, fee_rate: FeeRate) -> Step {
        if let Some(spend) = status.spend {
            let ours = self.settlements.iter().any(|tx| tx.compute_txid() == spend.txid);
            return match (spend.confirmations >= BURIED_CONFIRMATIONS, ours) {
                (false, _) => Step::Pending,
                (true, true) => Step::Settled(spend.txid),
                (true, false) => Step::Lost(spend.txid),
            };
        }
        match (status.made, self.settlements.last(), &self.payment) {
            (None, ..) => Step::Recommit,
            (Some(0), None, _) => Step::Wait,
            (Some(_), Some(made), _) => Step::Rebroadcast(made.clone()),
            (Some(_), None, None) => Step::Wait,
            (Some(_), None, Some(payment)) => {
                let claim = Claim {
                    channel: &self.channel,
                    payment,
                    key: &self.key,
                };
                match Settlement::new(&[claim], payout, fee_rate) {
                    Ok(settlement) => Step::Settle(settlement),
                    Err(error) => Step::Stuck(error),
                }
            }
        }
    }
}
