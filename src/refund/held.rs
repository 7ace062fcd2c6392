//! A held channel: from its record, and as it is told to people.

use bitcoin::{Network, ScriptBuf, Txid};
use streamium_channel::contract::Channel;

use super::{CLOSED_CONFIRMATIONS, HeldChannel, LATEST_BLOCKS, PATIENCE_BLOCKS, Step};
use crate::chain::{OutpointStatus, Tip};
use crate::keys;
use crate::store::{Role, StoredConsumerChannel};
use crate::wallet::{Seed, Wallet};

/// How far a channel is, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// No server has answered yet.
    Unknown,
    /// No server knows the commitment; it is handed out again.
    Missing,
    /// The commitment is not confirmed yet.
    Unconfirmed,
    /// The refund leaf opens in so many blocks.
    Locked { blocks: u32 },
    /// The refund may be mined and is on its way to the mempool, or can't be made now, as was said.
    Due,
    /// Something spends it.
    Closing {
        txid: Txid,
        confirmations: u32,
        ours: bool,
    },
}

impl HeldChannel {
    /// A tip is known before it is proven what its block holds, and until then a transaction counts as unconfirmed. What
    /// would be wrong then, replacing and closing, waits for the wallet's sync up to that tip: whatever this engine
    /// makes, and every settlement, is the wallet's too. (A sweep by another wallet is not; its depth is believed.)
    pub(super) fn waits_for_proof(&self, step: &Step, wallet: &Wallet, tip: Tip) -> bool {
        let is_mined = |txid| wallet.confirmations_of(txid).is_some_and(|depth| depth > 0);
        let contradicted = match step {
            Step::Unconfirmed => is_mined(self.channel.outpoint().txid),
            Step::Refund { .. } if self.refunds.is_empty() => return false,
            Step::Refund { .. } => self.refunds.iter().any(|made| is_mined(made.tx.compute_txid())),
            Step::Closed { txid, .. } => wallet
                .confirmations_of(*txid)
                .is_some_and(|depth| depth < CLOSED_CONFIRMATIONS),
            _ => return false,
        };
        contradicted || !wallet.is_synced_to(tip.hash)
    }

    /// What comes back out of a block is not stuck yet: its clock starts again.
    pub(super) fn note_confirmation(&mut self, status: OutpointStatus, height: u32) {
        if status.spend.is_some_and(|spend| spend.confirmations > 0) {
            self.mined_height = Some(height);
        }
        if status.made.is_some_and(|confirmations| confirmations > 0) {
            self.committed_height = None;
        }
    }

    /// Since when a spend that is not ours has been waiting while the refund may be mined.
    pub(super) fn note_spend(&mut self, status: OutpointStatus, height: u32) {
        let waits = status.spend.is_some_and(|spend| {
            spend.confirmations == 0
                && !self
                    .refunds
                    .iter()
                    .any(|made| made.tx.compute_txid() == spend.txid)
        });
        if !waits || self.open_for(status).is_none() {
            self.spend_since = None;
        } else {
            self.spend_since.get_or_insert(height);
        }
    }

    /// For how many blocks the refund leaf has been open.
    pub(super) fn open_for(&self, status: OutpointStatus) -> Option<u32> {
        let delay = u32::from(self.channel.contract().delay().blocks());
        status
            .made
            .and_then(|confirmations| confirmations.checked_sub(delay))
    }

    /// Whether a spend that is not ours has waited for long enough: it was made up in part, or pays too little.
    pub(super) fn has_waited(&self, status: OutpointStatus, height: u32) -> bool {
        let since = self.spend_since.unwrap_or(height);
        self.open_for(status)
            .is_some_and(|open| open >= LATEST_BLOCKS || height.saturating_sub(since) >= PATIENCE_BLOCKS)
    }
}

pub(super) fn position(step: &Step) -> Position {
    match *step {
        Step::Recommit => Position::Missing,
        Step::Unconfirmed => Position::Unconfirmed,
        Step::Wait { blocks } => Position::Locked { blocks },
        Step::Refund { .. } | Step::HandOut(_) => Position::Due,
        Step::Closing {
            txid,
            confirmations,
            ours,
        } => Position::Closing {
            txid,
            confirmations,
            ours,
        },
        Step::Closed { txid, ours } => Position::Closing {
            txid,
            confirmations: CLOSED_CONFIRMATIONS,
            ours,
        },
    }
}

/// The channel of a record, with its key. The words say why the record makes none of this seed's.
pub(super) fn held(
    seed: &Seed,
    network: Network,
    stored: StoredConsumerChannel,
) -> Result<HeldChannel, String> {
    let StoredConsumerChannel {
        record,
        refund_script,
        committed_height,
        refunds,
        children,
    } = stored;
    let key =
        keys::channel(seed, network, Role::Consumer, record.key_index).map_err(|error| error.to_string())?;
    if key.x_only_public_key().0 != record.contract.keys().consumer() {
        return Err("its key is not this seed's".to_owned());
    }
    let channel = Channel::new(record.contract, record.outpoint).map_err(|error| error.to_string())?;
    Ok(HeldChannel {
        channel,
        key,
        commitment: record.commitment,
        refund_script: refund_script.filter(|script: &ScriptBuf| !script.is_empty()),
        committed_height,
        mined_height: None,
        spend_since: None,
        refunds,
        children,
    })
}
