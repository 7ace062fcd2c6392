//! Both drivers against each other on a real chain, over a connection in memory: what a session does with money,
//! without the time that WebRTC takes. The whole, with WebRTC, is in `payment.rs`.

mod common;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, FeeRate, Network, OutPoint, Txid, XOnlyPublicKey};
use common::regtest::Regtest;
use gststreamiumpay::boottime;
use gststreamiumpay::chain::parse_servers;
use gststreamiumpay::session::consumer::{ConsumerHandle, ConsumerInputs, ConsumerOptions, ConsumerStatus};
use gststreamiumpay::session::provider::{PaidOptions, ProviderHandle, ProviderInputs, ProviderOptions};
use gststreamiumpay::session::{ChainConfig, ConsumerPeer, Field, Peer, PeerEvent, ProviderPeer, Report};
use gststreamiumpay::settle::{DEFAULT_BATCH_DELAY, DEFAULT_MAX_FEE_RATE_SAT_PER_VB, SettlePolicy};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::{Arrivals, ConsumerPolicy};
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::link::{Link, StreamName};
use streamium_channel::money::Rate;
use streamium_channel::terms::{Track, TrackKind};

/// Far more than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(60);

fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

/// The connection: what one side sends, the other's driver gets.
#[derive(Clone, Default)]
struct Wire(Arc<WireState>);

#[derive(Default)]
struct WireState {
    gate: AtomicBool,
    cut: AtomicBool,
    provider: Mutex<Option<ProviderInputs>>,
    consumer: Mutex<Option<ConsumerInputs>>,
}

impl Wire {
    fn connect(provider: &ProviderInputs, consumer: &ConsumerInputs) -> Self {
        let wire = Self::default();
        *wire.0.provider.lock().unwrap() = Some(provider.clone());
        *wire.0.consumer.lock().unwrap() = Some(consumer.clone());
        provider.added("session", Box::new(ProviderEnd(wire.clone())));
        consumer.connected("session", Box::new(ConsumerEnd(wire.clone())));
        provider.peer_event("session", PeerEvent::Open);
        consumer.peer_event("session", PeerEvent::Open);
        wire
    }

    fn cut(&self) {
        if !self.0.cut.swap(true, Ordering::SeqCst) {
            self.0.gate.store(false, Ordering::SeqCst);
            if let Some(provider) = &*self.0.provider.lock().unwrap() {
                provider.removed("session");
            }
            if let Some(consumer) = &*self.0.consumer.lock().unwrap() {
                consumer.disconnected("session");
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

struct ProviderEnd(Wire);
struct ConsumerEnd(Wire);

const PROVIDER_CERTIFICATE: Bytes32 = Bytes32::new([0xaa; 32]);
const CONSUMER_CERTIFICATE: Bytes32 = Bytes32::new([0xbb; 32]);

impl Peer for ProviderEnd {
    fn send(&self, message: &str) -> Result<(), String> {
        self.0.check()?;
        let consumer = self.0.0.consumer.lock().unwrap().clone();
        consumer
            .unwrap()
            .peer_event("session", PeerEvent::Text(message.into()));
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
            .peer_event("session", PeerEvent::Text(message.into()));
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
struct Reports {
    receiver: Receiver<Report>,
    seen: Vec<Report>,
}

impl Reports {
    fn new() -> (Sender<Report>, Self) {
        let (sender, receiver) = channel();
        (
            sender,
            Self {
                receiver,
                seen: Vec::new(),
            },
        )
    }

    fn wait(&mut self, name: &str) -> Report {
        self.wait_for(name, |_| true)
    }

    fn wait_for(&mut self, name: &str, holds: impl Fn(&Report) -> bool) -> Report {
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

fn text(report: &Report, name: &str) -> String {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

fn number(report: &Report, name: &str) -> u64 {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Number(number))) => *number,
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

fn chain(regtest: &Regtest) -> ChainConfig {
    let servers = parse_servers(regtest.electrum_url()).unwrap();
    ChainConfig {
        network: Network::Regtest,
        servers,
        proxy: None,
    }
}

fn new_address(regtest: &Regtest) -> Address {
    let text = regtest.cli(&["getnewaddress", "", "bech32m"]);
    text.trim()
        .parse::<Address<_>>()
        .unwrap()
        .require_network(Network::Regtest)
        .unwrap()
}

fn provider(regtest: &Regtest, dir: &Path, payout: &Address) -> (ProviderHandle, Reports) {
    let (reports, seen) = Reports::new();
    let options = ProviderOptions {
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
            chain: chain(regtest),
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
            settle_delay: Duration::from_secs(60),
            funding_timeout: Duration::from_secs(600),
        }),
    };
    let report = Box::new(move |report| drop(reports.send(report)));
    (
        ProviderHandle::start(options, boottime::now, report).unwrap(),
        seen,
    )
}

fn consumer(
    regtest: &Regtest,
    dir: &Path,
    provider: XOnlyPublicKey,
    budget: u64,
) -> (ConsumerHandle, Reports) {
    let (reports, seen) = Reports::new();
    let options = ConsumerOptions {
        link: Link {
            tls: false,
            host: "h".into(),
            port: 1,
            stream: StreamName::new("cats").unwrap(),
            key: provider,
        },
        network: Network::Regtest,
        data_dir: dir.to_owned(),
        chain: Some(chain(regtest)),
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
    };
    let report = Box::new(move |report| drop(reports.send(report)));
    let status = Box::new(|_: ConsumerStatus| ());
    (
        ConsumerHandle::start(options, boottime::now, report, status).unwrap(),
        seen,
    )
}

/// Pays what the consumer asks for, as a person would; answers how much.
fn fund(regtest: &Regtest, reports: &mut Reports) -> u64 {
    let asked = reports.wait("funding-required");
    let address = text(&asked, "address").parse::<Address<_>>().unwrap();
    let amount = number(&asked, "amount-sat");
    regtest.fund(&address.require_network(Network::Regtest).unwrap(), sat(amount));
    amount
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::yield_now();
    }
}

/// Mines a block once the commitment that was reported is in the mempool.
fn confirm(regtest: &Regtest, provided: &Reports) {
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

fn confirm_txid(regtest: &Regtest, txid: Txid) {
    wait_for_mempool(regtest, txid);
    regtest.mine(1);
}

fn wait_for_mempool(regtest: &Regtest, txid: Txid) {
    wait_until("a transaction in the mempool", || {
        regtest.try_cli(&["getmempoolentry", &txid.to_string()]).is_ok()
    });
}

/// What a transaction pays to an address.
fn paid_to(regtest: &Regtest, txid: Txid, address: &Address) -> Amount {
    let tx = regtest.raw_tx(txid);
    tx.output
        .iter()
        .filter(|o| o.script_pubkey == address.script_pubkey())
        .map(|o| o.value)
        .sum()
}

#[test]
fn a_session_from_funding_to_settlement_on_chain() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), provider.public_key(), 20_000);
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());

    fund(regtest, &mut consumed);
    provided.wait_for("gate", |report| text(report, "state") == "open");
    assert!(wire.0.gate.load(Ordering::SeqCst));
    confirm(regtest, &provided);
    provided.wait_for("channel", |report| number(report, "confirmations") == 1);
    let paid = provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    let outpoint: OutPoint = text(&paid, "outpoint").parse().unwrap();

    consumer.stop(PATIENCE);
    let settling = provided.wait("settling");
    let balance = number(
        &provided
            .seen
            .iter()
            .rfind(|r| r.name == "payment")
            .unwrap()
            .clone(),
        "balance-sat",
    );
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    let (payout_sat, fee) = (number(&settling, "payout-sat"), number(&settling, "fee-sat"));
    assert_eq!(payout_sat + fee, balance);
    let told: Txid = text(&consumed.wait_for("settled", |_| true), "txid")
        .parse()
        .unwrap();
    assert_eq!(told, txid, "the consumer was told");

    // It is in the mempool by the time the provider says that it has stopped.
    provider.stop(PATIENCE);
    let tx = regtest.raw_tx(txid);
    assert_eq!(tx.input[0].previous_output, outpoint);
    assert_eq!(
        tx.output[0].value,
        sat(40_000 - balance),
        "change is capacity less balance"
    );
    assert_eq!(paid_to(regtest, txid, &payout), sat(payout_sat));
    regtest.mine(1);
}

#[test]
fn what_was_due_when_the_provider_died_is_settled_at_its_next_start() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let folder = dirs.path().join("p");
    let payout = new_address(regtest);
    let (first, mut provided) = provider(regtest, &folder, &payout);
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), first.public_key(), 20_000);
    let wire = Wire::connect(&first.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    let paid = provided.wait("payment");
    let outpoint: OutPoint = text(&paid, "outpoint").parse().unwrap();

    // The commitment is not confirmed, so nothing can be settled when the provider stops.
    first.stop(PATIENCE);
    wire.cut();
    consumer.stop(PATIENCE);
    assert!(!provided.seen.iter().any(|report| report.name == "settling"));

    let (second, mut provided) = provider(regtest, &folder, &payout);
    provided.wait("waiting");
    confirm_txid(regtest, outpoint.txid);
    let settling = provided.wait("settling");
    assert_eq!(text(&settling, "outpoint").parse::<OutPoint>().unwrap(), outpoint);
    second.stop(PATIENCE);
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    assert_eq!(
        paid_to(regtest, txid, &payout),
        sat(number(&settling, "payout-sat"))
    );
    regtest.mine(6);

    let (third, mut provided) = provider(regtest, &folder, &payout);
    assert_eq!(
        text(&provided.wait("settled"), "txid").parse::<Txid>().unwrap(),
        txid
    );
    third.stop(PATIENCE);
}

#[test]
fn what_a_vanished_provider_never_settled_comes_back_in_full() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let folder = dirs.path().join("c");
    let payout = new_address(regtest);
    let (gone, _provided) = provider(regtest, &dirs.path().join("p"), &payout);
    let key = gone.public_key();
    let (first, mut consumed) = consumer(regtest, &folder, key, 20_000);
    let wire = Wire::connect(&gone.inputs(), &first.inputs());
    fund(regtest, &mut consumed);
    let channel = consumed.wait("payment");
    let outpoint: OutPoint = text(&channel, "outpoint").parse().unwrap();
    wait_for_mempool(regtest, outpoint.txid);
    gone.stop(PATIENCE);
    wire.cut();
    consumed.wait("ended");
    first.stop(PATIENCE);

    confirm_txid(regtest, outpoint.txid);
    regtest.mine(142);
    let (second, mut consumed) = consumer(regtest, &folder, key, 20_000);
    regtest.mine(1);
    let refund = consumed.wait("refund");
    assert_eq!(text(&refund, "outpoint").parse::<OutPoint>().unwrap(), outpoint);
    let txid: Txid = text(&refund, "txid").parse().unwrap();
    wait_for_mempool(regtest, txid);
    let tx = regtest.raw_tx(txid);
    assert_eq!(tx.output[0].value, sat(number(&refund, "amount-sat")));
    assert!(tx.output[0].value > sat(39_000));
    regtest.mine(1);
    second.stop(PATIENCE);
}

#[test]
fn terms_beyond_the_budget_lock_nothing() {
    let regtest = &Regtest::start();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let (provider, mut provided) = provider(regtest, &dirs.path().join("p"), &payout);
    // A budget below the opening payment is refused before anything is locked.
    let (consumer, mut consumed) = consumer(regtest, &dirs.path().join("c"), provider.public_key(), 500);
    Wire::connect(&provider.inputs(), &consumer.inputs());
    let ended = consumed.wait("ended");
    assert!(text(&ended, "reason").contains("above the budget"), "{ended:?}");
    provided.wait("ended");
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
}
