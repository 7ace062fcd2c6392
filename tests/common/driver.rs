//! Both drivers against each other over a connection in memory, on a real chain.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::time::Duration;

use bitcoin::{Address, FeeRate, Network, OutPoint, Txid, XOnlyPublicKey};
use gststreamiumpay::boottime;
use gststreamiumpay::chain::ChainConfig;
use gststreamiumpay::chain::parse_servers;
use gststreamiumpay::session::consumer::{Authorizer, ConsumerHandle, ConsumerOptions, ConsumerStatus};
use gststreamiumpay::session::provider::{PaidOptions, ProviderHandle, ProviderOptions};
use gststreamiumpay::settle::{DEFAULT_BATCH_DELAY, DEFAULT_MAX_FEE_RATE_SAT_PER_VB, SettlePolicy};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::ConsumerPolicy;
use streamium_channel::link::{Link, StreamName};
use streamium_channel::money::Rate;

use super::coins::{new_address, sat, wait_for_mempool};
use super::regtest::Regtest;
use super::reports::{Reports, number, outpoint_of, text};
use super::wire::Wire;

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

/// A chain, and the folders of a provider and a consumer.
pub struct Stage {
    pub regtest: Regtest,
    dirs: tempfile::TempDir,
    pub payout: Address,
}

impl Stage {
    pub fn new() -> Self {
        let regtest = Regtest::start();
        let payout = new_address(&regtest);
        Self {
            regtest,
            dirs: tempfile::tempdir().unwrap(),
            payout,
        }
    }

    pub fn folder(&self, name: &str) -> PathBuf {
        self.dirs.path().join(name)
    }

    pub fn provider(&self) -> (ProviderHandle, Reports) {
        provider(&self.regtest, &self.folder("p"), &self.payout)
    }

    pub fn consumer(&self, provider: XOnlyPublicKey, budget: u64) -> (ConsumerHandle, Reports) {
        consumer(&self.regtest, &self.folder("c"), provider, budget)
    }

    /// Both, playing.
    pub fn playing(&self, budget: u64) -> Playing {
        let provider = self.provider();
        let consumer = self.consumer(provider.0.public_key(), budget);
        Playing::start(&self.regtest, provider, consumer)
    }
}

/// Both sides of a session on a channel whose commitment is confirmed.
pub struct Playing {
    pub provider: ProviderHandle,
    pub provided: Reports,
    pub consumer: ConsumerHandle,
    pub consumed: Reports,
    pub wire: Wire,
    pub outpoint: OutPoint,
}

impl Playing {
    pub fn start(
        regtest: &Regtest,
        (provider, mut provided): (ProviderHandle, Reports),
        (consumer, mut consumed): (ConsumerHandle, Reports),
    ) -> Self {
        let wire = Wire::connect(&provider.inputs(), &consumer.inputs());
        fund(regtest, &mut consumed);
        let outpoint = outpoint_of(&provided.wait("payment"));
        confirm_txid(regtest, outpoint.txid);
        Self {
            provider,
            provided,
            consumer,
            consumed,
            wire,
            outpoint,
        }
    }
}
