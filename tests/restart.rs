//! A broadcast that is stopped and started again in one pipeline: what stays, and what may change in between.

mod common;
#[path = "restart/free.rs"]
mod free;
#[path = "restart/paid.rs"]
mod paid;
