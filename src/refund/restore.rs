//! Putting channels back into a data folder from their backups: with the same seed, on any machine.
//!
//! Everything is checked before anything is written, and the channels go on record together or not at all.

use std::path::{Path, PathBuf};

use bitcoin::{Network, OutPoint, secp256k1};
use streamium_channel::record::ConsumerRecord;

use super::backup::{self, BackupError};
use crate::keys;
use crate::store::{Lease, Role, Store, StoreError};
use crate::wallet::{Seed, SeedError, Wallet, WalletError};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error("{dir} has no seed: give the words of the one that the channels were opened with", dir = dir.display())]
    NoSeed { dir: PathBuf },
    #[error("{dir} has another seed than the words given: use an empty folder", dir = dir.display())]
    OtherSeed { dir: PathBuf },
    /// The channel's key does not derive from the seed.
    #[error("{path} belongs to another seed: its key does not derive from this one", path = path.display())]
    WrongSeed { path: PathBuf },
    #[error("channel {0} is on record already; leave its backup out")]
    AlreadyThere(OutPoint),
    #[error("channel {0} is given twice")]
    Twice(OutPoint),
    #[error("the change script of {path} is not of this seed's wallet", path = path.display())]
    ChangeScript { path: PathBuf },
}

/// Restores channels; answers their outpoints. `words` are those of the seed, where the folder has none.
///
/// # Errors
/// See [`RestoreError`]. No channel is on record then that was not before.
pub fn restore(
    dir: &Path,
    network: Network,
    files: &[PathBuf],
    words: Option<&Seed>,
) -> Result<Vec<OutPoint>, RestoreError> {
    let backups = files
        .iter()
        .map(|path| backup::read(path, network).map(|backup| (path, backup)))
        .collect::<Result<Vec<_>, _>>()?;
    let present = Seed::load(dir)?;
    let seed = match (&present, words) {
        (Some(present), Some(given)) if identity(present)? != identity(given)? => {
            return Err(RestoreError::OtherSeed { dir: dir.to_owned() });
        }
        (Some(seed), _) | (None, Some(seed)) => seed,
        (None, None) => return Err(RestoreError::NoSeed { dir: dir.to_owned() }),
    };
    for (path, (record, _)) in &backups {
        let key = keys::channel(seed, network, Role::Consumer, record.key_index)?;
        if key.x_only_public_key().0 != record.contract.keys().consumer() {
            let path = (*path).clone();
            return Err(RestoreError::WrongSeed { path });
        }
    }
    for (index, (_, (record, _))) in backups.iter().enumerate() {
        let before = backups.iter().take(index);
        if before
            .into_iter()
            .any(|(_, (other, _))| other.outpoint == record.outpoint)
        {
            return Err(RestoreError::Twice(record.outpoint));
        }
    }

    let _lease = Lease::take(dir, Role::Consumer)?;
    if present.is_none() {
        seed.store(dir)?;
    }
    let mut wallet = Wallet::open(dir, network)?;
    let mut store = Store::open(dir)?;
    for (_, (record, _)) in &backups {
        if store.has_consumer_channel(record.outpoint)? {
            return Err(RestoreError::AlreadyThere(record.outpoint));
        }
    }
    for (path, (record, descriptor)) in &backups {
        if !wallet.adopt_change_script(record.contract.change().script())? {
            let path = (*path).clone();
            return Err(RestoreError::ChangeScript { path });
        }
        // The commitment may not be confirmed yet: no coin of it may be spent by anything else.
        wallet.reserve_for(&record.commitment)?;
        backup::write(dir, network, record, descriptor)?;
    }
    let rows: Vec<(ConsumerRecord, String)> = backups.into_iter().map(|(_, backup)| backup).collect();
    store.restore_consumer_channels(&rows)?;
    Ok(rows.iter().map(|(record, _)| record.outpoint).collect())
}

/// Something that only this seed derives and that is no secret.
fn identity(seed: &Seed) -> Result<secp256k1::XOnlyPublicKey, SeedError> {
    Ok(keys::identity(seed, Network::Bitcoin)?.x_only_public_key().0)
}
