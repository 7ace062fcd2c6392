//! The Streamium payment channel.
#![forbid(unsafe_code)]
