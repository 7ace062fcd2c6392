//! The provider's state machine. One function a message; the table is in protocol.md section 9.

use super::repricing::Repricing;
use super::state::{Next, OpenChannel, State};
use super::{
    Account, CommitmentStatus, EndReason, Keep, ProviderConfig, ProviderEffect as Effect, ProviderIdentity,
    ProviderNotice,
};
use crate::fault::{Fault, Reaction};
use crate::handshake::Nonce;
use crate::liveness::Liveness;
use crate::message::{GateState, ProviderMessage, decode, words};
use crate::money::Msat;
use bitcoin::{Amount, FeeRate, OutPoint};
use std::time::Duration;

/// How long a consumer may take to say hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take from `accept` to `commitment`: the wallet is funded by then.
pub const COMMITMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a paused viewer with credit keeps its session: so long it keeps a slot and a connection, and its channel
/// ages. It is the same for all, since terms don't say it. What is left is its own: its channel waits for it.
pub const PAUSE_TIMEOUT: Duration = Duration::from_secs(3_600);

/// While media flows, the consumer is told of its account this often, so that it can pay by our count.
const CREDIT_INTERVAL: Duration = Duration::from_secs(1);

/// One consumer's session, from its connection to its end.
#[derive(Debug)]
pub struct ProviderSession {
    pub(super) config: ProviderConfig,
    pub(super) keys: ProviderIdentity,
    pub(super) state: State,
    /// The nonce in `hello`.
    pub(super) consumer_nonce: Option<Nonce>,
    /// When the present state began.
    since: Duration,
    /// When the next channel got as far as it is.
    pub(super) next_since: Duration,
    pub(super) account: Account,
    pub(super) liveness: Liveness,
    pub(super) repricing: Repricing,
    pub(super) credit_sent: Duration,
    /// When the credit ran out.
    pub(super) starved_since: Option<Duration>,
    /// The count that was recorded ahead of the time for another session: records don't go back.
    pub(super) booked: Msat,
    /// When the viewer paused.
    pub(super) paused_since: Option<Duration>,
    pub(super) tip_height: Option<u32>,
    /// The fee rate that the chain suggests now.
    pub(super) suggested_fee_rate: Option<FeeRate>,
    /// The channel that another session has taken over: it is not this one's to let go of.
    pub(super) taken: Option<OutPoint>,
}

impl ProviderSession {
    /// A session whose data channel has just opened.
    pub fn new(config: ProviderConfig, keys: ProviderIdentity, now: Duration) -> Self {
        Self {
            account: Account::new(config.rate, config.grace, config.unconfirmed_limit),
            config,
            keys,
            state: State::AwaitHello,
            consumer_nonce: None,
            since: now,
            next_since: now,
            liveness: Liveness::new(now),
            repricing: Repricing::default(),
            credit_sent: now,
            starved_since: None,
            booked: Msat::ZERO,
            paused_since: None,
            tip_height: None,
            suggested_fee_rate: None,
            taken: None,
        }
    }

    /// What has to happen first. A free stream flows at once.
    pub fn start(&self) -> Vec<Effect> {
        if self.config.rate.is_free() {
            vec![Effect::Gate(GateState::Open)]
        } else {
            Vec::new()
        }
    }

    /// The best payment's amount.
    pub const fn balance(&self) -> Amount {
        self.account.balance()
    }

    /// The gate as last decided.
    pub const fn gate(&self) -> GateState {
        self.account.gate()
    }

    /// True from the first payment on: such a session is not one of the unpaid ones whose number is limited.
    pub fn has_paid(&self) -> bool {
        self.config.rate.is_free()
            || self.account.balance() > Amount::ZERO
            || self.account.carried() > Amount::ZERO
    }

    /// The channels it has, the present one first.
    pub fn channels(&self) -> Vec<OutPoint> {
        self.open_channels().map(|open| open.channel.outpoint()).collect()
    }

    pub(super) fn open_channels(&self) -> impl Iterator<Item = &OpenChannel> {
        let present = match &self.state {
            State::Open(open) => Some(&**open),
            _ => None,
        };
        let next = present.and_then(|open| match &open.next {
            Next::Ready(next) => Some(&**next),
            _ => None,
        });
        present.into_iter().chain(next)
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
        self.decide(now, &mut effects);
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

    /// Time has passed; call it at [`ProviderSession::next`] or at any time.
    pub fn tick(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if self.has_ended() {
            return effects;
        }
        if let Some(reason) = self.overdue(now) {
            self.end(reason, now, &mut effects);
            return effects;
        }
        if !self.config.rate.is_free() && self.liveness.ask(now) {
            effects.push(Effect::Send(ProviderMessage::Ping));
        }
        self.offer_rate(now, &mut effects);
        self.decide(now, &mut effects);
        if self.account.gate() == GateState::Open && now >= self.credit_sent.saturating_add(CREDIT_INTERVAL) {
            // What a payment covers may last for hours: without this a crash would forget what was sent of it.
            self.save_account(now, &mut effects);
            self.send_credit(now, &mut effects);
        }
        effects
    }

    /// When [`ProviderSession::tick`] is needed next.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        if self.has_ended() || self.config.rate.is_free() {
            return None;
        }
        let credit = (self.account.gate() == GateState::Open)
            .then(|| self.credit_sent.saturating_add(CREDIT_INTERVAL));
        [
            Some(self.liveness.next(now)),
            self.account.runs_out(now),
            self.state_deadline().map(|(at, _)| at),
            self.repricing.next(),
            credit,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The connection is gone.
    pub fn disconnected(&mut self, now: Duration) -> Vec<Effect> {
        self.close(EndReason::Disconnected, now)
    }

    /// Ends the session from our side.
    pub fn close(&mut self, reason: EndReason, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if !self.has_ended() {
            self.end(reason, now, &mut effects);
        }
        effects
    }

    pub(super) fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }

    pub(super) fn fault(&mut self, fault: Fault, now: Duration, out: &mut Vec<Effect>) {
        let (code, reaction) = fault.verdict();
        out.push(Effect::Send(ProviderMessage::Error {
            code,
            words: words(&fault.to_string()),
        }));
        out.push(Effect::Notice(ProviderNotice::Fault(fault.clone())));
        if reaction == Reaction::Close {
            self.end(EndReason::Fault(fault), now, out);
        }
    }

    fn state_deadline(&self) -> Option<(Duration, EndReason)> {
        let (limit, reason) = match &self.state {
            // A free stream's viewer need not speak this protocol at all.
            _ if self.config.rate.is_free() => return None,
            State::AwaitHello => (HELLO_TIMEOUT, EndReason::TimedOut("saying hello")),
            State::Offered => (self.config.funding_timeout, EndReason::TimedOut("funding")),
            State::Resuming(_) => (COMMITMENT_TIMEOUT, EndReason::TimedOut("looking up the channel")),
            State::Accepted(_) => (COMMITMENT_TIMEOUT, EndReason::TimedOut("the commitment")),
            State::Open(open) => return self.idle_deadline(open),
            State::Ended => return None,
        };
        Some((self.since.saturating_add(limit), reason))
    }

    /// How long a channel is kept through which no media flows.
    fn idle_deadline(&self, open: &OpenChannel) -> Option<(Duration, EndReason)> {
        let config = &self.config;
        // A consumer that has paid and waits for a block is not one that pays nothing.
        let waits = open.best.is_some() && !open.is_confirmed(config.min_confirmations);
        let starved = self.starved_since.map(|since| match waits {
            true => {
                let patience = config.settle_delay.max(config.funding_timeout);
                (since.saturating_add(patience), EndReason::Unconfirmed)
            }
            false => (since.saturating_add(config.settle_delay), EndReason::Starved),
        });
        let paused = self
            .paused_since
            .map(|since| (since.saturating_add(PAUSE_TIMEOUT), EndReason::Paused));
        starved.into_iter().chain(paused).min_by_key(|(at, _)| *at)
    }

    fn overdue(&self, now: Duration) -> Option<EndReason> {
        if self.liveness.is_gone(now) && !self.config.rate.is_free() {
            return Some(EndReason::Gone);
        }
        let state = self.state_deadline().filter(|(at, _)| now >= *at);
        state
            .map(|(_, reason)| reason)
            .or_else(|| self.repricing.overdue(now))
    }

    /// Whether a channel waits for its consumer: none until its deadline whose consumer has used up what it paid, or whose
    /// commitment the chain does not know.
    fn keep(&self, reason: &EndReason, open: &OpenChannel, now: Duration) -> Keep {
        let used_up = Msat::from(self.account.total()) <= self.account.consumed(now);
        match reason.keep() {
            Keep::UntilDeadline if used_up || open.status == CommitmentStatus::Missing => Keep::Due,
            keep => keep,
        }
    }

    /// Ends the session: gate closed, account durable, what was paid due or kept for the consumer's return.
    pub(super) fn end(&mut self, reason: EndReason, now: Duration, out: &mut Vec<Effect>) {
        if self.account.end(now) {
            self.tell_gate(now, out);
        }
        self.save_account(now, out);
        if !matches!(reason, EndReason::ConsumerClosed(_) | EndReason::Disconnected) {
            let reason_is_busy = reason == EndReason::Busy;
            let reason = reason.to_string();
            out.push(Effect::Send(match self.state {
                _ if reason_is_busy => ProviderMessage::Busy { reason },
                State::Offered | State::Accepted(_) => ProviderMessage::Refused { reason },
                _ => ProviderMessage::Close { reason },
            }));
        }
        // After the word of it: the consumer takes no settlement of a channel that it thinks open.
        out.extend(
            self.open_channels()
                .filter(|open| Some(open.channel.outpoint()) != self.taken)
                .map(|open| Effect::Release {
                    outpoint: open.channel.outpoint(),
                    keep: self.keep(&reason, open, now),
                }),
        );
        self.enter(State::Ended, now);
        out.push(Effect::End(reason));
    }
}
