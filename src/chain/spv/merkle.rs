//! Whether a transaction is in a block.
//!
//! The merkle tree does not tell an inner node from a transaction of 64 bytes, which has been used two ways: to
//! pass an inner node off as a transaction, and to hang a made-up transaction below a real one of 64
//! bytes. So no transaction of that length counts, and no inner node of a proof may be readable as a
//! transaction (as in Electrum's wallet).

use bitcoin::consensus::encode::deserialize;
use bitcoin::hashes::{Hash, sha256d};
use bitcoin::{Transaction, TxMerkleNode};

/// A block has at most 4,000,000 weight units and a transaction at least 240 (60 bytes without witness), so at
/// most 16,666 transactions: 15 levels.
pub const MAX_DEPTH: usize = 15;

/// The length of two hashes, which no transaction that counts may have.
const NODE_LEN: usize = 64;

/// The way from a transaction up to its block's merkle root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MerkleProof {
    /// The transaction's place in the block; 0 is the coinbase.
    pub position: u64,
    /// The other half of each node, from the bottom up, in the order it is hashed in.
    pub siblings: Vec<[u8; 32]>,
}

/// Why a proof shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MerkleError {
    #[error("the transaction is 64 bytes long, as a node of the merkle tree is")]
    SixtyFourBytes,
    #[error("the proof has {depth} levels, more than a block can have")]
    TooDeep { depth: usize },
    #[error("the proof has {depth} levels, but place {position} is not in a tree of that depth")]
    Position { position: u64, depth: usize },
    /// The same transaction twice (CVE-2012-2459), or a place that the tree does not have.
    #[error("the proof doubles a node where the tree has another")]
    Doubled,
    #[error("a node of the proof is a transaction of 64 bytes")]
    InnerNode,
    #[error("the proof leads to another merkle root")]
    WrongRoot,
}

/// Whether a transaction's form rules out any proof: 64 bytes without its witness.
pub fn is_ambiguous(tx: &Transaction) -> bool {
    tx.base_size() == NODE_LEN
}

/// Checks that `tx` is in the block with that merkle root.
pub fn verify(tx: &Transaction, proof: &MerkleProof, root: TxMerkleNode) -> Result<(), MerkleError> {
    if is_ambiguous(tx) {
        return Err(MerkleError::SixtyFourBytes);
    }
    let found = root_of(tx.compute_txid().to_byte_array(), proof)?;
    if found == root.to_byte_array() {
        Ok(())
    } else {
        Err(MerkleError::WrongRoot)
    }
}

/// The root that a proof leads to from a leaf.
fn root_of(leaf: [u8; 32], proof: &MerkleProof) -> Result<[u8; 32], MerkleError> {
    let (position, depth) = (proof.position, proof.siblings.len());
    if depth > MAX_DEPTH {
        return Err(MerkleError::TooDeep { depth });
    }
    // At most 15 levels, so the shift is in range.
    if position >> depth != 0 {
        return Err(MerkleError::Position { position, depth });
    }
    let (mut node, mut place, mut is_last) = (leaf, position, false);
    for sibling in &proof.siblings {
        let is_right = place & 1 == 1;
        let is_doubled = *sibling == node;
        // Only the last node of a level has no other half and stands for it itself, and so do those above it.
        if (is_right && is_doubled) || (!is_right && is_last && !is_doubled) {
            return Err(MerkleError::Doubled);
        }
        is_last |= is_doubled;
        node = match is_right {
            true => parent(sibling, &node)?,
            false => parent(&node, sibling)?,
        };
        place >>= 1;
    }
    Ok(node)
}

fn parent(left: &[u8; 32], right: &[u8; 32]) -> Result<[u8; 32], MerkleError> {
    let node = [left.as_slice(), right.as_slice()].concat();
    if deserialize::<Transaction>(&node).is_ok() {
        return Err(MerkleError::InnerNode);
    }
    Ok(sha256d::Hash::hash(&node).to_byte_array())
}

#[cfg(test)]
#[path = "merkle_tests.rs"]
mod tests;
