//! What is remembered of a wallet's syncs.

use std::collections::HashMap;
use std::sync::Arc;

use bdk_wallet::chain::ConfirmationBlockTime;
use bitcoin::{BlockHash, Transaction, Txid};

/// What a wallet has been told already and need not be asked for again, on any connection.
#[derive(Default)]
pub(in crate::chain) struct Known {
    pub(super) transactions: HashMap<Txid, Arc<Transaction>>,
    /// The blocks that transactions are proven to be in.
    pub(super) anchors: HashMap<(Txid, BlockHash), ConfirmationBlockTime>,
}

impl Known {
    /// At that height, in some block: should it be another by now, the proof is asked for when it is missed.
    pub(super) fn is_proven(&self, txid: &Txid, height: usize) -> bool {
        self.anchors
            .iter()
            .any(|((of, _), anchor)| of == txid && usize::try_from(anchor.block_id.height) == Ok(height))
    }
}
