//! The chain through Electrum servers: a real one, and some that hang, vanish or lie.

#[path = "chain/liar.rs"]
mod liar;
#[path = "chain/lies.rs"]
mod lies;
#[path = "chain/reorgs.rs"]
mod reorgs;
#[path = "chain/servers.rs"]
mod servers;
#[path = "chain/wallets.rs"]
mod wallets;
#[path = "chain/watcher.rs"]
mod watcher;

mod common;

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bitcoin::consensus::encode::serialize_hex;
use bitcoin::constants::genesis_block;
use bitcoin::hashes::Hash;
use bitcoin::{Address, Amount, FeeRate, Network, ScriptBuf, Txid, WScriptHash};
use common::coins::new_address;
use common::network::Cable;
use common::regtest::Regtest;
use gststreamiumpay::chain::{
    BroadcastError, Chain, ChainEvent, SyncError, Timing, UnreachableReason, WalletRequest,
};
use serde_json::{Value, json};
use servers::{lying_server, silent_server, socks5_proxy};
use watcher::{Watcher, quick};

/// An address of nobody's, so that nothing but the payments of a test has to do with it.
fn strangers_address() -> Address {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::SeqCst);
    let script = ScriptBuf::new_p2wsh(&WScriptHash::hash(&count.to_le_bytes()));
    Address::from_script(&script, Network::Regtest).unwrap()
}

/// A transaction of the chain that has nothing to do with anything here.
fn unrelated_tx() -> bitcoin::Transaction {
    genesis_block(Network::Regtest).txdata[0].clone()
}

/// Answers that list `txid` for every script, and `tx` for every txid.
fn listing(txid: Txid, tx: bitcoin::Transaction) -> impl Fn(&str, &Value) -> Option<Value> {
    move |method, _| match method {
        "blockchain.scripthash.subscribe" => Some(json!("00".repeat(32))),
        "blockchain.scripthash.get_history" => Some(json!([{"tx_hash": txid, "height": 1}])),
        "blockchain.transaction.get" => Some(json!(serialize_hex(&tx))),
        _ => None,
    }
}

#[test]
fn a_watched_script_is_told_empty_then_unconfirmed_then_confirmed() {
    let regtest = Regtest::shared();
    let watcher = Watcher::start(regtest.electrum_url());
    let address = new_address(regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    watcher.script(&script, |transactions| transactions.is_empty());

    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    let seen = watcher.script(&script, |transactions| !transactions.is_empty());
    assert_eq!((seen.len(), seen[0].txid, seen[0].height), (1, txid, None));
    assert_eq!(*seen[0].tx, regtest.raw_tx(txid));

    regtest.mine(1);
    let seen = watcher.script(&script, |transactions| transactions[0].height.is_some());
    let height = seen[0].height.unwrap();
    let tip = watcher
        .chain
        .tip()
        .filter(|tip| tip.height >= height)
        .unwrap_or_else(|| {
            watcher.wait("tip", |event| match event {
                ChainEvent::Tip(tip) if tip.height >= height => Some(tip),
                _ => None,
            })
        });
    assert!(seen[0].confirmations(tip.height) >= 1);
    assert!(!tip.is_stale(std::time::SystemTime::now()));

    // Watched again, it is told again.
    watcher.chain.watch(&script);
    watcher.script(&script, |transactions| transactions.len() == 1);
}

#[test]
fn a_payment_that_is_taken_back_disappears() {
    let regtest = Regtest::start();
    let watcher = Watcher::start(regtest.electrum_url());
    let address = new_address(&regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    watcher.script(&script, |transactions| transactions.len() == 1);

    // The same coins to somewhere else. The server then says that the script's status is null, which
    // electrum-client can't read.
    let outputs = json!({"outputs": [{new_address(&regtest).to_string(): 0.0005}], "fee_rate": 100});
    regtest.cli(&[
        "-rpcwallet=miner",
        "bumpfee",
        &txid.to_string(),
        &outputs.to_string(),
    ]);
    watcher.script(&script, |transactions| transactions.is_empty());
}

#[test]
fn broadcasts_are_answered() {
    let regtest = Regtest::shared();
    let watcher = Watcher::start(regtest.electrum_url());
    let tx = signed_payment(regtest, "0.0004", 1.0);
    let txid = tx.compute_txid();
    for _ in 0..2 {
        watcher.chain.broadcast(&tx);
        assert_eq!(
            watcher.broadcast_result(txid),
            Ok(()),
            "known already is as good as accepted"
        );
    }
    regtest.mine(1);
    watcher.chain.broadcast(&tx);
    assert_eq!(watcher.broadcast_result(txid), Ok(()), "also in a block");

    let mut missing = tx.clone();
    missing.input[0].previous_output.txid = Txid::all_zeros();
    watcher.chain.broadcast(&missing);
    let result = watcher.broadcast_result(missing.compute_txid());
    assert!(
        matches!(result, Err(BroadcastError::MissingOrSpentInputs { .. })),
        "{result:?}"
    );

    let mut unsigned = signed_payment(regtest, "0.0005", 1.0);
    unsigned.input[0].witness.clear();
    unsigned.input[0].script_sig = ScriptBuf::new();
    watcher.chain.broadcast(&unsigned);
    let result = watcher.broadcast_result(unsigned.compute_txid());
    assert!(
        matches!(result, Err(BroadcastError::Rejected { .. })),
        "{result:?}"
    );

    let mut early = signed_payment(regtest, "0.0006", 1.0);
    early.lock_time = bitcoin::absolute::LockTime::from_height(1_000_000).unwrap();
    watcher.chain.broadcast(&early);
    let result = watcher.broadcast_result(early.compute_txid());
    assert!(
        matches!(result, Err(BroadcastError::NotFinal { .. })),
        "{result:?}"
    );

    let result_of = |tx: &bitcoin::Transaction| {
        watcher.chain.broadcast(tx);
        watcher.broadcast_result(tx.compute_txid())
    };
    let cheap = signed_payment(regtest, "0.0007", 0.01);
    let result = result_of(&cheap);
    assert!(
        matches!(result, Err(BroadcastError::FeeTooLow { .. })),
        "{result:?}"
    );
}

/// A payment by the miner's wallet that is not handed out; sat/vB.
fn signed_payment(regtest: &Regtest, amount_btc: &str, fee_rate: f64) -> bitcoin::Transaction {
    let address = new_address(regtest).to_string();
    let raw = regtest.cli(&[
        "createrawtransaction",
        "[]",
        &json!([{address: amount_btc}]).to_string(),
    ]);
    let options = json!({"feeRate": format!("{:.8}", fee_rate / 100_000.0)}).to_string();
    // The wallet does not go below what its node relays, so less is asked for by leaving the change out.
    let funded = match fee_rate < 1.0 {
        false => regtest.cli(&["-rpcwallet=miner", "fundrawtransaction", &raw, &options]),
        true => regtest.cli(&["-rpcwallet=miner", "fundrawtransaction", &raw]),
    };
    let funded: Value = serde_json::from_str(&funded).unwrap();
    let mut tx: bitcoin::Transaction =
        bitcoin::consensus::encode::deserialize_hex(funded["hex"].as_str().unwrap()).unwrap();
    if fee_rate < 1.0 {
        let fee = Amount::from_btc(funded["fee"].as_f64().unwrap()).unwrap();
        let change = funded["changepos"].as_u64().unwrap() as usize;
        tx.output[change].value += fee - Amount::from_sat(1);
    }
    let signed = regtest.cli(&[
        "-rpcwallet=miner",
        "signrawtransactionwithwallet",
        &serialize_hex(&tx),
    ]);
    let signed: Value = serde_json::from_str(&signed).unwrap();
    bitcoin::consensus::encode::deserialize_hex(signed["hex"].as_str().unwrap()).unwrap()
}

#[test]
fn a_silent_server_delays_nothing() {
    let regtest = Regtest::shared();
    let (silent, _listener) = silent_server();
    // With its usual patience it would be silent for longer than this test may take.
    let timing = Timing {
        request_timeout: Duration::from_secs(3600),
        ..quick()
    };
    let watcher = Watcher::start_with(&format!("{silent} {}", regtest.electrum_url()), "", timing);
    let address = new_address(regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    watcher.chain.sync_wallet(empty_sync());
    watcher.script(&script, |transactions| transactions.is_empty());
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    watcher.script(&script, |transactions| {
        transactions.iter().any(|tx| tx.txid == txid)
    });
    let tx = signed_payment(regtest, "0.0004", 1.0);
    watcher.chain.broadcast(&tx);
    assert_eq!(watcher.broadcast_result(tx.compute_txid()), Ok(()));

    let started = Instant::now();
    watcher.chain.stop();
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "a stop does not wait for it"
    );
}

fn empty_sync() -> WalletRequest {
    WalletRequest::Sync(bdk_wallet::chain::spk_client::SyncRequest::builder_at(0).build())
}

#[test]
fn a_sync_is_answered_beside_a_silent_server() {
    let regtest = Regtest::shared();
    let (silent, _listener) = silent_server();
    let timing = Timing {
        request_timeout: Duration::from_secs(3600),
        ..quick()
    };
    let watcher = Watcher::start_with(&format!("{silent} {}", regtest.electrum_url()), "", timing);
    watcher.chain.sync_wallet(empty_sync());
    watcher.wait("sync", |event| {
        matches!(event, ChainEvent::WalletSynced(_)).then_some(())
    });
}

#[test]
fn a_silent_server_is_said_to_be_out_of_reach() {
    let (silent, _listener) = silent_server();
    let timing = Timing {
        request_timeout: Duration::from_millis(300),
        ..quick()
    };
    let watcher = Watcher::start_with(&silent, "", timing);
    watcher.chain.sync_wallet(empty_sync());
    let (server, why) = watcher.unreachable();
    assert_eq!((server.to_string(), why), (silent, UnreachableReason::TimedOut));
    assert_eq!(watcher.sync_error(), SyncError::NoServer);
    watcher.chain.broadcast(&unrelated_tx());
    let txid = unrelated_tx().compute_txid();
    assert_eq!(watcher.broadcast_result(txid), Err(BroadcastError::Unreachable));
}

#[test]
fn a_server_that_comes_back_is_subscribed_again() {
    let regtest = Regtest::shared();
    let cable = Cable::to_server(regtest.electrum_url());
    let watcher = Watcher::start(&cable.url());
    let address = new_address(regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    watcher.script(&script, |transactions| transactions.is_empty());

    cable.unplug();
    assert!(matches!(
        watcher.unreachable().1,
        UnreachableReason::Connection { .. }
    ));
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    cable.plug();
    watcher.reachable();
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!(seen[0].txid, txid, "what happened meanwhile");
    let second = regtest.fund(&address, Amount::from_sat(60_000));
    let seen = watcher.script(&script, |transactions| transactions.len() == 2);
    assert!(
        seen.iter().any(|tx| tx.txid == second),
        "what happens from now on"
    );
}

#[test]
fn a_real_server_may_be_restarted() {
    let regtest = Regtest::start();
    let watcher = Watcher::start(regtest.electrum_url());
    let address = new_address(&regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    watcher.script(&script, |transactions| transactions.is_empty());
    regtest.stop_electrum();
    watcher.unreachable();
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    regtest.start_electrum();
    watcher.reachable();
    let seen = watcher.script(&script, |transactions| transactions.len() == 1);
    assert_eq!(seen[0].txid, txid);
}

#[test]
fn a_half_open_connection_is_noticed() {
    let regtest = Regtest::shared();
    let cable = Cable::to_server(regtest.electrum_url());
    let timing = Timing {
        request_timeout: Duration::from_millis(500),
        ..quick()
    };
    let watcher = Watcher::start_with(&cable.url(), "", timing);
    watcher.reachable();
    cable.freeze();
    assert_eq!(watcher.unreachable().1, UnreachableReason::TimedOut);
    cable.replace();
    watcher.reachable();
}

#[test]
fn out_of_reach_is_said_once() {
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let watcher = Watcher::start(&format!("tcp://127.0.0.1:{port}"));
    assert!(matches!(
        watcher.unreachable().1,
        UnreachableReason::Connection { .. }
    ));
    // Several attempts later...
    let more = watcher.events.recv_timeout(Duration::from_secs(1));
    assert!(more.is_err(), "{more:?}");
}

#[test]
fn a_server_of_another_network_is_not_used() {
    let asked_again = Arc::new(Mutex::new(0));
    let asked = Arc::clone(&asked_again);
    let url = lying_server(move |method, _| {
        if method != "blockchain.block.header" {
            return None;
        }
        *asked.lock().unwrap() += 1;
        Some(json!(serialize_hex(&genesis_block(Network::Bitcoin).header)))
    });
    let regtest = Regtest::shared();
    let watcher = Watcher::start(&format!("{url};{}", regtest.electrum_url()));
    let (server, why) = watcher.unreachable();
    assert_eq!(server.to_string(), url);
    let UnreachableReason::WrongNetwork { expected, found } = why else {
        panic!("{why:?}")
    };
    assert_eq!(expected, genesis_block(Network::Regtest).block_hash());
    assert_eq!(found, genesis_block(Network::Bitcoin).block_hash());
    // The other one works, and this one is left alone.
    watcher.chain.sync_wallet(empty_sync());
    watcher.wait("sync", |event| {
        matches!(event, ChainEvent::WalletSynced(_)).then_some(())
    });
    assert_eq!(*asked_again.lock().unwrap(), 1);
}

#[test]
fn a_transaction_other_than_asked_for_is_not_believed() {
    let url = lying_server(listing(Txid::all_zeros(), unrelated_tx()));
    let watcher = Watcher::start(&url);
    watcher.chain.watch(&ScriptBuf::new_op_return([1]));
    let (_, why) = watcher.unreachable();
    assert!(matches!(why, UnreachableReason::WrongAnswer { .. }), "{why:?}");
}

#[test]
fn a_transaction_that_has_nothing_to_do_with_the_script_is_not_believed() {
    let tx = unrelated_tx();
    let own_script = tx.output[0].script_pubkey.clone();
    let url = lying_server(listing(tx.compute_txid(), tx));
    let watcher = Watcher::start(&url);
    watcher.chain.watch(&own_script);
    watcher.script(&own_script, |transactions| transactions.len() == 1);
    watcher.chain.watch(&ScriptBuf::new_op_return([1]));
    let (_, why) = watcher.unreachable();
    assert!(matches!(why, UnreachableReason::WrongAnswer { .. }), "{why:?}");
}

#[test]
fn headers_that_are_announced_and_not_sent_cost_the_connection() {
    let next = bitcoin::block::Header {
        prev_blockhash: bitcoin::BlockHash::all_zeros(),
        ..genesis_block(Network::Regtest).header
    };
    let url = lying_server(move |method, _| match method {
        "blockchain.headers.subscribe" => Some(json!({"height": 8, "hex": serialize_hex(&next)})),
        "blockchain.block.headers" => Some(json!({"count": 8, "hex": "", "max": 2016})),
        _ => None,
    });
    let watcher = Watcher::start(&url);
    watcher.chain.sync_wallet(empty_sync());
    let (_, why) = watcher.unreachable();
    assert!(matches!(why, UnreachableReason::WrongAnswer { .. }), "{why:?}");
    assert_eq!(watcher.sync_error(), SyncError::NoServer);
    assert!(watcher.chain.tip().is_none());
}

#[test]
fn the_fee_rate_falls_back_to_what_is_relayed() {
    let regtest = Regtest::shared();
    let watcher = Watcher::start(regtest.electrum_url());
    let rate = watcher.wait("fee rate", |event| match event {
        ChainEvent::FeeRate(rate) => Some(rate),
        _ => None,
    });
    assert!(
        rate >= FeeRate::from_sat_per_kwu(1) && rate <= FeeRate::from_sat_per_vb_u32(1),
        "{rate}"
    );
    assert_eq!(watcher.chain.fee_rate(6), Some(rate));

    // A server of protocol 1.4 that has no estimate and no `mempool.get_info`; one with an estimate.
    let old = lying_server(|method, _| match method {
        "mempool.get_info" => Some(json!({"error": {"code": -32601, "message": "unknown method"}})),
        "blockchain.relayfee" => Some(json!(0.00003)),
        _ => None,
    });
    let good = lying_server(|method, _| (method == "blockchain.estimatefee").then(|| json!(0.0001)));
    for (url, sat_per_vb) in [(old, 3), (good, 10)] {
        let watcher = Watcher::start(&url);
        let rate = watcher.wait("fee rate", |event| match event {
            ChainEvent::FeeRate(rate) => Some(rate),
            _ => None,
        });
        assert_eq!(rate, FeeRate::from_sat_per_vb_u32(sat_per_vb));
    }
}

#[test]
fn the_fee_rate_is_of_the_largest_target_within() {
    let url = lying_server(|method, params| {
        let btc_per_kvb = match params[0].as_u64() {
            Some(2) => 0.0002,
            Some(6) => 0.00008,
            Some(24) => 0.00012,
            _ => -1.0,
        };
        (method == "blockchain.estimatefee").then(|| json!(btc_per_kvb))
    });
    let watcher = Watcher::start(&url);
    watcher.wait("fee rate", |event| match event {
        ChainEvent::FeeRate(rate) => Some(rate),
        _ => None,
    });
    // The target 6 is no cheaper than 24; for a day there is only what is relayed.
    for (within_blocks, sat_per_vb) in [(1, 20), (2, 20), (5, 20), (6, 12), (24, 12), (143, 12), (144, 1)] {
        let rate = watcher.chain.fee_rate(within_blocks);
        assert_eq!(
            rate,
            Some(FeeRate::from_sat_per_vb_u32(sat_per_vb)),
            "{within_blocks}"
        );
    }
}

#[test]
fn nothing_comes_after_the_stop() {
    let regtest = Regtest::shared();
    let watcher = Watcher::start(regtest.electrum_url());
    watcher.reachable();
    watcher.chain.stop();
    while watcher.events.try_recv().is_ok() {}
    watcher.chain.watch(&new_address(regtest).script_pubkey());
    watcher.chain.broadcast(&unrelated_tx());
    watcher.chain.stop();
    let event = watcher.events.recv_timeout(Duration::from_millis(500));
    assert!(event.is_err(), "{event:?}");
}

#[test]
fn a_proxy_carries_the_connection() {
    let regtest = Regtest::shared();
    let (proxy, used) = socks5_proxy();
    let watcher = Watcher::start_with(regtest.electrum_url(), &proxy, quick());
    watcher.reachable();
    assert!(used.load(Ordering::SeqCst));
    let watcher = Watcher::start_with(regtest.electrum_url(), "socks5://127.0.0.1:1", quick());
    assert!(matches!(
        watcher.unreachable().1,
        UnreachableReason::Connection { .. }
    ));
}
