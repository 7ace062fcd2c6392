//! Values from the environment and the configuration file, as a player's user and the companion's meet them.

mod common;

use std::path::Path;
use std::process::Command;

use common::child::{gstreamer, said};

const LINK: &str =
    "uri=streamium://127.0.0.1:9/x?key=79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn configured(folder: &Path, text: &str) -> String {
    let path = folder.join("streamium-pay.conf");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn a_player_s_element_takes_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = configured(
        folder.path(),
        "[streamium-pay]\nnetwork=signet\n[streamiumpaysrc]\ndata-dir=/of/the/file\nbudget=4321\n",
    );
    let shown = gstreamer("gst-inspect-1.0")
        .arg("streamiumpaysrc")
        .env("STREAMIUM_CONFIG", file)
        .env("STREAMIUM_BUDGET", "1234")
        .output()
        .unwrap();
    let shown = said(&shown);
    // gst-inspect shows what a new element has.
    for expected in ["\"signet\"", "\"/of/the/file\"", "Default: 1234"] {
        assert!(shown.contains(expected), "no {expected} in {shown}");
    }
}

#[test]
fn what_can_t_be_used_is_an_error_when_the_element_starts() {
    let folder = tempfile::tempdir().unwrap();
    let file = configured(folder.path(), "[streamiumpaysrc]\nbudgte=4321\n");
    let cases: [(&str, &str, &[&str], &str); 5] = [
        (
            "STREAMIUM_BUDGET",
            "much",
            &[],
            "$STREAMIUM_BUDGET has \"much\" for budget, which must be a number from 0 to",
        ),
        (
            "STREAMIUM_PAYMENT_INTERVAL",
            "1",
            &[],
            "for payment-interval, which must be a number from 100 to 60000",
        ),
        (
            "STREAMIUM_CONFIG",
            "/nonexistent",
            &[],
            "the configuration file /nonexistent can't be read",
        ),
        (
            "STREAMIUM_CONFIG",
            &file,
            &[],
            "sets budgte, which is no property",
        ),
        // A property that is set counts more.
        (
            "STREAMIUM_NETWORK",
            "signet",
            &["network=mainnet"],
            "network can't be \"mainnet\"",
        ),
    ];
    for (variable, value, properties, words) in cases {
        let output = gstreamer("gst-launch-1.0")
            .args(["streamiumpaysrc", LINK])
            .args(properties)
            .args(["!", "fakesink"])
            .env(variable, value)
            .output()
            .unwrap();
        let said = said(&output);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(words), "no {words} in {said}");
    }
}

#[test]
fn the_companion_takes_them_too() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = configured(
        folder.path(),
        &format!("[streamium-pay]\nnetwork=regtest\ndata-dir={}\n", data.display()),
    );
    let companion = |file: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamium-pay"));
        let output = command
            .args(arguments)
            .env("STREAMIUM_CONFIG", file)
            .output()
            .unwrap();
        (output.status.success(), said(&output))
    };
    let (done, address) = companion(&file, &["address"]);
    assert!(done && address.starts_with("bcrt1"), "{address}");
    assert!(data.is_dir());
    let (done, address) = companion(
        &file,
        &[
            "address",
            "--network",
            "signet",
            "--data-dir",
            &format!("{}2", data.display()),
        ],
    );
    assert!(done && address.starts_with("tb1"), "{address}");
    let (done, words) = companion("/nonexistent", &["address"]);
    assert!(
        !done && words.contains("the configuration file /nonexistent can't be read"),
        "{words}"
    );
}
