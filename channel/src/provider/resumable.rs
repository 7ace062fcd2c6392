//! Whether a channel on record may be gone on with: the one rule for the session, the settlement engine and the tests.
//!
//! An account pays through one channel at a time. Once it has gone on with another, the former one only waits for its
//! settlement: what it paid counts with its successor, so it must never count by itself again, whatever its state.

use super::AccountRecord;
use crate::money::Msat;
use crate::record::ProviderRecord;
use bitcoin::{OutPoint, Txid};
use thiserror::Error;

/// The facts that decide about a channel beside its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChannelFacts {
    /// How many confirmations its commitment has to be taken to have, by the clock where the chain can't be seen; 0
    /// while it has none or nothing is known.
    pub confirmations: u32,
    /// The transaction that spends it, in a block or in a memory pool.
    pub spent_by: Option<Txid>,
    /// A transaction that spends it has been made, or it is closed.
    pub is_settling: bool,
}

/// Why a channel can't be gone on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotResumable {
    /// Its payments count with another channel now.
    #[error("the account of channel {outpoint} has gone on with another one")]
    GoneOn {
        /// The channel.
        outpoint: OutPoint,
        /// The channel that the account went on with.
        to: OutPoint,
    },
    /// It was opened to take an account over that went on with another channel instead, or is not on record.
    #[error("the account for which channel {0} was opened has gone on without it")]
    LeftBehind(OutPoint),
    /// A settlement or a close has been made, or it is closed.
    #[error("channel {0} is being settled")]
    Settling(OutPoint),
    /// Something spends it.
    #[error("channel {0} was spent by {1}")]
    Spent(OutPoint, Txid),
    /// It has to be settled before its refund leaf opens.
    #[error("channel {outpoint} has {confirmations} confirmations and is used up to {last}")]
    TooOld {
        /// The channel.
        outpoint: OutPoint,
        /// How deep its commitment is.
        confirmations: u32,
        /// The depth up to which it is used.
        last: u32,
    },
}

impl ProviderRecord {
    /// Whether a session may go on with this channel. `former` is the record that [`ProviderRecord::follows`] names.
    ///
    /// # Errors
    /// See [`NotResumable`].
    pub fn check_resumable(
        &self,
        former: Option<&ProviderRecord>,
        facts: &ChannelFacts,
    ) -> Result<(), NotResumable> {
        let outpoint = self.outpoint;
        if let Some(to) = self.went_on_to {
            return Err(NotResumable::GoneOn { outpoint, to });
        }
        if let Some(named) = self.follows {
            let former = former.filter(|former| former.outpoint == named);
            let went_on_to = former.ok_or(NotResumable::LeftBehind(outpoint))?.went_on_to;
            if went_on_to.is_some_and(|to| to != outpoint) {
                return Err(NotResumable::LeftBehind(outpoint));
            }
        }
        if facts.is_settling {
            return Err(NotResumable::Settling(outpoint));
        }
        if let Some(txid) = facts.spent_by {
            return Err(NotResumable::Spent(outpoint, txid));
        }
        let (confirmations, last) = (
            facts.confirmations,
            self.contract.delay().last_usable_confirmation(),
        );
        if confirmations > last {
            return Err(NotResumable::TooOld {
                outpoint,
                confirmations,
                last,
            });
        }
        Ok(())
    }

    /// Whether this channel waits for the first payment that makes an account go on with it.
    pub fn is_pending(&self, former: &ProviderRecord) -> bool {
        self.follows == Some(former.outpoint) && former.went_on_to.is_none()
    }

    /// Returns the debits that no payment covers.
    pub fn debt(&self) -> Msat {
        let best = self.best.map(|best| Msat::from(best.cumulative));
        let paid = Msat::from(self.carried).plus(best.unwrap_or(Msat::ZERO));
        self.consumed.minus(paid)
    }

    /// The account as it stands on record.
    pub const fn account(&self) -> AccountRecord {
        AccountRecord {
            outpoint: self.outpoint,
            best: self.best,
            carried: self.carried,
            consumed: self.consumed,
        }
    }
}
