//! The commands by themselves: what they print, what they refuse, their exit codes.

use bitcoin::{Address, Amount};
use gststreamiumpay::store::{Lease, Role};

use crate::common::regtest::Regtest;
use crate::viewer::*;

fn told(arguments: &[String]) -> (Option<i32>, String, String) {
    let output = run(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn money_comes_to_the_address_and_goes_where_it_is_sent() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let (code, said, _) = told(&with_folder(dir, &["address"]));
    assert_eq!(code, Some(0));
    let (address, uri) = said.trim().split_once('\n').unwrap();
    assert_eq!(uri, format!("bitcoin:{address}"));
    let address = address.parse::<Address<_>>().unwrap().assume_checked();
    regtest.fund(&address, Amount::from_sat(70_000));
    regtest.mine(1);
    assert_eq!(figure(&command(regtest, dir, &["balance"]), "confirmed"), 70_000);

    let to = regtest.cli(&["-rpcwallet=miner", "getnewaddress"]);
    let sent = command(regtest, dir, &["withdraw", &to, "--amount-sat=20000"]);
    let fee: u64 = figure(
        &sent[sent.find("for a fee of").unwrap()..].replace("for", "fee"),
        "fee",
    );
    // A server may take a moment to show what it has just been handed.
    let mut looks = std::iter::repeat_with(|| command(regtest, dir, &["balance"])).take(30);
    assert!(looks.any(|balance| figure(&balance, "unconfirmed") == 50_000 - fee));
    regtest.mine(1);
    command(regtest, dir, &["withdraw", &to, "--all"]);
    regtest.mine(1);
    let balance = command(regtest, dir, &["balance"]);
    for name in ["confirmed", "unconfirmed", "waiting", "reserved", "in channels"] {
        assert_eq!(figure(&balance, name), 0, "{balance}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_with_a_sentence() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let outpoint = format!("{}:0", "00".repeat(32));
    let missing = dir.join("missing");
    let server = |arguments: &[String]| with_chain(regtest, arguments);
    let away = regtest.cli(&["-rpcwallet=miner", "getnewaddress"]);
    for (arguments, code, words) in [
        (
            server(&with_folder(&missing, &["refund"])),
            1,
            "is not there: set --data-dir",
        ),
        (with_folder(dir, &["refund"]), 2, "--electrum-url"),
        (
            with_folder(dir, &["descriptor", "nonsense"]),
            2,
            "invalid value 'nonsense'",
        ),
        (
            with_folder(dir, &["descriptor", &outpoint]),
            1,
            "is not on record",
        ),
        (server(&with_folder(dir, &["withdraw", &away])), 2, "--amount-sat"),
        (
            server(&with_folder(dir, &["withdraw", &away, "--amount-sat=1000"])),
            1,
            "are needed, 0 BTC are available",
        ),
        (
            server(&with_folder(
                dir,
                &["withdraw", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "--all"],
            )),
            1,
            "is not an address of regtest: nothing was sent",
        ),
    ] {
        let (found, said, complained) = told(&arguments);
        assert_eq!(found, Some(code), "{arguments:?}: {said}{complained}");
        assert!(complained.contains(words), "{arguments:?}: {complained}");
    }
    assert!(!missing.exists());

    let _lease = Lease::take(dir, Role::Consumer).unwrap();
    let file = dir.join("some.json");
    let file = file.to_str().unwrap();
    for arguments in [
        server(&with_folder(dir, &["refund"])),
        server(&with_folder(dir, &["refund", "--watch"])),
        server(&with_folder(dir, &["channels"])),
        with_folder(dir, &["channels"]),
        with_folder(dir, &["descriptor", &outpoint]),
        server(&with_folder(dir, &["balance"])),
        with_folder(dir, &["address"]),
        server(&with_folder(dir, &["withdraw", &away, "--all"])),
    ] {
        let (code, _, complained) = told(&arguments);
        assert_eq!(code, Some(1), "{arguments:?}");
        assert!(
            complained.contains("is in use by another consumer"),
            "{arguments:?}: {complained}"
        );
    }
    let (code, _, complained) = told(&with_folder(dir, &["restore", file]));
    assert_eq!(code, Some(1), "{complained}");
}

#[test]
fn a_server_that_is_gone_is_said_and_nothing_is_lost() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let mut viewer = Viewer::open(regtest, dir);
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir);
    drop(viewer);
    regtest.mine(u32::from(DELAY));
    regtest.stop_electrum();
    let arguments = with_chain(regtest, &with_folder(dir, &["refund", "--timeout=2"]));
    let (code, said, complained) = told(&arguments);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        complained.contains("no Electrum server answered within 2 s"),
        "{complained}"
    );
    assert!(complained.contains("can't be used"), "{complained}");
    regtest.start_electrum();
    let said = command(regtest, dir, &["refund"]);
    assert!(
        said.contains("The provider never settled; 49,862 sat come back"),
        "{said}"
    );
    assert!(said.contains(&opened.outpoint().to_string()), "{said}");
}

#[test]
fn watching_ends_when_every_channel_is_closed_for_good() {
    let regtest = &Regtest::start();
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path();
    let mut viewer = Viewer::open(regtest, dir);
    viewer.fund(regtest, 60_000);
    let opened = viewer.open_confirmed(regtest, dir);
    drop(viewer);
    let arguments = with_chain(regtest, &with_folder(dir, &["refund", "--watch"]));
    let watching = std::thread::spawn(move || told(&arguments));
    regtest.mine(u32::from(DELAY) - 1);
    // The refund appears by itself; then it is buried.
    let deadline = std::time::Instant::now() + PATIENCE;
    while regtest.cli(&["getrawmempool"]).len() < 10 {
        assert!(std::time::Instant::now() < deadline, "no refund");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    regtest.mine(12);
    let (code, said, complained) = watching.join().unwrap();
    assert_eq!(code, Some(0), "{said}{complained}");
    assert!(said.contains("Every channel is closed for good."), "{said}");
    assert!(said.contains(&opened.outpoint().to_string()), "{said}");
}
