//! Wallet syncs. What `bdk_electrum` brings home is held against the verified headers: it takes each block's
//! header from the server as it comes.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::sync::Arc;

use bdk_wallet::Update;
use bdk_wallet::chain::ConfirmationBlockTime;
use bitcoin::{Transaction, Txid};
use electrum_client::Error;

use super::Session;
use super::end::{End, end_by, wrong};
use super::proofs::check;
use super::scripts::BATCH;
use crate::chain::WalletRequest;
use crate::chain::server::Asking;
use crate::chain::spv::merkle::MerkleError;
use crate::chain::state::Claim;

/// How many unused scripts in a row end a full scan (BIP44's gap limit).
const STOP_GAP: usize = 20;
/// How many histories a wallet sync asks for at once.
const SYNC_BATCH: usize = 20;

impl<S: Read + Write> Session<'_, S> {
    pub(super) fn sync(&mut self, request: WalletRequest) -> Result<(), End> {
        self.worker.asking = Some(Asking::Sync);
        let answer = match request {
            WalletRequest::Sync(request) => self.client.sync(request, SYNC_BATCH, false).map(Update::from),
            WalletRequest::FullScan(request) => self
                .client
                .full_scan(request, STOP_GAP, SYNC_BATCH, false)
                .map(Update::from),
        };
        match answer {
            Ok(update) => {
                // Should this fail, the connection ends, and that answers the sync.
                let update = self.verified(update)?;
                self.worker.asking = None;
                self.worker.shared.lock().sync_answer(Ok(Box::new(update)));
                Ok(())
            }
            Err(error) => {
                self.worker.asking = None;
                self.worker.sync_failed(error.to_string());
                // After a refusal or a disagreement the connection is as good as before.
                match error {
                    Error::Protocol(_) | Error::Message(_) => Ok(()),
                    error => Err(end_by(error)),
                }
            }
        }
    }

    /// The update with what is proven of it: a transaction whose block is not, is unconfirmed.
    fn verified(&mut self, mut update: Update) -> Result<Update, End> {
        if !self.has_blocks_of(&update) {
            // A block may have come in the meantime.
            self.follow_to_the_end()?;
            if !self.has_blocks_of(&update) {
                return Err(wrong(
                    "its answer to a wallet names blocks that are not in its chain",
                ));
            }
        }
        let transactions: HashMap<Txid, Arc<Transaction>> = update
            .tx_update
            .txs
            .iter()
            .map(|tx| (tx.compute_txid(), Arc::clone(tx)))
            .collect();
        self.prove_anchors(&update, &transactions)?;
        let anchors = std::mem::take(&mut update.tx_update.anchors);
        let is_proven = |(anchor, txid): &(ConfirmationBlockTime, Txid)| {
            self.worker.anchors.contains(&(*txid, anchor.block_id.hash))
        };
        let (proven, open): (BTreeSet<_>, BTreeSet<_>) = anchors.into_iter().partition(is_proven);
        update.tx_update.anchors = proven;
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
        update
            .tx_update
            .seen_ats
            .extend(open.into_iter().map(|(_, txid)| (txid, now)));
        self.worker.wallet_transactions.extend(transactions);
        Ok(update)
    }

    /// Whether all blocks of an update are in the server's verified chain. What was before the first verified header
    /// can't be told.
    fn has_blocks_of(&self, update: &Update) -> bool {
        let state = self.worker.shared.lock();
        let first = state.headers().first_height();
        let checkpoints = update.chain.iter().flat_map(|tip| tip.iter());
        checkpoints
            .map(|checkpoint| checkpoint.block_id())
            .chain(update.tx_update.anchors.iter().map(|(anchor, _)| anchor.block_id))
            .all(|block| {
                block.height < first || state.block_of(self.worker.index, block.height) == Some(block.hash)
            })
    }

    fn prove_anchors(
        &mut self,
        update: &Update,
        transactions: &HashMap<Txid, Arc<Transaction>>,
    ) -> Result<(), End> {
        let first = self.worker.shared.lock().headers().first_height();
        let claims: Vec<Claim> = update
            .tx_update
            .anchors
            .iter()
            .map(|(anchor, txid)| Claim {
                txid: *txid,
                height: anchor.block_id.height,
                block: anchor.block_id.hash,
            })
            .filter(|claim| claim.height >= first && !self.is_anchored(claim))
            .collect();
        for batch in claims.chunks(BATCH) {
            for (claim, answer) in batch.iter().zip(self.ask_proofs(batch)?) {
                let root = self.worker.shared.lock().merkle_root(&claim.block);
                let (Some(answer), Some(root), Some(tx)) = (answer, root, transactions.get(&claim.txid))
                else {
                    continue;
                };
                match check(tx, answer, root) {
                    Ok(()) => drop(self.worker.anchors.insert((claim.txid, claim.block))),
                    Err(MerkleError::SixtyFourBytes | MerkleError::InnerNode) => {}
                    Err(error) => return Err(wrong(format!("its proof of {}: {error}", claim.txid))),
                }
            }
        }
        Ok(())
    }

    fn is_anchored(&mut self, claim: &Claim) -> bool {
        let pair = (claim.txid, claim.block);
        if self.worker.shared.lock().is_proven(&claim.txid, &claim.block) {
            self.worker.anchors.insert(pair);
        }
        self.worker.anchors.contains(&pair)
    }
}
