//! `streamium-pay settle`, as a process.

use std::process::{Command, Output, Stdio};

use bitcoin::{Amount, Network};
use gststreamiumpay::settle::Payout;
use gststreamiumpay::store::{Lease, ProviderChannelState, Role};

use crate::common::child::Killed;
use crate::common::regtest::Regtest;
use crate::folder::*;

const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";

fn command(regtest: &Regtest, folder: &Folder, payout: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamium-pay"));
    command
        .args(["settle", "--network", "regtest", "--payout", payout])
        .arg("--data-dir")
        .arg(folder.path())
        .env("STREAMIUM_ELECTRUM_URL", regtest.electrum_url());
    command
}

fn settle(regtest: &Regtest, folder: &Folder, payout: &str) -> (bool, String) {
    let output = command(regtest, folder, payout).output().unwrap();
    let Output {
        status,
        stdout,
        stderr,
    } = output;
    let text = [stdout, stderr].concat();
    let text = String::from_utf8(text).unwrap();
    println!("{text}");
    (status.success(), text)
}

#[test]
fn it_settles_what_can_be_settled_and_says_what_is_left() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let address = payout().to_string();
    // Two deep ones, one young, one of which only the opening payment came, one not worth it, one unconfirmed.
    let deep = folder.channels(regtest, &[10_000, 12_000], 1_008, 6);
    let young = folder.channels(regtest, &[9_000, 740, 400], 1_008, 1);
    let unconfirmed = folder.channels(regtest, &[8_000], 1_008, 0);

    let (success, text) = settle(regtest, &folder, &address);
    assert!(success);
    assert!(text.contains("Settling 2 channels in"), "{text}");
    assert!(
        text.contains("with a balance of 400 sat is not worth a settlement at 1 sat/vB, which costs 205 sat"),
        "{text}"
    );
    assert!(text.contains(
        "400 sat: is not worth a settlement at the fees of now; it can wait for 1007 blocks more."
    ));
    assert!(
        text.contains("8,000 sat: its commitment transaction has no confirmation"),
        "{text}"
    );
    let settled = |channels: &[streamium_channel::contract::Channel], index: usize| {
        folder.variants(channels[index].outpoint())
    };
    assert_eq!(settled(&deep, 0), settled(&deep, 1));
    assert_eq!(settled(&young, 0)[0].input.len(), 1);
    assert_eq!(
        settled(&young, 1)[0].output[1].value,
        sat(535),
        "an opening-only channel"
    );
    assert!(settled(&young, 2).is_empty());
    for tx in [
        &settled(&deep, 0)[0],
        &settled(&young, 0)[0],
        &settled(&young, 1)[0],
    ] {
        wait_for_mempool(regtest, tx.compute_txid());
    }

    regtest.mine(1);
    let (success, text) = settle(regtest, &folder, &address);
    assert!(
        success && text.contains("is confirmed, and final in 5 blocks"),
        "{text}"
    );
    let last = settled(&unconfirmed, 0)[0].compute_txid();
    wait_for_mempool(regtest, last);
    regtest.mine(6);
    let (success, text) = settle(regtest, &folder, &address);
    assert!(success && text.contains("Settled for good"), "{text}");
    for channel in deep.iter().chain(&young[..2]).chain(&unconfirmed) {
        assert_eq!(folder.state(channel.outpoint()), ProviderChannelState::Settled);
    }
    let (success, text) = settle(regtest, &folder, &address);
    assert!(success);
    assert_eq!(
        text.lines().filter(|line| line.contains("400 sat")).count(),
        2,
        "{text}"
    );
}

#[test]
fn each_run_pays_to_the_next_script_of_a_descriptor() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let text = format!("tr({TPUB}/0/*)");
    let payout = Payout::parse(&text, Network::Regtest).unwrap();
    for index in 0..3 {
        let channels = folder.channels(regtest, &[10_000], 1_008, 1);
        assert!(settle(regtest, &folder, &text).0);
        let tx = &folder.variants(channels[0].outpoint())[0];
        wait_for_mempool(regtest, tx.compute_txid());
        let paid = &tx.output[1];
        assert_eq!(paid.script_pubkey, payout.address(index).unwrap().script_pubkey());
        assert_eq!(paid.value, Amount::from_sat(9_795));
    }
}

#[test]
fn it_refuses_what_makes_no_sense_and_a_folder_in_use() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let refused = |payout: &str, words: &str| {
        let (success, text) = settle(regtest, &folder, payout);
        assert!(!success && text.contains(words), "{text}");
    };
    refused("tb1qnonsense", "is no address");
    refused(
        "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr",
        "is not of network regtest",
    );
    refused(
        "wpkh(cVpPVruEDdmutPzisEsYvtST1usBR3ntr8pXSyt6D2YYqXRyPcFW)",
        "holds a private key",
    );
    let lease = Lease::take(folder.path(), Role::Provider).unwrap();
    refused(&payout().to_string(), "it settles by itself");
    drop(lease);
    let (success, text) = settle(regtest, &folder, &payout().to_string());
    assert!(success && text.contains("Everything is settled."), "{text}");

    let empty = tempfile::tempdir().unwrap();
    let mut command = command(regtest, &folder, &payout().to_string());
    let output = command.arg("--data-dir").arg(empty.path().join("none")).output();
    // The option may be given once.
    assert!(!output.unwrap().status.success());
    assert!(!empty.path().join("none").exists());
}

#[test]
fn with_watch_it_stays_until_sigterm() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let channels = folder.channels(regtest, &[10_000], 1_008, 0);
    let child = command(regtest, &folder, &payout().to_string())
        .arg("--watch")
        .stdout(Stdio::null())
        .spawn();
    let mut child = Killed(child.unwrap());
    let outpoint = channels[0].outpoint();
    wait_until("the lease to be taken", || {
        Lease::take(folder.path(), Role::Provider).is_err()
    });
    assert!(folder.variants(outpoint).is_empty());
    regtest.mine(1);
    wait_until("the settlement", || !folder.variants(outpoint).is_empty());
    wait_for_mempool(regtest, folder.variants(outpoint)[0].compute_txid());
    regtest.mine(6);
    wait_until("the end of the channel", || {
        folder.state(outpoint) == ProviderChannelState::Settled
    });
    assert!(child.0.try_wait().unwrap().is_none(), "it stays");
    let pid = rustix::process::Pid::from_child(&child.0);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(child.0.wait().unwrap().success());
}
