//! What is debited and counted however the gate is opened and closed, and what becomes of who pauses (protocol.md
//! section 7).

#[path = "../common/mod.rs"]
mod common;

mod exact;
mod honest;
mod idling;
mod phase;
mod viewer;
