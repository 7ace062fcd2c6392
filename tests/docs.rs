//! What is documented is there, and what is there is documented.

#[path = "docs/blocks.rs"]
mod blocks;
#[path = "docs/commands.rs"]
mod commands;
mod common;
#[path = "docs/pages.rs"]
mod pages;
#[path = "docs/tables.rs"]
mod tables;

/// Both elements, made in this process.
fn elements() -> [gst::Element; 2] {
    common::webrtc::init();
    ["streamiumpaysink", "streamiumpaysrc"].map(|name| gst::ElementFactory::make(name).build().unwrap())
}
