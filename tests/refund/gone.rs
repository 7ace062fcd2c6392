//! Consumer killed, provider gone for good: the money comes back, by us and by a wallet that knows nothing of us.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use bitcoin::{Address, Amount, Network, OutPoint};
use serde_json::{Value, json};

use crate::common::child::Killed;
use crate::common::driver::{
    chain_at, consumer_options_at, provider_options_at, start_consumer, start_provider,
};
use crate::common::regtest::{Regtest, TxStatus};
use crate::common::reports::{Reports, number, text};
use crate::common::wire::Wire;
use crate::viewer::*;

const FOLDER: &str = "STREAMIUM_TEST_FOLDER";
const SERVER: &str = "STREAMIUM_TEST_SERVER";
const PAYOUT: &str = "STREAMIUM_TEST_PAYOUT";

/// The process that is killed: both drivers, which play until somebody ends them. Started by the tests below.
#[test]
#[ignore = "is a part of other tests"]
fn a_process_that_plays() {
    let (folder, payout) = (std::env::var(FOLDER).unwrap(), std::env::var(PAYOUT).unwrap());
    let (folder, server) = (Path::new(&folder), std::env::var(SERVER).unwrap());
    let payout = payout.parse::<Address<_>>().unwrap().assume_checked();
    let chain = chain_at(&server);
    let options = provider_options_at(chain.clone(), &folder.join("provider"), &payout);
    let (provider, mut provided) = start_provider(options);
    let options = consumer_options_at(chain, &folder.join("consumer"), provider.public_key(), 20_000);
    let (consumer, mut consumed) = start_consumer(options);
    let _wire = Wire::connect(&provider.inputs(), &consumer.inputs());
    let asked = consumed.wait("funding-required");
    println!(
        "\nFUND {} {}",
        text(&asked, "address"),
        number(&asked, "amount-sat")
    );
    let paid = paid_twice(&mut provided);
    println!("\nPAID {}", text(&paid, "outpoint"));
    loop {
        consumed.wait("payment");
    }
}

fn paid_twice(provided: &mut Reports) -> gststreamiumpay::report::Report {
    provided.wait("payment");
    provided.wait("payment")
}

/// Plays on a channel and is killed in the middle of it; answers the channel and what funded it.
fn play_and_die(regtest: &Regtest, folder: &Path) -> (OutPoint, u64) {
    let payout = regtest.cli(&["-rpcwallet=miner", "getnewaddress"]);
    let child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--ignored",
            "--exact",
            "gone::a_process_that_plays",
            "--nocapture",
        ])
        .env(FOLDER, folder)
        .env(SERVER, regtest.electrum_url())
        .env(PAYOUT, payout)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut playing = Killed(child);
    let mut lines = BufReader::new(playing.0.stdout.take().unwrap()).lines();
    let mut line = |what: &str| {
        let found = lines.find_map(|line| line.unwrap().strip_prefix(what).map(str::to_owned));
        found.unwrap_or_else(|| panic!("it ended without {what}"))
    };
    let asked = line("FUND ");
    let (address, amount) = asked.split_once(' ').unwrap();
    let address = address.parse::<Address<_>>().unwrap();
    let amount: u64 = amount.parse().unwrap();
    regtest.fund(
        &address.require_network(Network::Regtest).unwrap(),
        Amount::from_sat(amount),
    );
    let outpoint = line("PAID ").parse().unwrap();
    drop(playing);
    (outpoint, amount)
}

#[test]
fn what_a_provider_that_is_gone_for_good_never_settled_comes_back_by_the_command() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("consumer");
    let (outpoint, funded) = play_and_die(regtest, temp.path());
    regtest.mine(1);
    let commitment = regtest.raw_tx(outpoint.txid);
    let capacity = commitment.output[outpoint.vout as usize].value.to_sat();
    let change = commitment.output[1 - outpoint.vout as usize].value.to_sat();
    assert_eq!(capacity, 40_000);

    let early = command(regtest, &folder, &["refund"]);
    assert!(
        early.contains(&format!(
            "{outpoint}: 40,000 sat: comes back in 143 blocks, in about 23 h 50 min."
        )),
        "{early}"
    );
    let listed = command(regtest, &folder, &["channels"]);
    assert!(
        listed.contains(&format!("consumer {outpoint} open capacity 40,000 sat paid ")),
        "{listed}"
    );
    assert!(listed.contains("refund in 143 blocks"), "{listed}");
    let balance = command(regtest, &folder, &["balance"]);
    assert_eq!(figure(&balance, "in channels"), capacity);
    assert_eq!(figure(&balance, "confirmed"), change);

    regtest.mine(143);
    let looked = command(regtest, &folder, &["channels"]);
    assert!(looked.contains("refund now"), "{looked}");
    command(regtest, &folder, &["balance"]);
    assert_eq!(
        regtest.cli(&["getrawmempool"]),
        "[]",
        "who only looks sends nothing"
    );
    let now = command(regtest, &folder, &["refund"]);
    let mempool: Vec<String> = serde_json::from_str(&regtest.cli(&["getrawmempool"])).unwrap();
    let refund = regtest.raw_tx(mempool[0].parse().unwrap());
    let value = refund.output[0].value.to_sat();
    assert_eq!(refund.input[0].previous_output, outpoint);
    assert_eq!(value, capacity - refund.vsize() as u64, "1 sat/vB");
    assert!(now.contains(&refund.compute_txid().to_string()), "{now}");

    regtest.mine(1);
    let balance = command(regtest, &folder, &["balance"]);
    assert_eq!(figure(&balance, "confirmed"), change + value);
    assert_eq!(figure(&balance, "reserved"), 0);
    let fee = funded - change - capacity;
    assert!(
        fee < 700,
        "of {funded} only {fee} for the commitment and {} for the refund are gone",
        capacity - value
    );
    // It is looked after until nothing can undo it, and no longer.
    regtest.mine(11);
    let end = command(regtest, &folder, &["refund"]);
    assert!(end.contains("No channel holds money."), "{end}");
}

/// What `streamium-pay descriptor --private` prints is all that is taken from us.
fn sweep_by_node(regtest: &Regtest, descriptor: &str, outpoint: OutPoint, destination: &str) -> Value {
    regtest.cli(&["createwallet", "refund", "false", "true", "", "false", "true"]);
    let import = json!([{"desc": descriptor, "timestamp": 0}]).to_string();
    let imported = regtest.cli(&["-rpcwallet=refund", "importdescriptors", &import]);
    let imported: Value = serde_json::from_str(&imported).unwrap();
    assert_eq!(imported[0]["success"], true, "{imported}");
    let input = json!({"txid": outpoint.txid, "vout": outpoint.vout, "sequence": DELAY});
    let options = json!({"inputs": [input], "fee_rate": 2}).to_string();
    let to = json!([destination]).to_string();
    let answer = regtest.cli(&[
        "-rpcwallet=refund",
        "sendall",
        &to,
        "null",
        "unset",
        "null",
        &options,
    ]);
    serde_json::from_str(&answer).unwrap()
}

#[test]
fn it_comes_back_by_the_nodes_own_wallet_from_the_printed_descriptor() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let folder = temp.path().join("consumer");
    let (outpoint, _) = play_and_die(regtest, temp.path());
    regtest.mine(1);
    let target = outpoint.to_string();
    let describe = |more: &[&str]| {
        let arguments = [&["descriptor", &target], more].concat();
        let arguments = with_folder(&folder, &arguments);
        let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
        assert!(output.status.success(), "{output:?}");
        let text = |bytes| String::from_utf8(bytes).unwrap().trim().to_owned();
        (text(output.stdout), text(output.stderr))
    };
    let (public, _) = describe(&[]);
    let (private, warning) = describe(&["--private"]);
    for descriptor in [&public, &private] {
        // The node checks the checksum.
        regtest.cli(&["getdescriptorinfo", descriptor]);
    }
    assert!(warning.contains("WARNING: this is a private key"), "{warning}");
    assert!(warning.contains(&format!("\"sequence\":{DELAY}")), "{warning}");

    regtest.mine(u32::from(DELAY) - 1);
    let destination = regtest.cli(&["-rpcwallet=miner", "getnewaddress"]);
    let answer = sweep_by_node(regtest, &private, outpoint, &destination);
    assert_eq!(answer["complete"], true, "{answer}");
    let txid = answer["txid"].as_str().unwrap().parse().unwrap();
    regtest.mine(1);
    assert_eq!(regtest.tx_status(txid), TxStatus::Confirmed { confirmations: 1 });
    let swept = regtest.raw_tx(txid).output[0].value;
    assert!(swept > Amount::from_sat(40_000 - 2 * 150), "{swept}");
    // To us it is a spend like a settlement: nothing more is tried.
    let said = command(regtest, &folder, &["refund"]);
    assert!(said.contains(&format!("in {txid}, 1 confirmation.")), "{said}");
}
