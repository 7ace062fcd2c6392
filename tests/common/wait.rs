//! Waiting for what takes as long as it takes.
#![allow(dead_code)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Far more than anything here takes; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until something listens at this port.
pub fn wait_for_port(port: u16) {
    wait_until(&format!("somebody who listens at port {port}"), || {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}
