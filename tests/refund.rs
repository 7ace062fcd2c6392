//! The consumer's money on a real chain, when the provider never settles, the commitment is stuck, a machine is lost or
//! a disk is full.

#[path = "refund/commands.rs"]
mod commands;
mod common;
#[path = "refund/disk.rs"]
mod disk;
#[path = "refund/gone.rs"]
mod gone;
#[allow(dead_code)]
#[path = "chain/liar.rs"]
mod liar;
#[path = "refund/races.rs"]
mod races;
#[path = "refund/reorgs.rs"]
mod reorgs;
#[path = "refund/restored.rs"]
mod restored;
#[path = "refund/stuck.rs"]
mod stuck;
#[path = "refund/viewer.rs"]
mod viewer;
