//! A provider's data folder with channels in it, as a stream leaves it behind, and an engine on it.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use bitcoin::bip32::DerivationPath;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::{Address, Amount, Denomination, FeeRate, Network, OutPoint, ScriptBuf, Transaction};
use gststreamiumpay::report::Report;
use gststreamiumpay::settle::standalone::{Standalone, Stopper};
use gststreamiumpay::settle::{Payout, SettlePolicy};
use gststreamiumpay::store::{ProviderChannelState, Role, Store};
use gststreamiumpay::wallet::Seed;
use serde_json::{Value, json};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::commitment;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::ProviderRecord;
use streamium_channel::script::ChangeScript;

pub use crate::common::coins::{mine_empty, sat, wait_for_mempool};
use crate::common::driver::chain;
use crate::common::regtest::Regtest;
use crate::common::reports::Reports;
pub use crate::common::reports::{outpoint_of, text};
pub use crate::common::wait::wait_until;

pub const CAPACITY_SAT: u64 = 50_000;

/// The consumer of all channels; the provider's key is fresh for each.
pub fn consumer() -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[0x11; 32]).unwrap()
}

pub fn p2tr(byte: u8) -> ScriptBuf {
    let key = Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap();
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &key.x_only_public_key().0.serialize()].concat())
}

pub fn payout() -> Address {
    Address::from_script(&p2tr(0x77), Network::Regtest).unwrap()
}

/// A data folder of a provider that is not running.
pub struct Folder {
    pub dir: tempfile::TempDir,
    seed: Seed,
}

impl Folder {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seed = Seed::load_or_create(dir.path()).unwrap();
        Self { dir, seed }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    pub fn store(&self) -> Store {
        Store::open(self.path()).unwrap()
    }

    fn provider_key(&self, index: u32) -> Keypair {
        let path: DerivationPath = format!("m/7823'/1'/1'/{index}'").parse().unwrap();
        self.seed.derive(&path).unwrap()
    }

    /// Channels with these balances, due, all funded by one transaction with so many confirmations.
    pub fn channels(
        &self,
        regtest: &Regtest,
        balances: &[u64],
        delay: u16,
        confirmations: u32,
    ) -> Vec<Channel> {
        let mut store = self.store();
        let contracts: Vec<(u32, Contract)> = balances
            .iter()
            .map(|_| {
                let index = store.next_key_index(Role::Provider).unwrap();
                (index, contract(&self.provider_key(index), delay))
            })
            .collect();
        let pays: serde_json::Map<String, Value> = contracts
            .iter()
            .map(|(_, contract)| {
                let script = contract.script().unwrap();
                let amount = contract.capacity().to_string_in(Denomination::Bitcoin);
                (
                    script.address(Network::Regtest).unwrap().to_string(),
                    json!(amount),
                )
            })
            .collect();
        let txid = regtest.cli(&["-rpcwallet=miner", "sendmany", "", &json!(pays).to_string()]);
        let tx = regtest.raw_tx(txid.parse().unwrap());
        if confirmations > 0 {
            regtest.mine(1);
            mine_empty(regtest, confirmations - 1);
        }
        let height = regtest.height();
        let made = contracts.into_iter().zip(balances);
        made.map(|((index, contract), balance)| {
            let channel = checked(&contract, &tx, height);
            record(&mut store, &channel, index, &tx, sat(*balance));
            channel
        })
        .collect()
    }

    pub fn state(&self, outpoint: OutPoint) -> ProviderChannelState {
        self.store().provider_channel(outpoint).unwrap().state
    }

    pub fn variants(&self, outpoint: OutPoint) -> Vec<Transaction> {
        let made = self.store().provider_channel(outpoint).unwrap().settlements;
        made.into_iter().map(|made| made.transaction).collect()
    }

    /// An engine that stays, in a thread of its own.
    pub fn engine(&self, regtest: &Regtest) -> Running {
        let (sender, reports) = Reports::new();
        let report = Box::new(move |report: Report| drop(sender.send(report)));
        let policy = SettlePolicy {
            settle_delay: Duration::ZERO,
            batch_delay: Duration::ZERO,
            max_fee_rate: FeeRate::from_sat_per_vb_u32(500),
        };
        let payout: Payout = payout().into();
        let mut engine = Standalone::start(self.path(), &chain(regtest), payout, policy, report).unwrap();
        let stopper = engine.stopper();
        let thread = std::thread::spawn(move || engine.watch());
        Running {
            reports,
            stopper,
            thread: Some(thread),
        }
    }
}

fn contract(provider: &Keypair, delay: u16) -> Contract {
    let public = |key: &Keypair| key.x_only_public_key().0;
    Contract::new(
        ChannelKeys::new(public(&consumer()), public(provider)).unwrap(),
        RefundDelay::new(delay).unwrap(),
        sat(CAPACITY_SAT),
        ChangeScript::new(p2tr(0x55)).unwrap(),
    )
    .unwrap()
}

fn checked(contract: &Contract, tx: &Transaction, height: u32) -> Channel {
    let script = contract.script().unwrap().script_pubkey().clone();
    let vout = tx.output.iter().position(|output| output.script_pubkey == script);
    commitment::check(contract, tx, vout.unwrap() as u32, Some(height)).unwrap()
}

fn record(store: &mut Store, channel: &Channel, key_index: u32, commitment: &Transaction, balance: Amount) {
    let outpoint = channel.outpoint();
    let record = ProviderRecord {
        contract: channel.contract().clone(),
        outpoint,
        key_index,
        stream: "cats".into(),
        rate: Rate::new(1_000),
        commitment: commitment.clone(),
        follows: None,
        went_on_to: None,
        best: None,
        carried: bitcoin::Amount::ZERO,
        consumed: Msat::ZERO,
    };
    store.insert_provider_channel(&record).unwrap();
    let best = Some(Payment::sign(channel, &consumer(), balance).unwrap().into());
    let consumed = Msat::ZERO;
    store
        .save_accounts(&[AccountRecord {
            outpoint,
            best,
            carried: bitcoin::Amount::ZERO,
            consumed,
        }])
        .unwrap();
    store
        .set_provider_state(outpoint, ProviderChannelState::Due, None)
        .unwrap();
}

/// A running engine and what it says.
pub struct Running {
    reports: Reports,
    stopper: Stopper,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    pub fn wait_for(&mut self, name: &str, holds: impl Fn(&Report) -> bool) -> Report {
        self.reports.wait_for(name, holds)
    }

    pub fn wait(&mut self, name: &str) -> Report {
        self.reports.wait(name)
    }

    /// The next settlement, once the node has it.
    pub fn settling(&mut self, regtest: &Regtest) -> Transaction {
        let settling = self.wait("settling");
        let txid = text(&settling, "txid").parse().unwrap();
        wait_for_mempool(regtest, txid);
        regtest.raw_tx(txid)
    }

    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stopper.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.end();
        }
    }
}

/// What a transaction of channels pays its miner.
pub fn fee(tx: &Transaction) -> u64 {
    let paid: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
    CAPACITY_SAT * tx.input.len() as u64 - paid
}

pub fn inputs(tx: &Transaction) -> Vec<OutPoint> {
    let mut inputs: Vec<_> = tx.input.iter().map(|input| input.previous_output).collect();
    inputs.sort_unstable();
    inputs
}

pub fn outpoints(channels: &[Channel]) -> Vec<OutPoint> {
    let mut outpoints: Vec<_> = channels.iter().map(Channel::outpoint).collect();
    outpoints.sort_unstable();
    outpoints
}
