//! A disk that fills up.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use gststreamiumpay::store::Store;

use crate::child::{Acting, must, own_mounts};
use crate::fill::{Records, after, standing, standing_in};

/// Takes all space that is left on a disk, until it is dropped.
pub struct Filler(PathBuf);

impl Filler {
    pub fn fill(dir: &Path) -> Self {
        let path = dir.join("filler");
        let mut file = OpenOptions::new().create(true).append(true).open(&path).unwrap();
        for size in [65_536, 4_096, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
        Self(path)
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A disk of so many kilobytes, in a process with mounts of its own.
pub fn small_disk(dir: &Path, kilobytes: u32) {
    let size = format!("size={kilobytes}k");
    must(
        "mount",
        &[
            "-t",
            "tmpfs",
            "-o",
            &size,
            "streamium-test",
            &dir.display().to_string(),
        ],
    );
}

/// Says so where it can't be done: the limit on file sizes below works everywhere.
pub fn with_own_mounts(act: &str) {
    let dir = tempfile::tempdir().unwrap();
    match own_mounts() {
        Some(wrapper) => Acting::start(act, dir.path(), wrapper).expect_success(),
        None => eprintln!("not tried: this user may not mount a small disk"),
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_costs_nothing_that_was_acknowledged() {
    with_own_mounts("full-disk");
}

pub fn on_a_small_disk(dir: &Path) {
    small_disk(dir, 1_024);
    let records = Records::new();
    let mut store = Store::open(dir).unwrap();
    records.insert(&mut store);
    records.pay(&mut store, 0).unwrap();
    let mut last = 0;
    for round in 1..4_u64 {
        let filler = Filler::fill(dir);
        // What fits into a page that is there already may still be taken.
        let failed = (1..100).find_map(|more| match records.pay(&mut store, last + more) {
            Ok(()) => None,
            Err(error) => Some((last + more, error.to_string())),
        });
        let (step, error) = failed.expect("a full disk takes no more");
        println!("{error}");
        assert!(
            error.contains("full") || error.contains("disk I/O error"),
            "{error}"
        );
        let found = standing_in(&store).expect("what is there can be read while the disk is full");
        assert!(
            found >= Some(after(step - 1)),
            "{found:?} after step {} was acknowledged",
            step - 1
        );
        // The same program goes on once there is space.
        drop(filler);
        last = step + round;
        records.pay(&mut store, last).unwrap();
        assert_eq!(standing(dir).unwrap(), Some(after(last)));
    }
}

#[test]
fn a_file_that_may_not_grow_is_a_clear_error_and_costs_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    // Without the trap the kernel would end it. A block is 512 bytes.
    let limit = ["sh", "-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh"];
    let mut payer = Acting::start("pay", dir.path(), &limit);
    let mut last = 0;
    let error = loop {
        let line = payer.says("").expect("it says why it ends");
        if let Some((_, step)) = line.split_once("acknowledged: ") {
            last = step.parse().unwrap();
        } else if let Some((_, error)) = line.split_once("failed: ") {
            break error.to_owned();
        }
    };
    println!("after step {last}: {error}");
    assert!(last > 5, "some steps fit");
    assert!(
        error.contains("full") || error.contains("disk I/O error"),
        "{error}"
    );
    drop(payer);
    let found = standing(dir.path()).unwrap();
    assert!(
        found >= Some(after(last)),
        "{found:?} after step {last} was acknowledged"
    );
}
