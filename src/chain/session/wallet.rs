//! Wallet syncs, by `bdk_electrum`. It is given verified headers only; what it brings home is held against our
//! own rules for proofs too.

use std::collections::{BTreeSet, HashMap};
use std::io::{Read, Write};
use std::sync::Arc;

use bdk_electrum::BdkElectrumClient;
use bdk_wallet::Update;
use bdk_wallet::chain::{BlockId, ConfirmationBlockTime};
use bitcoin::Txid;
use bitcoin::block::Header;
use electrum_client::{Error, GetMerkleRes};

use super::Session;
use super::end::{End, end_by, wrong};
use super::proofs::check;
use super::verified::VerifiedClient;
use crate::chain::WalletRequest;
use crate::chain::server::Asking;
use crate::chain::spv::merkle::MerkleError;

/// How many histories a wallet sync asks for at once: more than the gap of a new seed, so that a scan that finds something
/// in the first places needs no second question.
const SYNC_BATCH: usize = 30;
/// And at a scan with a wide gap, which would else take as many questions more.
const WIDE_BATCH: usize = 100;

/// Proofs by transaction and height, as the server sent them.
type Proofs = HashMap<(Txid, usize), GetMerkleRes>;

impl<S: Read + Write> Session<'_, S> {
    pub(super) fn sync(&mut self, request: WalletRequest) -> Result<(), End> {
        self.worker.asking = Some(Asking::Sync);
        // Or what the newest block confirmed would be beyond what is verified.
        self.follow_to_the_end()?;
        let (answer, proofs) = self.ask_for(request);
        match answer {
            Ok(update) => {
                // Should this fail, the connection ends, and that answers the sync.
                let verified = self.verified(update, proofs)?;
                self.worker.asking = None;
                match verified {
                    Some(update) => self.worker.shared.lock().sync_answer(Ok(Box::new(update))),
                    None => self
                        .worker
                        .sync_failed("its chain has changed, or is behind the wallet's".to_owned()),
                }
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

    /// What `bdk_electrum` makes of the server's answers, and the proofs among them.
    fn ask_for(&self, request: WalletRequest) -> (Result<Update, Error>, Proofs) {
        let (shared, known) = (&self.worker.shared, &self.worker.known);
        let client = VerifiedClient::new(&self.client, shared, self.worker.index, known);
        let client = BdkElectrumClient::new(client);
        client.populate_tx_cache(known.transactions.values().cloned());
        let anchors = known.anchors.iter();
        client.populate_anchor_cache(anchors.map(|((txid, _), anchor)| (*txid, [*anchor])));
        let answer = match request {
            WalletRequest::Sync(request) => client.sync(request, SYNC_BATCH, false).map(Update::from),
            WalletRequest::FullScan(request, gap) => {
                let batch = if gap > SYNC_BATCH { WIDE_BATCH } else { SYNC_BATCH };
                client.full_scan(request, gap, batch, false).map(Update::from)
            }
        };
        (answer, client.inner.into_proofs())
    }

    /// The update with what is proven of it: a transaction whose block is not, is unconfirmed. `None` if the server's
    /// chain has changed meanwhile, or is behind the wallet's, so that nothing can be said.
    fn verified(&mut self, mut update: Update, proofs: Proofs) -> Result<Option<Update>, End> {
        let transactions = update.tx_update.txs.iter();
        let transactions = transactions.map(|tx| (tx.compute_txid(), Arc::clone(tx)));
        self.worker.known.transactions.extend(transactions);
        if self.has_unknown_block(&update) || !self.take_proofs(proofs)? {
            return Ok(None);
        }
        let anchors = std::mem::take(&mut update.tx_update.anchors);
        let known = &self.worker.known.anchors;
        let (proven, open): (BTreeSet<_>, BTreeSet<_>) = anchors
            .into_iter()
            .partition(|(anchor, txid)| known.contains_key(&(*txid, anchor.block_id.hash)));
        update.tx_update.anchors = proven;
        let now = std::time::UNIX_EPOCH.elapsed().map_or(0, |now| now.as_secs());
        update
            .tx_update
            .seen_ats
            .extend(open.into_iter().map(|(_, txid)| (txid, now)));
        Ok(Some(update))
    }

    /// Whether a block of an update is neither in the server's verified chain nor in the best one: the wallet knows
    /// newer ones than the server. What was before the first verified header can't be told.
    fn has_unknown_block(&self, update: &Update) -> bool {
        let state = self.worker.shared.lock();
        let first = state.headers().first_height();
        let checkpoints = update.chain.iter().flat_map(|tip| tip.iter());
        checkpoints
            .map(|checkpoint| checkpoint.block_id())
            .chain(update.tx_update.anchors.iter().map(|(anchor, _)| anchor.block_id))
            .filter(|block| block.height >= first)
            .any(|block| {
                let of_server = state.block_of(self.worker.index, block.height);
                of_server != Some(block.hash) && state.headers().at(block.height) != Some(block.hash)
            })
    }

    /// Checks proofs by our own rules and keeps what they show; `false` if the chain has changed meanwhile.
    fn take_proofs(&mut self, proofs: Proofs) -> Result<bool, End> {
        for ((txid, height), answer) in proofs {
            let Some((block, header)) = self.block_at(height) else {
                continue;
            };
            let Some(tx) = self.worker.known.transactions.get(&txid) else {
                continue;
            };
            match check(tx, answer, header.merkle_root) {
                Ok(()) => {
                    let anchor = ConfirmationBlockTime {
                        block_id: block,
                        confirmation_time: header.time.into(),
                    };
                    self.worker.known.anchors.insert((txid, block.hash), anchor);
                }
                // Such a transaction may be in a block; it just can't be proven.
                Err(MerkleError::SixtyFourBytes | MerkleError::InnerNode) => {}
                Err(error) => {
                    self.follow_to_the_end()?;
                    return match self.block_at(height) {
                        Some((same, _)) if same == block => {
                            Err(wrong(format!("its proof of {txid} in block {height}: {error}")))
                        }
                        _ => Ok(false),
                    };
                }
            }
        }
        Ok(true)
    }

    /// The server's verified block at a height.
    fn block_at(&self, height: usize) -> Option<(BlockId, Header)> {
        let height = u32::try_from(height).ok()?;
        let state = self.worker.shared.lock();
        let hash = state.block_of(self.worker.index, height)?;
        Some((BlockId { height, hash }, *state.headers().header(&hash)?))
    }
}
