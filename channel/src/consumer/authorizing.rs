//! The application's word on what the stream costs, before anything is committed to it.

use super::session::ConsumerSession;
use super::state::State;
use super::{ConsumerEffect as Effect, ConsumerEnd, Refusal};
use crate::money::Rate;
use crate::terms::{Terms, Track};
use bitcoin::Amount;
use std::time::Duration;

/// What the application has agreed to pay for. A later connection on the same terms needs no new word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreed {
    rate: Rate,
    window_ms: u32,
    opening: Amount,
    tracks: Vec<Track>,
}

impl Agreed {
    /// To these terms.
    pub fn to(terms: &Terms) -> Self {
        Self {
            rate: terms.rate,
            window_ms: terms.window_ms,
            opening: terms.opening,
            tracks: terms.tracks.clone(),
        }
    }

    /// The rate that was agreed to.
    pub const fn rate(&self) -> Rate {
        self.rate
    }

    /// Whether these are no other terms. Who goes on with an open channel makes no first payment, which may be another
    /// now since it follows the chain's fees.
    fn covers(&self, terms: &Terms, resuming: bool) -> bool {
        terms.rate == self.rate
            && terms.window_ms <= self.window_ms
            && terms.tracks == self.tracks
            && (resuming || terms.opening <= self.opening)
    }
}

impl ConsumerSession {
    /// Verified terms of a paid stream: refused if they exceed the policy, put to the application if it has not agreed
    /// to them yet, else followed by a channel.
    pub(super) fn consider(&mut self, terms: Box<Terms>, now: Duration, out: &mut Vec<Effect>) {
        let resuming = !self.past.resumable.is_empty();
        let verdict = match resuming {
            true => self.policy.judge_price(&terms),
            false => self.judged().judge(&terms).map(|_| ()),
        };
        let agreed = self.past.agreed.as_ref();
        match verdict {
            Err(refusal) => out.extend(self.close(ConsumerEnd::Refused(refusal), now)),
            Ok(()) if agreed.is_some_and(|agreed| agreed.covers(&terms, resuming)) => {
                self.resume_or_open(terms, now, out);
            }
            Ok(()) => {
                // A new rate that waits for its answer, or for the provider, is part of what is asked.
                let mut asked = terms.clone();
                asked.rate = self.repricing.coming().unwrap_or(asked.rate);
                self.ask(asked, out);
                self.enter(State::Authorizing(terms), now);
            }
        }
    }

    /// Asks about these terms. An earlier question is not awaited any more.
    pub(super) fn ask(&mut self, terms: Box<Terms>, out: &mut Vec<Effect>) {
        self.questions = self.questions.saturating_add(1);
        self.asked = true;
        let question = self.questions;
        out.push(Effect::Authorize { question, terms });
    }

    /// The answer to [`Effect::Authorize`]. Without effect if that question is not awaited any more.
    pub fn authorized(&mut self, question: u32, yes: bool, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.asked || question != self.questions {
            return effects;
        }
        self.asked = false;
        let offer = self.repricing.asked.take();
        match (yes, offer) {
            (true, offer) => {
                if let Some(offer) = offer {
                    self.accept_rate(offer, now, &mut effects);
                }
                self.agree();
                self.go_ahead(now, &mut effects);
            }
            (false, Some(offer)) => self.refuse_rate(offer, Refusal::Application, now, &mut effects),
            (false, None) => {
                let end = ConsumerEnd::Refused(Refusal::Application);
                effects.extend(self.close(end, now));
            }
        }
        effects
    }

    fn agree(&mut self) {
        if let Some(terms) = self.state.terms() {
            let mut agreed = Agreed::to(terms);
            agreed.rate = self.repricing.coming().unwrap_or(agreed.rate);
            self.past.agreed = Some(agreed);
        }
    }

    /// A channel follows once the terms as they stand have been agreed to: where another rate was, its provider has to
    /// debit that one first.
    pub(super) fn go_ahead(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if self.asked || self.repricing.coming().is_some() {
            return;
        }
        if let State::Authorizing(terms) = &self.state {
            let terms = terms.clone();
            self.resume_or_open(terms, now, out);
        }
    }
}
