//! The wallet's file: `bdk_wallet`'s tables, and four of our own.
//!
//! `streamium_reserved_script` holds the change-side indices given to channels, since bdk itself takes any
//! that has not received anything yet for unused. `streamium_reserved_coin` says for which transaction a
//! coin is locked, since bdk's lock does not. `streamium_transaction` has the transactions themselves, with what they
//! are for, until one of them or a conflict is buried. `streamium_new_seed` has a row where the seed was made together
//! with this file: then there is no past to look for.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use bdk_wallet::chain::rusqlite::Transaction as DbTransaction;
use bdk_wallet::descriptor::{ExtendedDescriptor, IntoWalletDescriptor};
use bdk_wallet::keys::KeyMap;
use bdk_wallet::rusqlite::{self, Connection, ErrorCode};
use bdk_wallet::signer::SignersContainer;
use bdk_wallet::template::Bip86;
use bdk_wallet::{ChangeSet, KeychainKind, LoadError, LoadMismatch};
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::secp256k1::Secp256k1;
use bitcoin::{Network, NetworkKind, OutPoint, Transaction, Txid};

use super::{Seed, WalletError};

const OWN_TABLES: &str = "
    CREATE TABLE IF NOT EXISTS streamium_reserved_script (
        change_index INTEGER PRIMARY KEY NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS streamium_reserved_coin (
        coin TEXT PRIMARY KEY NOT NULL, -- txid:vout
        for_txid TEXT NOT NULL
    ) STRICT;
    CREATE TABLE IF NOT EXISTS streamium_transaction (
        txid TEXT PRIMARY KEY NOT NULL,
        kind TEXT NOT NULL, -- commitment, withdrawal
        tx TEXT NOT NULL -- in hexadecimal
    ) STRICT;
    CREATE TABLE IF NOT EXISTS streamium_new_seed (
        since TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
    ) STRICT;";

/// What a transaction with reserved coins is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commitment,
    Withdrawal,
}

impl Kind {
    const fn name(self) -> &'static str {
        match self {
            Self::Commitment => "commitment",
            Self::Withdrawal => "withdrawal",
        }
    }
}

/// Opens the file, private and for this program alone.
pub(super) fn open(path: &Path) -> Result<Connection, WalletError> {
    // SQLite would make it readable by all; its journals take the mode of the file.
    match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
    {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(source) => {
            return Err(WalletError::Io {
                path: path.to_owned(),
                source,
            });
        }
    }
    configure(path).map_err(|error| match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => WalletError::InUse {
            path: path.to_owned(),
        },
        _ => WalletError::Database(error),
    })
}

fn configure(path: &Path) -> rusqlite::Result<Connection> {
    let db = Connection::open(path)?;
    db.busy_timeout(Duration::from_millis(500))?;
    // Held from the first write until closed: two programs would hand out one coin twice.
    db.execute_batch("PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;")?;
    db.execute_batch("BEGIN IMMEDIATE; COMMIT;")?;
    db.execute_batch(OWN_TABLES)?;
    Ok(db)
}

/// The wallet's two descriptors, with their secrets apart.
pub(super) struct Keys {
    funding: (ExtendedDescriptor, KeyMap),
    change: (ExtendedDescriptor, KeyMap),
}

/// Derives the descriptors (BIP86, account 0).
pub(super) fn keys(seed: &Seed, network: Network) -> Result<Keys, WalletError> {
    let xpriv = seed.xpriv(network)?;
    let secp = Secp256k1::new();
    let kind = NetworkKind::from(network);
    let descriptor = |keychain| {
        Bip86(xpriv, keychain)
            .into_wallet_descriptor(&secp, kind)
            .map_err(|error| WalletError::Damaged(error.to_string()))
    };
    Ok(Keys {
        funding: descriptor(KeychainKind::External)?,
        change: descriptor(KeychainKind::Internal)?,
    })
}

impl Keys {
    pub(super) fn signers(self, wallet: &bdk_wallet::Wallet) -> [SignersContainer; 2] {
        [self.funding, self.change]
            .map(|(descriptor, keys)| SignersContainer::build(keys, &descriptor, wallet.secp_ctx()))
    }
}

/// Loads what the file holds, checked against the seed and the network, or begins a wallet.
pub(super) fn load_or_create(
    db: &mut Connection,
    path: &Path,
    keys: &Keys,
    network: Network,
) -> Result<bdk_wallet::Wallet, WalletError> {
    let transaction = db.transaction()?;
    ChangeSet::init_sqlite_tables(&transaction)?;
    let stored = ChangeSet::from_sqlite(&transaction)?;
    transaction.commit()?;

    let (funding, change) = (keys.funding.0.clone(), keys.change.0.clone());
    // First, since the keys of another network differ too, and the network is the better answer.
    let params = bdk_wallet::Wallet::load()
        .check_network(network)
        .descriptor(KeychainKind::External, Some(funding.clone()))
        .descriptor(KeychainKind::Internal, Some(change.clone()));
    let loaded = bdk_wallet::Wallet::load_with_params(stored, params).map_err(|error| match error {
        LoadError::Mismatch(LoadMismatch::Network { loaded, expected }) => WalletError::OtherNetwork {
            path: path.to_owned(),
            found: loaded,
            expected,
        },
        LoadError::Mismatch(_) => WalletError::OtherSeed {
            path: path.to_owned(),
        },
        other => WalletError::Damaged(other.to_string()),
    })?;
    match loaded {
        Some(wallet) => Ok(wallet),
        None => {
            let params = bdk_wallet::Wallet::create(funding, change).network(network);
            bdk_wallet::Wallet::create_with_params(params)
                .map_err(|error| WalletError::Damaged(error.to_string()))
        }
    }
}

/// The seed has been made just now: nothing was ever paid to it.
pub(super) fn note_new_seed(db: &Connection) -> rusqlite::Result<()> {
    db.execute("INSERT INTO streamium_new_seed DEFAULT VALUES", [])
        .map(|_| ())
}

pub(super) fn is_new_seed(db: &Connection) -> rusqlite::Result<bool> {
    db.prepare("SELECT 1 FROM streamium_new_seed")?.exists([])
}

pub(super) fn reserved_scripts(db: &Connection) -> rusqlite::Result<Vec<u32>> {
    let mut rows = db.prepare("SELECT change_index FROM streamium_reserved_script")?;
    rows.query_map([], |row| row.get(0))?.collect()
}

pub(super) fn reserve_script(db: &DbTransaction<'_>, index: u32) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO streamium_reserved_script VALUES (?1)",
        [index],
    )
    .map(|_| ())
}

/// Every reserved coin, with the transaction it is reserved for.
pub(super) fn reserved_coins(db: &Connection) -> Result<Vec<(Txid, OutPoint)>, WalletError> {
    let mut rows = db.prepare("SELECT for_txid, coin FROM streamium_reserved_coin")?;
    let rows = rows.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    rows.map(|row| {
        let (txid, coin) = row?;
        match (txid.parse(), coin.parse()) {
            (Ok(txid), Ok(coin)) => Ok((txid, coin)),
            _ => Err(WalletError::Damaged(format!("reserved coin {coin} for {txid}"))),
        }
    })
    .collect()
}

/// A coin that is reserved already stays with what it is reserved for: that is an error.
pub(super) fn reserve_coin(db: &DbTransaction<'_>, txid: &Txid, coin: &OutPoint) -> rusqlite::Result<()> {
    db.execute(
        "INSERT INTO streamium_reserved_coin VALUES (?1, ?2)",
        [coin.to_string(), txid.to_string()],
    )
    .map(|_| ())
}

/// For a replacement, which spends the coins of what it replaces.
pub(super) fn take_over_coin(db: &DbTransaction<'_>, txid: &Txid, coin: &OutPoint) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR REPLACE INTO streamium_reserved_coin VALUES (?1, ?2)",
        [coin.to_string(), txid.to_string()],
    )
    .map(|_| ())
}

pub(super) fn forget_reservation(db: &DbTransaction<'_>, txid: &Txid) -> rusqlite::Result<()> {
    for table in [
        "streamium_reserved_coin WHERE for_txid",
        "streamium_transaction WHERE txid",
    ] {
        db.execute(&format!("DELETE FROM {table} = ?1"), [txid.to_string()])?;
    }
    Ok(())
}

pub(super) fn insert_transaction(
    db: &DbTransaction<'_>,
    kind: Kind,
    tx: &Transaction,
) -> rusqlite::Result<()> {
    db.execute(
        "INSERT OR IGNORE INTO streamium_transaction VALUES (?1, ?2, ?3)",
        [
            tx.compute_txid().to_string(),
            kind.name().into(),
            serialize_hex(tx),
        ],
    )
    .map(|_| ())
}

/// The transactions of a kind of which nothing is buried yet.
pub(super) fn transactions(db: &Connection, kind: Kind) -> Result<Vec<Transaction>, WalletError> {
    let mut rows = db.prepare("SELECT tx FROM streamium_transaction WHERE kind = ?1")?;
    let rows = rows.query_map([kind.name()], |row| row.get::<_, String>(0))?;
    rows.map(|row| {
        deserialize_hex(&row?).map_err(|error| WalletError::Damaged(format!("a {}: {error}", kind.name())))
    })
    .collect()
}
