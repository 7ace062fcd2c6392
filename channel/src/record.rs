//! What each side writes down about a channel, as plain data: enough to settle or refund after any crash.

use crate::agreement::Agreement;
use crate::contract::{Channel, Contract};
use crate::money::{Msat, Rate};
use crate::payment::{Payment, PaymentSignature};
use crate::script::ScriptError;
use bitcoin::{Amount, OutPoint, Transaction};
use thiserror::Error;

/// The provider's record of a channel. Never deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderRecord {
    /// What was agreed.
    pub contract: Contract,
    /// The channel's output.
    pub outpoint: OutPoint,
    /// Which of the seed's channel keys is the provider's.
    pub key_index: u32,
    /// The stream that was sold.
    pub stream: String,
    /// Its rate when the channel was opened.
    pub rate: Rate,
    /// The commitment transaction, to be broadcast again until it is confirmed.
    pub commitment: Transaction,
    /// The channel whose account this one was opened to take over.
    pub follows: Option<OutPoint>,
    /// The channel that the account went on with: what this one paid counts there, and never here again.
    pub went_on_to: Option<OutPoint>,
    /// The best payment so far.
    pub best: Option<PaymentRecord>,
    /// What earlier channels of the same account paid: their credit went on with this one.
    pub carried: Amount,
    /// What has been debited since the first of them.
    pub consumed: Msat,
}

/// The consumer's record of a channel. Never deleted. It is durable before the commitment's bytes are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerRecord {
    /// What was agreed.
    pub contract: Contract,
    /// The channel's output.
    pub outpoint: OutPoint,
    /// Which of the seed's channel keys is the consumer's.
    pub key_index: u32,
    /// The link it was opened for.
    pub link: String,
    /// The commitment transaction, to be broadcast again until it is confirmed.
    pub commitment: Transaction,
    /// The highest cumulative amount signed.
    pub paid: Amount,
    /// What earlier channels of the same account paid.
    pub carried: Amount,
    /// What arrived since the first of them, by the own count.
    pub consumed: Msat,
    /// The highest rate at which it was counted.
    pub rate: Rate,
    /// The terms that it was opened under; `None` where an earlier version made the record.
    pub agreed: Option<Agreement>,
}

impl ConsumerRecord {
    /// Whether it says what has been paid and consumed. A record that came back from its backup does not: the backup is
    /// written before the first payment. Nor does one of a version that did not write all of it down.
    pub fn has_figures(&self) -> bool {
        !self.rate.is_free() || self.carried > Amount::ZERO || self.consumed > Msat::ZERO
    }
}

/// A payment as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaymentRecord {
    /// The cumulative amount.
    pub cumulative: Amount,
    /// The signature.
    pub signature: PaymentSignature,
}

impl From<Payment> for PaymentRecord {
    fn from(payment: Payment) -> Self {
        Self {
            cumulative: payment.cumulative(),
            signature: payment.signature(),
        }
    }
}

/// A record that can't be right: the file was changed or damaged.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// The stored payment is not valid for the stored channel.
    #[error("the stored payment of channel {0} is not valid")]
    Payment(OutPoint),
    /// See [`ScriptError`].
    #[error(transparent)]
    Script(#[from] ScriptError),
}

impl ProviderRecord {
    /// The channel and its best payment, checked again: what comes from a disk is not believed.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn restore(&self) -> Result<(Channel, Option<Payment>), RecordError> {
        let channel = Channel::new(self.contract.clone(), self.outpoint)?;
        let best = self
            .best
            .map(|best| Payment::check(&channel, best.cumulative, best.signature));
        let best = best
            .transpose()
            .map_err(|_| RecordError::Payment(self.outpoint))?;
        Ok((channel, best))
    }
}
