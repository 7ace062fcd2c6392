//! The settlement engine: from a session's end to a settlement that is buried, with or without a stream.
//!
//! [`Engine`] holds every channel that no session uses. It is driven from outside with store, chain and time
//! ([`Outside`]) and says what it did in [`Report`]s. Each of its steps looks at all it knows and does what is missing,
//! so a restart, a reorganisation or a lost message needs no case of its own. A transaction is on record before it is
//! handed out.
//!
//! When a channel settles:
//!
//! - not before its commitment has a confirmation: a version-3 settlement can't spend an unconfirmed output;
//! - alone and at once when it has fewer than [`BATCH_MARGIN`] blocks left, or when it can't become
//!   [`BATCH_CONFIRMATIONS`] deep within the batch delay: waiting would buy nothing then. With the default delay, about
//!   one block, that is every channel with fewer than five confirmations, hence most viewers of less than an hour;
//! - else together with all that are as deep, when the first of them has waited for the batch delay, when a settlement
//!   is full, or when the engine stops;
//! - never at a fee above half of its balance, unless the deadline presses: it waits for cheaper fees, or for company.
//!
//! [`BATCH_CONFIRMATIONS`]: streamium_channel::blocks::BATCH_CONFIRMATIONS
//! [`BATCH_MARGIN`]: streamium_channel::blocks::BATCH_MARGIN

mod answers;
mod bump;
mod due;
mod engine;
mod fees;
mod make;
mod notices;
mod outlook;
mod payout;
mod plan;
pub mod standalone;
mod view;
mod work;

use std::time::{Duration, SystemTime};

use bitcoin::{FeeRate, OutPoint, Txid};

use crate::chain::{Chain, Tip};
use crate::report::Report;
use crate::store::{ProviderChannelState, Store, StoreError};

pub use engine::Engine;
pub use fees::{DEFAULT_MAX_FEE_RATE_SAT_PER_VB, MAX_FEE_SHARE, settlement_fee_rate};
pub use outlook::Outlook;
pub use payout::{Payout, PayoutError};

/// How long a batch waits for company unless told otherwise.
pub const DEFAULT_BATCH_DELAY: Duration = Duration::from_secs(600);

/// What a broadcaster has set about settling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlePolicy {
    /// How long a consumer without credit is kept, and one whose connection was lost may come back.
    pub settle_delay: Duration,
    /// How long a channel that could share a settlement waits for others.
    pub batch_delay: Duration,
    /// No settlement pays more, whatever the estimates say.
    pub max_fee_rate: FeeRate,
}

/// What the engine works with.
pub struct Outside<'a> {
    pub store: &'a mut Store,
    pub chain: &'a dyn Chain,
    /// A clock that neither jumps nor stops.
    pub now: Duration,
    /// The wall clock, which estimates the height where servers hide blocks.
    pub wall: SystemTime,
}

impl Outside<'_> {
    fn heights(&self) -> Option<Heights> {
        let tip = self.chain.tip()?;
        let by_clock = tip.estimated_height(self.wall);
        Some(Heights { tip, by_clock })
    }
}

/// The best block, and the height that deadlines take.
#[derive(Clone, Copy, Debug)]
struct Heights {
    tip: Tip,
    by_clock: u32,
}

/// Why a session has let go of its channel, as far as settling depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The consumer closed or is starved, the deadline is near, or the stream stops.
    Now,
    /// The connection is gone: the consumer may come back within this time.
    After(Duration),
    /// The consumer has credit and did nothing wrong: it may come back until the channel must be settled, or the engine
    /// stops. After a restart it has the settle delay, like all.
    UntilDeadline,
}

/// Why a channel can't be paid through any more.
#[derive(Debug, thiserror::Error)]
pub enum NotResumable {
    #[error("channel {0} is not on record")]
    Unknown(OutPoint),
    #[error("channel {0} is in use")]
    InUse(OutPoint),
    /// By its record and the chain.
    #[error(transparent)]
    Refused(#[from] streamium_channel::provider::NotResumable),
    /// Settled, lost or left.
    #[error("channel {0} is closed")]
    Closed(OutPoint, ProviderChannelState),
    #[error(transparent)]
    Store(StoreError),
}

/// What the engine has to say, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// For people and programs.
    Report(Report),
    /// For the channel's consumer, if it is still there: the transaction is on its way.
    Settling { outpoint: OutPoint, txid: Txid },
}

#[cfg(test)]
mod tests;
