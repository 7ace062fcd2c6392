//! Paying for what arrives, through one channel after the other.

use super::session::ConsumerSession;
use super::state::{ConsumerChannel, Next, Paying, State};
use super::{ConsumerEffect as Effect, ConsumerNotice, Exhausted};
use crate::money::Msat;
use crate::payment::{Payment, PaymentError};
use crate::terms::TrackKind;
use bitcoin::Amount;
use bitcoin::secp256k1::Keypair;
use std::time::Duration;

/// A track that sent nothing for this long is not arriving. Pictures come many times a second and even a silent
/// sound track sends packets; a second bridges what a lossy link retransmits.
const TRACK_INTERVAL: Duration = Duration::from_secs(1);

impl ConsumerSession {
    /// Books the time in which every paid track arrived.
    pub(super) fn count(&mut self, now: Duration) {
        if let State::Open(open) = &mut self.state {
            let arrivals = self.arrivals;
            let last = open.terms.tracks.iter().map(|track| match track.kind {
                TrackKind::Audio => arrivals.audio,
                TrackKind::Video => arrivals.video,
            });
            // `None`, of a track of which nothing has arrived, is the least.
            let until = last
                .min()
                .flatten()
                .map(|last| last.saturating_add(TRACK_INTERVAL));
            open.purse.arriving(until.filter(|_| self.playing), now);
        }
    }

    /// Pays up to the target, if that is more than has been paid; through the next channel once this one is used up.
    pub(super) fn pay(&mut self, now: Duration, out: &mut Vec<Effect>) {
        self.count(now);
        let (policy, spent, playing) = (self.policy, self.past.spent, self.playing);
        let State::Open(open) = &mut self.state else {
            return;
        };
        if !open.channel.acknowledged || !playing {
            return;
        }
        open.paid_at = now;
        let outcome = open.pay_present(&policy, spent, now, out).and_then(|()| {
            if open.switch_if_due(now, out) {
                open.pay_present(&policy, spent, now, out)?;
            }
            Ok(())
        });
        if let Err(error) = outcome {
            return self.fault(error.into(), now, out);
        }
        open.tell_exhausted(&policy, spent, now, out);
        open.record_count(policy.payment_interval, now, out);
    }

    /// Signs again what has been signed already: the provider lost it.
    pub(super) fn pay_again(&self, now: Duration, out: &mut Vec<Effect>) {
        if let State::Open(open) = &self.state
            && let Ok(effects) = open.sign(open.purse.paid(), now)
        {
            out.extend(effects);
        }
    }
}

impl Paying {
    fn limit(&self, policy: &super::ConsumerPolicy, spent: Amount) -> Amount {
        let spent = spent.checked_add(self.purse.carried());
        policy.limit(
            self.channel.channel.contract(),
            spent.unwrap_or(Amount::MAX_MONEY),
        )
    }

    fn pay_present(
        &mut self,
        policy: &super::ConsumerPolicy,
        spent: Amount,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), PaymentError> {
        let (target, paid) = (self.purse.target(now), self.purse.paid());
        let limit = self.limit(policy, spent);
        let cumulative = target.min(limit);
        // A first payment below the opening would be refused.
        let too_little = paid == Amount::ZERO && cumulative < self.purse.opening();
        if cumulative <= paid || too_little {
            return Ok(());
        }
        let effects = self.sign(cumulative, now)?;
        self.purse.pay(cumulative);
        out.extend(effects);
        out.push(Effect::Notice(ConsumerNotice::Paid {
            outpoint: self.channel.outpoint(),
            paid: cumulative,
            added: cumulative.checked_sub(paid).unwrap_or(Amount::ZERO),
            consumed: self.purse.consumed(now),
        }));
        Ok(())
    }

    /// A payment: recorded, then sent.
    fn sign(&self, cumulative: Amount, now: Duration) -> Result<Vec<Effect>, PaymentError> {
        let key: &Keypair = &self.channel.key;
        let payment = Payment::sign(&self.channel.channel, key, cumulative)?;
        let outpoint = self.channel.outpoint();
        Ok(vec![
            self.record(cumulative, now),
            Effect::Send(crate::message::ConsumerMessage::Payment {
                outpoint,
                cumulative,
                signature: payment.signature(),
            }),
        ])
    }

    /// What arrived is recorded at each payment's time, also when none is due: at a low rate a payment lasts for hours,
    /// and after a crash the provider's count would look like a lie.
    fn record_count(&mut self, interval: Duration, now: Duration, out: &mut Vec<Effect>) {
        if out.iter().any(|effect| matches!(effect, Effect::SavePaid { .. })) {
            self.recorded_at = now;
        } else if now >= self.recorded_at.saturating_add(interval) && self.purse.consumed(now) > Msat::ZERO {
            out.push(self.record(self.purse.paid(), now));
            self.recorded_at = now;
        }
    }

    /// What is to be recorded of the present channel.
    pub(super) fn record(&self, paid: Amount, now: Duration) -> Effect {
        Effect::SavePaid {
            outpoint: self.channel.outpoint(),
            paid,
            carried: self.purse.carried(),
            consumed: self.purse.consumed(now),
            rate: self.purse.peak(),
        }
    }

    /// Returns the record of a session that is over: the least charge of its last arrival is counted.
    pub(super) fn last_record(&mut self, now: Duration) -> Effect {
        self.purse.end(now);
        self.record(self.purse.paid(), now)
    }

    /// Goes on with the next channel, if this one is used up, or so old that its provider must settle it soon.
    fn switch_if_due(&mut self, now: Duration, out: &mut Vec<Effect>) -> bool {
        let payable = self.channel.channel.contract().payable();
        let used_up = self.purse.paid() >= payable && self.purse.target(now) > payable;
        let due = used_up || self.is_old(now);
        let Some(next) = self.take_next(due, now) else {
            return false;
        };
        let from = self.channel.outpoint();
        self.purse.switch(next.opening);
        self.former.push(from);
        self.channel = next;
        self.exhausted = false;
        out.push(Effect::Notice(ConsumerNotice::RolledOver {
            from,
            to: self.channel.outpoint(),
        }));
        true
    }

    fn take_next(&mut self, due: bool, now: Duration) -> Option<ConsumerChannel> {
        match std::mem::replace(&mut self.next, Next::None { not_before: now }) {
            Next::Ready(next) if due && next.acknowledged => Some(*next),
            other => {
                self.next = other;
                None
            }
        }
    }

    fn tell_exhausted(
        &mut self,
        policy: &super::ConsumerPolicy,
        spent: Amount,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        let limit = self.limit(policy, spent);
        let exhausted = self.purse.target(now) > limit;
        if exhausted && !self.exhausted {
            let why = if limit < self.channel.channel.contract().payable() || limit == policy.budget {
                Exhausted::Budget(policy.budget)
            } else {
                Exhausted::Capacity(limit)
            };
            out.push(Effect::Notice(ConsumerNotice::Exhausted(why)));
        }
        self.exhausted = exhausted;
    }
}
