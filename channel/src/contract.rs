//! What both sides agree on before money moves, and the channel it becomes once an output holds the money.

use crate::blocks::RefundDelay;
use crate::keys::ChannelKeys;
use crate::money::CHANGE_DUST;
use crate::script::{ChangeScript, ChannelScript, ScriptError};
use bitcoin::{Amount, OutPoint, TxOut};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Agreed by `open` and `accept`; both sides derive the same script from it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Contract {
    keys: ChannelKeys,
    delay: RefundDelay,
    capacity: Amount,
    change: ChangeScript,
}

/// The capacity leaves nothing to pay with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a capacity of {0} leaves nothing to pay with; it must be more than {CHANGE_DUST}")]
pub struct CapacityError(pub Amount);

impl Contract {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the capacity is not above the change that always stays ([`CHANGE_DUST`]).
    pub fn new(
        keys: ChannelKeys,
        delay: RefundDelay,
        capacity: Amount,
        change: ChangeScript,
    ) -> Result<Self, CapacityError> {
        if capacity <= CHANGE_DUST || capacity > Amount::MAX_MONEY {
            return Err(CapacityError(capacity));
        }
        Ok(Self {
            keys,
            delay,
            capacity,
            change,
        })
    }

    /// Both channel keys.
    pub const fn keys(&self) -> &ChannelKeys {
        &self.keys
    }

    /// The refund delay.
    pub const fn delay(&self) -> RefundDelay {
        self.delay
    }

    /// The value of the channel's output.
    pub const fn capacity(&self) -> Amount {
        self.capacity
    }

    /// Where the consumer's change goes.
    pub const fn change(&self) -> &ChangeScript {
        &self.change
    }

    /// The most that can be paid: capacity less the change that is never below [`CHANGE_DUST`].
    pub fn payable(&self) -> Amount {
        self.capacity.checked_sub(CHANGE_DUST).unwrap_or(Amount::ZERO)
    }

    /// Derives the script.
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn script(&self) -> Result<ChannelScript, ScriptError> {
        ChannelScript::new(&self.keys, self.delay)
    }
}

/// A contract whose money is in a known output.
#[derive(Clone, Debug)]
pub struct Channel {
    contract: Contract,
    script: ChannelScript,
    outpoint: OutPoint,
}

impl Channel {
    /// Binds the contract to an output, which the caller has checked or made (see [`crate::commitment`]).
    ///
    /// # Errors
    /// See [`ScriptError`].
    pub fn new(contract: Contract, outpoint: OutPoint) -> Result<Self, ScriptError> {
        let script = contract.script()?;
        Ok(Self {
            contract,
            script,
            outpoint,
        })
    }

    /// The contract.
    pub const fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The script with its leaves.
    pub const fn script(&self) -> &ChannelScript {
        &self.script
    }

    /// The output that holds the money.
    pub const fn outpoint(&self) -> OutPoint {
        self.outpoint
    }

    /// The output itself, as signatures commit to it.
    pub fn output(&self) -> TxOut {
        TxOut {
            value: self.contract.capacity,
            script_pubkey: self.script.script_pubkey().clone(),
        }
    }

    /// The consumer's change when `balance` goes to the provider: `None` above [`Contract::payable`].
    pub fn change_output(&self, balance: Amount) -> Option<TxOut> {
        let value = self.contract.capacity.checked_sub(balance)?;
        (value >= CHANGE_DUST).then(|| TxOut {
            value,
            script_pubkey: self.contract.change.script().clone(),
        })
    }
}
