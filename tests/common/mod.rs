//! What integration tests share: `mod common;`.

// Each test binary compiles this anew and uses a part of it.
#![allow(dead_code)]

pub mod child;
pub mod driver;
pub mod footprint;
pub mod frames;
pub mod notes;
pub mod paid;
pub mod regtest;
pub mod sync;
pub mod taps;
pub mod webrtc;
