//! The wallet on a real chain: funded, synced, spent.

mod common;

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, FeeRate, Network, ScriptBuf, Txid};
use common::coins::new_address;
use common::regtest::{Regtest, TxStatus};
use common::wait::PATIENCE;
use gststreamiumpay::chain::{Chain, ChainEvent, ElectrumChain, Timing, WalletRequest, parse_servers};
use gststreamiumpay::wallet::{SEED_FILE, WALLET_FILE, Wallet, WithdrawalAmount, needed_for};
use tempfile::TempDir;

const CAPACITY: Amount = Amount::from_sat(50_000);
const RATE: FeeRate = FeeRate::from_sat_per_kwu(500); // 2 sat/vB

/// A wallet with a chain to sync it by.
struct Consumer {
    wallet: Wallet,
    chain: ElectrumChain,
    events: Receiver<ChainEvent>,
}

impl Consumer {
    fn new(regtest: &Regtest, dir: &TempDir) -> Self {
        let (sender, events) = mpsc::channel();
        let sender = Mutex::new(sender);
        let handler = Box::new(move |event| drop(sender.lock().unwrap().send(event)));
        let timing = Timing {
            pump: Duration::from_millis(50),
            ..Timing::default()
        };
        let servers = parse_servers(regtest.electrum_url()).unwrap();
        let chain = ElectrumChain::start_with(servers, None, Network::Regtest, handler, timing).unwrap();
        Self {
            wallet: Wallet::open(dir.path(), Network::Regtest).unwrap(),
            chain,
            events,
        }
    }

    fn sync(&mut self) {
        self.chain.sync_wallet(self.wallet.sync_request());
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap()
            {
                ChainEvent::WalletSynced(update) => return self.wallet.apply(*update).unwrap(),
                ChainEvent::WalletSyncFailed(error) => panic!("{error}"),
                _ => {}
            }
        }
    }

    /// Syncs until the wallet knows of that much: from the node's mempool into the server's a transaction takes a
    /// moment.
    fn sync_to(&mut self, spendable: Amount) {
        let deadline = Instant::now() + PATIENCE;
        while self.wallet.spendable() != spendable {
            assert!(
                Instant::now() < deadline,
                "{} instead of {spendable}",
                self.wallet.spendable()
            );
            self.sync();
        }
    }

    /// Funds the wallet, waits for the chain to say so, and syncs: what a viewer's player does.
    fn fund(&mut self, regtest: &Regtest, amount: Amount) -> Txid {
        let address = self.wallet.funding_address().unwrap();
        let script = address.script_pubkey();
        self.chain.watch(&script);
        let txid = regtest.fund(&address, amount);
        self.wait_for(&script, |txids| txids.contains(&txid));
        self.sync();
        txid
    }

    fn wait_for(&self, script: &ScriptBuf, expected: impl Fn(&[Txid]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap()
            {
                ChainEvent::Script {
                    script: of,
                    transactions,
                } if of == *script => {
                    let txids: Vec<Txid> = transactions.iter().map(|tx| tx.txid).collect();
                    if expected(&txids) {
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    fn broadcast(&self, tx: &bitcoin::Transaction) {
        self.chain.broadcast(tx);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let event = self
                .events
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
                .unwrap();
            if let ChainEvent::Broadcast { result, .. } = event {
                return result.unwrap();
            }
        }
    }
}

fn channel_output() -> ScriptBuf {
    // BIP341's example of a script tree: any v1 output does.
    ScriptBuf::from_hex("5120147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3").unwrap()
}

#[test]
fn a_viewer_funds_and_commits_without_waiting_for_a_block() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    let funding = consumer.wallet.funding_address().unwrap();
    let amount = needed_for(CAPACITY, RATE);
    consumer.fund(regtest, amount);
    assert_eq!(consumer.wallet.balance().unconfirmed, amount);
    assert_ne!(consumer.wallet.funding_address().unwrap(), funding);

    let commitment = consumer
        .wallet
        .build_commitment(&channel_output(), CAPACITY, RATE)
        .unwrap();
    assert_eq!(regtest.accept(&commitment.tx), Ok(()));
    assert!(commitment.tx.lock_time.to_consensus_u32() <= regtest.height());
    consumer.broadcast(&commitment.tx);
    let txid = commitment.tx.compute_txid();
    assert_eq!(regtest.tx_status(txid), TxStatus::InMempool);

    // The change is the wallet's, and can be spent at once: that is how a stuck commitment is sped up.
    let change = commitment.tx.output[commitment.change.vout as usize].value;
    consumer.sync_to(change);

    regtest.mine(1);
    consumer.sync();
    assert_eq!(consumer.wallet.balance().confirmed, change);
    assert!(matches!(regtest.tx_status(txid), TxStatus::Confirmed { .. }));
}

#[test]
fn a_commitment_lost_from_the_mempool_keeps_its_coins() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    let amount = needed_for(CAPACITY, RATE);
    consumer.fund(regtest, amount);
    // Built, sent to the provider, and never broadcast: it could be, at any time.
    consumer
        .wallet
        .build_commitment(&channel_output(), CAPACITY, RATE)
        .unwrap();
    regtest.mine(7);
    consumer.sync();
    assert_eq!(consumer.wallet.balance().reserved, amount);
    assert!(
        consumer
            .wallet
            .build_commitment(&channel_output(), CAPACITY, RATE)
            .is_err()
    );
}

#[test]
fn a_restored_seed_finds_its_money() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    consumer.fund(regtest, Amount::from_sat(70_000));
    consumer.fund(regtest, Amount::from_sat(80_000));
    let next = consumer.wallet.funding_address().unwrap();
    assert!(matches!(consumer.wallet.sync_request(), WalletRequest::Sync(_)));
    drop(consumer);

    std::fs::remove_file(dir.path().join(WALLET_FILE)).unwrap();
    assert!(dir.path().join(SEED_FILE).exists());
    let mut restored = Consumer::new(regtest, &dir);
    assert!(matches!(
        restored.wallet.sync_request(),
        WalletRequest::FullScan(..)
    ));
    restored.sync();
    assert_eq!(restored.wallet.spendable(), Amount::from_sat(150_000));
    assert_eq!(restored.wallet.funding_address().unwrap(), next);
}

#[test]
fn a_reopened_wallet_is_the_same() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    consumer.fund(regtest, Amount::from_sat(70_000));
    let (address, balance) = (
        consumer.wallet.funding_address().unwrap(),
        consumer.wallet.balance(),
    );
    drop(consumer);
    let mut wallet = Wallet::open(dir.path(), Network::Regtest).unwrap();
    assert_eq!(
        (wallet.funding_address().unwrap(), wallet.balance()),
        (address, balance)
    );
}

#[test]
fn a_reserved_script_receives_and_its_money_can_be_spent() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    let change = consumer.wallet.fresh_change_script().unwrap();
    assert!(change.is_p2tr() && change.len() == 34);
    let address = Address::from_script(&change, Network::Regtest).unwrap();
    consumer.chain.watch(&change);
    regtest.fund(&address, Amount::from_sat(60_000));
    consumer.wait_for(&change, |txids| txids.len() == 1);
    consumer.sync();
    let commitment = consumer
        .wallet
        .build_commitment(&channel_output(), CAPACITY, RATE)
        .unwrap();
    assert_eq!(regtest.accept(&commitment.tx), Ok(()));
}

#[test]
fn withdrawals_arrive() {
    let regtest = Regtest::shared();
    let dir = TempDir::new().unwrap();
    let mut consumer = Consumer::new(regtest, &dir);
    consumer.fund(regtest, Amount::from_sat(70_000));
    let (to, part) = (new_address(regtest), Amount::from_sat(20_000));
    let first = consumer
        .wallet
        .withdraw(&to, RATE, WithdrawalAmount::Exactly(part))
        .unwrap();
    consumer.broadcast(&first.tx);
    let rest = Amount::from_sat(50_000) - first.fee;
    consumer.sync_to(rest);
    let last = consumer
        .wallet
        .withdraw(&to, RATE, WithdrawalAmount::All)
        .unwrap();
    consumer.broadcast(&last.tx);
    regtest.mine(1);
    consumer.sync();
    assert_eq!(consumer.wallet.spendable(), Amount::ZERO);
    let received = regtest.cli(&["-rpcwallet=miner", "getreceivedbyaddress", &to.to_string()]);
    let expected = part + rest - last.fee;
    assert_eq!(
        Amount::from_str_in(&received, bitcoin::Denomination::Bitcoin),
        Ok(expected)
    );
}
