//! The consumer's driver: its one session, its wallet, its chain, its store and its refunds, in one thread.

mod authorizing;
mod channels;
mod connecting;
mod driver;
mod ending;
mod funding;
mod lasting;
mod money;
mod notices;
mod stats;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use bitcoin::{Amount, Network};
use streamium_channel::consumer::ConsumerPolicy;
use streamium_channel::link::Link;

use super::{Clock, Published};
use crate::chain::{ChainConfig, ChainEvent, ChainStartError};
use crate::peer::{ConsumerPeer, PeerEvent};
use crate::report::ReportHandler;
use crate::store::{Lease, Role, Store, StoreError};
use crate::wallet::{Wallet, WalletError};
use authorizing::Asking;
pub use authorizing::Authorizer;
use driver::Driver;
use money::Money;
pub use stats::ConsumerStats;

/// What a viewer has set, checked.
#[derive(Clone, Debug)]
pub struct ConsumerOptions {
    pub link: Link,
    pub network: Network,
    pub data_dir: PathBuf,
    /// `None`: only free streams can be watched.
    pub chain: Option<ChainConfig>,
    pub policy: ConsumerPolicy,
}

/// Why a consumer can't start.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerStartError {
    #[error("data-dir can't be used: {0}.")]
    Store(#[from] StoreError),
    #[error("data-dir can't be used: {0}.")]
    Wallet(#[from] WalletError),
    #[error(transparent)]
    Chain(#[from] ChainStartError),
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What changes of the element's read-only properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerStatus {
    /// Where to pay to.
    FundingAddress(String),
    /// All that was paid since the start.
    Paid(Amount),
    /// How far it is; see the element's `state` property.
    State(&'static str),
}

/// Takes the status changes. Called from the driver thread.
pub type StatusHandler = Box<dyn Fn(ConsumerStatus) + Send>;

/// What the driver is told.
pub(crate) enum Event {
    Connected {
        id: String,
        peer: Box<dyn ConsumerPeer>,
    },
    Peer {
        id: String,
        event: PeerEvent,
    },
    Disconnected {
        id: String,
    },
    Playing(bool),
    Budget(Amount),
    /// The application's answer to the question of this number.
    Authorized {
        number: u64,
        yes: bool,
    },
    Chain(ChainEvent),
    /// End the session, wait a moment for the provider's settlement, then say so.
    Stop {
        done: Sender<()>,
    },
}

/// A running consumer.
pub struct ConsumerHandle {
    events: Sender<Event>,
    stats: Published<ConsumerStats>,
}

impl ConsumerHandle {
    /// Opens what has to be open (store, wallet) and starts the thread. Waits for the disk, not for the network.
    /// Without an `authorizer` whatever is within the policy is agreed to.
    pub fn start(
        options: ConsumerOptions,
        clock: Clock,
        report: ReportHandler,
        status: StatusHandler,
        authorizer: Option<Authorizer>,
    ) -> Result<Self, ConsumerStartError> {
        let (events, receiver) = channel();
        let (lease, money) = match &options.chain {
            Some(chain) => {
                let lease = Lease::take(&options.data_dir, Role::Consumer)?;
                let wallet = Wallet::open(&options.data_dir, options.network)?;
                let store = Store::open(&options.data_dir)?;
                (
                    Some(lease),
                    Some(Money::start(
                        chain,
                        (&options.data_dir, options.policy.max_fee_rate),
                        wallet,
                        store,
                        events.clone(),
                    )?),
                )
            }
            None => (None, None),
        };
        let asking = authorizer.map(|authorizer| Asking::new(authorizer, events.clone()));
        let mut driver = Driver::new(options, money, clock, (report, status), asking);
        driver.publish(driver.now());
        let stats = driver.looks.published();
        std::thread::Builder::new()
            .name("streamium-consumer".into())
            .spawn(move || {
                let done = run(driver, &receiver);
                // Who waits may open the folder again at once.
                drop(lease);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            })?;
        Ok(Self { events, stats })
    }

    /// How it stands; about a second old at most, and the last word once it has stopped.
    pub fn stats(&self) -> Published<ConsumerStats> {
        self.stats.clone()
    }

    /// Something to hand events in with, from any thread and any callback.
    pub fn inputs(&self) -> ConsumerInputs {
        ConsumerInputs(self.events.clone())
    }

    /// Ends the session and waits until the provider has settled or for a moment, but no longer than `patience`.
    pub fn stop(self, patience: Duration) {
        let (done, finished) = channel();
        if self.events.send(Event::Stop { done }).is_ok() {
            // Whether it has finished or not: everything that matters is on record.
            let _ = finished.recv_timeout(patience);
        }
    }
}

/// Hands events in. Never blocks.
#[derive(Clone)]
pub struct ConsumerInputs(Sender<Event>);

impl ConsumerInputs {
    /// A connection with a producer of the link's name has been made.
    pub fn connected(&self, id: &str, peer: Box<dyn ConsumerPeer>) {
        self.send(Event::Connected {
            id: id.to_owned(),
            peer,
        });
    }

    /// Something happened on its data channel.
    pub fn peer_event(&self, id: &str, event: PeerEvent) {
        self.send(Event::Peer {
            id: id.to_owned(),
            event,
        });
    }

    /// The connection is gone.
    pub fn disconnected(&self, id: &str) {
        self.send(Event::Disconnected { id: id.to_owned() });
    }

    /// The player plays or is paused.
    pub fn playing(&self, playing: bool) {
        self.send(Event::Playing(playing));
    }

    /// The most to pay has been changed.
    pub fn budget(&self, budget: Amount) {
        self.send(Event::Budget(budget));
    }

    fn send(&self, event: Event) {
        // A driver that has stopped needs no events.
        let _ = self.0.send(event);
    }
}

/// The loop; answers who waits for its end.
fn run(mut driver: Driver, events: &Receiver<Event>) -> Option<Sender<()>> {
    driver.start();
    while !driver.has_stopped() {
        match events.recv_timeout(driver.wait()) {
            Ok(event) => driver.event(event),
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => break,
        }
        driver.tick();
    }
    driver.finish()
}
