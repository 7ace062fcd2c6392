//! This test binary again, as a process that can be killed, limited, or given a disk of its own.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use gststreamiumpay::store::{Lease, Role, Store};

use crate::fill::Records;
use crate::{drivers, folder, full};

/// What a child is to do, and where.
const ACT: &str = "STREAMIUM_TEST_ACT";
const DIR: &str = "STREAMIUM_TEST_DIR";

/// A running child. It is killed when this is dropped.
pub struct Acting {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Acting {
    /// Starts `act` on a folder; `wrapper` is a program with arguments that starts it.
    pub fn start(act: &str, dir: &Path, wrapper: &[&str]) -> Self {
        let own = std::env::current_exe().unwrap();
        let arguments = ["child::acts", "--exact", "--ignored", "--nocapture"];
        let mut command = match wrapper.split_first() {
            None => Command::new(own),
            Some((program, rest)) => {
                let mut command = Command::new(program);
                command.args(rest).arg(own);
                command
            }
        };
        let mut child = command
            .args(arguments)
            .env(ACT, act)
            .env(DIR, dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// What it says next that begins like this, or `None` once it has ended.
    pub fn says(&mut self, beginning: &str) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            // The test harness writes its own words in front of the first line.
            if let Some(at) = line.find(beginning) {
                return Some(line[at + beginning.len()..].trim().to_owned());
            }
        }
    }

    /// Ends it as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for it to end by itself.
    pub fn expect_success(mut self) {
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}: {rest}");
        println!("{rest}");
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What gives a process mounts of its own, which are gone with it; `None` where that is not allowed.
pub fn own_mounts() -> Option<&'static [&'static str]> {
    const AS_ROOT: &[&str] = &["unshare", "--mount"];
    const AS_USER: &[&str] = &["unshare", "--user", "--map-root-user", "--mount"];
    [AS_ROOT, AS_USER].into_iter().find(|wrapper| {
        let (program, arguments) = wrapper.split_first().unwrap();
        let mut try_it = Command::new(program);
        try_it.args(arguments).arg("true").stderr(Stdio::null());
        try_it.status().is_ok_and(|status| status.success())
    })
}

/// Runs a program that has to succeed.
pub fn must(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}: {status}");
}

#[test]
#[ignore = "started by the other tests, in a process of its own"]
fn acts() {
    let (Ok(act), Ok(dir)) = (std::env::var(ACT), std::env::var(DIR)) else {
        return;
    };
    let dir = Path::new(&dir);
    match act.as_str() {
        "hold" => hold(dir),
        "pay" => pay(dir),
        "full-disk" => full::on_a_small_disk(dir),
        "full-disk-provider" => drivers::provider_on_a_small_disk(dir),
        "full-disk-consumer" => drivers::consumer_on_a_small_disk(dir),
        "read-only" => folder::on_a_read_only_disk(dir),
        _ => panic!("there is no act {act}"),
    }
}

/// Holds lease and store until it is killed.
fn hold(dir: &Path) {
    let _lease = Lease::take(dir, Role::Provider).unwrap();
    let _store = Store::open(dir).unwrap();
    println!("holds");
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
}

/// Pays, step by step, and says what is durable, until it is killed or can't any more.
fn pay(dir: &Path) {
    let _lease = Lease::take(dir, Role::Provider).unwrap();
    let records = Records::new();
    let mut store = Store::open(dir).unwrap();
    records.insert(&mut store);
    for step in 0.. {
        if let Err(error) = records.pay(&mut store, step) {
            println!("failed: {error}");
            return;
        }
        println!("acknowledged: {step}");
    }
}
