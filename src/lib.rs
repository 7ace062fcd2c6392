//! GStreamer elements for paid live streaming.

pub mod boottime;
pub mod chain;
pub mod data_channel;
pub mod gate;
pub mod inner;
pub mod paysink;
pub mod paysrc;
pub mod refund;
pub mod session;
pub mod settle;
pub mod store;
pub mod wallet;
