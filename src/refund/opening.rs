//! A new channel's record, whole or not at all, before a byte of its commitment is sent.
//!
//! In this order: the row as `opening`, the backup file, the row as `open`. Only the last step makes it a channel. If
//! one fails, or the program dies in between, the commitment never leaves: its coins are free again, at the next
//! start at the latest.

use std::path::Path;

use bitcoin::Txid;
use streamium_channel::record::ConsumerRecord;

use super::backup::{self, BackupError};
use super::engine::{Engine, Means};
use super::held::held;
use super::notices;
use crate::report::{Report, Severity};
use crate::store::{ConsumerChannelState, StoreError, StoredConsumerChannel};
use crate::wallet::WalletError;

/// Why a channel was not opened. Nothing of it was sent, and its coins are free again.
#[derive(Debug, thiserror::Error)]
pub enum OpeningError {
    #[error("the channel can't be recorded, so nothing was sent and no money is locked: {0}")]
    Store(#[from] StoreError),
    #[error("the channel's backup can't be written, so nothing was sent and no money is locked: {0}")]
    Backup(#[from] BackupError),
    /// The record makes no channel of this seed's: our own mistake.
    #[error("the channel can't be recorded, so nothing was sent and no money is locked: {0}")]
    Record(String),
}

impl Engine {
    /// Records a new channel and follows it. When this returns `Ok`, its commitment may be sent.
    pub fn open(
        &mut self,
        means: &mut Means<'_>,
        dir: &Path,
        record: &ConsumerRecord,
    ) -> Result<(), OpeningError> {
        // A live channel must not be abandoned because somebody opens it again.
        if means.store.has_consumer_channel(record.outpoint).unwrap_or(false) {
            return Err(OpeningError::Record(format!(
                "{} is there already",
                record.outpoint
            )));
        }
        let saved = self.save(means, dir, record);
        if saved.is_err() {
            self.abandon(means, dir, record);
        }
        saved
    }

    fn save(
        &mut self,
        means: &mut Means<'_>,
        dir: &Path,
        record: &ConsumerRecord,
    ) -> Result<(), OpeningError> {
        let stored = StoredConsumerChannel {
            record: record.clone(),
            refund_script: None,
            committed_height: None,
            refunds: Vec::new(),
            children: Vec::new(),
        };
        let channel = held(means.wallet.seed(), self.network, stored).map_err(OpeningError::Record)?;
        let descriptor = channel.channel.script().descriptor().to_owned();
        means.store.insert_consumer_channel(record, &descriptor)?;
        backup::write(dir, self.network, record, &descriptor)?;
        means
            .store
            .set_consumer_state(record.outpoint, ConsumerChannelState::Open, None)?;
        self.follow(means, channel);
        Ok(())
    }

    /// On a full disk not even this can be written; then [`Engine::tidy`] does it at the next start.
    fn abandon(&mut self, means: &mut Means<'_>, dir: &Path, record: &ConsumerRecord) {
        let outpoint = record.outpoint;
        let abandoned = means
            .store
            .set_consumer_state(outpoint, ConsumerChannelState::Abandoned, None);
        let removed = backup::remove(dir, outpoint);
        let released = means.wallet.release_unsent(&outpoint.txid);
        let never_recorded = matches!(abandoned, Err(StoreError::Unknown(_)));
        let failures = [
            abandoned.err().filter(|_| !never_recorded).map(|e| e.to_string()),
            removed.err().map(|e| e.to_string()),
            released.err().map(|e| e.to_string()),
        ];
        for words in failures.into_iter().flatten() {
            let text =
                format!("What was begun for channel {outpoint} is taken back at the next start: {words}.");
            self.say(notices::store_failed(text));
        }
    }

    /// Takes back what an earlier run began and never sent.
    pub(super) fn tidy(&mut self, means: &mut Means<'_>, dir: &Path) {
        match means.store.cut_off() {
            Ok((channels, _)) => {
                for stored in channels {
                    self.abandon(means, dir, &stored.record);
                }
            }
            Err(error) => self.unreadable(&error),
        }
        match unrecorded(means, dir) {
            Ok(commitments) => {
                for txid in commitments {
                    if let Err(error) = means.wallet.release_unsent(&txid) {
                        self.wallet_failed(&error);
                    }
                }
            }
            Err(error) => self.wallet_failed(&error),
        }
    }

    pub(super) fn unreadable(&mut self, error: &StoreError) {
        let words = format!("The channels on record can't be read: {error}.");
        self.say(Report::new("store-failed").say(words).severity(Severity::Error));
    }

    fn wallet_failed(&mut self, error: &WalletError) {
        let words = format!("Coins of a commitment that was never sent stay reserved: {error}.");
        self.say(notices::store_failed(words));
    }
}

/// The commitments that were built, and of which there is neither record nor backup: they were never sent. (A backup
/// without a record: somebody lost the record, so it may have been sent.)
fn unrecorded(means: &Means<'_>, dir: &Path) -> Result<Vec<Txid>, WalletError> {
    let commitments = means.wallet.reserved_commitments()?;
    let unknown = |txid: &Txid| {
        let recorded = means.store.has_commitment(*txid).unwrap_or(true);
        !recorded && !backup::exists(dir, *txid)
    };
    Ok(commitments.into_iter().filter(unknown).collect())
}
