//! Proofs that transactions are in the blocks that a server says.

use std::io::{Read, Write};
use std::sync::Arc;

use bitcoin::{Transaction, TxMerkleNode, Txid};
use electrum_client::{ElectrumApi, Error, GetMerkleRes};

use super::Session;
use super::end::{End, end_by, wrong};
use super::scripts::BATCH;
use crate::chain::spv::merkle::{MerkleError, MerkleProof, verify};
use crate::chain::state::Claim;

/// How often a proof may fit another block than the one that the server's headers have at that height. In the
/// middle of a reorganisation an honest server's answers may not fit each other.
const MAX_MISFITS: u8 = 3;

/// What came of asking for a claim's proof.
pub(super) enum Attempt {
    /// There is none; not asked again before the next block.
    Refused,
    /// It does not fit, so many times by now.
    Misfit(u8),
}

impl<S: Read + Write> Session<'_, S> {
    /// Asks for the proofs of what this server claims and nobody has proven yet.
    pub(super) fn prove(&mut self) -> Result<(), End> {
        let open: Vec<Claim> = self.worker.shared.lock().unproven(self.worker.index);
        self.attempts.retain(|claim, _| open.contains(claim));
        let asked: Vec<Claim> = open
            .into_iter()
            .filter(|claim| !matches!(self.attempts.get(claim), Some(Attempt::Refused)))
            .collect();
        let mut misfit = false;
        for batch in asked.chunks(BATCH) {
            let transactions: Vec<Option<Arc<Transaction>>> = {
                let state = self.worker.shared.lock();
                batch.iter().map(|claim| state.transaction(&claim.txid)).collect()
            };
            let mut proven = Vec::new();
            for ((claim, tx), answer) in batch.iter().zip(transactions).zip(self.ask_proofs(batch)?) {
                let Some(tx) = tx else { continue };
                match self.check_proof(claim, &tx, answer)? {
                    None => proven.push(*claim),
                    Some(Attempt::Refused) => self.refused(*claim),
                    Some(attempt) => {
                        misfit = true;
                        self.attempts.insert(*claim, attempt);
                    }
                }
            }
            self.worker.shared.lock().add_proofs(&proven);
        }
        // Its blocks may have changed meanwhile; what does not fit is asked for again after that.
        if misfit { self.follow_to_the_end() } else { Ok(()) }
    }

    fn refused(&mut self, claim: Claim) {
        self.attempts.insert(claim, Attempt::Refused);
        let mut state = self.worker.shared.lock();
        state.no_proof(self.worker.index, claim.txid, claim.height);
    }

    /// `None` when the proof holds.
    fn check_proof(
        &self,
        claim: &Claim,
        tx: &Transaction,
        answer: Option<GetMerkleRes>,
    ) -> Result<Option<Attempt>, End> {
        let root = self.worker.shared.lock().merkle_root(&claim.block);
        let (Some(answer), Some(root)) = (answer, root) else {
            return Ok(Some(Attempt::Refused));
        };
        match check(tx, answer, root) {
            Ok(()) => Ok(None),
            // Not the server's fault: such a transaction may be in a block. It just can't be proven.
            Err(MerkleError::SixtyFourBytes | MerkleError::InnerNode) => Ok(Some(Attempt::Refused)),
            Err(error) => {
                let before = match self.attempts.get(claim) {
                    Some(Attempt::Misfit(count)) => *count,
                    _ => 0,
                };
                if before >= MAX_MISFITS {
                    let Claim { txid, height, .. } = claim;
                    return Err(wrong(format!("its proof of {txid} in block {height}: {error}")));
                }
                Ok(Some(Attempt::Misfit(before.saturating_add(1))))
            }
        }
    }

    /// The proofs, in order; `None` where the server refuses.
    fn ask_proofs(&self, claims: &[Claim]) -> Result<Vec<Option<GetMerkleRes>>, End> {
        let asked: Vec<(Txid, usize)> = claims.iter().filter_map(question).collect();
        match self.client.batch_transaction_get_merkle(&asked) {
            Ok(proofs) => return Ok(proofs.into_iter().map(Some).collect()),
            Err(Error::Protocol(_)) => {}
            Err(error) => return Err(end_by(error)),
        }
        let mut proofs = Vec::new();
        for (txid, height) in asked {
            match self.client.transaction_get_merkle(&txid, height) {
                Ok(proof) => proofs.push(Some(proof)),
                Err(Error::Protocol(_)) => proofs.push(None),
                Err(error) => return Err(end_by(error)),
            }
        }
        Ok(proofs)
    }
}

/// Every height of a u32 is one of a usize where this runs.
fn question(claim: &Claim) -> Option<(Txid, usize)> {
    Some((claim.txid, usize::try_from(claim.height).ok()?))
}

pub(super) fn check(tx: &Transaction, answer: GetMerkleRes, root: TxMerkleNode) -> Result<(), MerkleError> {
    let mut siblings = answer.merkle;
    // Servers send hashes in the order people print them.
    siblings.iter_mut().for_each(|hash| hash.reverse());
    let proof = MerkleProof {
        position: u64::try_from(answer.pos).unwrap_or(u64::MAX),
        siblings,
    };
    verify(tx, &proof, root)
}
