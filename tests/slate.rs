//! The screen inside the video: its pictures, and how it makes way for the paid video and comes back.

mod common;
#[path = "slate/pads.rs"]
mod pads;
#[path = "slate/pictures.rs"]
mod pictures;
#[path = "slate/shown.rs"]
mod shown;
#[path = "slate/switching.rs"]
mod switching;
#[path = "slate/sync.rs"]
mod sync;
#[path = "slate/track.rs"]
mod track;
