//! Channel backups: one file for each channel, with all that its refund needs beside the seed.
//!
//! The seed alone brings no channel back, since the provider's key and the delay are in nothing that derives from it.
//! The file is no secret that spends money, but tells who paid whom, so it is private all the same.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::hashes::{Hash, sha256};
use bitcoin::{Amount, Network, OutPoint, ScriptBuf, XOnlyPublicKey};
use serde::{Deserialize, Serialize};
use streamium_channel::agreement::Agreement;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::commitment;
use streamium_channel::contract::Contract;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::ConsumerRecord;
use streamium_channel::script::ChangeScript;

use crate::keys;
use crate::store::Role;

/// The folder in the data folder.
pub const BACKUP_FOLDER: &str = "backups";

const FORMAT: &str = "streamium-pay channel backup";
/// The first had no `agreed`.
const VERSION: u32 = 2;
const OLDEST: u32 = 1;

/// Far more than a commitment of any sensible size takes.
const MAX_BYTES: u64 = 1 << 20;

/// Why a file is no backup that can be used, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: io::Error },
    /// No JSON, not these fields, or a value that does not parse.
    #[error("{path} is no channel backup, or is damaged: {words}", path = path.display())]
    Damaged { path: PathBuf, words: String },
    #[error("{path} has version {found}; this is a program for version {VERSION}: update it", path = path.display())]
    Version { path: PathBuf, found: u32 },
    #[error("{path} is a channel on {found}, not on {expected}: set --network={found}", path = path.display())]
    Network {
        path: PathBuf,
        found: Network,
        expected: Network,
    },
}

/// The file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: String,
    version: u32,
    channel: Fields,
    /// Of `channel`, written without spaces.
    sha256: sha256::Hash,
}

/// What identifies a file before the rest of it is understood.
#[derive(Deserialize)]
struct Header {
    format: String,
    version: u32,
}

/// The channel. The order of the fields is that of the checksum.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    network: Network,
    link: String,
    outpoint: OutPoint,
    key_index: u32,
    key_path: String,
    consumer_key: XOnlyPublicKey,
    provider_key: XOnlyPublicKey,
    refund_delay_blocks: u16,
    capacity_sat: u64,
    change_script: ScriptBuf,
    descriptor: String,
    commitment: String,
    /// The terms that it was opened under. Left out of the checksum where there are none, as in the first version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    agreed: Option<Agreement>,
}

/// Where the backup of a channel is. No colon: some file systems can't have it.
pub fn path(dir: &Path, outpoint: OutPoint) -> PathBuf {
    let name = format!("{}-{}.json", outpoint.txid, outpoint.vout);
    dir.join(BACKUP_FOLDER).join(name)
}

/// Writes a channel's backup. When this returns, it is on disk whole, with its name.
pub fn write(
    dir: &Path,
    network: Network,
    record: &ConsumerRecord,
    descriptor: &str,
) -> Result<(), BackupError> {
    let path = path(dir, record.outpoint);
    let text = text(network, record, descriptor).map_err(|error| BackupError::Damaged {
        path: path.clone(),
        words: error.to_string(),
    })?;
    write_whole(dir, &path, text.as_bytes()).map_err(|source| BackupError::Io { path, source })
}

/// Takes away the backup of a channel whose commitment was never sent.
pub fn remove(dir: &Path, outpoint: OutPoint) -> Result<(), BackupError> {
    let path = path(dir, outpoint);
    for path in [temporary(&path), path] {
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => {
                return Err(BackupError::Io { path, source });
            }
            _ => (),
        }
    }
    Ok(())
}

/// True when any channel of this commitment has a backup here. What can't be looked at counts as there.
pub fn exists(dir: &Path, commitment: bitcoin::Txid) -> bool {
    let folder = match fs::read_dir(dir.join(BACKUP_FOLDER)) {
        Ok(folder) => folder,
        Err(error) => return error.kind() != ErrorKind::NotFound,
    };
    let prefix = commitment.to_string();
    folder
        .map(|entry| entry.map(|entry| entry.file_name()))
        .any(|name| name.map_or(true, |name| name.to_string_lossy().starts_with(&prefix)))
}

/// Reads a backup and checks that all of it fits together; whether the seed fits, [`super::restore`] checks.
pub fn read(path: &Path, network: Network) -> Result<(ConsumerRecord, String), BackupError> {
    let text = read_text(path).map_err(|source| BackupError::Io {
        path: path.to_owned(),
        source,
    })?;
    let damaged = |words: String| BackupError::Damaged {
        path: path.to_owned(),
        words,
    };
    let header: Header = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    if header.format != FORMAT {
        return Err(damaged(format!("its format is not \"{FORMAT}\"")));
    }
    if !(OLDEST..=VERSION).contains(&header.version) {
        let found = header.version;
        let path = path.to_owned();
        return Err(BackupError::Version { path, found });
    }
    let document: Document = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
    let found = document.channel.network;
    if found != network {
        return Err(BackupError::Network {
            path: path.to_owned(),
            found,
            expected: network,
        });
    }
    document.check().map_err(damaged)
}

impl Document {
    fn check(self) -> Result<(ConsumerRecord, String), String> {
        let sum = checksum(&self.channel).map_err(|error| error.to_string())?;
        if sum != self.sha256 {
            return Err("its checksum is wrong".to_owned());
        }
        self.channel.check()
    }
}

impl Fields {
    fn check(self) -> Result<(ConsumerRecord, String), String> {
        let words = |error: &dyn std::error::Error| error.to_string();
        let keys = ChannelKeys::new(self.consumer_key, self.provider_key).map_err(|error| words(&error))?;
        let delay = RefundDelay::new(self.refund_delay_blocks).map_err(|error| words(&error))?;
        let change = ChangeScript::new(self.change_script).map_err(|error| words(&error))?;
        let capacity = Amount::from_sat(self.capacity_sat);
        let contract = Contract::new(keys, delay, capacity, change).map_err(|error| words(&error))?;
        let commitment = deserialize_hex(&self.commitment).map_err(|error| words(&error))?;
        let channel = commitment::check(&contract, &commitment, self.outpoint.vout, Some(u32::MAX))
            .map_err(|error| words(&error))?;
        if channel.outpoint() != self.outpoint {
            return Err("its commitment transaction has another id".to_owned());
        }
        if channel.script().descriptor() != self.descriptor {
            return Err("its descriptor is not that of its keys and delay".to_owned());
        }
        let key_index = Some(self.key_index).filter(|index| *index < 1 << 31);
        let record = ConsumerRecord {
            contract,
            outpoint: self.outpoint,
            key_index: key_index.ok_or("its key index is out of range")?,
            link: self.link,
            commitment,
            paid: Amount::ZERO,
            carried: Amount::ZERO,
            consumed: Msat::ZERO,
            // Zero: a backup knows nothing of the account.
            rate: Rate::default(),
            agreed: self.agreed,
        };
        Ok((record, self.descriptor))
    }
}

fn text(network: Network, record: &ConsumerRecord, descriptor: &str) -> serde_json::Result<String> {
    let contract = &record.contract;
    let channel = Fields {
        network,
        link: record.link.clone(),
        outpoint: record.outpoint,
        key_index: record.key_index,
        key_path: keys::channel_path(network, Role::Consumer, record.key_index),
        consumer_key: contract.keys().consumer(),
        provider_key: contract.keys().provider(),
        refund_delay_blocks: contract.delay().blocks(),
        capacity_sat: contract.capacity().to_sat(),
        change_script: contract.change().script().clone(),
        descriptor: descriptor.to_owned(),
        commitment: serialize_hex(&record.commitment),
        agreed: record.agreed.clone(),
    };
    let document = Document {
        format: FORMAT.to_owned(),
        version: VERSION,
        sha256: checksum(&channel)?,
        channel,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn checksum(fields: &Fields) -> serde_json::Result<sha256::Hash> {
    Ok(sha256::Hash::hash(serde_json::to_string(fields)?.as_bytes()))
}

fn read_text(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if file.metadata()?.len() > MAX_BYTES {
        return Err(io::Error::new(
            ErrorKind::InvalidData,
            "it is too large for a backup",
        ));
    }
    io::read_to_string(file)
}

/// Under another name first, so that the file's own name never stands for half of it.
fn write_whole(dir: &Path, path: &Path, contents: &[u8]) -> io::Result<()> {
    let folder = dir.join(BACKUP_FOLDER);
    match DirBuilder::new().mode(0o700).create(&folder) {
        Ok(()) => File::open(dir)?.sync_all()?,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
        Err(error) => return Err(error),
    }
    let temporary = temporary(path);
    let written = write_durably(&temporary, contents).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What it could not hold must not fill the disk; the first error is the one that counts.
        let _ = fs::remove_file(&temporary);
    }
    written?;
    File::open(&folder)?.sync_all()
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension("new")
}

fn write_durably(path: &Path, contents: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(contents)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::hashes::Hash;
    use std::os::unix::fs::PermissionsExt;

    fn outpoint() -> OutPoint {
        OutPoint::new(bitcoin::Txid::all_zeros(), 1)
    }

    #[test]
    fn a_file_is_there_whole_and_private_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = path(dir.path(), outpoint());
        write_whole(dir.path(), &path, b"first").unwrap();
        write_whole(dir.path(), &path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        let folder = dir.path().join(BACKUP_FOLDER);
        for (of, mode) in [(&path, 0o600), (&folder, 0o700)] {
            assert_eq!(fs::metadata(of).unwrap().permissions().mode() & 0o777, mode);
        }
        // Where it can't be written, what was there stays.
        std::os::unix::fs::symlink("/dev/full", temporary(&path)).unwrap();
        assert!(write_whole(dir.path(), &path, b"third").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1, "nothing is left over");
    }

    #[test]
    fn whether_a_commitment_has_a_backup_is_told_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let txid = outpoint().txid;
        assert!(!exists(dir.path(), txid));
        write_whole(dir.path(), &path(dir.path(), outpoint()), b"").unwrap();
        assert!(exists(dir.path(), txid));
        assert!(!exists(dir.path(), bitcoin::Txid::hash(b"another")));
        remove(dir.path(), outpoint()).unwrap();
        remove(dir.path(), outpoint()).unwrap();
        assert!(!exists(dir.path(), txid));
        fs::remove_dir(dir.path().join(BACKUP_FOLDER)).unwrap();
        fs::write(dir.path().join(BACKUP_FOLDER), "").unwrap();
        assert!(
            exists(dir.path(), txid),
            "what can't be looked at counts as there"
        );
    }
}
