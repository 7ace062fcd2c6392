//! The application that docs/elements.md shows, compiled and run.

use std::path::Path;
use std::process::Command;

use bitcoin::{Address, Network};

use crate::common::child::{Launched, gstreamer, said};
use crate::common::coins::sat;
use crate::common::paid::{CAPACITY_SAT, PaidProvider, paid_viewer};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{RAW_VIDEO, run};
use crate::pages::page;

/// Writes and compiles it, without a warning.
fn compiled(folder: &Path) -> std::path::PathBuf {
    let docs = page("docs/elements.md");
    let (_, code) = docs.split_once("```c\n").unwrap();
    let (code, _) = code.split_once("```").unwrap();
    let (source, program) = (folder.join("viewer.c"), folder.join("viewer"));
    std::fs::write(&source, code).unwrap();
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "gstreamer-1.0"])
        .output()
        .unwrap();
    let flags = String::from_utf8(flags.stdout).unwrap();
    let output = Command::new("cc")
        .args(["-Wall", "-Werror", "-o"])
        .args([&program, &source])
        .args(flags.split_whitespace())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    program
}

#[test]
fn the_documented_application_shows_what_to_pay_and_stops_when_it_has_seen_enough() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let regtest = Regtest::shared();
        let program = compiled(dirs.path());
        let provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let pipeline = paid_viewer(&provider.link(), &dirs.path().join("c"));
        let mut viewer = Launched::run(gstreamer(&program.display().to_string()).arg(pipeline));
        let uri = viewer.wait_for("pay bitcoin:");
        let (address, amount) = uri
            .split_once("pay bitcoin:")
            .unwrap()
            .1
            .split_once("?amount=")
            .unwrap();
        let address = address
            .parse::<Address<_>>()
            .unwrap()
            .require_network(Network::Regtest)
            .unwrap();
        let amount = bitcoin::Amount::from_str_in(amount.trim(), bitcoin::Denomination::Bitcoin).unwrap();
        assert!(amount > sat(CAPACITY_SAT));
        regtest.fund(&address, amount);
        let paid = |line: String| -> u64 {
            let words: Vec<_> = line.split(' ').collect();
            words[1].parse().unwrap()
        };
        let first = paid(viewer.wait_for("paid "));
        let mut last = first;
        while last < 1_500 {
            let next = paid(viewer.wait_for("paid "));
            assert!(next > last, "{next} sat after {last} sat");
            last = next;
        }
        assert!(first < 1_500 && viewer.wait().success());
    });
}
