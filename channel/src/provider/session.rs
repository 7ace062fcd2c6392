//! The provider's state machine. One function a message; the table is in protocol.md section 9.

use super::{
    Account, CommitmentStatus, EndReason, ProviderConfig, ProviderEffect as Effect, ProviderIdentity,
    ProviderNotice,
};
use crate::contract::{Channel, Contract};
use crate::fault::{Fault, Reaction};
use crate::liveness::Liveness;
use crate::message::{ChannelState, GateState, ProviderMessage, decode, words};
use crate::payment::Payment;
use crate::record::PaymentRecord;
use bitcoin::Amount;
use std::time::Duration;

/// How long a consumer may take to say hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take from `accept` to `commitment`: the wallet is funded by then.
pub const COMMITMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// While media flows, the consumer is told of its account this often, so that it can pay by our count.
const CREDIT_INTERVAL: Duration = Duration::from_secs(1);

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    AwaitHello,
    Offered,
    Accepted(Contract),
    Open(Box<OpenChannel>),
    Ended,
}

/// The channel that the session pays through.
#[derive(Debug)]
pub(super) struct OpenChannel {
    pub(super) channel: Channel,
    pub(super) best: Option<Payment>,
    pub(super) confirmations: u32,
}

impl State {
    pub(super) const fn words(&self) -> &'static str {
        match self {
            State::AwaitHello => "hello is awaited",
            State::Offered => "open is awaited",
            State::Accepted(_) => "the commitment is awaited",
            State::Open(_) => "the channel is open",
            State::Ended => "the session is over",
        }
    }
}

/// One consumer's session, from its connection to its end.
#[derive(Debug)]
pub struct ProviderSession {
    pub(super) config: ProviderConfig,
    pub(super) keys: ProviderIdentity,
    pub(super) state: State,
    /// When the present state began.
    since: Duration,
    pub(super) account: Account,
    liveness: Liveness,
    credit_sent: Duration,
    /// When the credit ran out.
    pub(super) starved_since: Option<Duration>,
    pub(super) tip_height: Option<u32>,
}

impl ProviderSession {
    /// A session whose data channel has just opened.
    pub fn new(config: ProviderConfig, keys: ProviderIdentity, now: Duration) -> Self {
        Self {
            account: Account::new(config.rate, config.grace, config.unconfirmed_limit),
            config,
            keys,
            state: State::AwaitHello,
            since: now,
            liveness: Liveness::new(now),
            credit_sent: now,
            starved_since: None,
            tip_height: None,
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
        self.config.rate.is_free() || self.account.balance() > Amount::ZERO
    }

    /// What of the balance may count although the commitment is not confirmed yet.
    pub fn unconfirmed_limit(&self) -> Amount {
        match &self.state {
            State::Open(open) if open.confirmations < self.min_confirmations() => {
                self.config.unconfirmed_limit
            }
            _ => Amount::ZERO,
        }
    }

    /// Lowers that limit, when other sessions have taken what may be unconfirmed over all of them.
    pub fn lower_unconfirmed_limit(&mut self, limit: Amount) {
        self.config.unconfirmed_limit = self.config.unconfirmed_limit.min(limit);
        if let State::Open(open) = &self.state
            && open.confirmations < self.min_confirmations()
        {
            self.account.set_limit(Some(self.config.unconfirmed_limit));
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

    /// The chain has a new tip.
    pub const fn tip(&mut self, height: u32) {
        self.tip_height = Some(height);
    }

    /// The chain has news of the commitment.
    pub fn commitment_status(&mut self, status: CommitmentStatus, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let min_confirmations = self.min_confirmations();
        let State::Open(open) = &mut self.state else {
            return effects;
        };
        let before = open.confirmations;
        open.confirmations = match status {
            CommitmentStatus::Confirmed { confirmations } => confirmations,
            CommitmentStatus::Mempool | CommitmentStatus::Missing => 0,
        };
        let (outpoint, confirmations) = (open.channel.outpoint(), open.confirmations);
        let deadline = confirmations >= open.channel.contract().delay().last_usable_confirmation();
        self.account.set_limit(match status {
            CommitmentStatus::Missing => Some(Amount::ZERO),
            _ if confirmations >= min_confirmations => None,
            _ => Some(self.config.unconfirmed_limit),
        });
        if confirmations != before {
            if before == 0 {
                effects.push(Effect::Notice(ProviderNotice::Confirmed {
                    outpoint,
                    confirmations,
                }));
            }
            let state = match confirmations {
                0 => ChannelState::Seen,
                confirmations => ChannelState::Confirmed { confirmations },
            };
            effects.push(Effect::Send(ProviderMessage::Channel { outpoint, state }));
        }
        if deadline {
            self.end(EndReason::Deadline, now, &mut effects);
        }
        self.decide(now, &mut effects);
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
        self.decide(now, &mut effects);
        if self.account.gate() == GateState::Open && now >= self.credit_sent.saturating_add(CREDIT_INTERVAL) {
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

    fn min_confirmations(&self) -> u32 {
        u32::from(self.config.min_confirmations)
    }

    pub(super) fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }

    fn fault(&mut self, fault: Fault, now: Duration, out: &mut Vec<Effect>) {
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

    /// Decides about the gate once the state may have changed.
    fn decide(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if self.decide_gate(now, out) && !self.has_ended() {
            self.send_credit(now, out);
        }
    }

    pub(super) fn decide_gate(&mut self, now: Duration, out: &mut Vec<Effect>) -> bool {
        if self.config.rate.is_free() || !matches!(self.state, State::Open(_)) {
            return false;
        }
        let changed = self.account.decide(self.liveness.is_alive(now), now);
        self.starved_since = match self.account.gate() {
            GateState::Open => None,
            _ => self.starved_since.or(Some(now)),
        };
        if changed {
            self.tell_gate(now, out);
            self.save_account(now, out);
        }
        changed
    }

    fn tell_gate(&self, now: Duration, out: &mut Vec<Effect>) {
        let state = self.account.gate();
        out.push(Effect::Gate(state));
        if !matches!(self.state, State::Open(_)) {
            return;
        }
        let (balance, consumed) = (self.account.balance(), self.account.consumed(now));
        out.push(Effect::Notice(ProviderNotice::Gate {
            state,
            balance,
            consumed,
        }));
    }

    pub(super) fn save_account(&self, now: Duration, out: &mut Vec<Effect>) {
        if let State::Open(open) = &self.state {
            let (outpoint, best) = (open.channel.outpoint(), open.best.map(PaymentRecord::from));
            out.push(Effect::SaveAccount {
                outpoint,
                best,
                consumed: self.account.consumed(now),
            });
        }
    }

    pub(super) fn send_credit(&mut self, now: Duration, out: &mut Vec<Effect>) {
        let State::Open(open) = &self.state else { return };
        self.credit_sent = now;
        out.push(Effect::Send(ProviderMessage::Credit {
            outpoint: open.channel.outpoint(),
            balance: self.account.balance(),
            consumed_msat: self.account.consumed(now).to_msat(),
            gate: self.account.gate(),
        }));
    }

    fn state_deadline(&self) -> Option<(Duration, EndReason)> {
        let (limit, reason) = match &self.state {
            // A free stream's viewer need not speak this protocol at all.
            _ if self.config.rate.is_free() => return None,
            State::AwaitHello => (HELLO_TIMEOUT, EndReason::TimedOut("saying hello")),
            State::Offered => (self.config.funding_timeout, EndReason::TimedOut("funding")),
            State::Accepted(_) => (COMMITMENT_TIMEOUT, EndReason::TimedOut("the commitment")),
            State::Open(_) => {
                let since = self.starved_since?;
                return Some((since.saturating_add(self.config.settle_delay), EndReason::Starved));
            }
            State::Ended => return None,
        };
        Some((self.since.saturating_add(limit), reason))
    }

    fn overdue(&self, now: Duration) -> Option<EndReason> {
        if self.liveness.is_gone(now) && !self.config.rate.is_free() {
            return Some(EndReason::Gone);
        }
        self.state_deadline()
            .filter(|(at, _)| now >= *at)
            .map(|(_, reason)| reason)
    }

    /// Ends the session: gate closed, account durable, what was paid due.
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
        if let State::Open(open) = &self.state
            && open.best.is_some()
        {
            out.push(Effect::Settle(open.channel.outpoint()));
        }
        self.enter(State::Ended, now);
        out.push(Effect::End(reason));
    }
}
