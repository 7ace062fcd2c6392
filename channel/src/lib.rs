//! The Streamium payment channel: one-way, one on-chain output, paid second by second.
//!
//! Everything a second implementation would have to agree on is here, and nothing else: terms, script,
//! payments, transactions, the two session state machines, the meters and the wire messages. There is no
//! I/O, no clock, no thread and no media in this crate. Time comes in as an argument (a [`Duration`] of a
//! clock that never jumps), effects come out as a list, in the order in which they have to happen.
//!
//! `docs/protocol.md` is the specification; section numbers in these docs refer to it.
//!
//! [`Duration`]: std::time::Duration
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::unreachable,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]

pub mod agreement;
pub mod blocks;
pub mod commitment;
pub mod consumer;
pub mod contract;
pub mod cooperative;
pub mod fault;
pub mod fee_belief;
pub mod handshake;
pub mod keys;
pub mod link;
pub mod liveness;
pub mod message;
pub mod meter;
pub mod money;
pub mod payment;
pub mod provider;
pub mod rate_offer;
pub mod record;
pub mod refund;
pub mod resume;
pub mod script;
pub mod settlement;
pub mod spender;
pub mod terms;

mod secp;
mod spend;
mod tagged;
mod transaction_hex;

pub use bitcoin;
