//! What holds at every step of a consumer's session:
//!
//! - nothing is opened under terms that are not the link's provider's for this connection, or beyond the policy;
//! - the channel's record comes before broadcast and sending; a payment's record before the payment;
//! - every payment is higher than the last, verifies, is at most capacity less 330 sat and the budget, and within what
//!   arrived, the drift and the window (see [`Ledger`]); none before the provider has acknowledged the channel, while
//!   paused, or after the end;
//! - after the end nothing happens.

use super::ledger::Ledger;
use crate::common::*;
use bitcoin::Amount;
use std::time::Duration;
use streamium_channel::consumer::{
    Arrivals, ConsumerEffect, ConsumerEnd, ConsumerNotice, ConsumerPolicy, ConsumerSession,
};
use streamium_channel::contract::Channel;
use streamium_channel::message::{ConsumerMessage, ProviderMessage};
use streamium_channel::payment::Payment;
use streamium_channel::record::ConsumerRecord;
use streamium_channel::terms::Terms;

/// The session, and what it has done.
pub struct Run {
    pub(super) session: ConsumerSession,
    pub(super) policy: ConsumerPolicy,
    pub(super) now: Duration,
    pub(super) arrivals: Arrivals,
    pub(super) ledger: Option<Ledger>,
    pub(super) record: Option<ConsumerRecord>,
    pub(super) sent: Vec<ProviderMessage>,
    pub(super) acknowledged: bool,
    pub(super) playing: bool,
    /// The wallet can't build the commitment.
    broke: bool,
    channel: Option<Channel>,
    terms: Option<Terms>,
    recorded: Amount,
    paid: Amount,
    closed: bool,
    ended: bool,
}

impl Run {
    pub fn new(session: ConsumerSession, policy: ConsumerPolicy, broke: bool, now: Duration) -> Self {
        let mut run = Self {
            session,
            policy,
            now,
            arrivals: Arrivals::default(),
            ledger: None,
            record: None,
            sent: Vec::new(),
            acknowledged: false,
            playing: true,
            broke,
            channel: None,
            terms: None,
            recorded: Amount::ZERO,
            paid: Amount::ZERO,
            closed: false,
            ended: false,
        };
        let effects = run.session.start();
        run.take(effects);
        run
    }

    /// Time passes until there is something to do, at most so long; these tracks arrive meanwhile.
    pub(super) fn pass(&mut self, time: Duration, audio: bool, video: bool) {
        if let (Some(ledger), Some(_)) = (&mut self.ledger, &self.record) {
            ledger.pass(self.arrivals, self.now, time);
        }
        self.now += time;
        if audio {
            self.arrivals.audio = Some(self.now);
        }
        if video {
            self.arrivals.video = Some(self.now);
        }
        self.session.media(self.arrivals);
        let effects = self.session.tick(self.now);
        self.take(effects);
        let next = self.session.next(self.now);
        assert!(
            next.is_none_or(|at| at > self.now),
            "the driver would spin: {next:?}"
        );
    }

    /// Carries the effects out, as a driver does.
    pub(super) fn take(&mut self, effects: Vec<ConsumerEffect>) {
        for effect in effects {
            assert!(!self.ended, "after the end nothing happens: {effect:?}");
            self.effect(effect);
        }
        assert_eq!(self.session.has_ended(), self.ended);
    }

    fn effect(&mut self, effect: ConsumerEffect) {
        match effect {
            ConsumerEffect::Send(message) => self.says(&message),
            ConsumerEffect::AwaitFunds { capacity, fee_rate } => {
                assert!(fee_rate <= self.policy.max_fee_rate, "{fee_rate}");
                assert!(capacity <= self.policy.capacity, "{capacity}");
            }
            ConsumerEffect::BuildCommitment {
                contract,
                fee_rate,
                script,
            } => {
                assert!(fee_rate <= self.policy.max_fee_rate, "{fee_rate}");
                assert_eq!(&script, contract.script().expect("a script").script_pubkey());
                let effects = match self.broke {
                    true => self.session.commitment_failed("no coins".into(), self.now),
                    false => self.session.commitment_built(commitment(&contract), 1, self.now),
                };
                self.take(effects);
            }
            ConsumerEffect::SaveChannel(record) => {
                assert!(self.record.is_none(), "one channel a session");
                let channel = Channel::new(record.contract.clone(), record.outpoint).expect("a channel");
                self.channel = Some(channel);
                self.record = Some(*record);
            }
            ConsumerEffect::SavePaid { outpoint, paid } => {
                assert_eq!(self.record.as_ref().map(|record| record.outpoint), Some(outpoint));
                assert!(paid >= self.recorded, "the record went backwards");
                self.recorded = paid;
            }
            ConsumerEffect::Broadcast(tx) => {
                assert_eq!(self.record.as_ref().map(|record| &record.commitment), Some(&tx));
            }
            ConsumerEffect::Notice(ConsumerNotice::Terms(terms)) => {
                assert!(self.terms.is_none(), "terms are taken once");
                assert!(self.offered_truly(&terms), "not the link's provider's: {terms:?}");
                self.ledger = Some(Ledger::new(&terms));
                self.terms = Some(*terms);
            }
            ConsumerEffect::End(_) => self.ended = true,
            ConsumerEffect::Watch { .. } | ConsumerEffect::Notice(_) => (),
        }
    }

    fn says(&mut self, message: &ConsumerMessage) {
        match message {
            ConsumerMessage::Open { capacity, .. } => self.opens(*capacity),
            ConsumerMessage::Commitment { transaction, output } => {
                let record = self.record.as_ref().expect("on record before it is sent");
                assert_eq!(transaction, &record.commitment);
                assert_eq!(*output, record.outpoint.vout);
            }
            ConsumerMessage::Payment {
                outpoint,
                cumulative,
                signature,
            } => {
                let channel = self.channel.as_ref().expect("a channel on record");
                assert_eq!(*outpoint, channel.outpoint());
                Payment::check(channel, *cumulative, *signature).expect("a payment that is valid");
                self.pays(*cumulative);
            }
            ConsumerMessage::Close { .. } => {
                assert!(!self.closed, "closed once");
                self.closed = true;
            }
            _ => (),
        }
    }

    /// Within the policy, by the terms that were believed.
    fn opens(&self, capacity: Amount) {
        let terms = self.terms.as_ref().expect("terms come first");
        let policy = &self.policy;
        assert!(terms.rate <= policy.max_rate && terms.window() <= policy.max_window);
        assert!(terms.opening <= policy.max_opening && terms.opening <= policy.budget);
        assert!(
            terms.opening.to_sat() <= capacity.to_sat() / 4,
            "more than a quarter"
        );
        assert!(capacity <= policy.capacity);
        assert!(capacity >= terms.min_capacity && capacity <= terms.max_capacity);
        assert!(
            policy.refund_delay >= terms.min_refund_delay && policy.refund_delay <= terms.max_refund_delay
        );
    }

    fn pays(&mut self, cumulative: Amount) {
        assert!(self.acknowledged, "paid before the channel was acknowledged");
        assert!(self.playing && !self.closed, "paid while paused or after the end");
        assert!(cumulative > self.paid, "{cumulative} after {}", self.paid);
        assert!(cumulative <= self.recorded, "paid before it was on record");
        assert!(
            cumulative <= self.policy.budget,
            "{cumulative} of a budget of {}",
            self.policy.budget
        );
        let bound = self.ledger.as_ref().map_or(Amount::ZERO, Ledger::bound);
        assert!(cumulative <= bound, "{cumulative} paid, of {bound}");
        self.paid = cumulative;
    }

    /// Nobody says anything any more: the session ends by itself, or is free.
    pub fn let_it_end(mut self) {
        let before = self.paid;
        for _ in 0..60 {
            self.pass(seconds(2), false, false);
        }
        let is_free = self.terms.as_ref().is_some_and(|terms| terms.rate.is_free());
        assert!(self.ended || is_free, "it never ended");
        // Of what was on its way: two seconds at most are booked, since nothing arrives.
        assert!(self.paid <= before.max(self.ledger.as_ref().map_or(Amount::ZERO, Ledger::bound)));
        let effects = self.session.close(ConsumerEnd::Stopped, self.now);
        self.take(effects);
    }
}
