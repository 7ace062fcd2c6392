//! Sessions: what joins the state machines of `streamium-channel` to data channels, chain, wallet and store.
//!
//! One driver thread a side owns all of it: every input arrives as an event on one queue, every effect is carried
//! out in order by that thread, and what must be durable is durable before what follows it happens. Nothing
//! here knows GStreamer: the elements hand in a [peer](crate::peer) for each connection, and take
//! [`Report`](crate::report::Report)s.

pub mod consumer;
pub mod provider;
mod published;

pub use published::Published;

use std::time::Duration;

use streamium_channel::handshake::{Bytes32, Nonce};

/// Gives the time on a clock that neither jumps nor stops ([`crate::boottime`]).
pub type Clock = fn() -> Duration;

/// Payments and accounts are written together this often (see the channel crate's `SaveAccount`).
const GROUP_COMMIT: Duration = Duration::from_millis(250);

/// Fresh random bytes.
fn nonce() -> Result<Nonce, String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| format!("no random numbers: {error}"))?;
    Ok(Bytes32::new(bytes))
}
