//! Every rule of the engine, in simulated time on a simulated chain. The same on a real one: `tests/settlement.rs`.

mod batches;
mod bumps;
mod closes;
mod conflicts;
mod lifecycle;
mod payouts;
mod resuming;
mod world;

use crate::chain::{BroadcastError, ChainEvent};
use bitcoin::{OutPoint, Transaction};
use std::time::Duration;
use world::*;
