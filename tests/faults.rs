//! A broadcast that stays up: whatever one consumer, the signalling server or the chain's servers do, two other consumers
//! see no gap, and the stream is listed again by itself.

#[path = "faults/audience.rs"]
mod audience;
#[path = "faults/chain.rs"]
mod chain;
mod common;
#[path = "faults/crowds.rs"]
mod crowds;
#[path = "faults/failing.rs"]
mod failing;
#[path = "faults/flood.rs"]
mod flood;
#[path = "faults/hostile.rs"]
mod hostile;
#[path = "faults/signalling.rs"]
mod signalling;
#[path = "faults/strangers.rs"]
mod strangers;
#[path = "faults/vanishing.rs"]
mod vanishing;
