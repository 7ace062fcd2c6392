//! Players that know nothing of payments open a link.

mod common;

use std::path::Path;
use std::process::Command;

use common::child::{Launched, gstreamer, said};
use common::paid::{CAPACITY_SAT, PaidProvider, prefund};
use common::regtest::Regtest;
use common::wait::wait_until;
use common::webrtc::{RAW_AUDIO, WHITE, run};

/// The picture that the player shows, as grey values, a handful of bytes a frame.
const WIDTH: usize = 16;
const HEIGHT: usize = 8;

fn video_sink(file: &Path) -> String {
    format!(
        "videoconvertscale ! video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT} ! \
         filesink buffer-mode=unbuffered location={}",
        file.display()
    )
}

/// How many white frames a player has shown.
fn white_frames(file: &Path) -> usize {
    let bytes = std::fs::read(file).unwrap_or_default();
    let is_white = |frame: &&[u8]| frame.iter().all(|grey| *grey > 200);
    bytes.chunks_exact(WIDTH * HEIGHT).filter(is_white).count()
}

/// What a player's user sets instead of properties.
fn with_settings(command: &mut Command, folder: &Path) {
    command
        .env("STREAMIUM_NETWORK", "regtest")
        .env("STREAMIUM_ELECTRUM_URL", Regtest::shared().electrum_url())
        .env("STREAMIUM_DATA_DIR", folder)
        .env("STREAMIUM_CAPACITY", CAPACITY_SAT.to_string())
        .env("STREAMIUM_MAX_RATE", "1000000")
        .env("STREAMIUM_STUN_SERVER", "none");
}

/// A paid stream, a wallet with money, and a player that is given the link and nothing else.
fn plays_a_paid_stream(options: &[&str]) {
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = PaidProvider::start(&dirs.path().join("p"), &format!("{WHITE}{RAW_AUDIO}"), "");
    let folder = dirs.path().join("c");
    prefund(&folder);
    let picture = dirs.path().join("picture");
    let mut player = gstreamer("gst-play-1.0");
    with_settings(&mut player, &folder);
    player
        .args(["--no-interactive", "--audiosink=fakesink sync=true"])
        .arg(format!("--videosink={}", video_sink(&picture)))
        .args(options)
        .arg(provider.link());
    let mut player = Launched::run(&mut player);
    provider.notes.gate("open");
    wait_until("paid frames in the player", || white_frames(&picture) > 20);
    let paid = provider.notes.wait("payment").number("balance-sat");
    let more = provider
        .notes
        .wait_for("payment", |note| note.number("balance-sat") > paid);
    println!(
        "{options:?}: {} sat, {} frames",
        more.number("balance-sat"),
        white_frames(&picture)
    );
    // The stream ends, and with it what plays it.
    provider.stop();
    assert!(player.wait().success());
}

#[test]
fn gst_play() {
    run(|| plays_a_paid_stream(&[]));
}

#[test]
fn gst_play_with_playbin3() {
    run(|| plays_a_paid_stream(&["--use-playbin3"]));
}

#[test]
fn gst_discoverer_finds_the_slate() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let provider = PaidProvider::start(&dirs.path().join("p"), &format!("{WHITE}{RAW_AUDIO}"), "");
        let mut discoverer = gstreamer("gst-discoverer-1.0");
        with_settings(&mut discoverer, &dirs.path().join("c"));
        let output = discoverer
            .args(["--timeout=10", &provider.link()])
            .output()
            .unwrap();
        // What it finds is the slate, which is there before any money is.
        let said = said(&output);
        assert!(output.status.success(), "{said}");
        for expected in ["Live: yes", "audio #", "video #", "Width: 1280"] {
            assert!(said.contains(expected), "no {expected} in {said}");
        }
    });
}
