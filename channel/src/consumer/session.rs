//! The consumer's state machine. One function a message; the table is in protocol.md section 9.

use super::repricing::Repricing;
use super::state::{Opening, State};
use super::{
    Arrivals, ConsumerEffect as Effect, ConsumerEnd, ConsumerIdentity, ConsumerNotice, ConsumerPolicy, Past,
    Refusal,
};
use crate::fault::{Fault, Reaction};
use crate::liveness::Liveness;
use crate::message::{ConsumerMessage, decode, words};
use crate::terms::{PROTOCOL_VERSION, Terms};
use bitcoin::{Amount, FeeRate};
use std::time::Duration;

/// How long the provider may take for its terms.
pub const TERMS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the provider may take to accept, and to acknowledge the commitment.
pub const CHANNEL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for the word that the settlement is on its way. Nothing depends on it.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);

/// One session with a provider, from the connection to its end.
#[derive(Debug)]
pub struct ConsumerSession {
    pub(super) policy: ConsumerPolicy,
    pub(super) keys: ConsumerIdentity,
    pub(super) past: Past,
    /// The chain's for now.
    pub(super) suggested_fee_rate: Option<FeeRate>,
    pub(super) state: State,
    /// When the present state began.
    pub(super) since: Duration,
    /// When the terms came.
    pub(super) terms_at: Duration,
    pub(super) liveness: Liveness,
    pub(super) playing: bool,
    pub(super) arrivals: Arrivals,
    pub(super) repricing: Repricing,
    /// How often the application was asked, and whether the last answer is awaited.
    pub(super) questions: u32,
    pub(super) asked: bool,
}

impl ConsumerSession {
    /// A session whose data channel has just opened. `past` is what may go on and what counts against the budget;
    /// `suggested_fee_rate` is the chain's for the commitment.
    pub fn new(
        policy: ConsumerPolicy,
        keys: ConsumerIdentity,
        past: Past,
        suggested_fee_rate: Option<FeeRate>,
        now: Duration,
    ) -> Self {
        Self {
            policy,
            keys,
            past,
            suggested_fee_rate,
            state: State::AwaitTerms,
            since: now,
            terms_at: now,
            liveness: Liveness::new(now),
            playing: true,
            arrivals: Arrivals::default(),
            repricing: Repricing::default(),
            questions: 0,
            asked: false,
        }
    }

    /// Says hello.
    pub fn start(&self) -> Vec<Effect> {
        vec![Effect::Send(ConsumerMessage::Hello {
            versions: vec![PROTOCOL_VERSION],
            chain: self.keys.chain,
            nonce: self.keys.nonce,
        })]
    }

    /// All that was paid through the session's channels.
    pub fn paid(&self) -> Amount {
        match &self.state {
            State::Open(open) => open.purse.total(),
            _ => Amount::ZERO,
        }
    }

    /// True once the session is over.
    pub const fn has_ended(&self) -> bool {
        matches!(self.state, State::Ended)
    }

    /// A text message arrived.
    pub fn text(&mut self, text: &str, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.has_ended() {
            return effects;
        }
        let outcome = if self.liveness.heard(now) {
            decode(text)
                .map_err(Fault::from)
                .and_then(|message| self.message(message, now, &mut effects))
        } else {
            Err(Fault::Flood)
        };
        if let Err(fault) = outcome {
            self.fault(fault, now, &mut effects);
        }
        effects
    }

    /// Something arrived that is no text message.
    pub fn not_text(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.has_ended() {
            self.fault(Fault::NotText, now, &mut effects);
        }
        effects
    }

    /// What has arrived by now.
    pub const fn media(&mut self, arrivals: Arrivals) {
        self.arrivals = arrivals;
    }

    /// The player pauses or goes on. While paused nothing is paid, and the provider stops sending and debiting.
    pub fn set_playing(&mut self, playing: bool, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if playing != self.playing {
            self.playing = playing;
            if let State::Open(open) = &mut self.state {
                let message = if playing {
                    open.purse.play();
                    ConsumerMessage::Play
                } else {
                    ConsumerMessage::Pause
                };
                effects.push(Effect::Send(message));
            }
            self.pay(now, &mut effects);
        }
        effects
    }

    /// Changes the most that may be paid; more lets an exhausted session go on.
    pub fn set_budget(&mut self, budget: Amount, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.policy.budget = budget;
        self.pay(now, &mut effects);
        effects
    }

    /// The chain suggests another fee rate now; `None`: it suggests none.
    pub const fn suggest_fee_rate(&mut self, fee_rate: Option<FeeRate>) {
        self.suggested_fee_rate = fee_rate;
    }

    /// Time has passed; call it at [`ConsumerSession::next`], and about five times a second with
    /// [`ConsumerSession::media`] before it while a channel is open.
    pub fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.has_ended() {
            return effects;
        }
        if let Some(end) = self.overdue(now) {
            self.finish(end, now, &mut effects);
            return effects;
        }
        if self.speaks() && self.liveness.ask(now) {
            effects.push(Effect::Send(ConsumerMessage::Ping));
        }
        self.count(now);
        self.renew(now, &mut effects);
        if let State::Open(open) = &self.state
            && now >= open.paid_at.saturating_add(self.policy.payment_interval)
        {
            self.pay(now, &mut effects);
        }
        effects
    }

    /// When [`ConsumerSession::tick`] is needed next.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        let payment = match &self.state {
            State::Ended => return None,
            State::Open(open) if open.channel.acknowledged && self.playing => {
                Some(open.paid_at.saturating_add(self.policy.payment_interval).max(now))
            }
            _ => None,
        };
        let alive = self.speaks().then(|| self.liveness.next(now));
        [payment, alive, self.state_deadline().map(|(at, _)| at)]
            .into_iter()
            .flatten()
            .min()
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let end = match &self.state {
            State::Ended => return effects,
            State::Closing(_, end) => end.clone(),
            _ => ConsumerEnd::Disconnected,
        };
        self.finish(end, now, &mut effects);
        effects
    }

    /// Ends the session from our side; an open channel waits a moment for the provider's settlement.
    pub fn close(&mut self, end: ConsumerEnd, now: Duration) -> Vec<Effect> {
        self.close_over(end, None, now)
    }

    /// The same, where an offer of a new rate is the reason.
    pub(super) fn close_over(
        &mut self,
        end: ConsumerEnd,
        refused_rate: Option<u32>,
        now: Duration,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        match &mut self.state {
            State::Ended | State::Closing(..) => (),
            State::Open(open) => {
                let reason = words(&end.to_string());
                let outpoint = open.channel.outpoint();
                effects.push(open.last_record(now));
                effects.push(Effect::Send(ConsumerMessage::Close {
                    reason,
                    closing: self.closing_offers(),
                    refused_rate,
                }));
                self.enter(State::Closing(outpoint, end), now);
            }
            _ => {
                let reason = words(&end.to_string());
                effects.push(Effect::Send(ConsumerMessage::Close {
                    reason,
                    closing: Vec::new(),
                    refused_rate,
                }));
                self.finish(end, now, &mut effects);
            }
        }
        effects
    }

    pub(super) fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }

    pub(super) fn finish(&mut self, end: ConsumerEnd, now: Duration, out: &mut Vec<Effect>) {
        if let State::Open(open) = &mut self.state {
            out.push(open.last_record(now));
        }
        self.enter(State::Ended, now);
        out.push(Effect::End(end));
    }

    pub(super) fn fault(&mut self, fault: Fault, now: Duration, out: &mut Vec<Effect>) {
        let (code, reaction) = fault.verdict();
        out.push(Effect::Send(ConsumerMessage::Error {
            code,
            words: words(&fault.to_string()),
        }));
        out.push(Effect::Notice(ConsumerNotice::Fault(fault.clone())));
        if reaction == Reaction::Close {
            out.extend(self.close(ConsumerEnd::Fault(fault), now));
        }
    }

    /// The policy for a channel that is opened now: what has been spent is not there any more.
    pub(super) fn judged(&self) -> ConsumerPolicy {
        let carried = match &self.state {
            State::Open(open) => open.purse.total(),
            _ => Amount::ZERO,
        };
        let left = self.policy.budget.checked_sub(self.past.spent);
        let left = left.and_then(|left| left.checked_sub(carried));
        ConsumerPolicy {
            budget: left.unwrap_or(Amount::ZERO),
            ..self.policy
        }
    }

    /// A free stream needs no answers from its provider.
    const fn speaks(&self) -> bool {
        !matches!(self.state, State::Free | State::Ended)
    }

    fn state_deadline(&self) -> Option<(Duration, ConsumerEnd)> {
        let offered_until = |terms: &Terms| {
            self.terms_at
                .saturating_add(Duration::from_millis(terms.valid_ms.into()))
        };
        let (limit, end) = match &self.state {
            State::Authorizing(terms) => {
                let end = match self.asked {
                    true => ConsumerEnd::Refused(Refusal::Unanswered),
                    false => ConsumerEnd::TimedOut("changing its rate"),
                };
                return Some((offered_until(terms), end));
            }
            State::Opening(Opening::AwaitFunds(terms) | Opening::AwaitKeys(terms)) => {
                let end = ConsumerEnd::TimedOut("funding: its offer ended");
                return Some((offered_until(terms), end));
            }
            State::AwaitTerms => (TERMS_TIMEOUT, ConsumerEnd::TimedOut("its terms")),
            State::Resuming(..) => (
                CHANNEL_TIMEOUT,
                ConsumerEnd::TimedOut("going on with the channel"),
            ),
            State::Opening(Opening::Asked(..)) => {
                (CHANNEL_TIMEOUT, ConsumerEnd::TimedOut("accepting the channel"))
            }
            State::Open(open) if !open.channel.acknowledged => (
                CHANNEL_TIMEOUT,
                ConsumerEnd::TimedOut("acknowledging the commitment"),
            ),
            State::Closing(_, end) => (CLOSING_TIMEOUT, end.clone()),
            State::Free | State::Opening(Opening::Building(..)) | State::Open(_) | State::Ended => {
                return None;
            }
        };
        Some((self.since.saturating_add(limit), end))
    }

    fn overdue(&self, now: Duration) -> Option<ConsumerEnd> {
        if self.speaks() && self.liveness.is_gone(now) {
            return Some(ConsumerEnd::Gone);
        }
        self.state_deadline()
            .filter(|(at, _)| now >= *at)
            .map(|(_, end)| end)
    }
}
