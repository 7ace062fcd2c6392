use bitcoin::absolute::LockTime;
use bitcoin::consensus::encode::serialize;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Sequence, TxIn, TxOut, Txid, Witness};
use proptest::prelude::*;

use super::*;

fn tx(value_sat: u64, script_len: usize) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::new(Txid::hash(&value_sat.to_le_bytes()), 0),
            script_sig: ScriptBuf::new(),
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: vec![TxOut {
            value: Amount::from_sat(value_sat),
            script_pubkey: ScriptBuf::from_bytes(vec![0x51; script_len]),
        }],
    }
}

fn block(count: u64) -> Vec<Transaction> {
    (0..count).map(|value| tx(value, 22)).collect()
}

/// By another way than the code under test: level by level, and the root by the library.
fn proof(block: &[Transaction], position: usize) -> MerkleProof {
    let mut level: Vec<[u8; 32]> = block.iter().map(|tx| tx.compute_txid().to_byte_array()).collect();
    let (mut place, mut siblings) = (position, Vec::new());
    while level.len() > 1 {
        siblings.push(level[(place ^ 1).min(level.len() - 1)]);
        level = level
            .chunks(2)
            .map(|pair| {
                let both = [pair[0], *pair.last().unwrap()].concat();
                sha256d::Hash::hash(&both).to_byte_array()
            })
            .collect();
        place /= 2;
    }
    MerkleProof {
        position: position as u64,
        siblings,
    }
}

fn root(block: &[Transaction]) -> TxMerkleNode {
    let txids = block.iter().map(|tx| tx.compute_txid().to_raw_hash());
    TxMerkleNode::from_raw_hash(bitcoin::merkle_tree::calculate_root(txids).unwrap())
}

proptest! {
    #[test]
    fn each_transaction_of_a_block_is_proven(count in 1u64..70, at in any::<prop::sample::Index>()) {
        let block = block(count);
        let at = at.index(block.len());
        prop_assert_eq!(verify(&block[at], &proof(&block, at), root(&block)), Ok(()));
    }

    #[test]
    fn a_proof_with_any_bit_wrong_shows_nothing(
        count in 2u64..70,
        at in any::<prop::sample::Index>(),
        level in any::<prop::sample::Index>(),
        bit in 0usize..256,
    ) {
        let block = block(count);
        let at = at.index(block.len());
        let mut wrong = proof(&block, at);
        let level = level.index(wrong.siblings.len());
        wrong.siblings[level][bit / 8] ^= 1 << (bit % 8);
        prop_assert!(verify(&block[at], &wrong, root(&block)).is_err());
    }

    #[test]
    fn another_place_or_transaction_is_not_proven(
        count in 2u64..70,
        at in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let block = block(count);
        let (at, other) = (at.index(block.len()), other.index(block.len()));
        prop_assume!(at != other);
        let good = proof(&block, at);
        prop_assert!(verify(&block[other], &good, root(&block)).is_err());
        let elsewhere = MerkleProof { position: other as u64, ..good };
        prop_assert!(verify(&block[at], &elsewhere, root(&block)).is_err());
    }

    /// For a fuzzer too: whatever comes, an answer.
    #[test]
    fn nonsense_is_refused(
        position in any::<u64>(),
        siblings in prop::collection::vec(any::<[u8; 32]>(), 0..40),
    ) {
        let tx = tx(1, 22);
        let nonsense = MerkleProof { position, siblings };
        prop_assert!(verify(&tx, &nonsense, TxMerkleNode::all_zeros()).is_err());
    }
}

#[test]
fn a_transaction_of_64_bytes_is_never_proven() {
    let tx = tx(7, 4);
    assert_eq!(serialize(&tx).len(), 64);
    let alone = [tx];
    assert_eq!(
        verify(&alone[0], &proof(&alone, 0), root(&alone)),
        Err(MerkleError::SixtyFourBytes)
    );
    // Its witness does not count.
    let mut with_witness = alone[0].clone();
    with_witness.input[0].witness.push([1; 70]);
    assert!(is_ambiguous(&with_witness));
}

#[test]
fn nothing_hangs_below_a_transaction_of_64_bytes() {
    let node = serialize(&tx(7, 4));
    let leaf: [u8; 32] = node[..32].try_into().unwrap();
    let below = MerkleProof {
        position: 0,
        siblings: vec![node[32..].try_into().unwrap()],
    };
    assert_eq!(root_of(leaf, &below), Err(MerkleError::InnerNode));
}

#[test]
fn a_place_that_the_tree_does_not_have_is_refused() {
    let block = block(5);
    // The fifth of five stands for a sixth, too (CVE-2012-2459).
    let mut doubled = proof(&block, 4);
    doubled.position = 5;
    assert_eq!(
        verify(&block[4], &doubled, root(&block)),
        Err(MerkleError::Doubled)
    );
    let mut beyond = proof(&block, 4);
    beyond.position = 12;
    assert_eq!(
        verify(&block[4], &beyond, root(&block)),
        Err(MerkleError::Position {
            position: 12,
            depth: 3
        })
    );
    let mut deep = proof(&block, 0);
    deep.siblings.resize(MAX_DEPTH + 1, [1; 32]);
    assert_eq!(
        verify(&block[0], &deep, root(&block)),
        Err(MerkleError::TooDeep { depth: 16 })
    );
}
