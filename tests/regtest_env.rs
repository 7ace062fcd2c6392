//! The environment that the other integration tests stand on: does it do what they take for granted?

mod common;

use bitcoin::{Amount, Txid};
use common::coins::new_address;
use common::regtest::{Regtest, TxStatus};
use serde_json::json;

fn missing_txid() -> Txid {
    "11".repeat(32).parse().expect("32 bytes")
}

#[test]
fn a_funded_transaction_confirms_when_a_block_is_mined() {
    let chain = Regtest::shared();
    let address = new_address(chain);
    let amount = Amount::from_sat(123_456);

    let txid = chain.fund(&address, amount);
    assert_eq!(chain.tx_status(txid), TxStatus::InMempool);
    let tx = chain.raw_tx(txid);
    assert_eq!(tx.compute_txid(), txid);
    assert!(
        tx.output
            .iter()
            .any(|output| output.value == amount && output.script_pubkey == address.script_pubkey())
    );

    assert_eq!(chain.mine(2).len(), 2);
    assert!(matches!(
        chain.tx_status(txid),
        TxStatus::Confirmed { confirmations } if confirmations >= 2
    ));
    assert_eq!(chain.tx_status(missing_txid()), TxStatus::Unknown);
}

#[test]
fn the_electrum_server_has_a_block_as_soon_as_it_is_mined() {
    let chain = Regtest::shared();
    let block = *chain.mine(1).last().expect("one was mined");
    let block: serde_json::Value =
        serde_json::from_str(&chain.cli(&["getblock", &block.to_string()])).expect("JSON");

    let header = chain
        .electrum_call("blockchain.block.header", json!([block["height"]]))
        .expect("it has the block");
    let hash =
        bitcoin::consensus::encode::deserialize_hex::<bitcoin::block::Header>(header.as_str().expect("hex"))
            .expect("a header")
            .block_hash();
    assert_eq!(block["hash"], hash.to_string());
}

#[test]
fn the_node_says_why_it_refuses() {
    let chain = Regtest::shared();
    let address = new_address(chain);
    let mut tx = chain.raw_tx(chain.fund(&address, Amount::from_sat(50_000)));
    chain.mine(1);

    assert!(chain.accept(&tx).is_err(), "it is in a block already");
    tx.input[0].previous_output.txid = missing_txid();
    assert_eq!(chain.accept(&tx), Err("missing-inputs".to_owned()));
    assert!(chain.broadcast(&tx).is_err());
    assert!(
        chain
            .try_cli(&["nosuchcommand"])
            .unwrap_err()
            .contains("Method not found")
    );
}

#[test]
fn a_private_chain_survives_its_servers_and_leaves_nothing() {
    let chain = Regtest::start();
    let folder = chain.data_dir().to_owned();
    let url = chain.electrum_url().to_owned();
    let height = chain.height();

    chain.stop_electrum();
    assert!(chain.electrum_call("server.ping", json!([])).is_err());
    chain.stop_node();
    assert!(chain.try_cli(&["getblockcount"]).is_err());
    chain.start_node();
    chain.start_electrum();
    chain.mine(1);
    assert_eq!(chain.height(), height + 1);
    assert_eq!(chain.electrum_url(), url);

    drop(chain);
    assert!(!folder.exists());
}
