//! What the engine's transactions and channels amount to at one moment: which of the variants counts for each channel.

use std::collections::{BTreeSet, HashMap, HashSet};

use bitcoin::{Amount, OutPoint, Txid};

use super::due::{Due, Made};
use super::{Engine, Heights};
use crate::chain::{OutpointStatus, Spend};

/// One look at everything.
pub struct View {
    pub heights: Heights,
    /// The channels for which a server has answered.
    statuses: HashMap<OutPoint, OutpointStatus>,
    /// The newest transaction of each channel that can still be confirmed.
    newest: HashMap<OutPoint, Txid>,
    /// Those of which an input has been given to a newer one.
    superseded: HashSet<Txid>,
}

impl View {
    pub fn new(engine: &Engine, heights: Heights) -> Self {
        let statuses = engine.channels.iter();
        let statuses = statuses.filter_map(|(outpoint, due)| Some((*outpoint, due.status(heights)?)));
        let mut view = Self {
            heights,
            statuses: statuses.collect(),
            newest: HashMap::new(),
            superseded: HashSet::new(),
        };
        let mut valid: Vec<(&Txid, &Made)> = engine
            .made
            .iter()
            .filter(|(txid, made)| !view.is_broken(engine, **txid, made))
            .collect();
        valid.sort_by_key(|(_, made)| made.order);
        for (txid, made) in &valid {
            for outpoint in &made.channels {
                view.newest.insert(*outpoint, **txid);
            }
        }
        let superseded = valid.iter().filter(|(txid, made)| {
            made.channels
                .iter()
                .any(|outpoint| view.newest.get(outpoint) != Some(*txid))
        });
        view.superseded = superseded.map(|(txid, _)| **txid).collect();
        view
    }

    /// True if something else has spent an input, in a block; also if an input's channel is closed, as the transaction
    /// that is buried closes all its channels.
    fn is_broken(&self, engine: &Engine, txid: Txid, made: &Made) -> bool {
        made.channels.iter().any(|outpoint| {
            !engine.channels.contains_key(outpoint)
                || self
                    .spend(*outpoint)
                    .is_some_and(|spend| spend.confirmations > 0 && spend.txid != txid)
        })
    }

    pub fn status(&self, outpoint: OutPoint) -> Option<OutpointStatus> {
        self.statuses.get(&outpoint).copied()
    }

    pub fn spend(&self, outpoint: OutPoint) -> Option<Spend> {
        self.status(outpoint)?.spend
    }

    /// The confirmations of a channel's commitment; 0 while there are none.
    pub fn depth(&self, outpoint: OutPoint) -> u32 {
        self.status(outpoint).and_then(|status| status.made).unwrap_or(0)
    }

    /// The blocks left until the refund leaf opens.
    pub fn left(&self, due: &Due) -> u32 {
        due.left(self.heights)
    }

    /// The transaction that is to spend a channel.
    pub fn current(&self, outpoint: OutPoint) -> Option<Txid> {
        let newest = self.newest.get(&outpoint)?;
        (!self.superseded.contains(newest)).then_some(*newest)
    }

    /// True if it is in a block, as far as any of its channels tells.
    pub fn is_confirmed(&self, txid: Txid, made: &Made) -> bool {
        let spends = made.channels.iter().filter_map(|outpoint| self.spend(*outpoint));
        spends
            .into_iter()
            .any(|spend| spend.txid == txid && spend.confirmations > 0)
    }

    /// True if servers have it for each of its channels.
    pub fn is_known(&self, txid: Txid, made: &Made) -> bool {
        let known = |outpoint: &OutPoint| self.spend(*outpoint).is_some_and(|spend| spend.txid == txid);
        made.channels.iter().all(known)
    }

    /// True if all its channels' commitments are in a block.
    pub fn is_spendable(&self, made: &Made) -> bool {
        made.channels.iter().all(|outpoint| self.depth(*outpoint) > 0)
    }
}

impl Engine {
    pub(super) fn view(&self, heights: Heights) -> View {
        View::new(self, heights)
    }

    /// The transactions that count for the channels, each once.
    pub(super) fn current(&self, view: &View) -> BTreeSet<Txid> {
        let outpoints = self.channels.keys();
        outpoints.filter_map(|outpoint| view.current(*outpoint)).collect()
    }

    /// All that channels have paid together.
    pub(super) fn balance(&self, channels: &[OutPoint]) -> Amount {
        let balances = channels.iter().filter_map(|outpoint| self.channels.get(outpoint));
        // More than all money there is can't come from valid payments.
        balances
            .map(Due::balance)
            .try_fold(Amount::ZERO, Amount::checked_add)
            .unwrap_or(Amount::MAX_MONEY)
    }
}
