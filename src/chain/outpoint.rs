//! What a script's transactions say of one output.

use bitcoin::{OutPoint, Transaction, Txid};

use super::ScriptTransaction;

/// An output on the chain, as far as the servers tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OutpointStatus {
    /// How deep the transaction that makes it is; 0 in the mempool, `None` if no server knows it.
    pub made: Option<u32>,
    /// What spends it.
    pub spend: Option<Spend>,
}

/// A spend of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spend {
    pub txid: Txid,
    /// 0 in the mempool.
    pub confirmations: u32,
}

impl OutpointStatus {
    /// The output's confirmations where so many blocks are hidden: what deadlines take. `None` while it has none.
    pub fn age(&self, hidden_blocks: u32) -> Option<u32> {
        let made = self.made.filter(|made| *made > 0)?;
        Some(made.saturating_add(hidden_blocks))
    }

    /// Reads it out of all transactions of the output's script. Of several spends the deepest counts.
    pub fn of(outpoint: OutPoint, transactions: &[ScriptTransaction], tip_height: u32) -> Self {
        Self::checked(outpoint, transactions, tip_height, |_| true)
    }

    /// Reads it like [`OutpointStatus::of`], but a spend that is proven in no block counts only if it can be one: its
    /// txid shows nothing of its witness. What is in a block was checked by the network.
    pub fn checked(
        outpoint: OutPoint,
        transactions: &[ScriptTransaction],
        tip_height: u32,
        may_spend: impl Fn(&Transaction) -> bool,
    ) -> Self {
        let made = transactions.iter().find(|tx| tx.txid == outpoint.txid);
        let spends = transactions
            .iter()
            .filter(|tx| tx.tx.input.iter().any(|i| i.previous_output == outpoint))
            .filter(|tx| tx.height.is_some() || may_spend(&tx.tx));
        Self {
            made: made.map(|tx| tx.confirmations(tip_height)),
            spend: spends
                .map(|tx| Spend {
                    txid: tx.txid,
                    confirmations: tx.confirmations(tip_height),
                })
                .max_by_key(|spend| spend.confirmations),
        }
    }
}
