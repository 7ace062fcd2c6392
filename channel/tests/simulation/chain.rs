//! A chain: a mempool, blocks that take some of it, reorganisations, and coins that go elsewhere.

use crate::dice::Dice;
use std::collections::{BTreeMap, BTreeSet};
use streamium_channel::bitcoin::{Amount, OutPoint, Txid};
use streamium_channel::provider::CommitmentStatus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Mempool,
    Block(u32),
    /// A conflicting transaction has been confirmed: never.
    Nowhere,
}

/// How a channel ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Settlement,
    Cooperative,
    Refund { after: u16 },
}

#[derive(Clone, Copy, Debug)]
pub struct Spend {
    pub kind: Kind,
    pub to_provider: Amount,
    pub to_consumer: Amount,
    pub fee: Amount,
    place: Place,
}

impl Spend {
    pub const fn new(kind: Kind, to_provider: Amount, to_consumer: Amount, fee: Amount) -> Self {
        let place = Place::Mempool;
        Self {
            kind,
            to_provider,
            to_consumer,
            fee,
            place,
        }
    }
}

#[derive(Default)]
pub struct Chain {
    pub height: u32,
    commitments: BTreeMap<Txid, Place>,
    /// Which were ever deep enough to count fully: nobody double-spends those here.
    deepest: BTreeMap<Txid, u32>,
    spends: BTreeMap<OutPoint, Spend>,
    /// Commitments that no server takes.
    refused: BTreeSet<Txid>,
}

impl Chain {
    pub fn new(height: u32) -> Self {
        Self {
            height,
            ..Self::default()
        }
    }

    /// Takes a commitment, unless its coins are gone.
    pub fn commit(&mut self, txid: Txid) {
        if !self.refused.contains(&txid) {
            self.commitments.entry(txid).or_insert(Place::Mempool);
        }
    }

    /// Its coins do not exist: no server ever takes it.
    pub fn refuse(&mut self, txid: Txid) {
        self.refused.insert(txid);
    }

    pub fn status(&self, outpoint: OutPoint) -> CommitmentStatus {
        if self.spends.contains_key(&outpoint) {
            return CommitmentStatus::Missing;
        }
        match self.confirmations(outpoint) {
            0 if self.commitments.get(&outpoint.txid) == Some(&Place::Mempool) => CommitmentStatus::Mempool,
            0 => CommitmentStatus::Missing,
            confirmations => CommitmentStatus::Confirmed { confirmations },
        }
    }

    pub fn confirmations(&self, outpoint: OutPoint) -> u32 {
        match self.commitments.get(&outpoint.txid) {
            Some(Place::Block(height)) => self.height - height + 1,
            _ => 0,
        }
    }

    /// Nobody has ever been shown its transaction.
    pub fn is_unknown(&self, outpoint: OutPoint) -> bool {
        !self.commitments.contains_key(&outpoint.txid)
    }

    pub fn has_vanished(&self, outpoint: OutPoint) -> bool {
        self.commitments.get(&outpoint.txid) == Some(&Place::Nowhere) || self.refused.contains(&outpoint.txid)
    }

    pub fn spend(&self, outpoint: OutPoint) -> Option<&Spend> {
        self.spends.get(&outpoint)
    }

    pub fn final_spend(&self, outpoint: OutPoint) -> Option<&Spend> {
        let buried =
            |spend: &&Spend| matches!(spend.place, Place::Block(height) if self.height >= height + 6);
        self.spends.get(&outpoint).filter(buried)
    }

    /// Takes a spend as a node would; the first one stays.
    pub fn offer(&mut self, outpoint: OutPoint, spend: Spend) -> Result<(), &'static str> {
        let deep = self.confirmations(outpoint);
        let wanted = match spend.kind {
            Kind::Settlement => 1,
            Kind::Cooperative => 0,
            Kind::Refund { after } => u32::from(after),
        };
        match () {
            () if self.is_unknown(outpoint) || self.has_vanished(outpoint) => Err("missing inputs"),
            () if self.spends.contains_key(&outpoint) => Err("conflict"),
            () if deep < wanted => Err("not final"),
            () => {
                self.spends.insert(outpoint, spend);
                Ok(())
            }
        }
    }

    pub fn mine(&mut self, dice: &mut Dice, percent: u32) {
        self.height += 1;
        for place in self.commitments.values_mut() {
            if *place == Place::Mempool && dice.percent(percent) {
                *place = Place::Block(self.height);
            }
        }
        for (txid, place) in &self.commitments {
            if let Place::Block(height) = place {
                let deep = self.height - height + 1;
                let deepest = self.deepest.entry(*txid).or_default();
                *deepest = deep.max(*deepest);
            }
        }
        let commitments = &self.commitments;
        for (outpoint, spend) in &mut self.spends {
            let mined = matches!(commitments.get(&outpoint.txid), Some(Place::Block(_)));
            if spend.place == Place::Mempool && mined && dice.percent(percent) {
                spend.place = Place::Block(self.height);
            }
        }
    }

    /// The last blocks were not the last ones after all; what they held waits again. A longer branch follows.
    pub fn reorganise(&mut self, dice: &mut Dice, depth: u32, percent: u32) {
        let depth = depth.min(self.height);
        self.height -= depth;
        let height = self.height;
        let undo = |place: &mut Place| {
            if matches!(place, Place::Block(at) if *at > height) {
                *place = Place::Mempool;
            }
        };
        self.commitments.values_mut().for_each(undo);
        self.spends.values_mut().for_each(|spend| undo(&mut spend.place));
        let deep: BTreeMap<OutPoint, u32> = self
            .spends
            .keys()
            .map(|outpoint| (*outpoint, self.confirmations(*outpoint)))
            .collect();
        // What can't spend an output that is not confirmed (deep enough) falls out of the mempool.
        self.spends.retain(|outpoint, spend| match spend.kind {
            Kind::Cooperative => true,
            Kind::Settlement => deep[outpoint] > 0,
            Kind::Refund { after } => deep[outpoint] >= u32::from(after),
        });
        for _ in 0..=depth {
            self.mine(dice, percent);
        }
    }

    /// The coins of a commitment that never counted fully go elsewhere. True if there was one.
    pub fn double_spend(&mut self, dice: &mut Dice, min_confirmations: u32) -> bool {
        let deepest = &self.deepest;
        let shallow = |txid: &Txid| deepest.get(txid).is_none_or(|deep| *deep < min_confirmations);
        let waiting = self.commitments.iter_mut();
        let waiting: Vec<_> = waiting
            .filter(|(txid, place)| **place == Place::Mempool && shallow(txid))
            .collect();
        if waiting.is_empty() {
            return false;
        }
        let at = usize::try_from(dice.below(waiting.len() as u64)).unwrap();
        let (txid, place) = waiting.into_iter().nth(at).unwrap();
        *place = Place::Nowhere;
        let txid = *txid;
        self.spends.retain(|outpoint, _| outpoint.txid != txid);
        true
    }
}
