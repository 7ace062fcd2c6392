//! What can happen to a provider's session.

use arbitrary::Arbitrary;

/// The figures of the terms, and how far the session is when the rest begins.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Setup {
    pub honest: u8,
    pub rate_msat_per_s: u32,
    pub opening_sat: u16,
    pub grace_ms: u16,
    pub min_confirmations: u8,
    pub unconfirmed_limit_sat: u16,
    pub settle_delay_s: u8,
    /// What other sessions have left of what may be unconfirmed over all.
    pub unconfirmed_left_sat: Option<u16>,
    pub past: Option<Earlier>,
}

/// What an earlier session left.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Earlier {
    pub paid_sat: u16,
    pub carried_sat: u16,
    pub consumed_msat: u32,
}

#[derive(Arbitrary, Clone, Debug)]
pub enum Op {
    Hello {
        other_version: Option<u16>,
        other_chain: bool,
    },
    Open {
        capacity: Capacity,
        delay: u16,
        key: Who,
    },
    Commitment {
        other_value: Option<u32>,
        output: Option<u8>,
        version: Option<i8>,
        lock_time: Option<u32>,
    },
    Pay(Pay),
    Plain(Plain),
    /// One of the messages sent before, again.
    Again(u8),
    Garbage(Vec<u8>),
    NotText,
    Chain {
        news: News,
        next: bool,
    },
    Tip(u32),
    Pass(Pass),
    /// Goes on with the earlier channel, or tries to.
    Resume {
        by: Who,
        other_outpoint: bool,
        other_nonce: bool,
    },
    Renew,
    Book,
    Supersede,
    Disconnect,
    Stop,
}

/// A payment: of `sum`, signed over `signed` or the same, by somebody, for a channel, and sent as one for a channel.
#[derive(Arbitrary, Clone, Debug)]
pub struct Pay {
    pub sum: Sum,
    pub signed: Option<Sum>,
    pub by: Who,
    pub of: Which,
    pub sent_for: Which,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Which {
    Present,
    Next,
    Other,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Sum {
    /// More than the balance.
    More(u16),
    /// Less than the balance.
    Less(u16),
    /// This much less than can be paid.
    BelowPayable(u8),
    /// This much more than can be paid.
    AbovePayable(u8),
    Any(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Capacity {
    Usual,
    Smaller(u16),
    Any(u64),
}

#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Consumer,
    Provider,
    Stranger,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Plain {
    Pause,
    Play,
    Ping,
    Pong,
    Error,
    Close,
    /// With an offer of a cooperative close.
    Offer {
        balance_sat: u16,
        fee_sat: u16,
        by: Who,
    },
    Unknown,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum News {
    Missing,
    Mempool,
    Confirmed(u8),
    /// This far from the last usable confirmation.
    NearRefund(i8),
}

/// Time passes: as a driver does it, from one due moment to the next, or late, in one go.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Pass {
    pub ms: u16,
    pub late: bool,
}

/// The beginning of an honest session, so that not every input has to find it.
pub const HONEST: [Op; 8] = [
    Op::Hello {
        other_version: None,
        other_chain: false,
    },
    Op::Open {
        capacity: Capacity::Usual,
        delay: 600,
        key: Who::Consumer,
    },
    Op::Commitment {
        other_value: None,
        output: None,
        version: None,
        lock_time: None,
    },
    Op::Pay(Pay {
        sum: Sum::BelowPayable(200),
        signed: None,
        by: Who::Consumer,
        of: Which::Present,
        sent_for: Which::Present,
    }),
    Op::Chain {
        news: News::Confirmed(255),
        next: false,
    },
    Op::Renew,
    Op::Open {
        capacity: Capacity::Usual,
        delay: 700,
        key: Who::Consumer,
    },
    Op::Commitment {
        other_value: None,
        output: None,
        version: None,
        lock_time: None,
    },
];
