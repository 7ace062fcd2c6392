//! Which transaction is in which block.

use bitcoin::{BlockHash, TxMerkleNode, Txid};

use super::{ServerIndex, State};

/// A transaction that a server says is at a height, and the block that its chain has there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::chain) struct Claim {
    pub(in crate::chain) txid: Txid,
    pub(in crate::chain) height: u32,
    pub(in crate::chain) block: BlockHash,
}

impl State {
    /// The height at which a transaction is proven to be in the best chain.
    pub(in crate::chain) fn proven_height(&self, txid: &Txid) -> Option<u32> {
        self.proofs
            .get(txid)?
            .iter()
            .find(|block| self.headers.is_best(block))
            .and_then(|block| self.headers.height_of(block))
    }

    /// What a server claims of watched scripts' transactions and nobody has proven yet. What its verified headers
    /// don't reach is left out.
    pub(in crate::chain) fn unproven(&self, index: ServerIndex) -> Vec<Claim> {
        let mut claims: Vec<Claim> = self
            .claimed(index)
            .filter_map(|(txid, height)| {
                let block = self.block_of(index, height)?;
                (!self.is_proven(&txid, &block)).then_some(Claim { txid, height, block })
            })
            .collect();
        claims.sort_by_key(|claim| (claim.height, claim.txid));
        claims.dedup();
        claims
    }

    /// Heights a server claims that are above its own chain.
    pub(super) fn claimed_above(&self, index: ServerIndex) -> Option<(Txid, u32)> {
        let tip = self.servers[index].tip?;
        let top = self.headers.height_of(&tip)?;
        self.claimed(index).find(|(_, height)| *height > top)
    }

    fn claimed(&self, index: ServerIndex) -> impl Iterator<Item = (Txid, u32)> {
        self.servers[index]
            .views
            .values()
            .flatten()
            .filter_map(|&(txid, height)| Some((txid, height?)))
    }

    /// The block that a server's chain has at a height.
    pub(in crate::chain) fn block_of(&self, index: ServerIndex, height: u32) -> Option<BlockHash> {
        self.headers.ancestor(&self.servers[index].tip?, height)
    }

    pub(in crate::chain) fn is_proven(&self, txid: &Txid, block: &BlockHash) -> bool {
        self.proofs.get(txid).is_some_and(|blocks| blocks.contains(block))
    }

    pub(in crate::chain) fn merkle_root(&self, block: &BlockHash) -> Option<TxMerkleNode> {
        self.headers.header(block).map(|header| header.merkle_root)
    }

    /// Takes what was verified: these transactions are in these blocks.
    pub(in crate::chain) fn add_proofs(&mut self, proven: &[Claim]) {
        for claim in proven {
            self.proofs.entry(claim.txid).or_default().insert(claim.block);
        }
        if !proven.is_empty() {
            self.refresh_all();
        }
    }
}
