//! A picture with text and a QR code where there is no video: what it shows, how it is drawn, and the switch between it
//! and live media. Knows nothing of payments.

mod canvas;
mod layout;
mod model;
mod painter;
mod qr;
mod text;
mod track;

pub use model::{Code, Slate, Tone};
pub use painter::{PaintError, Painter};
pub use track::{Identity, LATENCY, Track, TrackSettings};
