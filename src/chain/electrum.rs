//! [`Chain`] over Electrum servers: one thread each, and one for the events.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use bitcoin::{FeeRate, Network, Script, Transaction};
use streamium_channel::fee_belief::FeeBelief;

use super::fee_file;
use super::header_file::HeaderFile;
use super::server::Worker;
use super::session::Known;
use super::state::{Outgoing, State};
use super::{Chain, ElectrumUrl, EventHandler, Socks5Proxy, Tip, WalletRequest};

/// How long things take. The default suits servers anywhere, also behind Tor.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// For connecting, and for each answer.
    pub request_timeout: Duration,
    /// How often an idle connection is asked for notifications.
    pub pump: Duration,
    /// How often the fee rate is asked for.
    pub refresh: Duration,
    /// The wait before the first attempt to reconnect. It doubles with each...
    pub first_retry: Duration,
    /// ...up to this.
    pub last_retry: Duration,
    /// For how long a server may disagree with the others before it is told of.
    pub disagreement: Duration,
    /// A connection that held this long counts as a good one: the next wait is the first again.
    pub settled: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(10),
            pump: Duration::from_millis(400),
            refresh: Duration::from_secs(60),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_secs(60),
            disagreement: Duration::from_secs(30),
            settled: Duration::from_secs(5),
        }
    }
}

/// Why the chain could not be started. Servers out of reach are no reason: they are tried again.
#[derive(Debug, thiserror::Error)]
pub enum ChainStartError {
    #[error("no Electrum server is given")]
    NoServers,
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// How long [`Chain::stop`] waits for threads that hang in a server's silence; then they are left to
/// their time-out. What they learn by then goes nowhere.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);

/// What the threads share.
pub(super) struct Shared {
    pub(super) network: Network,
    state: Mutex<State>,
    /// Where verified headers are kept, if anywhere.
    folder: Option<PathBuf>,
    file: Mutex<Option<HeaderFile>>,
    saved_belief: Mutex<Option<FeeBelief>>,
    loaded: Once,
    stopping: Arc<AtomicBool>,
}

impl Shared {
    /// Reads the headers kept on disk, once; whoever comes meanwhile waits.
    pub(super) fn load_headers(&self) {
        self.loaded.call_once(|| {
            let loaded = self.folder.as_deref();
            if let Some(belief) = loaded.and_then(|folder| fee_file::load(folder, self.network)) {
                self.lock().set_belief(belief);
            }
            if let Some((file, headers)) = loaded.and_then(|folder| HeaderFile::load(folder, self.network)) {
                self.lock().set_headers(headers);
                *self.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
            }
        });
    }

    /// Writes what is new of the best chain. It can be fetched again, so a disk that is full is no trouble.
    pub(super) fn save_headers(&self) {
        // Held throughout, so that what is taken first is written first.
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(open) = file.as_mut() else { return };
        let changes = self.lock().take_header_changes();
        if let Some((index, headers)) = changes
            && open.write(index, &headers).is_err()
        {
            *file = None;
        }
    }

    /// Keeps what is believed of fees, so that a start does not begin from nothing. A disk that is full costs that only.
    pub(super) fn save_belief(&self) {
        let belief = self.lock().belief();
        let mut saved = self.saved_belief.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(folder), Some(now)) = (self.folder.as_deref(), belief)
            && *saved != belief
        {
            *saved = belief;
            let _ = fee_file::save(folder, self.network, now);
        }
    }

    /// The state is consistent whenever its lock is free, so a thread that died with it does no harm.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }
}

/// The chain as Electrum servers tell it. Dropping it stops it.
pub struct ElectrumChain {
    shared: Arc<Shared>,
    event_thread: ThreadId,
    /// Closed when the last thread has ended.
    ended: Mutex<Receiver<()>>,
}

impl ElectrumChain {
    /// Starts following the chain, and returns without having asked anyone.
    pub fn start(
        servers: Vec<ElectrumUrl>,
        proxy: Option<Socks5Proxy>,
        network: Network,
        events: EventHandler,
    ) -> Result<Self, ChainStartError> {
        Self::start_with(servers, proxy, network, events, Timing::default())
    }

    /// [`ElectrumChain::start`] that keeps verified headers in a data folder, for the next start.
    pub fn start_in(
        folder: &Path,
        servers: Vec<ElectrumUrl>,
        proxy: Option<Socks5Proxy>,
        network: Network,
        events: EventHandler,
    ) -> Result<Self, ChainStartError> {
        let folder = Some(folder.to_owned());
        Self::start_all(folder, servers, proxy, network, events, Timing::default())
    }

    /// [`ElectrumChain::start`] with times of your own.
    pub fn start_with(
        servers: Vec<ElectrumUrl>,
        proxy: Option<Socks5Proxy>,
        network: Network,
        events: EventHandler,
        timing: Timing,
    ) -> Result<Self, ChainStartError> {
        Self::start_all(None, servers, proxy, network, events, timing)
    }

    /// With everything to be said: `folder` for the headers, and times.
    pub fn start_all(
        folder: Option<PathBuf>,
        servers: Vec<ElectrumUrl>,
        proxy: Option<Socks5Proxy>,
        network: Network,
        events: EventHandler,
        timing: Timing,
    ) -> Result<Self, ChainStartError> {
        if servers.is_empty() {
            return Err(ChainStartError::NoServers);
        }
        let stopping = Arc::new(AtomicBool::new(false));
        let (ended_guard, ended) = mpsc::channel();
        let (outgoing, incoming) = mpsc::channel();
        let event_thread = spawn_events(incoming, events, Arc::clone(&stopping), ended_guard.clone())?;

        let (senders, receivers): (Vec<_>, Vec<_>) = servers.iter().map(|_| mpsc::channel()).unzip();
        let named = servers.iter().cloned().zip(senders).collect();
        let state = Mutex::new(State::new(named, outgoing, network));
        // Dropped on an early return, it ends the threads already started.
        let chain = Self {
            shared: Arc::new(Shared {
                network,
                state,
                folder,
                file: Mutex::new(None),
                saved_belief: Mutex::new(None),
                loaded: Once::new(),
                stopping,
            }),
            event_thread,
            ended: Mutex::new(ended),
        };
        for (index, (url, commands)) in servers.into_iter().zip(receivers).enumerate() {
            let (shared, proxy) = (Arc::clone(&chain.shared), proxy.clone());
            let worker = Worker {
                shared,
                index,
                url,
                proxy,
                timing,
                commands,
                asking: None,
                known: Known::default(),
            };
            let guard = ended_guard.clone();
            thread::Builder::new()
                .name(format!("electrum-{index}"))
                .spawn(move || {
                    worker.run();
                    drop(guard);
                })?;
        }
        Ok(chain)
    }
}

fn spawn_events(
    incoming: Receiver<Outgoing>,
    handler: EventHandler,
    stopping: Arc<AtomicBool>,
    guard: Sender<()>,
) -> Result<ThreadId, std::io::Error> {
    let thread = thread::Builder::new()
        .name("chain-events".to_owned())
        .spawn(move || {
            while let Ok(Some(event)) = incoming.recv() {
                if stopping.load(Ordering::SeqCst) {
                    break;
                }
                handler(event);
            }
            drop(guard);
        })?;
    Ok(thread.thread().id())
}

impl Chain for ElectrumChain {
    fn watch(&self, script: &Script) {
        self.shared.lock().watch(script);
    }

    fn unwatch(&self, script: &Script) {
        self.shared.lock().unwatch(script);
    }

    fn broadcast(&self, tx: &Transaction) {
        self.shared.lock().broadcast(tx);
    }

    fn sync_wallet(&self, request: WalletRequest) {
        self.shared.lock().sync_wallet(request);
    }

    fn tip(&self) -> Option<Tip> {
        self.shared.lock().tip()
    }

    fn fee_rate(&self, within_blocks: u16) -> Option<FeeRate> {
        self.shared.lock().fee_rate(within_blocks)
    }

    fn stop(&self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.lock().wake_all();
        // From inside the handler, waiting for the handler's thread would be waiting for ourselves.
        if thread::current().id() == self.event_thread {
            return;
        }
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + STOP_TIMEOUT;
        // Nobody sends: the answer is either "all ended" or the time-out.
        let _ = ended.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

impl Drop for ElectrumChain {
    fn drop(&mut self) {
        self.stop();
    }
}
