//! The next channel: opened while the present one still pays, so that media never stops (protocol.md section 5).

use super::session::{CHANNEL_TIMEOUT, ConsumerSession, TERMS_TIMEOUT};
use super::state::{Next, Opening, Paying, State};
use super::{ConsumerEffect as Effect, ConsumerNotice, ConsumerPolicy, Refusal};
use crate::agreement::{Agreement, Stage};
use crate::fault::Fault;
use crate::message::ConsumerMessage;
use crate::terms::Terms;
use bitcoin::Amount;
use std::time::Duration;

/// The next channel is opened when so much of the present one is used, in percent: what is left lasts until its
/// commitment is confirmed, at any usual rate.
const USED_PERCENT: u64 = 80;

/// And when the present one has only this many blocks left until its provider must settle it: two hours, in which
/// the next one's commitment gets its confirmation.
const LEAD_BLOCKS: u32 = 12;

/// With this many left it is left for the next one although some of it is unused.
const LEAVE_BLOCKS: u32 = 3;

/// After an attempt that failed, another is made this much later.
const RETRY_AFTER: Duration = Duration::from_secs(30);

impl Next {
    /// None, for a while.
    pub(super) const fn later(now: Duration) -> Self {
        Next::None {
            not_before: now.saturating_add(RETRY_AFTER),
        }
    }

    /// None for this session.
    const NEVER: Self = Next::None {
        not_before: Duration::MAX,
    };
}

impl Paying {
    /// How many blocks the provider has left until it must settle.
    fn blocks_left(&self) -> u32 {
        let last = self.channel.channel.contract().delay().last_usable_confirmation();
        last.saturating_sub(self.channel.confirmations)
    }

    fn is_nearly_used(&self) -> bool {
        let payable = self.channel.channel.contract().payable().to_sat();
        self.purse.paid().to_sat().saturating_mul(100) >= payable.saturating_mul(USED_PERCENT)
    }

    /// Whether the budget allows an opening payment when all of the present channel is used.
    fn may_go_on(&self, policy: &ConsumerPolicy, spent: Amount) -> bool {
        let payable = self.channel.channel.contract().payable();
        let wanted = [spent, self.purse.carried(), payable, self.terms.opening]
            .into_iter()
            .try_fold(Amount::ZERO, Amount::checked_add);
        wanted.is_some_and(|wanted| wanted <= policy.budget)
    }

    /// Whether the present channel is to be left for the next although some of it is unused.
    pub(super) fn is_old(&self, now: Duration) -> bool {
        self.is_aging(LEAVE_BLOCKS, now)
    }

    /// Its depth is the provider's word: who lies about it earns no opening payment after the other.
    fn is_aging(&self, blocks: u32, now: Duration) -> bool {
        self.blocks_left() <= blocks && self.purse.has_used_opening(now)
    }
}

impl ConsumerSession {
    /// Asks for the next channel if it is time.
    pub(super) fn renew(&mut self, now: Duration, out: &mut Vec<Effect>) {
        let State::Open(open) = &mut self.state else {
            return;
        };
        let since_and_limit = match &open.next {
            Next::None { not_before } if now < *not_before => return,
            Next::None { .. } => None,
            Next::AwaitTerms(since) => Some((since, TERMS_TIMEOUT)),
            Next::Opening(Opening::Asked(..), since) => Some((since, CHANNEL_TIMEOUT)),
            Next::Considered(terms, since)
            | Next::Opening(Opening::AwaitFunds(terms) | Opening::AwaitKeys(terms), since) => {
                Some((since, Duration::from_millis(terms.valid_ms.into())))
            }
            Next::Opening(Opening::Building(..), _) | Next::Ready(_) => return,
        };
        if let Some((since, limit)) = since_and_limit {
            if now >= since.saturating_add(limit) {
                open.next = Next::later(now);
            }
            return;
        }
        let confirmed = open.channel.acknowledged
            && open.channel.confirmations >= u32::from(open.terms.min_confirmations);
        let wanted = open.is_nearly_used() || open.is_aging(LEAD_BLOCKS, now);
        if confirmed && wanted && self.playing && open.may_go_on(&self.policy, self.past.spent) {
            open.next = Next::AwaitTerms(now);
            out.push(Effect::Notice(ConsumerNotice::Renewing {
                outpoint: open.channel.outpoint(),
            }));
            out.push(Effect::Send(ConsumerMessage::Renew));
        }
    }

    /// Terms for the next channel, verified. They are what was agreed, or better; the opening payment may be what this
    /// connection's terms had, if the application agrees to it; or there is no next channel.
    pub(super) fn renewed(
        &mut self,
        terms: Box<Terms>,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let verdict = self.judged().judge(&terms);
        let is_asking = self.asked || self.repricing.coming().is_some();
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        open.next = Next::NEVER;
        let continued = open.agreed.continues(&terms, Stage::Opened);
        let session = Agreement {
            rate: open.agreed.rate,
            ..Agreement::of(&open.terms)
        };
        match (continued, verdict) {
            (Err(what), _) if session.continues(&terms, Stage::Opened).is_err() => {
                return Err(Fault::Renewal(what));
            }
            (_, Err(refusal)) => out.push(Effect::Notice(ConsumerNotice::NotRenewed(refusal))),
            (Ok(()), Ok(_)) => self.await_next_funds(terms, now, out),
            // One question at a time.
            (Err(_), Ok(_)) if is_asking => open.next = Next::later(now),
            (Err(_), Ok(_)) => {
                open.next = Next::Considered(terms.clone(), now);
                self.ask(terms, out);
            }
        }
        Ok(())
    }

    fn await_next_funds(&mut self, terms: Box<Terms>, now: Duration, out: &mut Vec<Effect>) {
        let wanted = self.funds_wanted(&terms);
        if let State::Open(open) = &mut self.state {
            out.push(wanted);
            open.next = Next::Opening(Opening::AwaitFunds(terms), now);
        }
    }

    /// Whether the last question is about the next channel.
    pub(super) const fn is_about_next(&self) -> bool {
        match &self.state {
            State::Open(open) => matches!(open.next, Next::Considered(..)),
            _ => false,
        }
    }

    /// The terms that the last question was about.
    pub(super) fn asked_terms(&self) -> Option<&Terms> {
        match &self.state {
            State::Open(open) => match &open.next {
                Next::Considered(terms, _) => Some(terms),
                _ => Some(&open.terms),
            },
            state => state.terms(),
        }
    }

    /// The application agrees to the next channel's terms.
    pub(super) fn go_ahead_with_next(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if let State::Open(open) = &self.state
            && let Next::Considered(terms, _) = &open.next
        {
            let terms = terms.clone();
            self.await_next_funds(terms, now, out);
        }
    }

    /// Gives up the next channel, to which the application does not agree: the present one is used to its end.
    pub(super) fn refuse_next(&mut self, out: &mut Vec<Effect>) {
        if let State::Open(open) = &mut self.state {
            open.next = Next::NEVER;
            out.push(Effect::Notice(ConsumerNotice::NotRenewed(Refusal::Application)));
        }
    }

    /// A new rate takes the place of the question: the next channel's terms are asked for again.
    pub(super) fn forget_next_question(&mut self, now: Duration) {
        if let State::Open(open) = &mut self.state
            && matches!(open.next, Next::Considered(..))
        {
            open.next = Next::later(now);
        }
    }
}
