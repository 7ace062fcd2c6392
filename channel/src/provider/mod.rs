//! The provider's side of one session: from `hello` to the settlement being due.
//!
//! [`ProviderSession`] is driven from outside: hand it messages, what the chain says and the time; carry out
//! the [`ProviderEffect`]s it returns, in order. If one of them fails, the rest must not be carried out.

mod account;
mod closing;
mod confirming;
mod figures;
mod gating;
mod messages;
mod opening;
mod paying;
mod repricing;
mod resumable;
mod resuming;
mod session;
mod stake;
mod state;

pub use account::Account;
pub use figures::{ChannelFigures, Figures};
pub use resumable::{ChannelFacts, NotResumable};
pub use resuming::Recalled;
pub use session::{COMMITMENT_TIMEOUT, HELLO_TIMEOUT, PAUSE_TIMEOUT, ProviderSession};
pub use stake::Stake;

use crate::blocks::RefundDelay;
use crate::fault::Fault;
use crate::handshake::{Certificates, GenesisHash, Nonce};
use crate::link::StreamName;
use crate::message::{GateState, ProviderMessage};
use crate::money::{Msat, Rate};
use crate::record::{PaymentRecord, ProviderRecord};
use crate::terms::Track;
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction};
use std::fmt;
use std::time::Duration;

/// What a provider asks of every consumer.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The stream name.
    pub stream: StreamName,
    /// The chain.
    pub chain: GenesisHash,
    /// What is sold.
    pub tracks: Vec<Track>,
    /// The price; free if zero.
    pub rate: Rate,
    /// The least first payment.
    pub opening: Amount,
    /// How far ahead a consumer should pay.
    pub window: Duration,
    /// For how long media flows ahead of payment.
    pub grace: Duration,
    /// The least capacity.
    pub min_capacity: Amount,
    /// The largest capacity.
    pub max_capacity: Amount,
    /// The shortest refund delay.
    pub min_refund_delay: RefundDelay,
    /// The longest refund delay.
    pub max_refund_delay: RefundDelay,
    /// The least fee rate of a commitment, in sat per 1,000 vB.
    pub commitment_fee_rate_sat_per_kvb: u64,
    /// From how many confirmations on the whole balance counts.
    pub min_confirmations: u16,
    /// How much of a balance counts before.
    pub unconfirmed_limit: Amount,
    /// How long a channel without credit is kept before it is settled.
    pub settle_delay: Duration,
    /// How long a consumer may take to fund.
    pub funding_timeout: Duration,
    /// Where a cooperative close pays.
    pub payout: ScriptBuf,
}

/// What is new for each session.
#[derive(Clone, Debug)]
pub struct ProviderIdentity {
    /// The key in the link.
    pub identity: Keypair,
    /// A fresh key for a channel that is opened.
    pub channel_key: ChannelKey,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The connection as the provider sees it.
    pub certificates: Certificates,
}

/// A key of the provider's for one channel.
#[derive(Clone, Copy, Debug)]
pub struct ChannelKey {
    /// The key.
    pub key: Keypair,
    /// Its index, reserved for ever.
    pub index: u32,
}

/// What the chain says of a commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitmentStatus {
    /// Not known (any more) to any server: nothing of its balance counts.
    Missing,
    /// Waiting for a block.
    Mempool,
    /// In the chain.
    Confirmed {
        /// At least 1.
        confirmations: u32,
    },
}

/// What is to be recorded of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AccountRecord {
    /// The channel.
    pub outpoint: OutPoint,
    /// The best payment, if there is one.
    pub best: Option<PaymentRecord>,
    /// What earlier channels of the account paid.
    pub carried: Amount,
    /// What has been debited since the first of them.
    pub consumed: Msat,
}

/// What has to happen outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderEffect {
    /// Send this.
    Send(ProviderMessage),
    /// Make the record durable before anything that follows.
    SaveChannel(Box<ProviderRecord>),
    /// Record payment and account. May be committed together with others within 250 ms: the next cumulative
    /// payment heals a lost one.
    SaveAccount(AccountRecord),
    /// The account goes on with another channel: record both accounts, and with the old channel that it has gone on
    /// ([`ProviderRecord::went_on_to`]), all at once and durable, so that neither a crash nor a resume ever leaves its
    /// credit with both. The old one is due: settle it. A session that still has it is to be told with
    /// [`ProviderSession::supersede`].
    Switch {
        /// The channel that is used up.
        from: AccountRecord,
        /// The channel that goes on.
        to: AccountRecord,
    },
    /// A fresh channel key is wanted, for [`ProviderSession::fresh_key`].
    FreshKey,
    /// What is on record of this channel is wanted, for [`ProviderSession::recalled`]. Nothing is proved yet:
    /// only look it up. An account that a running session keeps for it is to be brought up to date first.
    Recall(OutPoint),
    /// The channel is this session's now, before anything that follows. A session that used it until now is to be
    /// told with [`ProviderSession::supersede`], and what was due of it is not due any more.
    TakeOver(OutPoint),
    /// Follow this output on the chain and report with [`ProviderSession::commitment_status`].
    Watch {
        /// The channel.
        outpoint: OutPoint,
        /// Its script.
        script: ScriptBuf,
    },
    /// Hand this to the network.
    Broadcast(Transaction),
    /// Open the gate if the state is [`GateState::Open`], else close it.
    Gate(GateState),
    /// The session is done with the channel.
    Release {
        /// The channel.
        outpoint: OutPoint,
        /// Whether it waits for its consumer.
        keep: Keep,
    },
    /// This closing transaction can be recorded and broadcast instead of settling.
    CloseCooperatively {
        /// The channel.
        outpoint: OutPoint,
        /// Complete.
        transaction: Transaction,
        /// What it pays us: the whole balance, or nothing where that is dust.
        payout: Amount,
    },
    /// For people and programs.
    Notice(ProviderNotice),
    /// The session is over: end the connection.
    End(EndReason),
}

/// How long a channel waits for its consumer once its session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// Not at all: it is due now. Settle it, if anything has been paid.
    Due,
    /// The connection was lost: for as long as the terms say.
    SettleDelay,
    /// The consumer did nothing wrong, and what is left of its credit stays its own: until it has to be settled, before
    /// the refund leaf opens.
    UntilDeadline,
}

/// What happened, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderNotice {
    /// The consumer asked and was told the terms.
    Offered,
    /// The commitment has been accepted.
    Committed {
        /// The channel.
        outpoint: OutPoint,
        /// Its capacity.
        capacity: Amount,
    },
    /// An open channel goes on.
    Resumed {
        /// The channel.
        outpoint: OutPoint,
        /// All it has paid.
        balance: Amount,
    },
    /// The account goes on with the next channel.
    RolledOver {
        /// The channel that is used up.
        from: OutPoint,
        /// The next.
        to: OutPoint,
    },
    /// The commitment has been confirmed.
    Confirmed {
        /// The channel.
        outpoint: OutPoint,
        /// How deep.
        confirmations: u32,
    },
    /// A payment was credited.
    Paid {
        /// The channel.
        outpoint: OutPoint,
        /// All it has paid.
        balance: Amount,
        /// What this payment added.
        added: Amount,
    },
    /// A new rate was offered; until it is taken the old one holds.
    RateOffered {
        /// The rate in force.
        old: Rate,
        /// The rate that was offered.
        new: Rate,
    },
    /// The consumer took the new rate, which is in force now.
    RateAccepted {
        /// The rate until now.
        old: Rate,
        /// The rate from now on.
        new: Rate,
    },
    /// The consumer leaves over the new rate.
    RateRefused {
        /// The rate in force.
        old: Rate,
        /// The rate that was offered.
        new: Rate,
        /// Why, in its words.
        reason: String,
    },
    /// The gate opened or closed.
    Gate {
        /// Open, or why closed.
        state: GateState,
        /// All that was paid, through all channels of the account.
        balance: Amount,
        /// All that was debited.
        consumed: Msat,
    },
    /// The consumer did something wrong.
    Fault(Fault),
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The consumer said so, with these words.
    ConsumerClosed(String),
    /// The consumer's connection is gone.
    Disconnected,
    /// Nothing was heard for too long.
    Gone,
    /// A step took too long.
    TimedOut(&'static str),
    /// The consumer did not say whether it takes this new rate.
    RateUnanswered(Rate),
    /// No credit for too long.
    Starved,
    /// It has paid, but its commitment was not confirmed in time.
    Unconfirmed,
    /// It was paused for too long.
    Paused,
    /// The refund leaf opens soon.
    Deadline,
    /// There is no room.
    Busy,
    /// The consumer goes on with the channel on another connection.
    Superseded,
    /// The consumer did something that ends a session.
    Fault(Fault),
    /// The stream ends.
    Stopping,
    /// An own failure, in these words.
    Failed(String),
}

impl EndReason {
    /// Whether the channels of a session that ended so wait for their consumer, if it has credit.
    pub(crate) const fn keep(&self) -> Keep {
        match self {
            EndReason::Disconnected | EndReason::Gone | EndReason::Superseded => Keep::SettleDelay,
            EndReason::Unconfirmed | EndReason::Paused => Keep::UntilDeadline,
            _ => Keep::Due,
        }
    }
}

impl fmt::Display for EndReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EndReason::ConsumerClosed(words) => write!(f, "the viewer ended it: {words}"),
            EndReason::Disconnected => f.write_str("the connection ended"),
            EndReason::Gone => f.write_str("the viewer is not answering"),
            EndReason::TimedOut(step) => write!(f, "{step} took too long"),
            EndReason::RateUnanswered(rate) => {
                write!(
                    f,
                    "the viewer did not answer to the new rate of {} msat/s",
                    rate.msat_per_s()
                )
            }
            EndReason::Starved => f.write_str("nothing was paid for too long"),
            EndReason::Unconfirmed => f.write_str("the channel was not confirmed for too long"),
            EndReason::Paused => {
                f.write_str("the viewer paused for too long; its credit waits in the channel")
            }
            EndReason::Deadline => f.write_str("the channel nears its refund and has to be settled"),
            EndReason::Busy => f.write_str("too many viewers are waiting to pay"),
            EndReason::Superseded => f.write_str("the channel goes on over another connection"),
            EndReason::Fault(fault) => write!(f, "{fault}"),
            EndReason::Stopping => f.write_str("the stream ends"),
            EndReason::Failed(words) => write!(f, "the provider failed: {words}"),
        }
    }
}
