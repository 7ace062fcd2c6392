//! What a header, a proof and a checkpoint show (BIP37's and BIP157's "simplified verification", Bitcoin's
//! section 8). Pure functions: no I/O, no clock.

pub mod checkpoint;
pub mod difficulty;
pub mod headers;
pub mod merkle;
#[cfg(test)]
pub(super) mod testing;
