//! Money on the test chain, and blocks that do as a test wants.
#![allow(dead_code)]

use bitcoin::{Address, Amount, BlockHash, Network, Transaction, Txid};

use super::regtest::{Regtest, TxStatus};
use super::wait::wait_until;

pub fn sat(sat: u64) -> Amount {
    Amount::from_sat(sat)
}

/// Of the miner's wallet.
pub fn new_address(regtest: &Regtest) -> Address {
    let text = regtest.cli(&["-rpcwallet=miner", "getnewaddress", "", "bech32m"]);
    let address = text.parse::<Address<_>>().unwrap();
    address.require_network(Network::Regtest).unwrap()
}

pub fn wait_for_mempool(regtest: &Regtest, txid: Txid) {
    wait_until("a transaction in the mempool", || {
        regtest.tx_status(txid) == TxStatus::InMempool
    });
}

/// What a transaction pays to an address.
pub fn paid_to(regtest: &Regtest, txid: Txid, address: &Address) -> Amount {
    paid_in(&regtest.raw_tx(txid), address)
}

pub fn paid_in(tx: &Transaction, address: &Address) -> Amount {
    let script = address.script_pubkey();
    let to = tx.output.iter().filter(|output| output.script_pubkey == script);
    to.map(|output| output.value).sum()
}

pub fn block_at(regtest: &Regtest, height: u32) -> BlockHash {
    let hash = regtest.cli(&["getblockhash", &height.to_string()]);
    hash.parse().unwrap()
}

/// Blocks without any transaction of the mempool.
pub fn mine_empty(regtest: &Regtest, blocks: u32) {
    for _ in 0..blocks {
        regtest.cli(&["generateblock", &regtest.nobody().to_string(), "[]"]);
    }
    regtest.wait_for_electrum();
}

/// Takes the last `depth` blocks out of the chain; what was in them is in the mempool again.
pub fn take_out(regtest: &Regtest, depth: u32) {
    let first = block_at(regtest, regtest.height() + 1 - depth);
    regtest.cli(&["invalidateblock", &first.to_string()]);
}

/// Replaces the last `depth` blocks by one more, without what was in them.
pub fn reorganise(regtest: &Regtest, depth: u32) {
    take_out(regtest, depth);
    mine_empty(regtest, depth + 1);
}
