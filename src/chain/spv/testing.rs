//! Headers mined on the spot, for tests.

use bitcoin::block::{Header, Version};
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{CompactTarget, Network, TxMerkleNode};

/// A header after `previous` that meets its bits; `salt` makes it another than its siblings.
pub fn mine(previous: &Header, time: u32, bits: u32, salt: u8) -> Header {
    let mut header = Header {
        version: Version::TWO,
        prev_blockhash: previous.block_hash(),
        merkle_root: TxMerkleNode::hash(&[salt]),
        time,
        bits: CompactTarget::from_consensus(bits),
        nonce: 0,
    };
    while !header.target().is_met_by(header.block_hash()) {
        header.nonce += 1;
    }
    header
}

/// So many regtest headers, ten minutes apart.
pub fn chain(previous: &Header, count: usize, salt: u8) -> Vec<Header> {
    let mut headers: Vec<Header> = Vec::new();
    for _ in 0..count {
        let last = headers.last().unwrap_or(previous);
        headers.push(mine(last, last.time + 600, 0x207f_ffff, salt));
    }
    headers
}

pub fn regtest_genesis() -> Header {
    genesis_block(Network::Regtest).header
}
