//! What holds at every step of a provider's session:
//!
//! - the balance never falls, is at most capacity less 330 sat, and is on record; the record can be restored, its
//!   payment verifies and makes a settlement;
//! - what is debited is the time for which the gate was open, and within what counts and the grace (see
//!   [`Ledger`]);
//! - the gate is open only on a payment, for a consumer that was heard and has not paused, and never after the end;
//!   after the end nothing happens;
//! - the record comes before broadcast and acknowledgement; what was paid is settled, once, and no later than the
//!   margin before the refund leaf opens.

use super::ledger::Ledger;
use crate::common::pair::provider_identity;
use crate::common::*;
use bitcoin::{Amount, FeeRate};
use std::time::Duration;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::liveness::SILENT_AFTER;
use streamium_channel::message::{ChannelState, ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::money::Msat;
use streamium_channel::payment::Payment;
use streamium_channel::provider::{
    CommitmentStatus, EndReason, ProviderConfig, ProviderEffect, ProviderSession,
};
use streamium_channel::record::{PaymentRecord, ProviderRecord};
use streamium_channel::settlement::{Claim, Settlement, SettlementError};

/// The session, and what it has done.
pub struct Run {
    pub(super) session: ProviderSession,
    pub(super) config: ProviderConfig,
    pub(super) now: Duration,
    /// The contract last proposed, and the one that was accepted.
    pub(super) proposed: Option<Contract>,
    pub(super) contract: Option<Contract>,
    pub(super) record: Option<ProviderRecord>,
    /// Of the record.
    pub(super) channel: Option<Channel>,
    pub(super) sent: Vec<ConsumerMessage>,
    pub(super) heard: Duration,
    pub(super) paused: bool,
    pub(super) ledger: Ledger,
    /// What other sessions leave of the unconfirmed total.
    left: Option<Amount>,
    /// What of the balance may count now; `None`: all of it.
    limit: Option<Amount>,
    settled: bool,
    ended: bool,
}

impl Run {
    pub fn new(
        session: ProviderSession,
        config: ProviderConfig,
        left: Option<Amount>,
        now: Duration,
    ) -> Self {
        let mut run = Self {
            ledger: Ledger::new(config.rate, now),
            limit: Some(config.unconfirmed_limit),
            session,
            config,
            now,
            proposed: None,
            contract: None,
            record: None,
            channel: None,
            sent: Vec::new(),
            heard: now,
            paused: false,
            left,
            settled: false,
            ended: false,
        };
        let effects = run.session.start();
        run.take(effects);
        run
    }

    pub(super) fn is_open(&self) -> bool {
        self.record.is_some() && !self.ended
    }

    pub(super) fn balance(&self) -> Amount {
        self.best().map_or(Amount::ZERO, |best| best.cumulative)
    }

    fn best(&self) -> Option<PaymentRecord> {
        self.record.as_ref().and_then(|record| record.best)
    }

    /// As a driver does: one due moment after the other.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(at) = self.session.next(self.now).filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.tick();
        }
        self.now = until;
        self.tick();
    }

    pub(super) fn pass_late(&mut self, time: Duration) {
        self.ledger.late(time);
        self.now += time;
        self.tick();
    }

    fn tick(&mut self) {
        let effects = self.session.tick(self.now);
        self.take(effects);
        let next = self.session.next(self.now);
        assert!(
            next.is_none_or(|at| at > self.now),
            "the driver would spin: {next:?}"
        );
    }

    pub(super) fn news(&mut self, status: CommitmentStatus) {
        let enough = u32::from(self.config.min_confirmations);
        let mut deadline = false;
        if self.is_open() {
            self.limit = match status {
                CommitmentStatus::Missing => Some(Amount::ZERO),
                CommitmentStatus::Confirmed { confirmations } if confirmations >= enough => None,
                CommitmentStatus::Mempool if enough == 0 => None,
                _ => Some(self.config.unconfirmed_limit),
            };
            deadline = match status {
                CommitmentStatus::Confirmed { confirmations } => confirmations >= self.last_usable(),
                _ => false,
            };
        }
        let effects = self.session.commitment_status(status, self.now);
        self.take(effects);
        if deadline {
            assert!(self.ended, "used although the refund leaf is near");
            assert_eq!(
                self.settled,
                self.best().is_some(),
                "not settled although the refund leaf is near"
            );
        }
    }

    pub(super) fn last_usable(&self) -> u32 {
        self.record
            .as_ref()
            .map_or(0, |record| record.contract.delay().last_usable_confirmation())
    }

    /// Carries the effects out, as a driver does.
    pub(super) fn take(&mut self, effects: Vec<ProviderEffect>) {
        for effect in effects {
            assert!(!self.ended, "after the end nothing happens: {effect:?}");
            self.effect(effect);
        }
        self.check();
    }

    fn effect(&mut self, effect: ProviderEffect) {
        match effect {
            ProviderEffect::Send(message) => self.says(&message),
            ProviderEffect::SaveChannel(record) => self.saves(*record),
            ProviderEffect::SaveAccount {
                outpoint,
                best,
                consumed,
            } => {
                self.ledger.save(consumed, self.now);
                let record = self.record.as_mut().expect("an account of a channel on record");
                assert_eq!(record.outpoint, outpoint);
                let cumulative = |best: Option<PaymentRecord>| best.map(|best| best.cumulative);
                assert!(
                    cumulative(best) >= cumulative(record.best),
                    "the balance went backwards"
                );
                if let (Some(best), Some(channel)) = (best.filter(|_| best != record.best), &self.channel) {
                    Payment::check(channel, best.cumulative, best.signature)
                        .expect("what is stored is valid");
                }
                (record.best, record.consumed) = (best, consumed);
            }
            ProviderEffect::Broadcast(tx) => {
                let record = self.record.as_ref().expect("on record before it is broadcast");
                assert_eq!(tx, record.commitment);
            }
            ProviderEffect::Gate(state) => {
                assert_ne!(
                    self.ledger.gate(),
                    GateState::Closed,
                    "a closed gate stays closed"
                );
                self.ledger.set_gate(state, self.now);
            }
            ProviderEffect::Settle(outpoint) => {
                assert!(!self.settled && self.best().is_some(), "nothing to settle");
                assert_eq!(self.record.as_ref().map(|record| record.outpoint), Some(outpoint));
                self.settled = true;
            }
            ProviderEffect::CloseCooperatively { transaction, .. } => {
                let record = self.record.as_ref().expect("a channel on record");
                assert!(record.best.is_none(), "a payment is settled, not given back");
                assert_eq!(
                    &transaction.output[0].script_pubkey,
                    record.contract.change().script()
                );
            }
            ProviderEffect::End(_) => self.ended = true,
            ProviderEffect::Watch { .. } | ProviderEffect::Notice(_) => (),
        }
    }

    fn saves(&mut self, record: ProviderRecord) {
        assert!(self.record.is_none(), "one channel a session");
        assert_eq!(Some(&record.contract), self.contract.as_ref(), "what was agreed");
        self.channel = Some(record.restore().expect("a record that can be restored").0);
        self.record = Some(record);
        // As the driver does, with what other sessions leave.
        if let Some(left) = self.left {
            self.session.lower_unconfirmed_limit(left);
            self.config.unconfirmed_limit = self.config.unconfirmed_limit.min(left);
            self.limit = Some(self.config.unconfirmed_limit);
        }
    }

    fn says(&mut self, message: &ProviderMessage) {
        match message {
            ProviderMessage::Credit {
                balance,
                consumed_msat,
                gate,
                ..
            } => {
                assert_eq!(
                    (*balance, *gate),
                    (self.balance(), self.ledger.gate()),
                    "what is told is so"
                );
                self.ledger.check_debited(Msat::new(*consumed_msat), self.now);
            }
            ProviderMessage::Channel {
                state: ChannelState::Seen,
                ..
            } => {
                assert!(self.record.is_some(), "on record before it is acknowledged");
            }
            ProviderMessage::Accept { .. } => self.contract = self.proposed.clone(),
            _ => (),
        }
    }

    fn check(&mut self) {
        assert_eq!(self.session.has_ended(), self.ended);
        assert_eq!(self.session.balance(), self.balance(), "what counts is on record");
        assert_eq!(self.session.gate(), self.ledger.gate());
        let payable = self
            .record
            .as_ref()
            .map_or(Amount::ZERO, |record| record.contract.payable());
        assert!(self.balance() <= payable, "{} of {payable}", self.balance());
        assert!(
            !self.ended || self.ledger.gate() == GateState::Closed,
            "open after the end"
        );
        if self.ledger.gate() == GateState::Open {
            assert!(self.balance() >= self.config.opening, "media without a payment");
            assert!(!self.paused, "media for a paused consumer");
            assert!(
                self.now < self.heard + SILENT_AFTER,
                "media for a silent consumer"
            );
        }
        let counts = self
            .limit
            .map_or(self.balance(), |limit| limit.min(self.balance()));
        let covered = Msat::from(counts).plus(self.config.rate.cost(self.config.grace));
        self.ledger.check_bounds(covered, self.now);
    }

    /// Nobody says anything any more: the session ends by itself, and what was paid is settled.
    pub fn let_it_end(mut self) {
        for _ in 0..10 {
            self.pass(seconds(10));
        }
        assert!(self.ended, "it never ended");
        assert_eq!(self.settled, self.best().is_some(), "what was paid is settled");
        let effects = self.session.close(EndReason::Stopping, self.now);
        self.take(effects);
        if let Some(record) = self.record {
            settles(&record);
        }
    }
}

/// Whatever is on record can be settled, or is not worth it.
fn settles(record: &ProviderRecord) {
    let (channel, payment) = record.restore().expect("what is stored is valid");
    let Some(payment) = payment else { return };
    let key = provider_identity().channel_key;
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &key,
    };
    match Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(1)) {
        Ok(made) => assert_eq!(made.payout + made.fee, payment.cumulative()),
        Err(SettlementError::NotWorthIt { balance, fee, dust }) => assert!(balance < fee + dust),
        Err(error) => panic!("{error}"),
    }
}
