//! What a driver or an engine reports, to be waited for.
#![allow(dead_code)]

use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use bitcoin::OutPoint;
use gststreamiumpay::report::{Field, Report};

use super::wait::PATIENCE;

/// The reports of one side, to be waited for.
pub struct Reports {
    receiver: Receiver<Report>,
    pub seen: Vec<Report>,
}

impl Reports {
    pub fn new() -> (Sender<Report>, Self) {
        let (sender, receiver) = channel();
        (
            sender,
            Self {
                receiver,
                seen: Vec::new(),
            },
        )
    }

    pub fn wait(&mut self, name: &str) -> Report {
        self.wait_for(name, |_| true)
    }

    pub fn wait_for(&mut self, name: &str, holds: impl Fn(&Report) -> bool) -> Report {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(report) = self.receiver.recv_timeout(left) else {
                panic!("waited in vain for {name}; seen: {:#?}", self.seen);
            };
            self.seen.push(report.clone());
            if report.name == name && holds(&report) {
                return report;
            }
        }
    }

    /// True if nothing of this name comes for so long.
    pub fn quiet_for(&mut self, name: &str, time: Duration) -> bool {
        let end = Instant::now() + time;
        while let Ok(report) = self
            .receiver
            .recv_timeout(end.saturating_duration_since(Instant::now()))
        {
            self.seen.push(report);
        }
        self.seen.iter().all(|report| report.name != name)
    }
}

pub fn text(report: &Report, name: &str) -> String {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Text(text))) => text.clone(),
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

pub fn number(report: &Report, name: &str) -> u64 {
    match report.fields.iter().find(|(field, _)| *field == name) {
        Some((_, Field::Number(number))) => *number,
        other => panic!("{name}: {other:?} in {report:?}"),
    }
}

/// Whether a field is there and true.
pub fn flag(report: &Report, name: &str) -> bool {
    report
        .fields
        .iter()
        .any(|(field, value)| *field == name && *value == Field::Flag(true))
}

pub fn outpoint_of(report: &Report) -> OutPoint {
    text(report, "outpoint").parse().unwrap()
}
