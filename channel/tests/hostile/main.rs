//! What a peer may try against us, tried: really signed, sent as text over the wire's form, and with a look at
//! everything that must not move. Each is a row of docs/security.md, which names the rule that refuses it.

#[path = "../common/mod.rs"]
mod common;
mod harness;

mod accounts;
mod commitments;
mod late;
mod openings;
mod payments;
mod providers;
mod rates;
mod resuming;
mod sessions;
mod third_parties;
