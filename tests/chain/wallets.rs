//! What a lying server can tell a wallet.

use bitcoin::consensus::encode::deserialize_hex;
use bitcoin::{Amount, Network, TxMerkleNode, Txid};
use gststreamiumpay::chain::{Chain, ChainEvent, SyncError};
use gststreamiumpay::wallet::Wallet;
use serde_json::json;
use tempfile::TempDir;

use crate::common::regtest::Regtest;
use crate::liar::Liar;
use crate::lies::{alone, changed, with_heights, wrong_answer};
use crate::watcher::Watcher;

/// A wallet with an unconfirmed payment that it does not know of yet.
fn funded_wallet(regtest: &Regtest, watcher: &Watcher) -> (TempDir, Wallet, Txid) {
    let dir = tempfile::tempdir().unwrap();
    let mut wallet = Wallet::open(dir.path(), Network::Regtest).unwrap();
    let address = wallet.funding_address().unwrap();
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    watcher.script(&script, |transactions| transactions.len() == 1);
    (dir, wallet, txid)
}

fn sync(watcher: &Watcher, wallet: &mut Wallet) {
    watcher.chain.sync_wallet(wallet.sync_request());
    let update = watcher.wait("sync", |event| match event {
        ChainEvent::WalletSynced(update) => Some(update),
        ChainEvent::WalletSyncFailed(error) => panic!("{error}"),
        _ => None,
    });
    wallet.apply(*update).unwrap();
}

#[test]
fn a_wallet_does_not_believe_a_block_of_the_server_s_own() {
    let (regtest, liar, watcher) = alone();
    let (_dir, mut wallet, txid) = funded_wallet(regtest, &watcher);

    // A block at a height of the chain, with work, in which the transaction is alone.
    let height = regtest.height() - 20;
    let mut lie = with_heights(height);
    liar.lies(move |method, params, said| match method {
        "blockchain.block.header" if params[0] == json!(height) => Some(json!(changed(
            said,
            |header| header.merkle_root = TxMerkleNode::from_raw_hash(txid.to_raw_hash()),
            true
        ))),
        "blockchain.transaction.get_merkle" => Some(json!({"block_height": height, "pos": 0, "merkle": []})),
        _ => lie(method, params, said),
    });
    watcher.chain.sync_wallet(wallet.sync_request());
    assert!(matches!(watcher.sync_error(), SyncError::Server { .. }));
    let words = wrong_answer(&watcher);
    assert!(words.contains("its proof of"), "{words}");

    liar.tells_the_truth();
    regtest.mine(1);
    watcher.reachable();
    sync(&watcher, &mut wallet);
    assert_eq!(wallet.spendable(), Amount::from_sat(50_000));
}

/// As when a block comes in the middle of a sync.
#[test]
fn what_is_above_the_verified_headers_is_unconfirmed() {
    let (regtest, liar, watcher) = alone();
    let (_dir, mut wallet, _) = funded_wallet(regtest, &watcher);
    liar.lies(with_heights(regtest.height() + 1_000));
    watcher.chain.sync_wallet(wallet.sync_request());
    let update = watcher.wait("sync", |event| match event {
        ChainEvent::WalletSynced(update) => Some(update),
        _ => None,
    });
    assert_eq!(update.tx_update.txs.len(), 1);
    assert!(update.tx_update.anchors.is_empty());
    wallet.apply(*update).unwrap();
    assert_eq!(
        wallet.spendable(),
        Amount::from_sat(50_000),
        "unconfirmed, not missing"
    );
}

#[test]
fn a_server_that_is_behind_the_wallet_changes_nothing_and_is_kept() {
    let regtest = Regtest::shared();
    let watcher = Watcher::start(regtest.electrum_url());
    let (_dir, mut wallet, _) = funded_wallet(regtest, &watcher);
    regtest.mine(6);
    sync(&watcher, &mut wallet);
    drop(watcher);

    // Another start, with a server that does not know the last blocks.
    let old = regtest.height() - 8;
    let hash = regtest.cli(&["getblockhash", &old.to_string()]);
    let header = regtest.cli(&["getblockheader", &hash, "false"]);
    assert!(deserialize_hex::<bitcoin::block::Header>(&header).is_ok());
    let liar = Liar::before(regtest.electrum_url());
    let kept = usize::try_from(old).unwrap() + 1;
    liar.lies(move |method, params, said| match method {
        "blockchain.headers.subscribe" if params.is_null() => Some(json!([{"height": old, "hex": header}])),
        "blockchain.headers.subscribe" => Some(json!({"height": old, "hex": header})),
        "blockchain.block.headers" => {
            let mut said = said.clone();
            // Asked for from the first on. Protocol 1.6 has a list, before it one text.
            match said["headers"].as_array_mut() {
                Some(list) => list.truncate(kept),
                None => said["hex"] = json!(said["hex"].as_str()?[..kept * 160]),
            }
            Some(said)
        }
        _ => None,
    });
    let watcher = Watcher::start(&liar.url());
    watcher.chain.sync_wallet(wallet.sync_request());
    let SyncError::Server { words, .. } = watcher.sync_error() else {
        panic!("there is a server")
    };
    assert!(words.contains("behind the wallet's"), "{words}");
    liar.tells_the_truth();
    regtest.mine(1);
    watcher.wait("tip", |event| match event {
        ChainEvent::Unreachable { why, .. } => panic!("{why}"),
        ChainEvent::Tip(tip) if tip.height > old => Some(()),
        _ => None,
    });
    sync(&watcher, &mut wallet);
    assert_eq!(wallet.spendable(), Amount::from_sat(50_000));
}
