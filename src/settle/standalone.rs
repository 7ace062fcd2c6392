//! The engine by itself, without a stream: for `streamium-pay settle`.

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant, SystemTime};

use super::{Engine, Outlook, Outside, Payout, Said, SettlePolicy};
use crate::boottime;
use crate::chain::{Chain, ChainConfig, ChainEvent, ChainStartError, ElectrumChain};
use crate::report::{Report, ReportHandler, of_server};
use crate::store::{Lease, Role, Store, StoreError};
use crate::wallet::{Seed, SeedError};

/// Without anything to do the loop looks around this often.
const IDLE: Duration = Duration::from_secs(1);

/// Why settling could not begin.
#[derive(Debug, thiserror::Error)]
pub enum SettleStartError {
    /// An element, or another program, settles by itself.
    #[error(
        "{0} is in use by a stream that runs: it settles by itself, so there is nothing to be done here."
    )]
    InUse(String),
    #[error("no provider has used {0}: it holds no seed. Give the stream's data-dir.")]
    NoSeed(String),
    #[error("data-dir can't be used: {0}.")]
    Store(#[from] StoreError),
    #[error("data-dir can't be used: {0}.")]
    Seed(#[from] SeedError),
    #[error("the servers can't be used: {0}.")]
    Chain(#[from] ChainStartError),
}

enum Event {
    Chain(ChainEvent),
    Stop,
}

/// Ends a [`Standalone`] from outside, from any thread.
#[derive(Clone)]
pub struct Stopper(Sender<Event>);

impl Stopper {
    pub fn stop(&self) {
        // If it has ended there is nothing to stop.
        let _ = self.0.send(Event::Stop);
    }
}

/// An engine with its own chain, store and lease.
pub struct Standalone {
    engine: Engine,
    store: Store,
    chain: ElectrumChain,
    _lease: Lease,
    events: Receiver<Event>,
    stopper: Stopper,
    report: ReportHandler,
    is_stopped: bool,
}

impl Standalone {
    /// Takes the provider's lease and everything unsettled. Waits for the disk, not for the network.
    ///
    /// # Errors
    /// See [`SettleStartError`].
    pub fn start(
        dir: &Path,
        config: &ChainConfig,
        payout: Payout,
        policy: SettlePolicy,
        report: ReportHandler,
    ) -> Result<Self, SettleStartError> {
        let folder = dir.display().to_string();
        // A folder that is not there is not made: there can be nothing to settle in it.
        let seed = match dir.is_dir() {
            true => Seed::load(dir)?,
            false => None,
        };
        let seed = seed.ok_or_else(|| SettleStartError::NoSeed(folder.clone()))?;
        let lease = Lease::take(dir, Role::Provider).map_err(|error| match error {
            StoreError::InUse { .. } => SettleStartError::InUse(folder),
            error => error.into(),
        })?;
        let store = Store::open(dir)?;
        let (sender, events) = channel();
        let stopper = Stopper(sender.clone());
        let handler = Box::new(move |event| {
            // Who has stopped needs no news.
            let _ = sender.send(Event::Chain(event));
        });
        let servers = config.servers.clone();
        let chain = ElectrumChain::start_in(dir, servers, config.proxy.clone(), config.network, handler)?;
        let mut standalone = Self {
            engine: Engine::new(policy, payout, config.network, seed),
            store,
            chain,
            _lease: lease,
            events,
            stopper,
            report,
            is_stopped: false,
        };
        standalone.with(|engine, out| engine.recover(out));
        Ok(standalone)
    }

    /// Something to end [`Standalone::watch`] with.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Does what can be done now, and returns once everything handed out has been answered for, or `patience` is over,
    /// or it is stopped. Answers what is left; `None` if no server could be asked.
    pub fn settle(&mut self, patience: Duration) -> Option<Vec<Outlook>> {
        let until = Instant::now() + patience;
        let mut was_asked = false;
        while !self.is_stopped && Instant::now() < until {
            // Only once a server is there: what is not known can't be settled.
            if !was_asked && self.chain.tip().is_some() {
                was_asked = true;
                self.with(|engine, out| engine.stop(out));
            }
            let now = boottime::now();
            if was_asked && self.engine.is_idle(now) {
                break;
            }
            self.step(until.saturating_duration_since(Instant::now()));
        }
        self.chain.tip().map(|_| self.outlook())
    }

    /// Stays until [`Stopper::stop`].
    pub fn watch(&mut self) {
        while !self.is_stopped {
            self.step(IDLE);
        }
    }

    /// What is not settled for good, and what it waits for.
    pub fn outlook(&mut self) -> Vec<Outlook> {
        self.with(|engine, out| engine.outlook(out))
    }

    /// One event, or some time.
    fn step(&mut self, at_most: Duration) {
        let now = boottime::now();
        let next = self.engine.next().map_or(IDLE, |at| at.saturating_sub(now));
        match self.events.recv_timeout(next.min(IDLE).min(at_most)) {
            Ok(Event::Chain(event)) => {
                let is_told = matches!(
                    event,
                    ChainEvent::Reachable { .. } | ChainEvent::Unreachable { .. }
                );
                if let Some(report) = of_server(&event).filter(|_| is_told) {
                    (self.report)(report);
                }
                self.with(|engine, out| engine.chain_event(&event, out));
            }
            Ok(Event::Stop) => self.is_stopped = true,
            Err(RecvTimeoutError::Timeout) => self.with(|engine, out| engine.tick(out)),
            Err(RecvTimeoutError::Disconnected) => self.is_stopped = true,
        }
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Engine, &mut Outside<'_>) -> T) -> T {
        let mut out = Outside {
            store: &mut self.store,
            chain: &self.chain,
            now: boottime::now(),
            wall: SystemTime::now(),
        };
        let done = work(&mut self.engine, &mut out);
        for said in self.engine.drain() {
            match said {
                Said::Report(report) => (self.report)(report),
                // No consumer is connected here.
                Said::Settling { .. } => (),
            }
        }
        done
    }
}

impl Drop for Standalone {
    fn drop(&mut self) {
        self.chain.stop();
    }
}

/// Prints what is said for people, as a command does.
pub fn print(report: &Report) {
    if let Some(text) = &report.text {
        println!("{text}");
    }
}
