//! What integration tests share: `mod common;`.

// Each test binary compiles this anew and uses a part of it.
#![allow(dead_code)]

pub mod child;
pub mod coins;
pub mod driver;
pub mod footprint;
pub mod frames;
pub mod network;
pub mod notes;
pub mod paid;
pub mod regtest;
pub mod reports;
pub mod sync;
pub mod taps;
pub mod wait;
pub mod webrtc;
pub mod wire;
