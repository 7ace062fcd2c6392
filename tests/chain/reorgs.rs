//! Blocks that leave the chain, and headers that are kept.

use bitcoin::Amount;
use gststreamiumpay::chain::{Chain, ChainEvent};
use serde_json::{Value, json};

use crate::common::coins::{block_at, mine_empty, new_address, reorganise, take_out};
use crate::common::regtest::Regtest;
use crate::liar::Liar;
use crate::watcher::{Watcher, quick};

#[test]
fn heights_go_with_their_blocks_and_come_back_with_others() {
    let regtest = Regtest::start();
    let watcher = Watcher::start(regtest.electrum_url());
    for depth in 1..=6 {
        let address = new_address(&regtest);
        let script = address.script_pubkey();
        watcher.chain.watch(&script);
        regtest.fund(&address, Amount::from_sat(50_000));
        let confirmed = regtest.height() + 1;
        regtest.mine(depth);
        let seen = watcher.script(&script, |seen| seen.iter().any(|tx| tx.height.is_some()));
        assert_eq!(seen[0].height, Some(confirmed), "depth {depth}");

        reorganise(&regtest, depth);
        let seen = watcher.script(&script, |seen| seen[0].height.is_none());
        assert_eq!(seen.len(), 1, "unconfirmed, not missing");
        assert!(watcher.chain.tip().unwrap().height >= confirmed + depth);

        regtest.mine(1);
        let seen = watcher.script(&script, |seen| seen[0].height.is_some());
        assert_eq!(seen[0].height, Some(confirmed + depth + 1), "depth {depth}");
        watcher.chain.unwatch(&script);
    }
}

/// The status that a server notifies of does not change then: it is made of heights, not of blocks.
#[test]
fn a_block_of_the_same_height_needs_a_proof_of_its_own() {
    let regtest = Regtest::start();
    let liar = Liar::before(regtest.electrum_url());
    let watcher = Watcher::start(&liar.url());
    let address = new_address(&regtest);
    let script = address.script_pubkey();
    watcher.chain.watch(&script);
    let txid = regtest.fund(&address, Amount::from_sat(50_000));
    regtest.mine(1);
    let height = regtest.height();
    watcher.script(&script, |seen| seen.iter().any(|tx| tx.height.is_some()));

    let refuse = |method: &str, _: &_, _: &_| {
        (method == "blockchain.transaction.get_merkle")
            .then(|| json!({"error": {"code": 1, "message": "not now"}}))
    };
    liar.lies(refuse);
    take_out(&regtest, 1);
    let to = new_address(&regtest).to_string();
    regtest.cli(&["generateblock", &to, &json!([txid]).to_string()]);
    mine_empty(&regtest, 1);
    watcher.script(&script, |seen| seen[0].height.is_none());
    watcher.disagreement();
    // The next block is a new chance.
    liar.tells_the_truth();
    mine_empty(&regtest, 1);
    let seen = watcher.script(&script, |seen| seen[0].height.is_some());
    assert_eq!(seen[0].height, Some(height));
}

fn wait_for_tip(watcher: &Watcher, height: u32) {
    if watcher.chain.tip().is_none_or(|tip| tip.height < height) {
        watcher.wait("tip", |event| match event {
            ChainEvent::Tip(tip) if tip.height >= height => Some(()),
            _ => None,
        });
    }
}

/// A server that sends few headers at once.
fn with_few_headers(method: &str, _: &Value, said: &Value) -> Option<Value> {
    let mut said = said.clone();
    if method != "blockchain.block.headers" {
        return None;
    }
    // Protocol 1.6 has a list, before it one text.
    match said["headers"].as_array_mut() {
        Some(list) => list.truncate(40),
        None => {
            let hex = said["hex"].as_str()?;
            said["hex"] = json!(hex[..hex.len().min(40 * 160)]);
        }
    }
    Some(said)
}

/// The second start asks for the last few only, also after blocks were replaced; a damaged file is no trouble.
#[test]
fn headers_are_fetched_in_portions_and_kept() {
    let regtest = Regtest::start();
    let height = regtest.height();
    let liar = Liar::before(regtest.electrum_url());
    liar.lies(with_few_headers);
    let dir = tempfile::tempdir().unwrap();
    let starts = |from: usize| -> Vec<u64> {
        let asked = liar.asked("blockchain.block.headers");
        asked[from..]
            .iter()
            .map(|asked| asked[0].as_u64().unwrap())
            .collect()
    };

    let watcher = Watcher::start_in(dir.path(), &liar.url(), quick());
    wait_for_tip(&watcher, height);
    drop(watcher);
    assert_eq!(starts(0), [0, 40, 80]);

    reorganise(&regtest, 6);
    let watcher = Watcher::start_in(dir.path(), &liar.url(), quick());
    wait_for_tip(&watcher, height + 1);
    drop(watcher);
    assert_eq!(starts(3), [u64::from(height) - 10]);

    let file = dir.path().join("headers-regtest.dat");
    let mut bytes = std::fs::read(&file).unwrap();
    assert_eq!(bytes.len(), (height as usize + 2) * 80);
    bytes[90 * 80 + 4] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let watcher = Watcher::start_in(dir.path(), &liar.url(), quick());
    wait_for_tip(&watcher, height + 1);
    drop(watcher);
    assert_eq!(starts(4), [89 - 10]);
    assert_eq!(
        std::fs::metadata(&file).unwrap().len(),
        (u64::from(height) + 2) * 80
    );
}

/// Found by looking further back each time.
#[test]
fn a_fork_deeper_than_usual_is_followed() {
    let regtest = Regtest::start();
    let watcher = Watcher::start(regtest.electrum_url());
    wait_for_tip(&watcher, regtest.height());
    reorganise(&regtest, 60);
    wait_for_tip(&watcher, regtest.height());
    let tip = watcher.chain.tip().unwrap();
    assert_eq!(tip.hash, block_at(&regtest, regtest.height()));
}
