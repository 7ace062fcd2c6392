//! Both drivers against each other over a connection in memory, on a real chain.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::regtest::Regtest;
use bitcoin::{Address, Amount, FeeRate, Network, OutPoint, Txid, XOnlyPublicKey};
use gststreamiumpay::boottime;
use gststreamiumpay::chain::{ChainConfig, parse_servers};
use gststreamiumpay::peer::{ConsumerPeer, Peer, PeerEvent, ProviderPeer};
use gststreamiumpay::report::{Field, Report};
use gststreamiumpay::session::consumer::{
    Authorizer, ConsumerHandle, ConsumerInputs, ConsumerOptions, ConsumerStatus,
};
use gststreamiumpay::session::provider::{PaidOptions, ProviderHandle, ProviderInputs, ProviderOptions};
use gststreamiumpay::settle::{DEFAULT_BATCH_DELAY, DEFAULT_MAX_FEE_RATE_SAT_PER_VB, SettlePolicy};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{Arrivals, ConsumerPolicy};
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::link::{Link, StreamName};
use streamium_channel::money::Rate;
use streamium_channel::terms::{Track, TrackKind};

/// Far more than anything here takes; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

/// The connection: what one side sends, the other's driver gets.
#[derive(Clone, Default)]
pub struct Wire(Arc<WireState>);

#[derive(Default)]
pub struct WireState {
    id: String,
    gate: AtomicBool,
    cut: AtomicBool,
    provider: Mutex<Option<ProviderInputs>>,
    consumer: Mutex<Option<ConsumerInputs>>,
}

impl Wire {
    pub fn connect(provider: &ProviderInputs, consumer: &ConsumerInputs) -> Self {
        Self::connect_as("session", provider, consumer)
    }

    /// With a session id of its own, for a second connection.
    pub fn connect_as(id: &str, provider: &ProviderInputs, consumer: &ConsumerInputs) -> Self {
        let wire = Self(Arc::new(WireState {
            id: id.to_owned(),
            ..WireState::default()
        }));
        *wire.0.provider.lock().unwrap() = Some(provider.clone());
        *wire.0.consumer.lock().unwrap() = Some(consumer.clone());
        provider.added(id, Box::new(ProviderEnd(wire.clone())));
        consumer.connected(id, Box::new(ConsumerEnd(wire.clone())));
        provider.peer_event(id, PeerEvent::Open);
        consumer.peer_event(id, PeerEvent::Open);
        wire
    }

    /// Whether media flows.
    pub fn is_open(&self) -> bool {
        self.0.gate.load(Ordering::SeqCst)
    }

    /// Both sides lose the connection.
    pub fn cut(&self) {
        if !self.0.cut.swap(true, Ordering::SeqCst) {
            self.0.gate.store(false, Ordering::SeqCst);
            if let Some(provider) = &*self.0.provider.lock().unwrap() {
                provider.removed(&self.0.id);
            }
            if let Some(consumer) = &*self.0.consumer.lock().unwrap() {
                consumer.disconnected(&self.0.id);
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.0.cut.load(Ordering::SeqCst) {
            Err("cut".into())
        } else {
            Ok(())
        }
    }
}

pub struct ProviderEnd(Wire);
pub struct ConsumerEnd(Wire);

pub const PROVIDER_CERTIFICATE: Bytes32 = Bytes32::new([0xaa; 32]);
pub const CONSUMER_CERTIFICATE: Bytes32 = Bytes32::new([0xbb; 32]);

impl Peer for ProviderEnd {
    fn send(&self, message: &str) -> Result<(), String> {
        self.0.check()?;
        let consumer = self.0.0.consumer.lock().unwrap().clone();
        consumer
            .unwrap()
            .peer_event(&self.0.0.id, PeerEvent::Text(message.into()));
        Ok(())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        Ok(Certificates {
            own: PROVIDER_CERTIFICATE,
            peer: CONSUMER_CERTIFICATE,
        })
    }

    fn end(&self) {
        self.0.cut();
    }
}

impl ProviderPeer for ProviderEnd {
    fn set_gate(&self, open: bool) {
        self.0.0.gate.store(open, Ordering::SeqCst);
    }

    fn tracks(&self) -> Vec<Track> {
        vec![Track {
            kind: TrackKind::Video,
            codecs: "VP8".into(),
        }]
    }
}

impl Peer for ConsumerEnd {
    fn send(&self, message: &str) -> Result<(), String> {
        self.0.check()?;
        let provider = self.0.0.provider.lock().unwrap().clone();
        provider
            .unwrap()
            .peer_event(&self.0.0.id, PeerEvent::Text(message.into()));
        Ok(())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        Ok(Certificates {
            own: CONSUMER_CERTIFICATE,
            peer: PROVIDER_CERTIFICATE,
        })
    }

    fn end(&self) {
        self.0.cut();
    }
}

impl ConsumerPeer for ConsumerEnd {
    fn arrivals(&self) -> Arrivals {
        let arrives = self.0.0.gate.load(Ordering::SeqCst);
        Arrivals {
            audio: None,
            video: arrives.then(boottime::now),
        }
    }

    fn show(&self) {}

    fn try_next(&self) {
        self.0.cut();
    }
}

/// The reports of one side, to be waited for.
pub struct Reports {
    receiver: Receiver<Report>,
    pub seen: Vec<Report>,
}

impl Reports {
    pub fn new() -> (Sender<Report>, Self) {
        let (sender, receiver) = channel();
        (
            sender,
            Self {
                receiver,
                seen: Vec::new(),
            },
        )
    }

    pub fn wait(&mut self, name: &str) -> Report {
        self.wait_for(name, |_| true)
    }

    pub fn wait_for(&mut self, name: &str, holds: impl Fn(&Report) -> bool) -> Report {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(report) = self.receiver.recv_timeout(left) else {
                panic!("waited in vain for {name}; seen: {:#?}", self.seen);
            };
            self.seen.push(report.clone());
            if report.name == name && holds(&report) {
                return report;
            }
        }
    }
}

impl Reports {
    /// True if nothing of this name comes for so long.
    pub fn quiet_for(&mut self, name: &str, time: Duration) -> bool {
        let end = Instant::now() + time;
        while let Ok(report) = self
            .receiver
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen.push(report);
        }
        self.seen.iter().all(|report| report.name != name)
    }
}

pub fn text(report: &Report, name: &str) -> String {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

pub fn number(report: &Report, name: &str) -> u64 {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Number(number))) => *number,
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

pub fn chain(regtest: &Regtest) -> ChainConfig {
    chain_at(regtest.electrum_url())
}

/// The same where the servers belong to another process.
pub fn chain_at(electrum_url: &str) -> ChainConfig {
    let servers = parse_servers(electrum_url).unwrap();
    ChainConfig {
        network: Network::Regtest,
        servers,
        proxy: None,
    }
}

pub fn new_address(regtest: &Regtest) -> Address {
    let text = regtest.cli(&["getnewaddress", "", "bech32m"]);
    text.trim()
        .parse::<Address<_>>()
        .unwrap()
        .require_network(Network::Regtest)
        .unwrap()
}

/// A provider of "cats" at 200 sat a second.
pub fn provider_options(regtest: &Regtest, dir: &Path, payout: &Address) -> ProviderOptions {
    provider_options_at(chain(regtest), dir, payout)
}

pub fn provider_options_at(chain: ChainConfig, dir: &Path, payout: &Address) -> ProviderOptions {
    ProviderOptions {
        stream: StreamName::new("cats").unwrap(),
        network: Network::Regtest,
        data_dir: dir.to_owned(),
        paid: Some(PaidOptions {
            rate: Rate::new(200_000),
            payout: payout.clone().into(),
            settle: SettlePolicy {
                settle_delay: Duration::from_secs(60),
                batch_delay: DEFAULT_BATCH_DELAY,
                max_fee_rate: FeeRate::from_sat_per_vb_u32(DEFAULT_MAX_FEE_RATE_SAT_PER_VB),
            },
            chain,
            opening: None,
            window: Duration::from_secs(3),
            grace: Duration::from_millis(500),
            min_capacity: sat(10_000),
            max_capacity: sat(1_000_000),
            min_refund_delay: RefundDelay::SHORTEST,
            max_refund_delay: RefundDelay::LONGEST,
            min_confirmations: 1,
            unconfirmed_limit: sat(10_000),
            unconfirmed_total: sat(20_000),
            max_unpaid_consumers: 4,
            funding_timeout: Duration::from_secs(600),
        }),
    }
}

pub fn provider(regtest: &Regtest, dir: &Path, payout: &Address) -> (ProviderHandle, Reports) {
    start_provider(provider_options(regtest, dir, payout))
}

pub fn start_provider(options: ProviderOptions) -> (ProviderHandle, Reports) {
    let (reports, seen) = Reports::new();
    let report = Box::new(move |report| drop(reports.send(report)));
    (
        ProviderHandle::start(options, boottime::now, report).unwrap(),
        seen,
    )
}

/// A consumer of "cats" with a capacity of 40,000 sat.
pub fn consumer_options(
    regtest: &Regtest,
    dir: &Path,
    provider: XOnlyPublicKey,
    budget: u64,
) -> ConsumerOptions {
    consumer_options_at(chain(regtest), dir, provider, budget)
}

pub fn consumer_options_at(
    chain: ChainConfig,
    dir: &Path,
    provider: XOnlyPublicKey,
    budget: u64,
) -> ConsumerOptions {
    ConsumerOptions {
        link: Link {
            tls: false,
            host: "h".into(),
            port: 1,
            stream: StreamName::new("cats").unwrap(),
            key: provider,
        },
        network: Network::Regtest,
        data_dir: dir.to_owned(),
        chain: Some(chain),
        policy: ConsumerPolicy {
            max_rate: Rate::new(1_000_000),
            max_opening: sat(5_000),
            max_window: Duration::from_secs(30),
            max_fee_rate: FeeRate::from_sat_per_vb_u32(50),
            capacity: sat(40_000),
            budget: sat(budget),
            refund_delay: RefundDelay::SHORTEST,
            payment_interval: Duration::from_millis(500),
        },
    }
}

pub fn consumer(
    regtest: &Regtest,
    dir: &Path,
    provider: XOnlyPublicKey,
    budget: u64,
) -> (ConsumerHandle, Reports) {
    start_consumer(consumer_options(regtest, dir, provider, budget))
}

pub fn start_consumer(options: ConsumerOptions) -> (ConsumerHandle, Reports) {
    start_asking_consumer(options, None)
}

/// One whose application is asked.
pub fn start_asking_consumer(
    options: ConsumerOptions,
    authorizer: Option<Authorizer>,
) -> (ConsumerHandle, Reports) {
    let (reports, seen) = Reports::new();
    let report = Box::new(move |report| drop(reports.send(report)));
    let status = Box::new(|_: ConsumerStatus| ());
    (
        ConsumerHandle::start(options, boottime::now, report, status, authorizer).unwrap(),
        seen,
    )
}

/// Pays what the consumer asks for, as a person would; answers how much.
pub fn fund(regtest: &Regtest, reports: &mut Reports) -> u64 {
    let asked = reports.wait("funding-required");
    let address = text(&asked, "address").parse::<Address<_>>().unwrap();
    let amount = number(&asked, "amount-sat");
    regtest.fund(&address.require_network(Network::Regtest).unwrap(), sat(amount));
    amount
}

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Mines a block once the commitment that was reported is in the mempool.
pub fn confirm(regtest: &Regtest, provided: &Reports) {
    let channel = provided
        .seen
        .iter()
        .find(|report| report.name == "channel")
        .unwrap();
    confirm_txid(
        regtest,
        text(channel, "outpoint").parse::<OutPoint>().unwrap().txid,
    );
}

pub fn confirm_txid(regtest: &Regtest, txid: Txid) {
    wait_for_mempool(regtest, txid);
    regtest.mine(1);
}

pub fn wait_for_mempool(regtest: &Regtest, txid: Txid) {
    wait_until("a transaction in the mempool", || {
        regtest.try_cli(&["getmempoolentry", &txid.to_string()]).is_ok()
    });
}

/// What a transaction pays to an address.
pub fn paid_to(regtest: &Regtest, txid: Txid, address: &Address) -> Amount {
    let tx = regtest.raw_tx(txid);
    tx.output
        .iter()
        .filter(|o| o.script_pubkey == address.script_pubkey())
        .map(|o| o.value)
        .sum()
}
