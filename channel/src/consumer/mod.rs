//! The consumer's side of one session: from the link to the last payment.
//!
//! [`ConsumerSession`] is driven from outside like [`ProviderSession`](crate::provider::ProviderSession): hand it
//! messages, what the wallet, the media and the chain say, and the time; carry out the [`ConsumerEffect`]s it
//! returns, in order. If one of them fails, the rest must not be carried out.

mod authorizing;
mod closing;
mod figures;
mod messages;
mod opening;
mod paying;
mod policy;
mod purse;
mod renewing;
mod repricing;
mod resuming;
mod session;
mod state;

pub use figures::{ChannelFigures, Figures};
pub use policy::{ConsumerPolicy, Refusal};
pub use purse::{Exhausted, Purse};
pub use resuming::{Past, Resumable};
pub use session::{CHANNEL_TIMEOUT, CLOSING_TIMEOUT, ConsumerSession, TERMS_TIMEOUT};

use crate::contract::Contract;
use crate::fault::Fault;
use crate::handshake::{Certificates, GenesisHash, Nonce};
use crate::link::Link;
use crate::message::{ConsumerMessage, GateState};
use crate::money::{Msat, Rate};
use crate::record::ConsumerRecord;
use crate::script::ChangeScript;
use crate::terms::Terms;
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction, Txid};
use std::fmt;
use std::time::Duration;

/// What is new for each session.
#[derive(Clone, Debug)]
pub struct ConsumerIdentity {
    /// Where to and for what.
    pub link: Link,
    /// The chain.
    pub chain: GenesisHash,
    /// Fresh random bytes.
    pub nonce: Nonce,
    /// The connection as the consumer sees it.
    pub certificates: Certificates,
}

/// What a channel needs of the consumer's own, all of it fresh and reserved for ever.
#[derive(Clone, Debug)]
pub struct ChannelKeys {
    /// The key.
    pub key: Keypair,
    /// Its index.
    pub index: u32,
    /// A script of the own wallet.
    pub change: ChangeScript,
}

/// When media of each kind last arrived, on the clock of all other times; `None`: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Arrivals {
    /// Sound.
    pub audio: Option<Duration>,
    /// Pictures.
    pub video: Option<Duration>,
}

/// What has to happen outside, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerEffect {
    /// Send this.
    Send(ConsumerMessage),
    /// Ask the application whether it agrees to these terms, for [`ConsumerSession::authorized`]. Nothing is committed
    /// or taken before.
    Authorize {
        /// The question's number. A later question replaces it.
        question: u32,
        /// The terms, with the rate that is offered.
        terms: Box<Terms>,
    },
    /// Show what it costs and what has to be funded; call [`ConsumerSession::funded`] once the wallet can pay for
    /// a commitment of this capacity at this fee rate.
    AwaitFunds {
        /// The capacity.
        capacity: Amount,
        /// The commitment's fee rate.
        fee_rate: FeeRate,
    },
    /// Build and sign the commitment, then call [`ConsumerSession::commitment_built`].
    BuildCommitment {
        /// What was agreed.
        contract: Contract,
        /// The output's script.
        script: ScriptBuf,
        /// The commitment's fee rate.
        fee_rate: FeeRate,
    },
    /// Make the record durable before anything that follows.
    SaveChannel(Box<ConsumerRecord>),
    /// Keys that no proposal has named yet are wanted, for [`ConsumerSession::fresh_keys`]. What comes of it at once is the
    /// proposal: nothing has to be reserved before, and keys that were given and not proposed may be given again.
    FreshKeys,
    /// Record what has been signed. May be committed together with others: the provider holds the signature, and
    /// a lower one later is harmless.
    SavePaid {
        /// The channel.
        outpoint: OutPoint,
        /// The highest cumulative amount.
        paid: Amount,
        /// What earlier channels of the account paid.
        carried: Amount,
        /// What arrived since the first of them, by the own count.
        consumed: Msat,
        /// The highest rate at which it was counted.
        rate: Rate,
    },
    /// Follow this output on the chain.
    Watch {
        /// The channel.
        outpoint: OutPoint,
        /// Its script.
        script: ScriptBuf,
    },
    /// Hand this to the network.
    Broadcast(Transaction),
    /// For people and programs.
    Notice(ConsumerNotice),
    /// The session is over: end the connection.
    End(ConsumerEnd),
}

/// What happened, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerNotice {
    /// The terms are the link's provider's, and within the policy.
    Terms(Box<Terms>),
    /// A new rate was taken: it counts from now on.
    Rate {
        /// The rate until now.
        old: Rate,
        /// The new one.
        new: Rate,
    },
    /// A new rate was not taken, so the session ends.
    RateRefused {
        /// The rate in force.
        old: Rate,
        /// The one that was offered.
        new: Rate,
        /// Why.
        refusal: Refusal,
    },
    /// The wallet can pay; the provider is asked.
    Opening {
        /// The capacity.
        capacity: Amount,
    },
    /// The channel's money is on its way.
    Committed {
        /// The channel.
        outpoint: OutPoint,
        /// Its capacity.
        capacity: Amount,
        /// The descriptor with which another wallet finds it.
        descriptor: String,
    },
    /// An open channel goes on: no money moves on the chain.
    Resumed {
        /// The channel.
        outpoint: OutPoint,
        /// All it has paid.
        paid: Amount,
        /// Its capacity.
        capacity: Amount,
        /// What this run has believed of the provider's count beyond its own; see [`Past::tolerated`].
        tolerated: Msat,
    },
    /// The provider does not go on with it, in its words.
    NotResumed {
        /// The channel.
        outpoint: OutPoint,
        /// Why.
        reason: String,
    },
    /// The next channel is wanted: this one is nearly used up, or old.
    Renewing {
        /// The channel that is nearly used up.
        outpoint: OutPoint,
    },
    /// No next channel, for this reason; this one is used up to its end.
    NotRenewed(Refusal),
    /// The next channel pays from now on.
    RolledOver {
        /// The channel that is used up.
        from: OutPoint,
        /// The next.
        to: OutPoint,
    },
    /// The provider has seen the commitment, this deep (0: in the mempool).
    Channel {
        /// The channel.
        outpoint: OutPoint,
        /// How deep.
        confirmations: u32,
    },
    /// A payment was sent.
    Paid {
        /// The channel.
        outpoint: OutPoint,
        /// All that was paid.
        paid: Amount,
        /// What this payment added.
        added: Amount,
        /// What arrived by the own count.
        consumed: Msat,
    },
    /// The provider opened or closed the gate.
    Gate {
        /// Open, or why closed.
        state: GateState,
    },
    /// Nothing more will be paid.
    Exhausted(Exhausted),
    /// The provider's settlement is on its way.
    Settled {
        /// The channel.
        outpoint: OutPoint,
        /// The transaction.
        txid: Txid,
    },
    /// The provider did something wrong.
    Fault(Fault),
}

/// Why a session ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsumerEnd {
    /// The viewer stopped.
    Stopped,
    /// The terms are beyond what this consumer accepts.
    Refused(Refusal),
    /// The provider changed its rate beyond what this consumer accepts. What was paid stands.
    RateRefused {
        /// The rate that was in force.
        old: Rate,
        /// The one that was offered.
        new: Rate,
        /// Why it was not taken.
        refusal: Refusal,
    },
    /// The provider did something that ends a session. If it is [`Fault::Terms`], this was not the link's provider.
    Fault(Fault),
    /// The provider has no room, in its words.
    Busy(String),
    /// The provider does not want this channel, in its words.
    ProviderRefused(String),
    /// The provider ended it, in its words.
    ProviderClosed(String),
    /// Nothing was heard for too long.
    Gone,
    /// The connection is gone.
    Disconnected,
    /// A step took the provider too long.
    TimedOut(&'static str),
    /// An own failure, in these words.
    Failed(String),
}

impl fmt::Display for ConsumerEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConsumerEnd::Stopped => f.write_str("stopped by the viewer"),
            ConsumerEnd::Refused(refusal) => write!(f, "{refusal}"),
            ConsumerEnd::RateRefused { old, new, refusal } => rate_refused(f, *old, *new, refusal),
            ConsumerEnd::Fault(fault) => write!(f, "{fault}"),
            ConsumerEnd::Busy(words) => write!(f, "the provider has no room now: {words}"),
            ConsumerEnd::ProviderRefused(words) => write!(f, "the provider refuses: {words}"),
            ConsumerEnd::ProviderClosed(words) => write!(f, "the provider ended it: {words}"),
            ConsumerEnd::Gone => f.write_str("the provider is not answering"),
            ConsumerEnd::Disconnected => f.write_str("the connection ended"),
            ConsumerEnd::TimedOut(step) => write!(f, "the provider took too long for {step}"),
            ConsumerEnd::Failed(words) => write!(f, "{words}"),
        }
    }
}

fn rate_refused(f: &mut fmt::Formatter<'_>, old: Rate, new: Rate, refusal: &Refusal) -> fmt::Result {
    let way = if new > old { "up" } else { "down" };
    write!(f, "the rate went {way} to {} msat/s, ", new.msat_per_s())?;
    match refusal {
        Refusal::Rate { max, .. } => write!(f, "above max-rate ({} msat/s)", max.msat_per_s()),
        other => write!(f, "and {other}"),
    }
}
