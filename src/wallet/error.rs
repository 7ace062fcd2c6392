//! What can go wrong with the wallet.

use std::path::PathBuf;

use bdk_wallet::chain::local_chain::CannotConnectError;
use bdk_wallet::error::CreateTxError;
use bdk_wallet::rusqlite;
use bitcoin::{Amount, FeeRate, Network};

use super::seed::SeedError;

/// Why the wallet could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum WalletError {
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// A wallet without its seed is only good to look at. Put the seed back.
    #[error("{path} is there, but the seed that belongs to it is not", path = path.display())]
    SeedMissing { path: PathBuf },
    #[error("{path} belongs to another seed than the one beside it", path = path.display())]
    OtherSeed { path: PathBuf },
    #[error("{path} is a wallet for {found}, not for {expected}: use another folder", path = path.display())]
    OtherNetwork {
        path: PathBuf,
        found: Network,
        expected: Network,
    },
    #[error("{path} is used by another program: one at a time", path = path.display())]
    InUse { path: PathBuf },
    #[error("{path}: {source}", path = path.display())]
    Io { path: PathBuf, source: std::io::Error },
    /// The wallet's file could not be read or written. Nothing was given out that is not on disk.
    #[error("the wallet's file: {0}")]
    Database(#[from] rusqlite::Error),
    /// What the file holds makes no wallet.
    #[error("the wallet's file is damaged: {0}")]
    Damaged(String),
    /// A sync's result does not fit the chain known so far. The next one may.
    #[error("the server's chain does not connect to the one known: {0}")]
    Disconnected(#[from] CannotConnectError),
    /// A sync's result would make the wallet unusable for good: no block can have that height.
    #[error("the server told of a block at height {height}")]
    ImpossibleHeight { height: u32 },
}

/// Why no transaction was built. Nothing is reserved then.
#[derive(Debug, thiserror::Error)]
pub enum CommitmentError {
    /// `needed` includes the fee and the change that must remain. Sending `needed - available` to the
    /// funding address makes up for it.
    #[error("{needed} are needed, {available} are available")]
    NotEnough { needed: Amount, available: Amount },
    /// An output too small to be relayed, or more than there can ever be.
    #[error("{0} can't be an output's value")]
    Value(Amount),
    #[error("{0:#} is too high for a fee rate")]
    FeeRate(FeeRate),
    /// The address is one of another network.
    #[error("the address is not one of {expected}")]
    OtherNetwork { expected: Network },
    #[error("the transaction could not be built: {0}")]
    Build(CreateTxError),
    #[error("the transaction could not be signed: {0}")]
    Sign(String),
    #[error(transparent)]
    Wallet(#[from] WalletError),
}
