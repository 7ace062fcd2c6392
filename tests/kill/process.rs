//! This test binary again, as a provider or a consumer that can be killed.
#![allow(dead_code)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What a child is, its folder, and its pipeline.
pub const ROLE: &str = "STREAMIUM_TEST_ROLE";
pub const LAUNCH: &str = "STREAMIUM_TEST_LAUNCH";

/// Marks the lines that are for the parent, among those of the test harness.
pub const MARK: &str = "@@ ";

/// For an orderly end: the longest that an element takes for it, and more.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running child. It is killed when this is dropped.
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// What it says besides goes to `log`.
    pub fn start(role: &str, launch: &str, log: &Path) -> Self {
        Self::running("role::plays", role, launch, log)
    }

    /// The same, with the test that the child runs.
    pub fn running(test: &str, role: &str, launch: &str, log: &Path) -> Self {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--ignored", "--nocapture"])
            .env(ROLE, role)
            .env(LAUNCH, launch)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Ends with the child.
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Some(at) = line.find(MARK) {
                    let _ = sender.send(line[at + MARK.len()..].to_owned());
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines }
    }

    /// What it has said meanwhile.
    pub fn said(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; answers whether it ended well, and the last that it said.
    pub fn wait(mut self) -> (ExitStatus, Vec<String>) {
        let until = Instant::now() + PATIENCE * 3;
        while !self.has_ended() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        (self.child.wait().unwrap(), self.lines.iter().collect())
    }

    /// At once, without a chance to do anything; answers the last that it said.
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.lines.iter().collect()
    }

    /// As somebody who closes a player or a broadcast; answers the last that it said.
    pub fn stop(mut self) -> Vec<String> {
        self.stdin = None;
        let until = Instant::now() + PATIENCE;
        while !self.has_ended() {
            assert!(Instant::now() < until, "it does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
        self.lines.iter().collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
