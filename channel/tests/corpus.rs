//! The inputs that fuzzing found worth keeping, each played once: no panic, and all that has to hold holds. What is
//! done with them, and how more are found, is in `fuzz/`.

mod common;
#[path = "../../fuzz/src/consumer/mod.rs"]
mod consumer;
#[path = "../../fuzz/src/link.rs"]
mod link;
#[path = "../../fuzz/src/provider/mod.rs"]
mod provider;
#[path = "../../fuzz/src/wire.rs"]
mod wire;

use std::path::Path;

/// Plays the corpus of a target; says which input it was when one fails.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../fuzz/corpus")
        .join(target);
    let mut inputs: Vec<_> = folder
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    inputs.sort();
    assert!(inputs.len() >= 5, "there is a corpus in {}", folder.display());
    for input in inputs {
        let data = std::fs::read(&input).unwrap();
        if let Err(panic) = std::panic::catch_unwind(|| run(&data)) {
            eprintln!("the input was {}", input.display());
            std::panic::resume_unwind(panic);
        }
    }
}

#[test]
fn what_consumers_may_send() {
    replay("wire_consumer", wire::consumer);
}

#[test]
fn what_providers_may_send() {
    replay("wire_provider", wire::provider);
}

#[test]
fn links() {
    replay("link", link::run);
}

#[test]
fn provider_sessions() {
    replay("provider_session", provider::run);
}

#[test]
fn consumer_sessions() {
    replay("consumer_session", consumer::run);
}
