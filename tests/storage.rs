//! Disks that fail: torn writes, damaged bytes, a full disk, a folder that can't be written, two programs on one folder,
//! a program that was killed. What was acknowledged is there again, or the error says what is wrong.

#[path = "../channel/tests/common/mod.rs"]
mod channel;
#[path = "storage/child.rs"]
mod child;
mod common;
#[path = "storage/drivers.rs"]
mod drivers;
#[path = "storage/fill.rs"]
mod fill;
#[path = "storage/folder.rs"]
mod folder;
#[path = "storage/full.rs"]
mod full;
#[path = "storage/torn.rs"]
mod torn;
