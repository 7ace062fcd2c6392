//! The two elements over real WebRTC, paid on a real chain: what a broadcaster and a viewer see happen.
//!
//! Everything waits for what the elements say. Tests run one after the other, so they may mine.

#[path = "payment/attacker.rs"]
mod attacker;
mod common;
#[path = "payment/credit.rs"]
mod credit;
#[path = "payment/edges.rs"]
mod edges;
#[path = "payment/folders.rs"]
mod folders;
#[path = "payment/junk.rs"]
mod junk;
#[path = "payment/playing.rs"]
mod playing;
#[path = "payment/rates.rs"]
mod rates;
#[path = "payment/reconnect.rs"]
mod reconnect;
#[path = "payment/stopping.rs"]
mod stopping;
#[path = "payment/strangers.rs"]
mod strangers;
