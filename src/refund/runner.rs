//! The engine with a data folder and a chain of its own: for the command line, while no element uses the folder.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bitcoin::{BlockHash, FeeRate, Transaction};

use super::engine::{Engine, Means};
use crate::chain::{
    BroadcastError, Chain, ChainConfig, ChainEvent, ChainStartError, ElectrumChain, SyncError,
};
use crate::report::{Report, Severity, of_server};
use crate::store::{Lease, Role, Store, StoreError};
use crate::wallet::{Syncs, Wallet, WalletError};

/// Why a data folder can't be worked with.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Wallet(#[from] WalletError),
    #[error(transparent)]
    Chain(#[from] ChainStartError),
    #[error("no Electrum server answered within {0} s; what is on record stays, try again later")]
    NoAnswer(u64),
    #[error("no server took the transaction: {0}")]
    NotTaken(BroadcastError),
}

/// A consumer without a stream.
pub struct Runner {
    /// Dropped first: no event comes after it.
    chain: ElectrumChain,
    events: Receiver<ChainEvent>,
    pub engine: Engine,
    pub wallet: Wallet,
    pub store: Store,
    dir: PathBuf,
    /// The last tip that was acted upon: the chain may know of a later one already.
    seen: Option<BlockHash>,
    synced: bool,
    syncs: Syncs,
    _lease: Lease,
}

impl Runner {
    /// Opens the folder, takes up its channels and begins to follow the chain.
    pub fn open(dir: &Path, config: &ChainConfig, max_fee_rate: FeeRate) -> Result<Self, RunnerError> {
        Self::with(dir, config, Engine::new(config.network, max_fee_rate))
    }

    /// The same, and only looks: nothing is made or handed out.
    pub fn observe(dir: &Path, config: &ChainConfig) -> Result<Self, RunnerError> {
        Self::with(dir, config, Engine::observer(config.network))
    }

    fn with(dir: &Path, config: &ChainConfig, engine: Engine) -> Result<Self, RunnerError> {
        let lease = Lease::take(dir, Role::Consumer)?;
        let wallet = Wallet::open(dir, config.network)?;
        let store = Store::open(dir)?;
        let (sender, events) = channel();
        let handler = Box::new(move |event| {
            // A runner that has stopped needs no news.
            let _ = sender.send(event);
        });
        let (servers, proxy) = (config.servers.clone(), config.proxy.clone());
        let chain = ElectrumChain::start_in(dir, servers, proxy, config.network, handler)?;
        let mut runner = Self {
            chain,
            events,
            engine,
            wallet,
            store,
            dir: dir.to_owned(),
            seen: None,
            synced: false,
            syncs: Syncs::default(),
            _lease: lease,
        };
        runner.with_engine(|engine, means, dir| engine.recover(means, dir));
        runner.sync();
        Ok(runner)
    }

    /// Waits for one event, no longer than `patience`, and answers what there is to say.
    pub fn step(&mut self, patience: Duration) -> Vec<Report> {
        let mut reports = self.engine.reports();
        if let Ok(event) = self.events.recv_timeout(patience) {
            self.event(event, &mut reports);
            reports.extend(self.engine.reports());
        }
        reports
    }

    /// True when the chain is known and everything that can be done now has been done and answered.
    pub fn is_done(&self) -> bool {
        self.chain.tip().is_some_and(|tip| self.seen == Some(tip.hash))
            && self.synced
            && !self.syncs.is_running()
            && self.engine.is_idle()
    }

    /// Goes on until [`Runner::is_done`].
    ///
    /// # Errors
    /// When `patience` has passed.
    pub fn finish(&mut self, patience: Duration, say: &mut dyn FnMut(Report)) -> Result<(), RunnerError> {
        let deadline = Instant::now() + patience;
        while !self.is_done() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(RunnerError::NoAnswer(patience.as_secs()));
            }
            self.step(left).into_iter().for_each(&mut *say);
        }
        Ok(())
    }

    /// Hands a transaction out and waits for a server's word.
    pub fn send(&mut self, tx: &Transaction, patience: Duration) -> Result<(), RunnerError> {
        let (txid, deadline) = (tx.compute_txid(), Instant::now() + patience);
        self.chain.broadcast(tx);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(ChainEvent::Broadcast { txid: of, result }) if of == txid => {
                    return result.map_err(RunnerError::NotTaken);
                }
                Ok(event) => self.event(event, &mut Vec::new()),
                Err(_) => return Err(RunnerError::NoAnswer(patience.as_secs())),
            }
        }
    }

    /// The best tip that servers told of.
    pub fn tip_height(&self) -> Option<u32> {
        self.chain.tip().map(|tip| tip.height)
    }

    /// What the chain suggests.
    pub fn fee_rate(&self, within_blocks: u16) -> Option<FeeRate> {
        self.chain.fee_rate(within_blocks)
    }

    fn event(&mut self, event: ChainEvent, reports: &mut Vec<Report>) {
        reports.extend(of_server(&event));
        match event {
            ChainEvent::Tip(tip) => {
                self.seen = Some(tip.hash);
                self.sync();
                self.look();
            }
            ChainEvent::Script { script, transactions } => {
                let ours = self.with_engine(|engine, means, _| engine.script(means, &script, transactions));
                if ours {
                    self.sync();
                }
            }
            ChainEvent::Broadcast { txid, result } => self.engine.broadcast_answer(txid, result),
            ChainEvent::WalletSynced(update) => {
                if let Err(error) = self.wallet.apply(*update) {
                    let words = format!("The wallet could not take what the server sent: {error}.");
                    reports.push(Report::new("wallet").say(words).severity(Severity::Warning));
                }
                self.synced = true;
                self.sync_done();
                self.look();
            }
            // Until a server is there again nothing would come of another.
            ChainEvent::WalletSyncFailed(SyncError::NoServer) => self.syncs.failed(),
            ChainEvent::WalletSyncFailed(SyncError::Server { .. }) => self.sync_done(),
            ChainEvent::FeeRate(_) => self.look(),
            ChainEvent::Reachable { .. } => {
                self.sync();
                self.look();
            }
            ChainEvent::Unreachable { .. }
            | ChainEvent::Disagreement { .. }
            | ChainEvent::Agreement { .. } => (),
        }
    }

    fn look(&mut self) {
        self.with_engine(|engine, means, _| engine.look(means));
    }

    /// Lets the engine do something by itself.
    pub fn with_engine<T>(&mut self, act: impl FnOnce(&mut Engine, &mut Means<'_>, &Path) -> T) -> T {
        let mut means = Means {
            store: &mut self.store,
            wallet: &mut self.wallet,
            chain: &self.chain,
        };
        act(&mut self.engine, &mut means, &self.dir)
    }

    fn sync(&mut self) {
        self.syncs.ask(&self.wallet, &self.chain);
    }

    fn sync_done(&mut self) {
        self.syncs.done(&self.wallet, &self.chain);
    }
}
