//! The consumer's wallet: a funding address for people to pay to, commitment transactions, money back.
//!
//! Coin selection, signing and sync are `bdk_wallet`'s, over a BIP86 descriptor from the seed. Added here:
//! whatever is handed out (an address, a script, a signed transaction) is on disk first, and coins that a
//! transaction in the open spends are not spent by another.

mod child;
mod coins;
mod database;
mod error;
mod seed;
mod spend;
mod syncs;

use std::path::{Path, PathBuf};

use bdk_wallet::chain::rusqlite::Transaction as DbTransaction;
use bdk_wallet::rusqlite::{self, Connection};
use bdk_wallet::signer::SignersContainer;
use bdk_wallet::{KeychainKind, Update};
use bitcoin::absolute::Height;
use bitcoin::{Address, Amount, Denomination, Network, Script, ScriptBuf};

use crate::chain::WalletRequest;
use crate::store::crash::around;

pub use child::{Child, ChildError};
pub use coins::Balance;
pub use error::{CommitmentError, WalletError};
pub use seed::{SEED_FILE, Seed, SeedError};
pub use spend::{Commitment, Withdrawal, WithdrawalAmount, min_change, needed_for};
pub use syncs::Syncs;

/// The file's name in the data folder.
pub const WALLET_FILE: &str = "wallet.sqlite";

/// How far an adopted script is looked for: some are given out with each connection.
const MAX_ADOPTED: usize = 20_000;

/// How many unused scripts in a row end the first scan of a new seed (BIP44's gap limit).
const FRESH_GAP: usize = 20;

/// And of one that may have a past. Each proposal of a channel uses up a change script, and whatever its provider then does,
/// nothing may ever be paid to it. It takes seconds, once.
const RESTORE_GAP: usize = 1_000;

/// The consumer's wallet. One program at a time may have it open.
pub struct Wallet {
    inner: bdk_wallet::Wallet,
    db: Connection,
    /// Signs for the funding addresses, and for change.
    signers: [SignersContainer; 2],
    seed: Seed,
    /// The seed was there before this file: it may have been used elsewhere.
    has_past: bool,
    path: PathBuf,
}

impl Wallet {
    /// Opens the wallet of a data folder; makes folder, seed and wallet where there are none.
    pub fn open(dir: &Path, network: Network) -> Result<Self, WalletError> {
        let path = dir.join(WALLET_FILE);
        let has_seed = Seed::load(dir)?.is_some();
        if path.exists() && !has_seed {
            return Err(WalletError::SeedMissing { path });
        }
        let seed = Seed::load_or_create(dir)?;
        let mut db = database::open(&path)?;
        if !has_seed {
            database::note_new_seed(&db)?;
        }
        let has_past = !database::is_new_seed(&db)?;
        let keys = database::keys(&seed, network)?;
        let inner = database::load_or_create(&mut db, &path, &keys, network)?;
        let signers = keys.signers(&inner);
        let mut wallet = Self {
            inner,
            db,
            signers,
            seed,
            has_past,
            path,
        };
        for index in database::reserved_scripts(&wallet.db)? {
            wallet.inner.mark_used(KeychainKind::Internal, index);
        }
        wallet.commit(|_| Ok(()))?;
        Ok(wallet)
    }

    pub fn network(&self) -> Network {
        self.inner.network()
    }

    /// The seed, which the channels' keys derive from too.
    pub fn seed(&self) -> &Seed {
        &self.seed
    }

    /// The address to send money to. It stays the same until it has received something.
    pub fn funding_address(&mut self) -> Result<Address, WalletError> {
        let address = self.inner.next_unused_address(KeychainKind::External).address;
        self.commit(|_| Ok(()))?;
        Ok(address)
    }

    /// The script of [`Wallet::funding_address`], to be watched.
    pub fn funding_script(&mut self) -> Result<ScriptBuf, WalletError> {
        Ok(self.funding_address()?.script_pubkey())
    }

    /// A script of this wallet for a channel's change: 34 bytes, witness version 1, never given out before.
    pub fn fresh_change_script(&mut self) -> Result<ScriptBuf, WalletError> {
        Ok(self.fresh_address()?.script_pubkey())
    }

    /// An address of this wallet for a refund, never given out before.
    pub fn refund_address(&mut self) -> Result<Address, WalletError> {
        self.fresh_address()
    }

    /// How many scripts on the change side a seed that was there before this wallet may have used, by the last scan; 0 for a
    /// seed without a past.
    pub fn scripts_of_the_past(&self) -> u32 {
        let last = self.inner.derivation_index(KeychainKind::Internal);
        last.filter(|_| self.has_past)
            .map_or(0, |last| last.saturating_add(1))
    }

    /// Makes a channel's change script known to this wallet, which another data folder of the same seed gave out;
    /// false if it is none of this seed's.
    pub fn adopt_change_script(&mut self, script: &Script) -> Result<bool, WalletError> {
        let index = self
            .inner
            .spk_index()
            .unbounded_spk_iter(KeychainKind::Internal)
            .and_then(|scripts| scripts.take(MAX_ADOPTED).find(|(_, of)| of == script));
        let Some((index, _)) = index else {
            return Ok(false);
        };
        let _ = self.inner.reveal_addresses_to(KeychainKind::Internal, index);
        self.commit(|db| database::reserve_script(db, index))?;
        self.inner.mark_used(KeychainKind::Internal, index);
        Ok(true)
    }

    /// On the change side, so that it is never shown as a funding address; reserved, so that the wallet's
    /// own change does not go there before the channel's does.
    fn fresh_address(&mut self) -> Result<Address, WalletError> {
        let info = self.inner.reveal_next_address(KeychainKind::Internal);
        self.commit(|db| database::reserve_script(db, info.index))?;
        self.inner.mark_used(KeychainKind::Internal, info.index);
        Ok(info.address)
    }

    /// What to ask the chain for: a full scan until something of the chain is known (the seed may have a
    /// past), then the scripts handed out.
    pub fn sync_request(&self) -> WalletRequest {
        if self.inner.latest_checkpoint().height() == 0 {
            let gap = if self.has_past { RESTORE_GAP } else { FRESH_GAP };
            WalletRequest::FullScan(self.inner.start_full_scan().build(), gap)
        } else {
            WalletRequest::Sync(self.inner.start_sync_with_revealed_spks().build())
        }
    }

    /// Takes the result of a sync, and frees coins of transactions that can't confirm any more.
    pub fn apply(&mut self, update: Update) -> Result<(), WalletError> {
        // bdk would take it, write it down, and panic at each transaction it builds from then on.
        if let Some(height) = update.chain.as_ref().map(|tip| tip.height())
            && Height::from_consensus(height).is_err()
        {
            return Err(WalletError::ImpossibleHeight { height });
        }
        self.inner.apply_update(update)?;
        let settled = self.settled_reservations()?;
        for (_, coin) in &settled {
            self.inner.unlock_outpoint(*coin);
        }
        self.commit(|db| {
            settled
                .iter()
                .try_for_each(|(txid, _)| database::forget_reservation(db, txid))
        })
    }

    /// Makes everything the inner wallet changed durable, together with rows of our own, or neither.
    fn commit(
        &mut self,
        also: impl FnOnce(&DbTransaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), WalletError> {
        let _point = around("wallet/commit");
        let db = self.db.transaction()?;
        if let Some(staged) = self.inner.staged() {
            staged.persist_to_sqlite(&db)?;
        }
        also(&db)?;
        db.commit()?;
        self.inner.take_staged();
        Ok(())
    }
}

impl std::fmt::Debug for Wallet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wallet")
            .field("path", &self.path)
            .field("network", &self.network())
            .finish()
    }
}

/// A payment request (BIP21) for a wallet to open or a QR code to show.
pub fn bip21(address: &Address, amount: Amount) -> String {
    format!(
        "bitcoin:{address}?amount={}",
        amount.to_string_in(Denomination::Bitcoin)
    )
}

#[cfg(test)]
mod tests;
