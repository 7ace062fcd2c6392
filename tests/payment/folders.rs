//! Data folders that can't be used: said when the element starts, with the folder and what to do.

use std::path::{Path, PathBuf};
use std::process::Command;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use super::edges::refused;
use crate::common::notes::Notes;
use crate::common::paid::{PaidConsumer, PaidProvider, pipeline};
use crate::common::webrtc::{RAW_VIDEO, Running, free_port, own_server, run};

pub const PAYOUT: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";
pub const KEY: &str = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";

fn sink(dir: &Path) -> String {
    format!(
        "streamiumpaysink network=regtest rate=5 payout-address={PAYOUT} electrum-url=tcp://127.0.0.1:1 data-dir={}",
        dir.display()
    )
}

fn source(dir: &Path) -> String {
    format!(
        "streamiumpaysrc network=regtest uri=streamium://h:1/a?key={KEY} electrum-url=tcp://127.0.0.1:1 data-dir={}",
        dir.display()
    )
}

/// A small file system of its own, mounted with these options; unmounted when dropped.
struct Mount(
    PathBuf,
    #[expect(dead_code, reason = "it is removed when dropped")] tempfile::TempDir,
);

impl Mount {
    /// `None`, with the reason printed, where this user may not mount.
    fn tmpfs(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m");
        std::fs::create_dir(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(&path)
            .output()
            .unwrap();
        if !mounted.status.success() {
            println!("skipped: {}", String::from_utf8_lossy(&mounted.stderr));
            return None;
        }
        Some(Self(path, dir))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

fn both_refuse(dir: &Path, words: &str) {
    for launch in [sink(dir), source(dir)] {
        let said = refused(&launch, gst::State::Paused);
        println!("{said}");
        assert!(said.contains(words), "{launch}: {said}");
        assert!(said.contains(&dir.display().to_string()), "{launch}: {said}");
    }
}

#[test]
fn a_file_is_no_folder() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        both_refuse(&file, "it is no folder");
    });
}

#[test]
fn a_read_only_folder() {
    run(|| {
        let Some(mount) = Mount::tmpfs("ro") else { return };
        both_refuse(&mount.0, "it can't be written");
        both_refuse(&mount.0.join("below"), "it can't be written");
    });
}

#[test]
fn a_full_disk() {
    run(|| {
        let Some(mount) = Mount::tmpfs("size=64k") else {
            return;
        };
        both_refuse(&mount.0, "make room");
    });
}

#[test]
fn a_damaged_store() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("channels.sqlite"),
            "this is no database, ".repeat(1_000),
        )
        .unwrap();
        both_refuse(dir.path(), "is damaged");
    });
}

/// Starts an element on a folder that another uses; answers what it says.
fn second(launch: &str) -> String {
    let pipeline = pipeline(&format!("{launch} {RAW_VIDEO}"));
    let mut notes = Notes::take(&pipeline, "second");
    let running = Running(pipeline);
    assert!(running.0.set_state(gst::State::Playing).is_err());
    notes.last("error").words
}

#[test]
fn the_second_on_a_folder_is_refused_and_the_first_goes_on() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let (one, other) = (dirs.path().join("p"), dirs.path().join("c"));
        let mut provider = PaidProvider::start(&one, RAW_VIDEO, "");
        let mut consumer = PaidConsumer::funded(&provider.link(), &other, "");
        consumer.expect(Video, 5);
        let port = free_port();
        let own = format!("name=sink run-signalling-server=true signalling-server-port={port}");
        let said = second(&format!("{} {own}", sink(&one)));
        println!("{said}");
        assert!(said.contains("in use by another provider"), "{said}");
        let said = refused(&source(&other), gst::State::Paused);
        println!("{said}");
        assert!(said.contains("in use by another consumer"), "{said}");

        let before = provider.balance();
        provider
            .notes
            .wait_for("payment", |note| note.number("balance-sat") > before);
        consumer.drain_queued();
        consumer.expect(Video, 10);
        consumer.notes.check();
        provider.notes.check();
    });
}

#[test]
fn the_first_keys_for_real_money_are_told_of_once() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("data");
        let start = || {
            let port = free_port();
            let pipeline = pipeline(&format!(
                "streamiumpaysink name=sink network=bitcoin data-dir={} {} stun-server=none \
                 {RAW_VIDEO}",
                folder.display(),
                own_server(port)
            ));
            let notes = Notes::take(&pipeline, "sink");
            let running = Running(pipeline);
            running.0.set_state(gst::State::Playing).unwrap();
            (running, notes)
        };
        let (first, mut notes) = start();
        let backup = notes.wait("backup");
        assert_eq!(backup.text("seed"), folder.join("seed").display().to_string());
        let warning = notes.wait("warning");
        println!("{}", warning.words);
        assert!(warning.words.contains("real money") && warning.words.contains(&backup.text("data-dir")));
        drop(first);
        let (_second, mut notes) = start();
        notes.wait("link");
        assert!(!notes.said("backup") && !notes.said("warning"));
    });
}

#[test]
fn who_could_not_start_starts_with_another_folder() {
    run(|| {
        let temp = tempfile::tempdir().unwrap();
        let nowhere = Path::new("/proc/nowhere");
        for (launch, pads) in [(sink(nowhere), 0), (source(nowhere), 2)] {
            let element = gst::parse::launch(&launch).unwrap();
            assert!(element.set_state(gst::State::Paused).is_err());
            assert!(element.src_pads().is_empty(), "{launch} left pads behind");
            element.set_state(gst::State::Null).unwrap();
            element.set_property("data-dir", temp.path().to_str().unwrap());
            element.set_state(gst::State::Paused).unwrap();
            assert_eq!(element.src_pads().len(), pads, "{launch}");
            element.set_state(gst::State::Null).unwrap();
        }
    });
}
