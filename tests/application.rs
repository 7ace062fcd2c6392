//! What an application sees of a paid stream: signals, statistics, metrics. On a real chain, over real WebRTC.

mod common;
#[path = "application/metrics.rs"]
mod metrics;
#[path = "docs/pages.rs"]
#[allow(dead_code)]
mod pages;
#[path = "application/python.rs"]
mod python;
#[path = "application/signals.rs"]
mod signals;
#[path = "application/statistics.rs"]
mod statistics;
#[path = "application/viewer.rs"]
mod viewer;
