//! What the fuzz targets do with their input, apart from the fuzzer: the tests replay the corpus through the same
//! files (`channel/tests/corpus.rs`, `tests/corpus.rs`), which include them by path.

/// Keys, terms and policies are those of the channel's own tests.
#[path = "../../channel/tests/common/mod.rs"]
mod common;
pub mod consumer;
pub mod link;
pub mod provider;
pub mod record;
/// By path, so that fuzzing the store does not have to build the elements.
#[allow(dead_code, unused_imports)]
#[path = "../../src/store/mod.rs"]
mod store;
pub mod wire;
