//! The provider's driver: all sessions of one stream, its store, its chain and its settlements, in one thread.

mod chain_news;
mod commits;
mod connecting;
mod driver;
mod gone;
mod handing_out;
mod lasting;
mod live;
mod money;
mod notices;
mod repricing;
mod room;
mod settling;
mod stats;
mod unseen;

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use bitcoin::{Amount, Network, XOnlyPublicKey};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::link::StreamName;
use streamium_channel::money::Rate;

use super::{Clock, Published};
use crate::chain::{ChainConfig, ChainEvent, ChainStartError};
use crate::keys;
use crate::origin::Origin;
use crate::peer::{PeerEvent, ProviderPeer};
use crate::report::ReportHandler;
use crate::room::Room;
use crate::settle::{Payout, SettlePolicy};
use crate::store::{Lease, Role, Store, StoreError};
use crate::wallet::{Seed, SeedError};
use driver::Driver;
pub use stats::{ProviderStats, SessionStats};

/// What a broadcaster has set, checked.
#[derive(Clone, Debug)]
pub struct ProviderOptions {
    pub stream: StreamName,
    pub network: Network,
    pub data_dir: PathBuf,
    /// `None`: a free stream.
    pub paid: Option<PaidOptions>,
}

/// What makes it a paid stream.
#[derive(Clone, Debug)]
pub struct PaidOptions {
    pub rate: Rate,
    pub payout: Payout,
    pub settle: SettlePolicy,
    pub chain: ChainConfig,
    /// `None`: ten seconds of the rate, but at least what settling costs.
    pub opening: Option<Amount>,
    pub window: Duration,
    pub grace: Duration,
    pub min_capacity: Amount,
    pub max_capacity: Amount,
    pub min_refund_delay: RefundDelay,
    pub max_refund_delay: RefundDelay,
    pub min_confirmations: u16,
    pub unconfirmed_limit: Amount,
    pub unconfirmed_total: Amount,
    pub max_unpaid_consumers: usize,
    pub funding_timeout: Duration,
}

/// Why a provider can't start.
#[derive(Debug, thiserror::Error)]
pub enum ProviderStartError {
    #[error("data-dir can't be used: {0}.")]
    Store(#[from] StoreError),
    #[error("data-dir can't be used: {0}.")]
    Seed(#[from] SeedError),
    #[error(transparent)]
    Chain(#[from] ChainStartError),
    #[error("no thread could be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// What the driver is told.
pub(crate) enum Event {
    Added {
        id: String,
        peer: Box<dyn ProviderPeer>,
    },
    Peer {
        id: String,
        event: PeerEvent,
    },
    Removed {
        id: String,
    },
    /// The rate has been changed.
    Rate(Rate),
    Chain(ChainEvent),
    /// A consumer of this origin can't be admitted for want of descriptors.
    MakeRoom(Origin),
    /// Close and settle what can be settled, then say so.
    Stop {
        done: Sender<()>,
    },
}

/// A running provider. Dropping it without [`ProviderHandle::stop`] leaves settling to the next start.
pub struct ProviderHandle {
    events: Sender<Event>,
    public_key: XOnlyPublicKey,
    earned: Amount,
    stats: Published<ProviderStats>,
    room: Room,
}

impl ProviderHandle {
    /// Opens what has to be open (store, seed) and starts the thread. Waits for the disk, not for the network.
    pub fn start(
        options: ProviderOptions,
        clock: Clock,
        report: ReportHandler,
    ) -> Result<Self, ProviderStartError> {
        let seed = Seed::load_or_create(&options.data_dir)?;
        let identity = keys::identity(&seed, options.network)?;
        // A free stream moves no money: any number may share a folder, for the sake of its identity key.
        let (lease, store) = match options.paid {
            Some(_) => {
                let lease = Lease::take(&options.data_dir, Role::Provider)?;
                (Some(lease), Store::open(&options.data_dir)?)
            }
            None => (None, Store::in_memory()?),
        };
        let earned = store.earned()?;
        let (events, receiver) = channel();
        let mut driver = Driver::new(options, identity, seed, store, events.clone(), clock, report)?;
        driver.publish(driver.now());
        let stats = driver.counts.published();
        let room = driver.room.clone();
        std::thread::Builder::new()
            .name("streamium-provider".into())
            .spawn(move || {
                let done = run(driver, &receiver);
                // Who waits may open the folder again at once.
                drop(lease);
                if let Some(done) = done {
                    let _ = done.send(());
                }
            })?;
        Ok(Self {
            events,
            public_key: identity.x_only_public_key().0,
            earned,
            stats,
            room,
        })
    }

    /// The identity key, for the link.
    pub fn public_key(&self) -> XOnlyPublicKey {
        self.public_key
    }

    /// What this data folder had earned when the provider started, in sat, before fees.
    pub fn earned_before(&self) -> Amount {
        self.earned
    }

    /// How it stands; about a second old at most, and the last word once it has stopped.
    pub fn stats(&self) -> Published<ProviderStats> {
        self.stats.clone()
    }

    /// How much room there is for consumers who have not paid.
    pub(crate) fn room(&self) -> Room {
        self.room.clone()
    }

    /// Something to hand events in with, from any thread and any callback.
    pub fn inputs(&self) -> ProviderInputs {
        ProviderInputs(self.events.clone())
    }

    /// Closes all sessions, settles what is confirmed, and waits for that, but no longer than `patience`. What could
    /// not be settled is settled at the next start.
    pub fn stop(self, patience: Duration) {
        let (done, finished) = channel();
        if self.events.send(Event::Stop { done }).is_ok() {
            // Whether it has finished or not: everything owed is on record.
            let _ = finished.recv_timeout(patience);
        }
    }
}

/// Hands events in. Never blocks.
#[derive(Clone)]
pub struct ProviderInputs(Sender<Event>);

impl ProviderInputs {
    /// A connection has been made; it stays closed until its data channel is open and it has paid.
    pub fn added(&self, id: &str, peer: Box<dyn ProviderPeer>) {
        self.send(Event::Added {
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
    pub fn removed(&self, id: &str) {
        self.send(Event::Removed { id: id.to_owned() });
    }

    /// There are too few descriptors for somebody from there: whoever has the least to lose may go.
    pub(crate) fn make_room(&self, origin: Origin) {
        self.send(Event::MakeRoom(origin));
    }

    fn send(&self, event: Event) {
        // A driver that has stopped has closed all its sessions.
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
        driver.tell_room();
    }
    driver.finish()
}
