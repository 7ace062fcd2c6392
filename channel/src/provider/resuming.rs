//! Going on with a channel of an earlier session (protocol.md section 4).

use super::session::ProviderSession;
use super::state::{OpenChannel, State};
use super::{
    AccountRecord, ChannelFacts, ChannelKey, CommitmentStatus, NotResumable, ProviderEffect as Effect,
    ProviderNotice,
};
use crate::contract::Channel;
use crate::fault::Fault;
use crate::message::{ChannelState, ProviderMessage, words};
use crate::money::Msat;
use crate::payment::Payment;
use crate::record::ProviderRecord;
use bitcoin::secp256k1::schnorr;
use bitcoin::{Amount, OutPoint};
use std::time::Duration;

/// A channel that may go on: its record, and its key.
#[derive(Clone, Debug)]
pub struct Recalled {
    /// What is on record, up to date.
    pub record: ProviderRecord,
    /// The record of the channel that it names as [`ProviderRecord::follows`], up to date.
    pub former: Option<ProviderRecord>,
    /// The key of its index.
    pub key: ChannelKey,
    /// What is known of it on the chain.
    pub status: CommitmentStatus,
    /// The facts that decide whether it may go on, beside the record.
    pub facts: ChannelFacts,
}

impl Recalled {
    /// Whether it may go on.
    fn check(&self) -> Result<(), NotResumable> {
        self.record.check_resumable(self.former.as_ref(), &self.facts)
    }

    /// To go on with a next channel before its first payment is to go on without the former one: its debt comes along.
    /// Credit does not, since the consumer has not said so by a payment; it stays with what the former one paid.
    fn taken_over(&self) -> Option<(AccountRecord, AccountRecord)> {
        let former = self
            .former
            .as_ref()
            .filter(|former| self.record.is_pending(former))?;
        let to = AccountRecord {
            consumed: self.record.consumed.plus(former.debt()),
            ..self.record.account()
        };
        Some((former.account(), to))
    }
}

/// A channel that has been named and is being looked up.
#[derive(Debug)]
pub(super) struct Resuming {
    pub(super) outpoint: OutPoint,
    pub(super) signature: schnorr::Signature,
}

impl ProviderSession {
    pub(super) fn resume(
        &mut self,
        outpoint: OutPoint,
        signature: schnorr::Signature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        self.enter(State::Resuming(Resuming { outpoint, signature }), now);
        out.push(Effect::Recall(outpoint));
    }

    /// Answers [`Effect::Recall`]: what is on record, or why it can't go on, for the consumer's eyes. Nothing happens
    /// to the channel unless the proof is its consumer's, over this connection.
    pub fn recalled(&mut self, recalled: Result<Recalled, String>, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let State::Resuming(resuming) = &self.state else {
            return effects;
        };
        let (outpoint, signature) = (resuming.outpoint, resuming.signature);
        match recalled.map(|recalled| self.checked(recalled, outpoint, &signature)) {
            Ok(Ok((recalled, channel, best))) => match recalled.check() {
                Ok(()) => self.go_on(recalled, channel, best, now, &mut effects),
                Err(error) => self.not_resumed(outpoint, &error.to_string(), now, &mut effects),
            },
            Ok(Err(fault)) => self.fault(fault, now, &mut effects),
            Err(reason) => self.not_resumed(outpoint, &reason, now, &mut effects),
        }
        effects
    }

    fn not_resumed(&mut self, outpoint: OutPoint, reason: &str, now: Duration, out: &mut Vec<Effect>) {
        let reason = words(reason);
        out.push(Effect::Send(ProviderMessage::NotResumed { outpoint, reason }));
        self.enter(State::Offered, now);
    }

    fn checked(
        &self,
        recalled: Recalled,
        outpoint: OutPoint,
        signature: &schnorr::Signature,
    ) -> Result<(Recalled, Channel, Option<Payment>), Fault> {
        let consumer = recalled.record.contract.keys().consumer();
        let proven = self
            .challenge(outpoint)
            .is_some_and(|challenge| challenge.is_signed_by(signature, &consumer));
        if !proven || recalled.record.outpoint != outpoint {
            return Err(Fault::Proof(outpoint));
        }
        let (channel, best) = recalled.record.restore().map_err(Fault::Record)?;
        Ok((recalled, channel, best))
    }

    fn go_on(
        &mut self,
        recalled: Recalled,
        channel: Channel,
        best: Option<Payment>,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        let taken_over = recalled.taken_over();
        let Recalled {
            mut record,
            key,
            status,
            ..
        } = recalled;
        let outpoint = record.outpoint;
        let balance = best.map_or(Amount::ZERO, |best| best.cumulative());
        out.push(Effect::TakeOver(outpoint));
        if let Some((from, to)) = taken_over {
            record.consumed = to.consumed;
            out.push(Effect::Switch { from, to });
        }
        self.account.restore(record.carried, balance, record.consumed);
        out.push(Effect::Watch {
            outpoint,
            script: channel.script().script_pubkey().clone(),
        });
        out.push(Effect::Send(ProviderMessage::Resumed {
            outpoint,
            balance,
            signature: best.map(|best| best.signature()),
            carried: record.carried,
            consumed_msat: record.consumed.to_msat(),
            payout_script: self.config.payout.clone(),
        }));
        out.push(Effect::Notice(ProviderNotice::Resumed { outpoint, balance }));
        let open = OpenChannel::new(channel, key, best, self.config.unconfirmed_limit);
        self.open(open, now);
        // How deep it is decides what counts; the consumer is told in any case.
        out.push(Effect::Send(ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Seen,
        }));
        out.extend(self.commitment_status(outpoint, status, now));
    }

    /// The consumer has gone on with this channel on another connection: this session ends, and the channel is not
    /// its any more. If it has another one, that is let go of as after a lost connection.
    pub fn supersede(&mut self, outpoint: OutPoint, now: Duration) -> Vec<Effect> {
        self.taken = Some(outpoint);
        self.close(super::EndReason::Superseded, now)
    }

    /// Brings the record up to date, for another session that may go on with the channel. What the present opening of
    /// the gate costs at least is in it: that session would not know of it.
    pub fn book(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.booked = self.account.owed(now);
        self.save_account(now, &mut effects);
        effects
    }

    /// What has been debited, for tests and statistics.
    pub fn consumed(&self, now: Duration) -> Msat {
        self.account.consumed(now)
    }
}
