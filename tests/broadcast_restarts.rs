//! A broadcast that is stopped and started again in one pipeline: what stays, and what may change in between.

mod common;
#[path = "broadcast_restarts/free.rs"]
mod free;
#[path = "broadcast_restarts/paid.rs"]
mod paid;
