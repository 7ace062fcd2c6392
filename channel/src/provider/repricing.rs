//! A new rate while the session runs: offered, and in force once the consumer has taken it (protocol.md section 7).

use super::session::ProviderSession;
use super::state::State;
use super::{EndReason, ProviderEffect as Effect, ProviderNotice};
use crate::fault::Fault;
use crate::message::{ProviderMessage, words};
use crate::money::Rate;
use crate::rate_offer::{ANSWER_TIMEOUT, OFFER_INTERVAL, RateOffer};
use bitcoin::Amount;
use std::time::Duration;

/// How far a new rate is.
#[derive(Debug, Default)]
pub(super) struct Repricing {
    /// The rate that was set and has not been offered yet: offers keep their distance.
    wanted: Option<Rate>,
    /// The offer that waits for its answer. A later one replaces it.
    open: Option<Open>,
    /// The number of the last offer.
    last: u32,
    /// The number of the last one that was taken.
    taken: u32,
    offered_at: Option<Duration>,
    /// Since when an answer has been awaited, to this offer or to those that it replaced.
    unanswered: Option<Duration>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    number: u32,
    rate: Rate,
    /// `None` for the rate in force: nobody is let go over that.
    until: Option<Duration>,
}

impl Repricing {
    fn not_before(&self) -> Duration {
        self.offered_at
            .map_or(Duration::ZERO, |at| at.saturating_add(OFFER_INTERVAL))
    }

    /// When something is due by itself.
    pub(super) fn next(&self) -> Option<Duration> {
        let offer = self.wanted.map(|_| self.not_before());
        let answer = self.open.and_then(|open| open.until);
        offer.into_iter().chain(answer).min()
    }

    pub(super) fn overdue(&self, now: Duration) -> Option<EndReason> {
        let open = self.open?;
        let late = open.until.is_some_and(|until| now >= until);
        late.then_some(EndReason::RateUnanswered(open.rate))
    }

    /// For how long an answer to an offer of now is awaited. Who answers none of several has twice the time of one: a rate
    /// that changes often would else keep it at the first for good.
    fn patience(&mut self, now: Duration) -> Duration {
        let since = *self.unanswered.get_or_insert(now);
        let last = since.saturating_add(ANSWER_TIMEOUT.saturating_mul(2));
        ANSWER_TIMEOUT.min(last.saturating_sub(now))
    }

    fn offer(&mut self, rate: Rate, in_force: Rate, now: Duration) -> RateOffer {
        let number = self.last.saturating_add(1);
        let mut patience = ANSWER_TIMEOUT;
        let mut until = None;
        if rate == in_force {
            self.unanswered = None;
        } else {
            patience = self.patience(now);
            until = Some(now.saturating_add(patience));
        }
        self.last = number;
        self.offered_at = Some(now);
        self.open = Some(Open { number, rate, until });
        RateOffer {
            number,
            rate,
            answer_ms: super::opening::millis(patience),
        }
    }

    /// Takes the open offer if this is its number. Neither answers to offers that a later one has replaced change
    /// anything, nor such as were never awaited.
    fn take(&mut self, number: u32) -> Result<Option<Rate>, Fault> {
        match self.open {
            Some(open) if number == open.number => {
                (self.open, self.unanswered, self.taken) = (None, None, number);
                Ok(Some(open.rate))
            }
            Some(open) if number < open.number && number > self.taken => Ok(None),
            _ => Err(Fault::RateAnswer(number)),
        }
    }
}

impl ProviderSession {
    /// The rate in force.
    pub const fn rate(&self) -> Rate {
        self.config.rate
    }

    /// The price has been changed, and what a first payment is with it. A consumer that has had no terms yet gets them
    /// with these; one that has is offered the rate alone. A free stream stays free, and a paid one paid.
    pub fn set_rate(&mut self, rate: Rate, opening: Amount, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.has_ended() || self.config.rate.is_free() || rate.is_free() {
            return effects;
        }
        if matches!(self.state, State::AwaitHello) {
            self.config.opening = opening;
            self.change_rate(rate, now);
        } else {
            self.repricing.wanted = Some(rate);
            self.offer_rate(now, &mut effects);
        }
        effects
    }

    /// Offers the rate that was set, as soon as that may be.
    pub(super) fn offer_rate(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if now < self.repricing.not_before() {
            return;
        }
        let Some(rate) = self.repricing.wanted.take() else {
            return;
        };
        let old = self.config.rate;
        let standing = self.repricing.open.map_or(old, |open| open.rate);
        let Some(terms) = self.terms(self.keys.channel_key.key.x_only_public_key().0) else {
            return;
        };
        if rate == standing {
            return;
        }
        let offer = self.repricing.offer(rate, old, now);
        let signature = offer.sign(&terms, &self.keys.identity);
        out.push(Effect::Send(ProviderMessage::Rate { offer, signature }));
        out.push(Effect::Notice(ProviderNotice::RateOffered { old, new: rate }));
    }

    /// The consumer takes the rate: from here on it is debited.
    pub(super) fn rate_accepted(
        &mut self,
        number: u32,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(rate) = self.repricing.take(number)? else {
            return Ok(());
        };
        let old = self.config.rate;
        self.change_rate(rate, now);
        out.push(Effect::Send(ProviderMessage::RateChanged { number }));
        out.push(Effect::Notice(ProviderNotice::RateAccepted { old, new: rate }));
        if matches!(self.state, State::Open(_)) {
            self.save_account(now, out);
            // It tells the gate, so that is decided first.
            self.decide_gate(now, out);
            self.send_credit(now, out);
        }
        Ok(())
    }

    /// The consumer leaves over a new rate, in these words.
    pub(super) fn rate_refused(&mut self, number: u32, reason: &str, out: &mut Vec<Effect>) {
        // It is leaving in any case: an offer that was none makes no difference.
        if let Ok(Some(rate)) = self.repricing.take(number) {
            out.push(Effect::Notice(ProviderNotice::RateRefused {
                old: self.config.rate,
                new: rate,
                reason: words(reason),
            }));
        }
    }

    fn change_rate(&mut self, rate: Rate, now: Duration) {
        self.config.rate = rate;
        self.account.set_rate(rate, now);
    }
}
