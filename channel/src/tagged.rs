//! BIP340 tagged hashes, and the canonical binary form of what is signed outside transactions.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use bitcoin::secp256k1::Message;

/// A canonical byte string under construction: integers big-endian, strings and lists with a length in
/// front, so that no two different values share a form (protocol.md section 4).
pub(crate) struct Canonical(sha256::HashEngine, Vec<u8>);

impl Canonical {
    /// Starts a form whose hash is `SHA256(SHA256(tag) || SHA256(tag) || form)` (BIP340).
    pub(crate) fn new(tag: &str) -> Self {
        let tag = sha256::Hash::hash(tag.as_bytes());
        let mut engine = sha256::Hash::engine();
        engine.input(tag.as_byte_array());
        engine.input(tag.as_byte_array());
        Self(engine, Vec::new())
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.input(bytes);
        self.1.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    pub(crate) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_be_bytes())
    }

    /// A string, its length in bytes in front as a u32. Every string signed here is bounded far below that.
    pub(crate) fn text(self, text: &str) -> Self {
        let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.u32(length).bytes(text.as_bytes())
    }

    /// The form itself, for the test vectors.
    pub(crate) fn form(&self) -> &[u8] {
        &self.1
    }

    pub(crate) fn message(self) -> Message {
        Message::from_digest(sha256::Hash::from_engine(self.0).to_byte_array())
    }
}
