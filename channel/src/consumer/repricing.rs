//! A new rate while the session runs: held against the policy, put to the application, taken or left (protocol.md
//! section 7).
//!
//! From when it takes a new rate until the provider says that it debits it, the consumer counts at the dearer of the
//! two: neither side can know what the other does in between, and so it never takes an honest count for a lie.

use super::session::ConsumerSession;
use super::state::State;
use super::{ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice, Refusal};
use crate::fault::Fault;
use crate::message::ConsumerMessage;
use crate::money::Rate;
use crate::rate_offer::{OFFER_INTERVAL, RateOffer};
use crate::terms::Terms;
use bitcoin::secp256k1::schnorr;
use std::time::Duration;

/// How far a new rate is.
#[derive(Debug, Default)]
pub(super) struct Repricing {
    /// The number of the last offer.
    last: u32,
    /// When the last two came.
    came: [Option<Duration>; 2],
    /// The application is asked about it.
    pub(super) asked: Option<RateOffer>,
    /// It was taken, and the provider has not said yet that it has changed.
    accepted: Option<RateOffer>,
}

impl Repricing {
    /// The rate that may be in force soon: it is being asked about, or has been taken.
    pub(super) fn coming(&self) -> Option<Rate> {
        self.asked.or(self.accepted).map(|offer| offer.rate)
    }

    /// An offer came. Two may come together that were made one interval apart, since who is silent for longer is gone;
    /// three may not.
    fn note(&mut self, number: u32, now: Duration) -> Result<(), Fault> {
        let [before, last] = self.came;
        if before.is_some_and(|at| now < at.saturating_add(OFFER_INTERVAL)) {
            return Err(Fault::RateFlood);
        }
        self.came = [last, Some(now)];
        self.last = number;
        // The provider will not read the answer to an offer that it has replaced.
        (self.asked, self.accepted) = (None, None);
        Ok(())
    }
}

impl ConsumerSession {
    /// The provider offers a new rate.
    pub(super) fn rate_offered(
        &mut self,
        offer: RateOffer,
        signature: &schnorr::Signature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(terms) = self.state.terms() else {
            return Ok(());
        };
        offer.verify(signature, terms, &self.keys.link.key)?;
        let last = self.repricing.last;
        if offer.number <= last {
            let number = offer.number;
            return Err(Fault::StaleRate { number, last });
        }
        let unchanged = offer.rate == terms.rate && !matches!(self.state, State::Authorizing(_));
        let repriced = Terms {
            rate: offer.rate,
            ..terms.clone()
        };
        self.repricing.note(offer.number, now)?;
        // Whatever was asked is about an offer that does not stand any more.
        self.asked = false;
        self.forget_next_question(now);
        self.reckon(now);
        match self.policy.judge_price(&repriced) {
            Err(refusal) => self.refuse_rate(offer, refusal, now, out),
            Ok(()) if unchanged => self.accept_rate(offer, now, out),
            Ok(()) => {
                self.repricing.asked = Some(offer);
                self.ask(Box::new(repriced), out);
            }
        }
        Ok(())
    }

    /// The rate is within the bounds, and the application has nothing against it.
    pub(super) fn accept_rate(&mut self, offer: RateOffer, now: Duration, out: &mut Vec<Effect>) {
        let Some(old) = self.state.terms().map(|terms| terms.rate) else {
            return;
        };
        if offer.rate != old {
            let new = offer.rate;
            out.push(Effect::Notice(ConsumerNotice::Rate { old, new }));
        }
        self.repricing.accepted = Some(offer);
        self.reckon(now);
        // A window at the new rate is there before the provider debits it: media does not stop over this.
        self.pay(now, out);
        self.record_rate(now, out);
        if self.state.terms().is_some() {
            let number = offer.number;
            out.push(Effect::Send(ConsumerMessage::AcceptRate { number }));
        }
    }

    /// The provider may debit it as soon as it reads the answer: after a crash its count must not look like a lie.
    fn record_rate(&self, now: Duration, out: &mut Vec<Effect>) {
        let recorded = out.iter().any(|effect| matches!(effect, Effect::SavePaid { .. }));
        if let State::Open(open) = &self.state
            && !recorded
        {
            out.push(open.record(open.purse.paid(), now));
        }
    }

    /// It is not: the session ends, and what has been paid stands.
    pub(super) fn refuse_rate(
        &mut self,
        offer: RateOffer,
        refusal: Refusal,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        let Some(old) = self.state.terms().map(|terms| terms.rate) else {
            return;
        };
        let new = offer.rate;
        let end = match &self.state {
            State::Open(_) => ConsumerEnd::RateRefused {
                old,
                new,
                refusal: refusal.clone(),
            },
            _ => ConsumerEnd::Refused(refusal.clone()),
        };
        out.push(Effect::Notice(ConsumerNotice::RateRefused { old, new, refusal }));
        out.extend(self.close_over(end, Some(offer.number), now));
    }

    /// The provider debits the new rate.
    pub(super) fn rate_changed(
        &mut self,
        number: u32,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let accepted = self.repricing.accepted;
        let offer = accepted.filter(|offer| offer.number == number);
        let offer = offer.ok_or(Fault::RateAnswer(number))?;
        self.repricing.accepted = None;
        if let Some(terms) = self.state.terms_mut() {
            terms.rate = offer.rate;
        }
        if let State::Open(open) = &mut self.state {
            open.agreed.rate = offer.rate;
        }
        self.reckon(now);
        self.go_ahead(now, out);
        Ok(())
    }

    /// The rate it counts at: that in force, or one that it has taken, if that is dearer. Zero for a free stream, and
    /// before there are terms.
    pub fn rate(&self) -> Rate {
        let accepted = self.repricing.accepted.map(|offer| offer.rate);
        let terms = self.state.terms().map(|terms| terms.rate);
        terms.map_or(Rate::default(), |rate| rate.max(accepted.unwrap_or_default()))
    }

    /// Counts at that rate from now on.
    pub(super) fn reckon(&mut self, now: Duration) {
        self.count(now);
        let rate = self.rate();
        if let State::Open(open) = &mut self.state {
            open.purse.set_rate(rate, now);
        }
    }
}

impl State {
    /// The terms of the session, while it has not ended.
    pub(super) fn terms(&self) -> Option<&Terms> {
        match self {
            State::Authorizing(terms) | State::Resuming(terms, _) => Some(terms),
            State::Opening(opening) => Some(opening.terms()),
            State::Open(open) => Some(&open.terms),
            State::AwaitTerms | State::Free | State::Closing(..) | State::Ended => None,
        }
    }

    fn terms_mut(&mut self) -> Option<&mut Terms> {
        match self {
            State::Authorizing(terms) | State::Resuming(terms, _) => Some(terms),
            State::Opening(opening) => Some(opening.terms_mut()),
            State::Open(open) => Some(&mut open.terms),
            State::AwaitTerms | State::Free | State::Closing(..) | State::Ended => None,
        }
    }
}
