//! One folder and two programs, a program that was killed, and a folder that can't be written.

use std::path::Path;

use gststreamiumpay::store::{Lease, Role, Store};

use crate::child::{Acting, must, own_mounts};
use crate::fill::{Records, after, standing};

#[test]
fn a_second_program_is_refused_until_the_first_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = Acting::start("hold", dir.path(), &[]);
    assert!(first.says("holds").is_some());
    let error = Lease::take(dir.path(), Role::Provider).unwrap_err().to_string();
    assert!(error.contains("is in use by another provider"), "{error}");
    assert!(error.contains(&dir.path().display().to_string()), "{error}");
    first.kill();
    // The system gives the lease back at once.
    Lease::take(dir.path(), Role::Provider).unwrap();
    Store::open(dir.path()).unwrap();
}

#[test]
fn two_programs_with_one_store_give_out_no_key_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = Acting::start("pay", dir.path(), &[]);
    assert_eq!(other.says("acknowledged: ").as_deref(), Some("0"));
    let mut store = Store::open(dir.path()).unwrap();
    let ours: Vec<u32> = (0..50)
        .map(|_| store.next_key_index(Role::Provider).unwrap())
        .collect();
    let mut last = 0;
    while last < 200 {
        last = other.says("acknowledged: ").expect("it goes on").parse().unwrap();
    }
    other.kill();
    // Each step of the other took one too.
    let next = store.next_key_index(Role::Provider).unwrap();
    assert!(ours.windows(2).all(|pair| pair[0] < pair[1]), "{ours:?}");
    assert!(
        u64::from(next) > 50 + last,
        "{next} after 50 here and {last} there"
    );
}

#[test]
fn whatever_was_acknowledged_before_a_kill_is_there_again() {
    for kill_after in [0, 7, 150] {
        let dir = tempfile::tempdir().unwrap();
        let mut payer = Acting::start("pay", dir.path(), &[]);
        let mut last = payer.says("acknowledged: ").unwrap();
        for _ in 0..kill_after {
            last = payer.says("acknowledged: ").unwrap();
        }
        payer.kill();
        let last: u64 = last.parse().unwrap();
        Lease::take(dir.path(), Role::Provider).expect("a dead program holds nothing");
        let found = standing(dir.path()).unwrap();
        assert!(
            found >= Some(after(last)),
            "{found:?} after step {last} was acknowledged"
        );
    }
}

#[test]
fn a_folder_that_cant_be_written_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    match own_mounts() {
        Some(wrapper) => Acting::start("read-only", dir.path(), wrapper).expect_success(),
        // Who may not mount is not root, so permissions hold.
        None => {
            must("chmod", &["500", &dir.path().display().to_string()]);
            refuses(dir.path());
        }
    }
}

/// In a process with mounts of its own.
pub fn on_a_read_only_disk(dir: &Path) {
    let path = dir.display().to_string();
    must(
        "mount",
        &["-t", "tmpfs", "-o", "size=4m", "streamium-test", &path],
    );
    Records::new().insert(&mut Store::open(dir).unwrap());
    drop(Lease::take(dir, Role::Provider).unwrap());
    must("mount", &["-o", "remount,ro", &path]);
    refuses(dir);
    // Nothing was changed on the way: it is all there once it can be written again.
    must("mount", &["-o", "remount,rw", &path]);
    assert!(standing(dir).unwrap().is_some());
}

fn refuses(dir: &Path) {
    let errors = [
        Lease::take(dir, Role::Provider).unwrap_err().to_string(),
        Store::open(dir).unwrap_err().to_string(),
    ];
    for error in errors {
        println!("{error}");
        let says_why = ["Read-only", "readonly", "Permission denied", "unable to open"];
        assert!(says_why.iter().any(|words| error.contains(words)), "{error}");
    }
}
