//! The Bitcoin chain, behind one trait.
//!
//! [`Chain`] is what the rest of the plugin knows of the chain: scripts to follow, transactions to hand out,
//! a wallet to sync, a tip and a fee rate. No call waits for the network; what comes of it arrives as a
//! [`ChainEvent`]. [`ElectrumChain`] does it with any number of Electrum servers.
//!
//! # What is believed
//!
//! A server can't make up a transaction: each one is checked against its txid, and must involve the script
//! it is reported for. It can't make up a confirmation either: a transaction has a height only with a merkle
//! proof to a header of the chain with the most work, each of whose headers is verified from a compiled-in
//! checkpoint on ([`spv`]), whichever server sent it. A server that disagrees with that chain is told of
//! ([`ChainEvent::Disagreement`]) and its word does not count; one that says what can't be true is dropped and
//! tried again later. What a server leaves out nothing can prove. So use servers of different operators, and let
//! deadlines take [`Tip::estimated_height`] too. `docs/chain.md` has the whole.

mod broadcast;
mod electrum;
mod fee;
mod fee_file;
mod header_file;
mod health;
mod involvement;
mod outpoint;
mod server;
mod session;
pub mod spv;
mod state;
mod tip;
mod url;
mod watched;

use std::sync::Arc;

use bdk_wallet::KeychainKind;
use bdk_wallet::chain::spk_client::{FullScanRequest, SyncRequest};
use bitcoin::{BlockHash, FeeRate, Script, ScriptBuf, Transaction, Txid};

pub use broadcast::BroadcastError;
pub use electrum::{ChainStartError, ElectrumChain, Timing};
pub use health::{ChainFigures, Servers};
pub use outpoint::{OutpointStatus, Spend};
pub use tip::Tip;
pub use url::{ElectrumUrl, ServerUrlError, Socks5Proxy, Transport, parse_proxy, parse_servers};
pub(crate) use watched::Watched;

/// "Within an hour": the confirmation target where nothing presses.
pub const USUAL_TARGET_BLOCKS: u16 = 6;

/// How the chain is reached.
#[derive(Clone, Debug)]
pub struct ChainConfig {
    pub network: bitcoin::Network,
    pub servers: Vec<ElectrumUrl>,
    pub proxy: Option<Socks5Proxy>,
}

/// The chain. No method blocks on the network, and each may be called from any thread.
pub trait Chain: Send + Sync {
    /// Follows a script until [`Chain::unwatch`], also across reconnects.
    ///
    /// A [`ChainEvent::Script`] comes as soon as one server has answered (with no transactions, if there are
    /// none) and then at each change. Watching a script again repeats what is known.
    fn watch(&self, script: &Script);

    /// Stops following a script. An event already on its way may still arrive.
    fn unwatch(&self, script: &Script);

    /// Hands a transaction to every server. One [`ChainEvent::Broadcast`] answers.
    ///
    /// A server out of reach now does not get it later: who needs the transaction confirmed hands it out
    /// again, which does no harm.
    fn broadcast(&self, tx: &Transaction);

    /// Syncs a wallet. One [`ChainEvent::WalletSynced`] or [`ChainEvent::WalletSyncFailed`] answers.
    fn sync_wallet(&self, request: WalletRequest);

    /// The tip of the verified chain with the most work, however old: see [`Tip::is_stale`].
    fn tip(&self) -> Option<Tip>;

    /// The fee rate for confirmation within so many blocks, as last estimated: that of the largest of the targets 2,
    /// 6, 24 and 144 within it, as far as that is believed ([`FeeBelief`](streamium_channel::fee_belief::FeeBelief)):
    /// everything that moves money by an estimate takes it from here. A tighter target is never cheaper. Where
    /// servers can't estimate (regtest, a fresh node) it is the lowest rate they relay.
    fn fee_rate(&self, within_blocks: u16) -> Option<FeeRate>;

    /// Ends all work. Returns within about a second, even when a server hangs; no event comes afterwards,
    /// except one whose handler is running at that moment.
    fn stop(&self);
}

/// What became known of the chain.
#[derive(Debug)]
pub enum ChainEvent {
    /// The best tip changed.
    Tip(Tip),
    /// What is known of a watched script: everything, not only what changed.
    Script {
        script: ScriptBuf,
        transactions: Vec<ScriptTransaction>,
    },
    /// The answer to [`Chain::broadcast`]: `Ok` when a server took it or has it already.
    Broadcast {
        txid: Txid,
        result: Result<(), BroadcastError>,
    },
    /// The answer to [`Chain::sync_wallet`], to be given to the wallet.
    WalletSynced(Box<bdk_wallet::Update>),
    /// The other answer to [`Chain::sync_wallet`]. The request is used up: build a new one.
    WalletSyncFailed(SyncError),
    /// A fee rate changed: the one for [`USUAL_TARGET_BLOCKS`], or another target's ([`Chain::fee_rate`] has them).
    FeeRate(FeeRate),
    /// A server answers. Comes once per change.
    Reachable { server: ElectrumUrl },
    /// A server does not answer, or can't be used. Comes once per change.
    Unreachable {
        server: ElectrumUrl,
        why: UnreachableReason,
    },
    /// A server answers, but not as the verified chain is; `words` say what differs. Until it agrees again its word
    /// does not count. Comes once per change.
    Disagreement { server: ElectrumUrl, words: String },
    /// A server that disagreed does no more.
    Agreement { server: ElectrumUrl },
}

/// Receives the events, one at a time and in order, in a thread of the chain's own.
pub type EventHandler = Box<dyn Fn(ChainEvent) + Send + Sync>;

/// A transaction that pays to a script or spends from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptTransaction {
    pub txid: Txid,
    pub tx: Arc<Transaction>,
    /// The block it is proven to be in; `None` while unconfirmed, or not proven yet.
    pub height: Option<u32>,
    /// A server says that it is in a block, and that is not proven: most often, not yet.
    pub is_claimed: bool,
}

impl ScriptTransaction {
    /// How many blocks confirm it when `tip_height` is the best: 0 while unconfirmed, 1 in the tip itself.
    pub fn confirmations(&self, tip_height: u32) -> u32 {
        self.height
            .map_or(0, |height| tip_height.saturating_add(1).saturating_sub(height))
    }
}

/// What a wallet asks the chain for; `crate::wallet::Wallet::sync_request` makes it.
pub enum WalletRequest {
    /// The scripts the wallet has handed out.
    Sync(SyncRequest<(KeychainKind, u32)>),
    /// A search for scripts used before, until so many unused ones come in a row: for a seed that may have a past.
    FullScan(FullScanRequest<KeychainKind>, usize),
}

impl std::fmt::Debug for WalletRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sync(_) => "Sync",
            Self::FullScan(..) => "FullScan",
        })
    }
}

/// Why a wallet could not be synced.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SyncError {
    /// No server can be reached now. A [`ChainEvent::Reachable`] says when to try again.
    #[error("no Electrum server can be reached")]
    NoServer,
    /// The server asked did not answer as it should.
    #[error("{server}: {words}")]
    Server { server: ElectrumUrl, words: String },
}

/// Why a server is not used at the moment, or at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnreachableReason {
    /// No connection, or one that broke. It is tried again.
    #[error("no connection: {words}")]
    Connection { words: String },
    /// No answer in time. It is tried again.
    #[error("no answer in time")]
    TimedOut,
    /// It follows another chain. It is not used any more.
    #[error("the server follows another network: its first block is {found}, not {expected}")]
    WrongNetwork { expected: BlockHash, found: BlockHash },
    /// It said something that can't be true, or that can't be read. It is tried again.
    #[error("the server's answer is wrong: {words}")]
    WrongAnswer { words: String },
}
