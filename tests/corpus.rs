//! Damaged rows of the store that fuzzing found worth keeping, each read once (see `fuzz/`).

#[path = "../channel/tests/common/mod.rs"]
mod common;
#[path = "../fuzz/src/record.rs"]
mod record;

use gststreamiumpay::store;
use std::path::Path;

#[test]
fn damaged_records() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/record");
    let mut inputs: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "there is a corpus in {}", folder.display());
    for input in inputs {
        println!("{}", input.display());
        record::run(&std::fs::read(&input).unwrap());
    }
}
