//! What must survive: channels, payments, settlements, key indices. One SQLite file in the data folder,
//! `channels.sqlite`, readable with `sqlite3` while it is in use.
//!
//! Every call is durable when it returns (`synchronous=FULL`, write-ahead log). Nothing is ever deleted. What is
//! read back is parsed and checked like anything else from outside; a row that makes no sense is reported, and
//! does not keep the others from being settled or refunded.

mod accounts;
mod consumer;
pub(crate) mod crash;
mod lease;
mod listing;
mod provider;
mod rows;
mod schema;
mod settlement;
mod totals;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::OutPoint;
use rusqlite::{Connection, TransactionBehavior, params};

pub use consumer::{ConsumerChannelState, Made, MadeFor, StoredConsumerChannel};
pub use lease::{Lease, Role};
pub use listing::Listed;
pub use provider::{ProviderChannelState, StoredProviderChannel};
pub use settlement::{NewSettlement, SettlementKind, StoredSettlement};
pub use totals::ProviderTotals;

/// The file's name in the data folder.
pub const STORE_FILE: &str = "channels.sqlite";

/// Why the store could not be opened, read or written. What the failed call was to record is not recorded.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The folder or file can't be used.
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// Another process, or another element of this one, works on the folder.
    #[error("{path} is in use by another {role}: give each its own data-dir", path = path.display())]
    InUse { path: PathBuf, role: Role },
    /// The file was written by a later version.
    #[error("the store has version {found}; this is a program for version {newest}: update it")]
    Newer { found: i64, newest: i64 },
    /// A disk that is full or can't be written, or a file that is no database.
    #[error("the store can't be used: {0}")]
    Database(#[from] rusqlite::Error),
    /// No such channel.
    #[error("channel {0} is not on record")]
    Unknown(OutPoint),
    /// A number that no column holds. It can't come from valid money.
    #[error("a number is out of range")]
    Range,
    /// No key index is left.
    #[error("all key indices are used up")]
    KeysUsedUp,
}

/// The open store. One thread uses it.
#[derive(Debug)]
pub struct Store {
    db: Connection,
    /// As last added up; `None` once a channel has moved since.
    totals: Option<ProviderTotals>,
}

impl Store {
    /// Opens the store of a data folder, or makes it (folder 0700, file 0600).
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        lease::make_folder(dir)?;
        let path = dir.join(STORE_FILE);
        // SQLite would make it readable by all; its journals take the mode of the file.
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Ok(_) => (),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => (),
            Err(source) => return Err(StoreError::Io { path, source }),
        }
        let mut db = Connection::open(&path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;")?;
        schema::migrate(&mut db)?;
        Ok(Self { db, totals: None })
    }

    /// A store that keeps nothing: for a side that moves no money.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut db = Connection::open_in_memory()?;
        schema::migrate(&mut db)?;
        Ok(Self { db, totals: None })
    }

    /// Never gives out an index below this one.
    pub fn pass_key_indices(&mut self, role: Role, below: u32) -> Result<(), StoreError> {
        self.db.execute(
            "INSERT INTO key_index (role, next) VALUES (?1, ?2)
             ON CONFLICT (role) DO UPDATE SET next = max(next, excluded.next)",
            params![role.name(), below],
        )?;
        Ok(())
    }

    /// Reserves a channel key index for ever, also against other processes.
    pub fn next_key_index(&mut self, role: Role) -> Result<u32, StoreError> {
        let _point = crash::around(match role {
            Role::Provider => "provider/key-index",
            Role::Consumer => "consumer/key-index",
        });
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let name = role.name();
        transaction.execute(
            "INSERT OR IGNORE INTO key_index (role, next) VALUES (?1, 0)",
            [name],
        )?;
        let index: i64 =
            transaction.query_row("SELECT next FROM key_index WHERE role = ?1", [name], |row| {
                row.get(0)
            })?;
        // BIP32: hardened indices are below 2^31.
        let index = u32::try_from(index)
            .ok()
            .filter(|index| *index < 1 << 31)
            .ok_or(StoreError::KeysUsedUp)?;
        transaction.execute(
            "UPDATE key_index SET next = ?2 WHERE role = ?1",
            params![name, i64::from(index) + 1],
        )?;
        transaction.commit()?;
        Ok(index)
    }
}

#[cfg(test)]
mod tests;
