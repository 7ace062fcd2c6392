//! GStreamer elements for paid live streaming.
// Nothing that a peer, a server, a disk or a user can send may panic.
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::unreachable
    )
)]

use gst::glib;

mod backoff;
mod backup;
pub mod boottime;
pub mod catalogue;
pub mod chain;
pub mod config;
pub mod data_channel;
mod descriptors;
mod folder;
pub mod gate;
pub mod inner;
mod keys;
pub mod messages;
pub mod metrics;
pub mod origin;
mod pace;
mod param;
pub mod paysink;
pub mod paysrc;
pub mod peer;
pub mod price;
pub mod refund;
pub mod report;
mod room;
mod serving;
pub mod session;
pub mod settings;
pub mod settle;
mod signalling_server;
pub mod slate;
mod stats;
pub mod store;
pub mod wallet;

/// Registers both elements. The types of webrtcsink and webrtcsrc must not be touched here, see [`inner`].
fn plugin_init(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    paysink::register(plugin)?;
    paysrc::register(plugin)
}

gst::plugin_define!(
    streamiumpay,
    env!("CARGO_PKG_DESCRIPTION"),
    plugin_init,
    concat!(env!("CARGO_PKG_VERSION"), "-", env!("COMMIT_ID")),
    "MIT/X11",
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_NAME"),
    env!("CARGO_PKG_REPOSITORY"),
    env!("BUILD_REL_DATE")
);
