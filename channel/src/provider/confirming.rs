//! What the chain says of the channels, and what of their balances counts by that.

use super::session::ProviderSession;
use super::state::{Next, OpenChannel, State};
use super::{CommitmentStatus, EndReason, ProviderEffect as Effect, ProviderNotice};
use crate::message::{ChannelState, ProviderMessage};
use bitcoin::{Amount, OutPoint};
use std::time::Duration;

impl ProviderSession {
    fn channel_mut(&mut self, outpoint: OutPoint) -> Option<&mut OpenChannel> {
        let State::Open(open) = &mut self.state else {
            return None;
        };
        if open.channel.outpoint() == outpoint {
            return Some(open);
        }
        match &mut open.next {
            Next::Ready(next) if next.channel.outpoint() == outpoint => Some(next),
            _ => None,
        }
    }

    /// Returns how much of the balances may count although the commitments are not confirmed yet.
    pub fn unconfirmed_limit(&self) -> Amount {
        let least = self.config.min_confirmations;
        self.open_channels()
            .filter(|open| !open.is_confirmed(least) && open.status != CommitmentStatus::Missing)
            .map(|open| open.unconfirmed_limit)
            .try_fold(Amount::ZERO, Amount::checked_add)
            .unwrap_or(Amount::MAX_MONEY)
    }

    /// Lowers that limit for a channel, when other sessions have taken what may be unconfirmed over all of them.
    pub fn lower_unconfirmed_limit(&mut self, outpoint: OutPoint, limit: Amount) {
        let Some(open) = self.channel_mut(outpoint) else {
            return;
        };
        open.unconfirmed_limit = open.unconfirmed_limit.min(limit);
        self.apply_limit();
    }

    /// What counts of the present channel follows from its depth.
    fn apply_limit(&mut self) {
        if let State::Open(open) = &self.state {
            self.account.set_limit(open.limit(self.config.min_confirmations));
        }
    }

    /// The chain has a new tip.
    pub const fn tip(&mut self, height: u32) {
        self.tip_height = Some(height);
    }

    /// The chain has news of a commitment of this session's.
    pub fn commitment_status(
        &mut self,
        outpoint: OutPoint,
        status: CommitmentStatus,
        now: Duration,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let least = self.config.min_confirmations;
        let Some(open) = self.channel_mut(outpoint) else {
            return effects;
        };
        let (before, waited) = (open.confirmations(), !open.is_confirmed(least));
        open.status = status;
        open.seen |= status != CommitmentStatus::Missing;
        let confirmations = open.confirmations();
        if waited && open.is_confirmed(least) {
            // The wait for the block is over: from now on it is the consumer's.
            self.starved_since = self.starved_since.map(|_| now);
        }
        self.apply_limit();
        if confirmations != before {
            if before == 0 {
                effects.push(Effect::Notice(ProviderNotice::Confirmed {
                    outpoint,
                    confirmations,
                }));
            }
            let state = match confirmations {
                0 => ChannelState::Seen,
                confirmations => ChannelState::Confirmed { confirmations },
            };
            effects.push(Effect::Send(ProviderMessage::Channel { outpoint, state }));
        }
        effects.extend(self.age(outpoint, confirmations, now));
        self.decide(now, &mut effects);
        effects
    }

    /// How deep the present channel's commitment must be taken to be where the deadline is concerned: by the clock, while
    /// the chain can't be seen. Ends the session when it has to be settled.
    pub fn age(&mut self, outpoint: OutPoint, confirmations: u32, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let State::Open(open) = &self.state
            && open.channel.outpoint() == outpoint
            && open.is_at_deadline(confirmations)
        {
            self.end(EndReason::Deadline, now, &mut effects);
        }
        effects
    }
}
