//! A chain and what it tells, to wait for.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bitcoin::{Network, Script, Txid};
use gststreamiumpay::chain::{
    BroadcastError, ChainEvent, ElectrumChain, ElectrumUrl, ScriptTransaction, SyncError, Timing,
    UnreachableReason, parse_proxy, parse_servers,
};

use crate::common::wait::PATIENCE;

/// A chain and what it tells.
pub struct Watcher {
    pub chain: ElectrumChain,
    pub events: Receiver<ChainEvent>,
}

pub fn quick() -> Timing {
    Timing {
        request_timeout: Duration::from_secs(2),
        pump: Duration::from_millis(50),
        first_retry: Duration::from_millis(50),
        last_retry: Duration::from_millis(200),
        disagreement: Duration::from_millis(300),
        ..Timing::default()
    }
}

impl Watcher {
    pub fn start(servers: &str) -> Self {
        Self::start_with(servers, "", quick())
    }

    pub fn start_with(servers: &str, proxy: &str, timing: Timing) -> Self {
        Self::start_all(None, servers, proxy, timing)
    }

    /// Keeps its headers in a folder.
    pub fn start_in(folder: &Path, servers: &str, timing: Timing) -> Self {
        Self::start_all(Some(folder.to_owned()), servers, "", timing)
    }

    fn start_all(folder: Option<PathBuf>, servers: &str, proxy: &str, timing: Timing) -> Self {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let handler = Box::new(move |event| drop(sender.lock().unwrap().send(event)));
        let servers = parse_servers(servers).unwrap();
        let proxy = parse_proxy(proxy).unwrap();
        let network = Network::Regtest;
        let chain = ElectrumChain::start_all(folder, servers, proxy, network, handler, timing).unwrap();
        Self { chain, events }
    }

    /// Waits for an event of which `pick` makes something; others are passed over.
    pub fn wait<T>(&self, what: &str, mut pick: impl FnMut(ChainEvent) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let event = self
                .events
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("no {what}"));
            if let Some(found) = pick(event) {
                return found;
            }
        }
    }

    pub fn reachable(&self) -> ElectrumUrl {
        self.wait("reachable server", |event| match event {
            ChainEvent::Reachable { server } => Some(server),
            _ => None,
        })
    }

    pub fn unreachable(&self) -> (ElectrumUrl, UnreachableReason) {
        self.wait("unreachable server", |event| match event {
            ChainEvent::Unreachable { server, why } => Some((server, why)),
            _ => None,
        })
    }

    pub fn disagreement(&self) -> (ElectrumUrl, String) {
        self.wait("disagreement", |event| match event {
            ChainEvent::Disagreement { server, words } => Some((server, words)),
            _ => None,
        })
    }

    pub fn agreement(&self) -> ElectrumUrl {
        self.wait("agreement", |event| match event {
            ChainEvent::Agreement { server } => Some(server),
            _ => None,
        })
    }

    /// Waits until the script's transactions are as `expected` says.
    pub fn script(
        &self,
        script: &Script,
        expected: impl Fn(&[ScriptTransaction]) -> bool,
    ) -> Vec<ScriptTransaction> {
        self.wait("such transactions", |event| match event {
            ChainEvent::Script {
                script: of,
                transactions,
            } if *of == *script && expected(&transactions) => Some(transactions),
            _ => None,
        })
    }

    pub fn broadcast_result(&self, txid: Txid) -> Result<(), BroadcastError> {
        self.wait("answer to a broadcast", |event| match event {
            ChainEvent::Broadcast { txid: of, result } if of == txid => Some(result),
            _ => None,
        })
    }

    pub fn sync_error(&self) -> SyncError {
        self.wait("failed sync", |event| match event {
            ChainEvent::WalletSyncFailed(error) => Some(error),
            _ => None,
        })
    }
}
