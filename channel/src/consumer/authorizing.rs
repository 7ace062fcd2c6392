//! The application's word on what the stream costs, before anything is committed to it.

use super::session::ConsumerSession;
use super::state::State;
use super::{ConsumerEffect as Effect, ConsumerEnd, Refusal};
use crate::agreement::{Agreement, Stage};
use crate::record::ConsumerRecord;
use crate::terms::Terms;
use bitcoin::Amount;
use std::time::Duration;

impl ConsumerSession {
    /// Verified terms of a paid stream: refused if they exceed the policy, put to the application if it has not agreed
    /// to them yet, else followed by a channel.
    pub(super) fn consider(&mut self, terms: Box<Terms>, now: Duration, out: &mut Vec<Effect>) {
        let stage = self.stage();
        let agreed = self.past.agreed.as_ref();
        match self.judge(&terms, stage) {
            Err(refusal) => out.extend(self.close(ConsumerEnd::Refused(refusal), now)),
            Ok(()) if agreed.is_some_and(|agreed| agreed.continues(&terms, stage).is_ok()) => {
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

    /// Returns what the terms are for: the first candidate that may go on, or a channel that is opened.
    fn stage(&self) -> Stage {
        let candidate = self.past.resumable.first();
        candidate.map_or(Stage::Opened, |candidate| Stage::Resumed {
            opened: candidate.record.paid > Amount::ZERO,
        })
    }

    /// Holds terms against the policy: all of them where a channel is opened; where one goes on, its price, and its first
    /// payment if that is still to be made and more than was agreed.
    fn judge(&self, terms: &Terms, stage: Stage) -> Result<(), Refusal> {
        let Stage::Resumed { opened } = stage else {
            return self.judged().judge(terms).map(|_| ());
        };
        self.policy.judge_price(terms)?;
        match self.past.resumable.first() {
            // Whether one is still to be made is seen when it goes on.
            Some(candidate) if !opened && candidate.record.has_figures() => {
                self.judge_owed_opening(terms, &candidate.record)
            }
            _ => Ok(()),
        }
    }

    /// Holds the first payment of a channel that goes on and has paid nothing yet against the policy, where it is more than
    /// was agreed.
    pub(super) fn judge_owed_opening(&self, terms: &Terms, record: &ConsumerRecord) -> Result<(), Refusal> {
        let agreed = record.agreed.as_ref().map(|agreed| agreed.opening);
        match agreed.is_some_and(|agreed| terms.opening <= agreed) {
            true => Ok(()),
            false => self.judged().judge_opening(terms, record.contract.capacity()),
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
            (false, None) if self.is_about_next() => self.refuse_next(&mut effects),
            (false, None) => {
                let end = ConsumerEnd::Refused(Refusal::Application);
                effects.extend(self.close(end, now));
            }
        }
        effects
    }

    fn agree(&mut self) {
        if let Some(terms) = self.asked_terms() {
            let mut agreed = Agreement::of(terms);
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
        self.go_ahead_with_next(now, out);
    }
}
