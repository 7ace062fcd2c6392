//! What can happen to a consumer's session.

use arbitrary::Arbitrary;

/// The consumer's policy, the provider's first terms, and how far the session is when the rest begins.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    pub honest: u8,
    pub offer: Offer,
    pub max_rate_msat_per_s: u32,
    pub max_opening_sat: u16,
    pub max_window_ms: u16,
    pub capacity_sat: u32,
    pub budget_sat: u32,
    pub refund_delay: u16,
    pub payment_interval_ms: u16,
    /// The wallet fails to build the commitment.
    pub broke: bool,
    pub past: Option<Earlier>,
}

/// What an earlier session left.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Earlier {
    pub paid_sat: u16,
    pub carried_sat: u16,
    pub consumed_msat: u32,
    pub from_disk: bool,
}

/// The figures of an offer.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Offer {
    pub rate_msat_per_s: u32,
    pub opening_sat: u16,
    pub window_ms: u16,
    pub tracks: Tracks,
    pub other: Other,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Tracks {
    Both,
    Audio,
    Video,
    None,
}

/// One thing that is not as usual.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Other {
    Nothing,
    Capacity { min_sat: u32, max_sat: u32 },
    Delay { min: u16, max: u16 },
    FeeRate(u64),
    ValidMs(u16),
    Version(u16),
    Chain,
    Stream,
    Nonce,
    Certificates,
    Key(Who),
    Signer,
    Free,
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Consumer,
    Provider,
    Stranger,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    Terms(Offer),
    Funded,
    Accept,
    /// What the provider says it holds of the earlier channel.
    Resumed {
        balance: Holds,
        by: Who,
        carried: Option<u16>,
        consumed: Count,
        other: bool,
    },
    NotResumed {
        other: bool,
    },
    Channel {
        state: ChainState,
        of: Which,
    },
    Credit {
        consumed: Count,
        balance_sat: u16,
        gate: Gate,
        of: Which,
    },
    Settled {
        of: Which,
    },
    Plain(Plain),
    /// One of the messages sent before, again.
    Again(u8),
    Garbage(Vec<u8>),
    NotText,
    Pass(Pass),
    Playing(bool),
    Budget(u32),
    Leave,
    Disconnect,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Which {
    Present,
    Next,
    Other,
}

/// A balance, against what is on record.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Holds {
    Same,
    More(u16),
    Less(u16),
    Nothing,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum ChainState {
    Seen,
    Confirmed(u32),
    Rejected,
}

/// The provider's count, against the consumer's own.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Count {
    Ahead {
        msat: u32,
    },
    Behind {
        msat: u32,
    },
    /// At the bound, or just beyond.
    Bound {
        beyond: u8,
    },
    Any(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Gate {
    Open,
    Unpaid,
    Starved,
    Unconfirmed,
    Paused,
    Silent,
    Closed,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Plain {
    Ping,
    Pong,
    Error,
    Close,
    Busy,
    Refused,
    Unknown,
}

/// Time passes while these tracks arrive; as a driver does it, five times a second, or late, in one go.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Pass {
    pub ms: u16,
    pub audio: bool,
    pub video: bool,
    pub late: bool,
}

/// The beginning of an honest session after its terms, so that not every input has to find it.
pub const HONEST: [Op; 4] = [
    Op::Funded,
    Op::Accept,
    Op::Channel {
        state: ChainState::Confirmed(1),
        of: Which::Present,
    },
    Op::Pass(Pass {
        ms: 3_000,
        audio: true,
        video: true,
        late: false,
    }),
];
