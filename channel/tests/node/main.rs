//! What this crate builds, put to a real node: it obeys the network's consensus and mempool rules, and what must
//! be refused is refused by the network, not by our own checks alone.
//!
//! All tests share one chain; each has it to itself while it runs, so that none minds another's blocks.

#[path = "../common/mod.rs"]
mod common;
mod harness;
#[allow(dead_code)] // The plugin's tests use the rest of it.
#[path = "../../../tests/common/regtest.rs"]
mod regtest;

mod closing;
mod funding;
mod observer;
mod pinning;
mod provider;
mod refund;
mod settlement;
