//! What holds at every step of a provider's session:
//!
//! - a channel's balance never falls, is at most capacity less 330 sat, and is on record; the record can be restored,
//!   its payment verifies and makes a settlement;
//! - what is debited is the time for which the gate was open, and within what counts and the grace (see [`Ledger`]);
//!   going on with the next channel, or with one of an earlier session, neither adds nor loses any;
//! - the gate is open only on a payment, for a consumer that was heard and has not paused, and never after the end;
//!   after the end nothing happens;
//! - the record comes before broadcast and acknowledgement; a channel of an earlier session is taken over only on the
//!   consumer's proof; each channel is let go of once, and no later than the margin before its refund leaf opens.

use super::held::Held;
use super::ledger::Ledger;
use crate::common::pair::provider_key;
use bitcoin::{Amount, OutPoint};
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::contract::Contract;
use streamium_channel::liveness::SILENT_AFTER;
use streamium_channel::message::{ChannelState, ConsumerMessage, GateState, ProviderMessage};
use streamium_channel::money::Msat;
use streamium_channel::provider::{
    AccountRecord, ChannelFacts, CommitmentStatus, ProviderConfig, ProviderEffect, ProviderSession, Recalled,
};
use streamium_channel::record::{PaymentRecord, ProviderRecord};
use streamium_channel::terms::Terms;

/// The session, and what it has done.
pub struct Run {
    pub(super) session: ProviderSession,
    pub(super) config: ProviderConfig,
    pub(super) now: Duration,
    /// The terms last sent, the contract last proposed, and the one last accepted.
    pub(super) terms: Option<Terms>,
    pub(super) proposed: Option<Contract>,
    contract: Option<Contract>,
    pub(super) held: BTreeMap<OutPoint, Held>,
    /// The channel that is paid through, and the one that comes next.
    pub(super) current: Option<OutPoint>,
    pub(super) next: Option<OutPoint>,
    /// A channel of an earlier session, and whether its consumer has proved that it is the one.
    pub(super) past: Option<ProviderRecord>,
    pub(super) proven: bool,
    pub(super) sent: Vec<ConsumerMessage>,
    pub(super) heard: Duration,
    pub(super) paused: bool,
    pub(super) ended: bool,
    pub(super) ledger: Ledger,
    /// What other sessions leave of the unconfirmed total.
    left: Option<Amount>,
    fresh_keys: u32,
}

impl Run {
    pub fn new(
        session: ProviderSession,
        config: ProviderConfig,
        past: Option<ProviderRecord>,
        left: Option<Amount>,
        now: Duration,
    ) -> Self {
        let mut run = Self {
            ledger: Ledger::new(config.rate, now),
            session,
            config,
            now,
            terms: None,
            proposed: None,
            contract: None,
            held: BTreeMap::new(),
            current: None,
            next: None,
            past,
            proven: false,
            sent: Vec::new(),
            heard: now,
            paused: false,
            ended: false,
            left,
            fresh_keys: 0,
        };
        let effects = run.session.start();
        run.take(effects);
        run
    }

    pub(super) fn is_open(&self) -> bool {
        self.current.is_some() && !self.ended
    }

    pub(super) fn present(&self) -> Option<&Held> {
        self.held.get(&self.current?)
    }

    fn present_mut(&mut self, outpoint: OutPoint) -> &mut Held {
        assert_eq!(self.current, Some(outpoint), "the channel that is paid through");
        self.held.get_mut(&outpoint).expect("it is on record")
    }

    pub(super) fn balance(&self) -> Amount {
        self.present().map_or(Amount::ZERO, Held::balance)
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

    pub(super) fn news(&mut self, outpoint: OutPoint, status: CommitmentStatus) {
        let mut deadline = false;
        if let Some(held) = self.held.get_mut(&outpoint).filter(|held| !held.released) {
            held.status = status;
            deadline = self.current == Some(outpoint) && held.is_at_deadline();
        }
        let effects = self.session.commitment_status(outpoint, status, self.now);
        self.take(effects);
        assert!(!deadline || self.ended, "used although the refund leaf is near");
    }

    /// Carries the effects out, as a driver does.
    pub(super) fn take(&mut self, effects: Vec<ProviderEffect>) {
        self.carry_out(effects);
        self.check();
    }

    /// Without looking whether all holds: more effects are to come.
    fn carry_out(&mut self, effects: Vec<ProviderEffect>) {
        for effect in effects {
            assert!(!self.ended, "after the end nothing happens: {effect:?}");
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: ProviderEffect) {
        match effect {
            ProviderEffect::Send(message) => self.says(message),
            ProviderEffect::SaveChannel(record) => self.saves(*record),
            ProviderEffect::SaveAccount(account) => self.books(&account),
            ProviderEffect::Switch { from, to } => self.switches(&from, &to),
            ProviderEffect::Broadcast(tx) => {
                let known = self.held.values().any(|held| held.record.commitment == tx);
                assert!(known, "broadcast before it was on record");
            }
            ProviderEffect::Gate(state) => {
                assert_ne!(
                    self.ledger.gate(),
                    GateState::Closed,
                    "a closed gate stays closed"
                );
                self.ledger.set_gate(state, self.now);
            }
            ProviderEffect::FreshKey => {
                self.fresh_keys += 1;
                // More than enough different ones.
                let key = provider_key(10 + self.fresh_keys % 100);
                let effects = self.session.fresh_key(key, self.now);
                self.carry_out(effects);
            }
            ProviderEffect::Recall(outpoint) => {
                let recalled = self.recalled(outpoint);
                let effects = self.session.recalled(recalled, self.now);
                self.carry_out(effects);
            }
            ProviderEffect::TakeOver(outpoint) => self.takes_over(outpoint),
            ProviderEffect::Release { outpoint, .. } => {
                let held = self.held.get_mut(&outpoint).expect("it is on record");
                assert!(!std::mem::replace(&mut held.released, true), "let go of twice");
            }
            ProviderEffect::CloseCooperatively {
                outpoint,
                transaction,
                payout,
            } => {
                let held = &self.held[&outpoint];
                assert_eq!(
                    &transaction.output[0].script_pubkey,
                    held.record.contract.change().script()
                );
                assert!(
                    payout >= held.balance() || payout == Amount::ZERO,
                    "less than was paid"
                );
            }
            ProviderEffect::End(_) => self.ended = true,
            ProviderEffect::Watch { .. } | ProviderEffect::Notice(_) => (),
        }
    }

    fn saves(&mut self, record: ProviderRecord) {
        assert_eq!(Some(&record.contract), self.contract.as_ref(), "what was agreed");
        let outpoint = record.outpoint;
        let held = Held::new(record, self.config.unconfirmed_limit);
        assert!(self.held.insert(outpoint, held).is_none(), "recorded twice");
        match self.current {
            None => self.current = Some(outpoint),
            Some(_) => self.next = Some(outpoint),
        }
        self.lower(outpoint);
    }

    /// As the driver does, with what other sessions leave.
    fn lower(&mut self, outpoint: OutPoint) {
        if let (Some(left), Some(held)) = (self.left, self.held.get_mut(&outpoint)) {
            self.session.lower_unconfirmed_limit(outpoint, left);
            held.unconfirmed_limit = held.unconfirmed_limit.min(left);
        }
    }

    fn books(&mut self, account: &AccountRecord) {
        self.ledger.save(account.consumed, self.now);
        self.present_mut(account.outpoint).book(account);
    }

    fn switches(&mut self, from: &AccountRecord, to: &AccountRecord) {
        self.books(from);
        let best = from
            .best
            .map_or(Amount::ZERO, |best: PaymentRecord| best.cumulative);
        assert_eq!(to.carried, from.carried + best, "credit goes on whole");
        assert_eq!(to.consumed, from.consumed);
        assert_eq!(self.next.take(), Some(to.outpoint));
        self.present_mut(from.outpoint).released = true;
        self.current = Some(to.outpoint);
        self.present_mut(to.outpoint).record.carried = to.carried;
        self.books(to);
        assert!(
            self.balance() >= self.config.opening,
            "its first payment covers its settlement"
        );
    }

    fn recalled(&self, outpoint: OutPoint) -> Result<Recalled, String> {
        let record = self.past.clone().filter(|past| past.outpoint == outpoint);
        let record = record.ok_or("it is not on record")?;
        Ok(Recalled {
            key: provider_key(record.key_index),
            record,
            former: None,
            status: CommitmentStatus::Confirmed { confirmations: 1 },
            facts: ChannelFacts::default(),
        })
    }

    fn takes_over(&mut self, outpoint: OutPoint) {
        assert!(
            self.proven && self.current.is_none(),
            "taken over without a proof"
        );
        let record = self.past.take().expect("it is on record");
        self.ledger.go_on(record.consumed);
        let mut held = Held::new(record, self.config.unconfirmed_limit);
        held.status = CommitmentStatus::Confirmed { confirmations: 1 };
        self.held.insert(outpoint, held);
        self.current = Some(outpoint);
        self.lower(outpoint);
    }

    fn says(&mut self, message: ProviderMessage) {
        match message {
            ProviderMessage::Credit {
                balance,
                consumed_msat,
                gate,
                ..
            } => {
                assert_eq!(
                    (balance, gate),
                    (self.balance(), self.ledger.gate()),
                    "what is told is so"
                );
                self.ledger.check_debited(Msat::new(consumed_msat), self.now);
            }
            ProviderMessage::Channel {
                outpoint,
                state: ChannelState::Seen,
            } => {
                assert!(
                    self.held.contains_key(&outpoint),
                    "on record before it is acknowledged"
                );
            }
            ProviderMessage::Resumed {
                balance,
                carried,
                consumed_msat,
                ..
            } => {
                let record = &self.present().expect("a channel").record;
                assert_eq!((balance, carried), (self.balance(), record.carried));
                assert_eq!(consumed_msat, record.consumed.to_msat());
            }
            ProviderMessage::Accept { .. } => self.contract = self.proposed.clone(),
            ProviderMessage::Terms { terms, .. } => self.terms = Some(*terms),
            _ => (),
        }
    }

    fn check(&mut self) {
        assert_eq!(self.session.has_ended(), self.ended);
        assert_eq!(self.session.gate(), self.ledger.gate());
        assert!(
            !self.ended || self.ledger.gate() == GateState::Closed,
            "open after the end"
        );
        let Some(held) = self.present() else { return };
        assert_eq!(self.session.balance(), held.balance(), "what counts is on record");
        let covered = Msat::from(held.counts(self.config.min_confirmations));
        if self.ledger.gate() == GateState::Open {
            assert!(
                held.record.carried + held.balance() > Amount::ZERO,
                "media without a payment"
            );
            assert!(!self.paused, "media for a paused consumer");
            assert!(
                self.now < self.heard + SILENT_AFTER,
                "media for a silent consumer"
            );
        }
        self.ledger
            .check_bounds(covered.plus(self.config.rate.cost(self.config.grace)), self.now);
    }
}
