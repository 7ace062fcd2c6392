//! A channel that no session uses, and a transaction made to spend it.

use std::collections::BTreeSet;
use std::time::Duration;

use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, BlockHash, FeeRate, OutPoint, ScriptBuf, Transaction, TxOut, Txid};
use streamium_channel::contract::Channel;
use streamium_channel::payment::Payment;
use streamium_channel::settlement::Claim;

use super::{Heights, fees};
use crate::chain::{OutpointStatus, ScriptTransaction};
use crate::keys;
use crate::store::{Role, SettlementKind, StoredProviderChannel, StoredSettlement};
use crate::wallet::Seed;

/// Whether it may be resumed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Until then.
    Idle { until: Duration },
    /// Not any more: it is to be settled.
    Due { since: Duration },
}

/// What is said once of a channel, not with every block.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Unconfirmed,
    Batch,
    NotWorthIt,
    FeesTooHigh,
    Failed(String),
    Conflict(Txid),
    Refused(Txid),
}

/// A channel that no session uses.
#[derive(Debug)]
pub struct Due {
    pub channel: Channel,
    /// The best payment; `None` where nothing was paid.
    pub payment: Option<Payment>,
    pub key: Keypair,
    pub commitment: Transaction,
    pub phase: Phase,
    /// What the servers know of its script; `None` until one has answered.
    pub news: Option<Vec<ScriptTransaction>>,
    /// All that was made to spend it, the newest last.
    pub made: Vec<Txid>,
    /// The spend that was in a block when last looked at.
    pub confirmed: Option<Txid>,
    /// The tip at which the commitment was handed out last.
    pub recommitted: Option<BlockHash>,
    pub said: BTreeSet<Topic>,
}

impl Due {
    /// Checks what is on record, and that the seed's key is the one in the channel: a channel that could not be signed
    /// for would spoil a whole batch.
    pub fn load(
        stored: &StoredProviderChannel,
        seed: &Seed,
        network: bitcoin::Network,
        phase: Phase,
    ) -> Result<Self, String> {
        let (channel, payment) = stored.record.restore().map_err(|error| error.to_string())?;
        let key = keys::channel(seed, network, Role::Provider, stored.record.key_index)
            .map_err(|error| error.to_string())?;
        if key.x_only_public_key().0 != channel.contract().keys().provider() {
            return Err("its key does not derive from this folder's seed".into());
        }
        let made = stored.settlements.iter();
        Ok(Self {
            channel,
            payment,
            key,
            commitment: stored.record.commitment.clone(),
            phase,
            news: None,
            made: made.map(|made| made.transaction.compute_txid()).collect(),
            confirmed: None,
            recommitted: None,
            said: BTreeSet::new(),
        })
    }

    pub fn script(&self) -> &ScriptBuf {
        self.channel.script().script_pubkey()
    }

    pub fn is_due(&self) -> bool {
        matches!(self.phase, Phase::Due { .. })
    }

    pub fn balance(&self) -> Amount {
        self.payment.map_or(Amount::ZERO, |payment| payment.cumulative())
    }

    pub fn claim(&self) -> Option<Claim<'_>> {
        Some(Claim {
            channel: &self.channel,
            payment: self.payment.as_ref()?,
            key: &self.key,
        })
    }

    /// What is known of its output; `None` while no server has answered.
    pub fn status(&self, heights: Heights) -> Option<OutpointStatus> {
        let news = self.news.as_ref()?;
        Some(OutpointStatus::of(
            self.channel.outpoint(),
            news,
            heights.tip.height,
        ))
    }

    /// Whether servers have yet to say where its commitment is, or to prove it: they do it for each channel by itself.
    pub fn awaits_answer(&self) -> bool {
        let commitment = self.channel.outpoint().txid;
        self.news
            .as_ref()
            .is_none_or(|news| news.iter().any(|tx| tx.txid == commitment && tx.is_claimed))
    }

    /// The confirmations of its commitment by the clock, 0 while unknown: what deadlines take.
    pub fn age(&self, heights: Heights) -> u32 {
        let hidden = heights.by_clock.saturating_sub(heights.tip.height);
        let age = self.status(heights).and_then(|status| status.age(hidden));
        age.unwrap_or(0)
    }

    /// The blocks left until the refund leaf opens.
    pub fn left(&self, heights: Heights) -> u32 {
        self.channel.contract().delay().blocks_left(self.age(heights))
    }

    /// A refund that is not in a block yet, and its fee where that can be known. While the refund leaf is closed nobody
    /// else can spend the channel: what a server says then is a lie, which must not drive fees.
    pub fn rival(&self, heights: Heights) -> Option<Rival> {
        let spend = self.status(heights)?.spend?;
        if spend.confirmations > 0 || self.left(heights) > 0 || self.made.contains(&spend.txid) {
            return None;
        }
        let found = self.news.iter().flatten().find(|news| news.txid == spend.txid)?;
        // With inputs of others beside ours, what it pays can't be told.
        let fee = match found.tx.input.len() {
            1 => self
                .channel
                .contract()
                .capacity()
                .checked_sub(paid_out(&found.tx.output)?),
            _ => None,
        };
        Some(Rival {
            fee: fee.unwrap_or(Amount::ZERO),
            vsize: found.tx.vsize() as u64,
        })
    }
}

fn paid_out(outputs: &[TxOut]) -> Option<Amount> {
    outputs
        .iter()
        .try_fold(Amount::ZERO, |sum, output| sum.checked_add(output.value))
}

/// Somebody else's transaction that has to be replaced.
#[derive(Clone, Copy, Debug)]
pub struct Rival {
    /// Zero where it can't be known.
    pub fee: Amount,
    pub vsize: u64,
}

/// A transaction on record.
#[derive(Debug)]
pub struct Made {
    pub kind: SettlementKind,
    pub transaction: Transaction,
    pub channels: Vec<OutPoint>,
    pub fee: Amount,
    pub payout_index: Option<u32>,
    /// The height of the best block when it was made.
    pub height: u32,
    /// In which order the transactions were made.
    pub order: i64,
    /// A server said that it pays too little.
    pub refused: bool,
    /// The tip at which it was handed out last.
    pub handed_out: Option<BlockHash>,
    /// It has been said that it is in a block.
    pub confirmed: bool,
}

impl Made {
    pub fn from_store(stored: StoredSettlement) -> Self {
        let spends = stored.transaction.input.iter();
        Self {
            channels: spends.map(|input| input.previous_output).collect(),
            kind: stored.kind,
            fee: stored.fee,
            payout_index: stored.payout_index,
            height: stored.made_height,
            order: stored.order,
            transaction: stored.transaction,
            refused: false,
            handed_out: None,
            confirmed: false,
        }
    }

    /// Sets the fee to what the transaction really pays. A cooperative close's fee is the consumer's and not on
    /// record, but whoever replaces it has to pay more; a balance that is dust is in it too.
    pub fn with_fee_from(mut self, capacity: Amount) -> Self {
        if self.kind == SettlementKind::Cooperative {
            let fee = paid_out(&self.transaction.output).and_then(|paid| capacity.checked_sub(paid));
            self.fee = fee.unwrap_or(Amount::ZERO);
        }
        self
    }

    pub fn fee_rate(&self) -> FeeRate {
        fees::rate_of(self.fee, self.transaction.vsize() as u64)
    }
}
