//! A chain whose blocks, fees and mempool the tests set, and an engine that follows it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, BlockHash, FeeRate, Network, OutPoint, Script, ScriptBuf, Transaction, TxIn, TxOut,
    Txid, absolute,
};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::ProviderRecord;
use streamium_channel::script::ChangeScript;

pub use super::super::*;
use crate::chain::{BroadcastError, ChainEvent, ScriptTransaction, WalletRequest};
use crate::keys;
use crate::report::Field;
use crate::store::Role;
use crate::wallet::Seed;

pub const MINUTE: Duration = Duration::from_secs(60);
pub const BATCH_DELAY: Duration = Duration::from_secs(600);

/// So long after a block servers have said what it holds.
pub const QUIET: Duration = Duration::from_secs(10);

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

pub const fn vb(rate: u32) -> FeeRate {
    FeeRate::from_sat_per_vb_u32(rate)
}

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap()
}

fn p2tr(byte: u8) -> ScriptBuf {
    let key = key(byte).x_only_public_key().0.serialize();
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &key].concat())
}

pub fn address() -> Address {
    Address::from_script(&p2tr(9), Network::Regtest).unwrap()
}

/// What servers would say.
struct Servers {
    height: u32,
    forks: u8,
    header_time: SystemTime,
    is_reachable: bool,
    fee: Box<dyn Fn(u16) -> Option<FeeRate> + Send>,
    /// Transactions, with the height of their block.
    known: BTreeMap<Txid, (Transaction, Option<u32>)>,
    handed_out: Vec<Transaction>,
}

/// [`Chain`] for one engine.
pub struct FakeChain(Mutex<Servers>);

impl Chain for FakeChain {
    fn watch(&self, _: &Script) {}
    fn unwatch(&self, _: &Script) {}
    fn broadcast(&self, tx: &Transaction) {
        self.0.lock().unwrap().handed_out.push(tx.clone());
    }
    fn sync_wallet(&self, _: WalletRequest) {}
    fn tip(&self) -> Option<Tip> {
        let servers = self.0.lock().unwrap();
        let mut hash = [servers.forks; 32];
        hash[..4].copy_from_slice(&servers.height.to_le_bytes());
        servers.is_reachable.then(|| Tip {
            height: servers.height,
            hash: BlockHash::from_byte_array(hash),
            header_time: servers.header_time,
            learnt: servers.header_time,
        })
    }
    fn fee_rate(&self, within_blocks: u16) -> Option<FeeRate> {
        (self.0.lock().unwrap().fee)(within_blocks)
    }
    fn stop(&self) {}
}

/// Engine, store and chain, and a clock.
pub struct World {
    pub engine: Engine,
    pub store: Store,
    pub chain: FakeChain,
    pub now: Duration,
    pub wall: SystemTime,
    pub reports: Vec<Report>,
    pub told: Vec<(OutPoint, Txid)>,
    /// What the node says of the next transactions that are handed out.
    pub answer: Result<(), BroadcastError>,
    pub seed: Seed,
    scripts: HashMap<OutPoint, ScriptBuf>,
    channels: HashMap<OutPoint, Channel>,
    payout: Payout,
}

impl World {
    pub fn new() -> Self {
        Self::with_payout(address().into())
    }

    pub fn with_payout(payout: Payout) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let seed = Seed::load_or_create(dir.path()).unwrap();
        let wall = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let servers = Servers {
            height: 2_000,
            forks: 0,
            header_time: wall,
            is_reachable: true,
            fee: Box::new(|_| Some(vb(1))),
            known: BTreeMap::new(),
            handed_out: Vec::new(),
        };
        Self {
            engine: engine(&payout, &seed),
            store: Store::in_memory().unwrap(),
            chain: FakeChain(Mutex::new(servers)),
            now: Duration::from_secs(5_000),
            wall,
            reports: Vec::new(),
            told: Vec::new(),
            answer: Ok(()),
            seed,
            scripts: HashMap::new(),
            channels: HashMap::new(),
            payout,
        }
    }

    /// A channel on record whose commitment nobody knows yet, with a balance (none if 0).
    pub fn record(&mut self, balance: u64) -> OutPoint {
        self.record_with(balance, 1_008)
    }

    pub fn record_with(&mut self, balance: u64, delay: u16) -> OutPoint {
        let index = self.store.next_key_index(Role::Provider).unwrap();
        let provider = keys::channel(&self.seed, Network::Regtest, Role::Provider, index).unwrap();
        let public = |key: &Keypair| key.x_only_public_key().0;
        let contract = Contract::new(
            ChannelKeys::new(public(&key(1)), public(&provider)).unwrap(),
            RefundDelay::new(delay).unwrap(),
            sat(1_000_000),
            ChangeScript::new(p2tr(2)).unwrap(),
        )
        .unwrap();
        let script = contract.script().unwrap().script_pubkey().clone();
        let commitment = pay(OutPoint::null(), sat(1_000_000), script.clone());
        let outpoint = OutPoint::new(commitment.compute_txid(), 0);
        let channel = Channel::new(contract.clone(), outpoint).unwrap();
        let record = ProviderRecord {
            contract,
            outpoint,
            key_index: index,
            stream: "cats".into(),
            rate: Rate::new(1_000),
            commitment,
            follows: None,
            went_on_to: None,
            best: None,
            carried: Amount::ZERO,
            consumed: Msat::ZERO,
        };
        self.store.insert_provider_channel(&record).unwrap();
        if balance > 0 {
            let best = Payment::sign(&channel, &key(1), sat(balance)).unwrap().into();
            let update = AccountRecord {
                outpoint,
                best: Some(best),
                carried: Amount::ZERO,
                consumed: Msat::ZERO,
            };
            self.store.save_accounts(&[update]).unwrap();
        }
        self.scripts.insert(outpoint, script);
        self.channels.insert(outpoint, channel);
        outpoint
    }

    /// A channel on record with so many confirmations.
    pub fn open(&mut self, balance: u64, confirmations: u32) -> OutPoint {
        self.open_with(balance, confirmations, 1_008)
    }

    pub fn open_with(&mut self, balance: u64, confirmations: u32, delay: u16) -> OutPoint {
        let outpoint = self.record_with(balance, delay);
        let height = self.height() + 1 - confirmations;
        self.put(self.commitment(outpoint), Some(height));
        outpoint
    }

    /// An open channel whose session has ended.
    pub fn due(&mut self, balance: u64, confirmations: u32) -> OutPoint {
        let outpoint = self.open(balance, confirmations);
        self.release(outpoint, Release::Now);
        outpoint
    }

    pub fn commitment(&self, outpoint: OutPoint) -> Transaction {
        self.store.provider_channel(outpoint).unwrap().record.commitment
    }

    // The engine.

    pub fn with<T>(&mut self, work: impl FnOnce(&mut Engine, &mut Outside<'_>) -> T) -> T {
        let mut out = Outside {
            store: &mut self.store,
            chain: &self.chain,
            now: self.now,
            wall: self.wall,
        };
        let done = work(&mut self.engine, &mut out);
        for said in self.engine.drain() {
            match said {
                Said::Report(report) => {
                    assert_eq!(report.check(&crate::catalogue::SINK), Ok(()));
                    self.reports.push(report);
                }
                Said::Settling { outpoint, txid } => self.told.push((outpoint, txid)),
            }
        }
        done
    }

    pub fn release(&mut self, outpoint: OutPoint, release: Release) {
        self.with(|engine, out| engine.release(outpoint, release, out))
            .unwrap();
        self.news(outpoint);
    }

    /// As after a crash: the engine knows nothing but the store.
    pub fn restart(&mut self) {
        self.engine = engine(&self.payout, &self.seed);
        self.with(|engine, out| engine.recover(out));
    }

    pub fn pass(&mut self, time: Duration) {
        self.now += time;
        self.with(|engine, out| engine.tick(out));
        self.node();
    }

    /// Servers say what they know of one channel.
    pub fn news(&mut self, outpoint: OutPoint) {
        let transactions = self.known_of(outpoint);
        let script = self.scripts[&outpoint].clone();
        self.event(&ChainEvent::Script { script, transactions });
    }

    /// A server says that the commitment is in a block, and has not proven it.
    pub fn claim(&mut self, outpoint: OutPoint) {
        let mut transactions = self.known_of(outpoint);
        for tx in &mut transactions {
            tx.is_claimed = tx.height.take().is_some();
        }
        let script = self.scripts[&outpoint].clone();
        self.event(&ChainEvent::Script { script, transactions });
    }

    pub fn all_news(&mut self) {
        let mut outpoints: Vec<_> = self.scripts.keys().copied().collect();
        outpoints.sort_unstable();
        for outpoint in outpoints {
            self.news(outpoint);
        }
    }

    pub fn event(&mut self, event: &ChainEvent) {
        self.with(|engine, out| engine.chain_event(event, out));
        self.node();
    }

    // The chain.

    fn servers<T>(&self, change: impl FnOnce(&mut Servers) -> T) -> T {
        change(&mut self.chain.0.lock().unwrap())
    }

    pub fn height(&self) -> u32 {
        self.servers(|servers| servers.height)
    }

    pub fn set_reachable(&self, is_reachable: bool) {
        self.servers(|servers| servers.is_reachable = is_reachable);
    }

    pub fn fee(&self, fee: impl Fn(u16) -> Option<FeeRate> + Send + 'static) {
        self.servers(|servers| servers.fee = Box::new(fee));
    }

    pub fn set_fee(&mut self, rate: u32) {
        self.fee(move |_| Some(vb(rate)));
        self.event(&ChainEvent::FeeRate(vb(rate)));
    }

    /// Puts a transaction into a block or, with `None`, into the mempool.
    pub fn put(&self, tx: Transaction, height: Option<u32>) {
        self.servers(|servers| servers.known.insert(tx.compute_txid(), (tx, height)));
    }

    pub fn forget(&self, txid: Txid) {
        self.servers(|servers| servers.known.remove(&txid));
    }

    fn known_of(&self, outpoint: OutPoint) -> Vec<ScriptTransaction> {
        self.servers(|servers| {
            let known = servers.known.iter().filter(|(txid, (tx, _))| {
                **txid == outpoint.txid || tx.input.iter().any(|input| input.previous_output == outpoint)
            });
            known
                .map(|(txid, (tx, height))| ScriptTransaction {
                    txid: *txid,
                    tx: Arc::new(tx.clone()),
                    height: *height,
                    is_claimed: false,
                })
                .collect()
        })
    }

    /// The node answers what was handed out. What it takes replaces what it conflicts with.
    fn node(&mut self) {
        let handed_out: Vec<Transaction> = self.servers(|servers| std::mem::take(&mut servers.handed_out));
        for tx in handed_out {
            let txid = tx.compute_txid();
            if self.answer.is_ok() && !self.servers(|servers| servers.known.contains_key(&txid)) {
                self.replace(&tx);
            }
            let result = self.answer.clone();
            self.event(&ChainEvent::Broadcast { txid, result });
            let spent = tx.input.iter().map(|input| input.previous_output);
            let known = spent.filter(|spent| self.scripts.contains_key(spent));
            let known: Vec<_> = known.collect();
            known.into_iter().for_each(|outpoint| self.news(outpoint));
        }
    }

    fn replace(&self, tx: &Transaction) {
        let spends = |other: &Transaction| {
            let mut spent = other.input.iter().map(|input| input.previous_output);
            spent.any(|spent| tx.input.iter().any(|input| input.previous_output == spent))
        };
        self.servers(|servers| {
            servers
                .known
                .retain(|_, (other, height)| height.is_some() || !spends(other));
        });
        self.put(tx.clone(), None);
    }

    /// A block with these transactions of the mempool.
    pub fn block(&mut self, txids: &[Txid]) {
        self.mine(txids);
        self.pass_block();
    }

    /// A block of which only the header is known.
    pub fn tip_before_news(&mut self, txids: &[Txid]) {
        self.mine(txids);
        self.now += Tip::BLOCK_INTERVAL;
        self.tip();
    }

    fn mine(&self, txids: &[Txid]) {
        self.servers(|servers| {
            servers.height += 1;
            let height = servers.height;
            for txid in txids {
                servers.known.get_mut(txid).expect("it is in the mempool").1 = Some(height);
            }
        });
    }

    pub fn blocks(&mut self, count: u32) {
        (0..count).for_each(|_| self.block(&[]));
    }

    fn pass_block(&mut self) {
        self.now += Tip::BLOCK_INTERVAL;
        self.wall += Tip::BLOCK_INTERVAL;
        let wall = self.wall;
        self.servers(|servers| servers.header_time = wall);
        self.all_news();
        self.tip();
        self.pass(QUIET);
    }

    /// The last blocks are not in the chain any more, and as many empty ones and one more are.
    pub fn reorganise(&mut self, depth: u32) {
        self.fork(depth);
        self.pass_block();
    }

    /// The same, of which only the header is known.
    pub fn reorganise_before_news(&mut self, depth: u32) {
        self.fork(depth);
        self.now += Tip::BLOCK_INTERVAL;
        self.tip();
    }

    fn fork(&self, depth: u32) {
        self.servers(|servers| {
            let gone = servers.height - depth;
            servers.height += 1;
            servers.forks += 1;
            for (_, height) in servers.known.values_mut() {
                *height = height.filter(|height| *height <= gone);
            }
        });
    }

    pub fn tip(&mut self) {
        if let Some(tip) = self.chain.tip() {
            self.event(&ChainEvent::Tip(tip));
        }
    }

    /// The unconfirmed transactions that the node has.
    pub fn mempool(&self) -> Vec<Transaction> {
        self.servers(|servers| {
            let unconfirmed = servers.known.values().filter(|(_, height)| height.is_none());
            unconfirmed.map(|(tx, _)| tx.clone()).collect()
        })
    }

    /// The only unconfirmed transaction.
    pub fn only(&self) -> Transaction {
        let mempool = self.mempool();
        assert_eq!(mempool.len(), 1, "{mempool:#?}");
        mempool[0].clone()
    }

    // What is found out.

    pub fn said(&self, name: &str) -> Vec<&Report> {
        self.reports.iter().filter(|report| report.name == name).collect()
    }

    pub fn variants(&self, outpoint: OutPoint) -> Vec<Txid> {
        let made = self.store.provider_channel(outpoint).unwrap().settlements;
        made.iter().map(|made| made.transaction.compute_txid()).collect()
    }

    pub fn state(&self, outpoint: OutPoint) -> ProviderChannelState {
        self.store.provider_channel(outpoint).unwrap().state
    }

    /// What a settlement of these channels costs, and its rate in sat per 250 vB, rounded down.
    pub fn fee_of(&self, tx: &Transaction) -> (u64, u64) {
        let spent = tx.input.iter().map(|input| {
            let contract = self.channels[&input.previous_output].contract();
            contract.capacity().to_sat()
        });
        let paid: u64 = tx.output.iter().map(|output| output.value.to_sat()).sum();
        let fee = spent.sum::<u64>() - paid;
        (fee, fee * 250 / tx.vsize() as u64)
    }
}

fn engine(payout: &Payout, seed: &Seed) -> Engine {
    let policy = SettlePolicy {
        settle_delay: MINUTE,
        batch_delay: BATCH_DELAY,
        max_fee_rate: vb(500),
    };
    Engine::new(policy, payout.clone(), Network::Regtest, seed.clone())
}

/// A transaction from one outpoint to one script.
pub fn pay(spends: OutPoint, value: Amount, script_pubkey: ScriptBuf) -> Transaction {
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![TxIn {
            previous_output: spends,
            ..TxIn::default()
        }],
        output: vec![TxOut { value, script_pubkey }],
    }
}

/// What a consumer, or anybody else, makes of a channel, at this fee.
pub fn foreign_spend(outpoint: OutPoint, fee: u64) -> Transaction {
    pay(outpoint, sat(1_000_000 - fee), p2tr(3))
}

pub fn number(report: &Report, name: &str) -> u64 {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Number(number))) => *number,
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

pub fn inputs(tx: &Transaction) -> Vec<OutPoint> {
    let mut inputs: Vec<_> = tx.input.iter().map(|input| input.previous_output).collect();
    inputs.sort_unstable();
    inputs
}

pub fn sorted<const N: usize>(mut outpoints: [OutPoint; N]) -> Vec<OutPoint> {
    outpoints.sort_unstable();
    outpoints.to_vec()
}
