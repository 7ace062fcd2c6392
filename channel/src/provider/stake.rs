//! What a consumer that has not paid has put into its session: who is let go where there is no room.

use super::CommitmentStatus;
use super::session::ProviderSession;
use super::state::State;

/// The more, the longer it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stake {
    /// It has terms at most, or a commitment that the chain does not know.
    Nothing,
    /// It has proposed a channel. That costs nothing yet, but its commitment is being made.
    Proposal,
    /// Its money is locked in a channel with us: to let it go would keep that money from it for the refund delay.
    Commitment,
}

impl ProviderSession {
    /// What there is so far.
    pub fn stake(&self) -> Stake {
        match &self.state {
            State::AwaitHello | State::Offered | State::Ended => Stake::Nothing,
            State::Accepted(_) => Stake::Proposal,
            State::Open(open) if open.status == CommitmentStatus::Missing => Stake::Nothing,
            State::Open(_) | State::Resuming(_) => Stake::Commitment,
        }
    }
}
