//! Another machine, with nothing but the seed's words and the backup files.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use gststreamiumpay::refund::backup;
use gststreamiumpay::store::{Lease, Role};
use gststreamiumpay::wallet::{SEED_FILE, Seed, Wallet};

use crate::common::regtest::Regtest;
use crate::viewer::*;

fn restore(dir: &Path, network: &str, more: &[&str], words: &str) -> Output {
    let folder = format!("--data-dir={}", dir.display());
    let network = format!("--network={network}");
    let arguments = [&["restore", &network, &folder], more].concat();
    run(&arguments, words)
}

/// Refused with these words, and nothing was written.
fn refused(dir: &Path, output: &Output, words: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(words), "{said}");
    assert_eq!(
        fs::read_dir(dir).unwrap().count(),
        0,
        "{words}: nothing is half done"
    );
}

#[test]
fn channels_come_back_on_another_machine_from_seed_and_backups() {
    let regtest = &Regtest::start();
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut viewer = Viewer::open(regtest, home.path());
    viewer.fund(regtest, 120_000);
    let first = viewer.open_confirmed(regtest, home.path());
    let second = viewer.open_confirmed(regtest, home.path());
    let rest = viewer.runner.wallet.spendable().to_sat();
    drop(viewer);

    let words = fs::read_to_string(home.path().join(SEED_FILE)).unwrap();
    let files: Vec<PathBuf> = [&first, &second]
        .iter()
        .map(|opened| {
            let path = backup::path(home.path(), opened.outpoint());
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let kept = away
                .path()
                .with_extension(format!("{}.json", opened.outpoint().txid));
            // As the first version wrote it, which knew nothing of what was agreed.
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&kept, text.replace("\"version\": 2", "\"version\": 1")).unwrap();
            kept
        })
        .collect();
    fs::remove_dir_all(home.path()).unwrap();
    let files: Vec<&str> = files.iter().map(|file| file.to_str().unwrap()).collect();

    let output = restore(away.path(), "regtest", &files, &words);
    assert!(output.status.success(), "{output:?}");
    for opened in [&first, &second] {
        assert!(backup::path(away.path(), opened.outpoint()).is_file());
    }
    let balance = command(regtest, away.path(), &["balance"]);
    assert_eq!(figure(&balance, "confirmed"), rest);
    assert_eq!(figure(&balance, "in channels"), 100_000);

    regtest.mine(u32::from(DELAY));
    command(regtest, away.path(), &["refund"]);
    regtest.mine(1);
    let balance = command(regtest, away.path(), &["balance"]);
    // Two refunds of 138 vB, at 1 sat/vB.
    assert_eq!(figure(&balance, "confirmed"), rest + 2 * (50_000 - 138));

    let output = restore(away.path(), "regtest", &files[..1], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("is on record already"), "{said}");
    // A key that was used is never given out again.
    let mut viewer = Viewer::open(regtest, away.path());
    assert_eq!(viewer.runner.store.next_key_index(Role::Consumer).unwrap(), 2);
    for file in files {
        fs::remove_file(file).unwrap();
    }
}

#[test]
fn what_does_not_fit_is_refused_and_leaves_the_folder_as_it_was() {
    let regtest = &Regtest::start();
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut viewer = Viewer::open(regtest, home.path());
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_channel(home.path(), RATE);
    drop(viewer);
    let words = fs::read_to_string(home.path().join(SEED_FILE)).unwrap();
    let file = backup::path(home.path(), opened.outpoint());
    let path = file.to_str().unwrap();
    let good = fs::read_to_string(&file).unwrap();
    let try_it = |network: &str, words: &str| restore(away.path(), network, &[path], words);

    let other = tempfile::tempdir().unwrap();
    Seed::load_or_create(other.path()).unwrap();
    let others = fs::read_to_string(other.path().join(SEED_FILE)).unwrap();
    refused(
        away.path(),
        &try_it("regtest", &others),
        "belongs to another seed",
    );
    refused(
        away.path(),
        &try_it("regtest", "no such words"),
        "not the words of a seed",
    );
    refused(
        away.path(),
        &try_it("signet", &words),
        "is a channel on regtest, not on signet",
    );
    let twice = restore(away.path(), "regtest", &[path, path], &words);
    refused(away.path(), &twice, "is given twice");
    for (from, to, why) in [
        ("\"version\": 2", "\"version\": 3", "has version 3"),
        ("144", "145", "checksum is wrong"),
        ("streamium://", "streamiums://", "checksum is wrong"),
        ("channel backup", "other file", "its format is not"),
        ("\"link\"", "\"more\": 1, \"link\"", "unknown field"),
        ("}", "", "is damaged"),
    ] {
        assert!(good.contains(from));
        fs::write(&file, good.replacen(from, to, 1)).unwrap();
        refused(away.path(), &try_it("regtest", &words), why);
    }
    fs::write(&file, &good[..good.len() / 2]).unwrap();
    refused(away.path(), &try_it("regtest", &words), "is damaged");

    fs::write(&file, &good).unwrap();
    let _lease = Lease::take(home.path(), Role::Consumer).unwrap();
    let output = restore(home.path(), "regtest", &[path], "");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("is in use by another consumer"), "{said}");
}

#[test]
fn the_seed_alone_finds_what_was_paid_beyond_five_hundred_unused_scripts() {
    let regtest = &Regtest::start();
    let (home, away) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut viewer = Viewer::open(regtest, home.path());
    viewer.fund(regtest, 60_000);
    // So many proposals of which nothing came.
    for _ in 0..500 {
        viewer.runner.wallet.fresh_change_script().unwrap();
    }
    let opened = viewer.open_confirmed(regtest, home.path());
    let rest = viewer.runner.wallet.spendable().to_sat();
    drop(viewer);
    // Its provider settles; the change is all that there is of the channel.
    regtest.broadcast(&opened.settlement(4_000, RATE)).unwrap();
    regtest.mine(1);

    fs::copy(home.path().join(SEED_FILE), away.path().join(SEED_FILE)).unwrap();
    let begun = std::time::Instant::now();
    let balance = command(regtest, away.path(), &["balance"]);
    println!("a scan from the seed alone: {} ms", begun.elapsed().as_millis());
    assert_eq!(figure(&balance, "confirmed"), rest + 50_000 - 4_000);
    let mut wallet = Wallet::open(away.path(), bitcoin::Network::Regtest).unwrap();
    assert!(
        wallet.scripts_of_the_past() > 500,
        "no key of theirs is used again"
    );
    let script = wallet.fresh_change_script().unwrap();
    assert_ne!(
        &script,
        opened.channel.contract().change().script(),
        "never given out again"
    );
}
