//! The settlement engine on a real chain: a node, an Electrum server, and channels that a stream has left behind.
//! Every rule by itself, in simulated time: `src/settle/tests`.

#[path = "settlement/batch.rs"]
mod batch;
#[path = "settlement/command.rs"]
mod command;
mod common;
#[path = "settlement/folder.rs"]
mod folder;
#[path = "settlement/troubles.rs"]
mod troubles;
