//! The provider's state machine. One function a message; the table is in protocol.md section 9.

use super::{
    Account, CommitmentStatus, EndReason, ProviderConfig, ProviderEffect as Effect, ProviderIdentity,
    ProviderNotice,
};
use crate::commitment;
use crate::contract::{Channel, Contract};
use crate::cooperative::Closing;
use crate::fault::{Fault, Reaction};
use crate::keys::ChannelKeys;
use crate::liveness::Liveness;
use crate::message::{
    ChannelState, ClosingOffer, ConsumerMessage, GateState, ProviderMessage, decode, words,
};
use crate::money::Msat;
use crate::payment::{Payment, PaymentError, PaymentSignature};
use crate::record::{PaymentRecord, ProviderRecord};
use crate::terms::{PROTOCOL_VERSION, Terms};
use bitcoin::{Amount, OutPoint, Transaction};
use std::time::Duration;

/// How long a consumer may take to say hello.
pub const HELLO_TIMEOUT: Duration = Duration::from_secs(20);

/// How long it may take from `accept` to `commitment`: the wallet is funded by then.
pub const COMMITMENT_TIMEOUT: Duration = Duration::from_secs(60);

/// While media flows, the consumer is told of its account this often, so that it can pay by our count.
const CREDIT_INTERVAL: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum State {
    AwaitHello,
    Offered,
    Accepted(Contract),
    Open(Box<OpenChannel>),
    Ended,
}

#[derive(Debug)]
struct OpenChannel {
    channel: Channel,
    best: Option<Payment>,
    confirmations: u32,
}

impl State {
    const fn words(&self) -> &'static str {
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
    config: ProviderConfig,
    keys: ProviderIdentity,
    state: State,
    /// When the present state began.
    since: Duration,
    account: Account,
    liveness: Liveness,
    credit_sent: Duration,
    /// When the credit ran out.
    starved_since: Option<Duration>,
    tip_height: Option<u32>,
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
        if self.unconfirmed_limit() > Amount::ZERO || limit == Amount::ZERO {
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

    fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }

    fn message(
        &mut self,
        message: ConsumerMessage,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        match (message, &mut self.state) {
            (ConsumerMessage::Ping, _) => out.push(Effect::Send(ProviderMessage::Pong)),
            (ConsumerMessage::Pong | ConsumerMessage::Error { .. }, _) => (),
            (ConsumerMessage::Unknown, _) => return Err(Fault::UnknownType),
            (ConsumerMessage::Close { reason, closing }, _) => {
                self.consumer_closes(&reason, closing, now, out)
            }
            (
                ConsumerMessage::Hello {
                    versions,
                    chain,
                    nonce,
                },
                State::AwaitHello,
            ) => {
                if !versions.contains(&PROTOCOL_VERSION) {
                    return Err(Fault::Version);
                }
                if chain != self.config.chain && !self.config.rate.is_free() {
                    return Err(Fault::Chain);
                }
                self.offer(nonce, now, out);
            }
            (
                ConsumerMessage::Open {
                    capacity,
                    consumer_key,
                    change_script,
                    refund_delay,
                },
                State::Offered,
            ) if !self.config.rate.is_free() => {
                let provider = self.keys.channel_key.x_only_public_key().0;
                let keys = ChannelKeys::new(consumer_key, provider)?;
                let contract = Contract::new(keys, refund_delay, capacity, change_script)?;
                self.accept(contract, now, out)?;
            }
            (ConsumerMessage::Commitment { transaction, output }, State::Accepted(contract)) => {
                let channel = commitment::check(contract, &transaction, output, self.tip_height)?;
                self.committed(channel, transaction, now, out);
            }
            (
                ConsumerMessage::Payment {
                    outpoint,
                    cumulative,
                    signature,
                },
                State::Open(_),
            ) => {
                self.payment(outpoint, cumulative, signature, now, out)?;
            }
            (ConsumerMessage::Pause, State::Open(_)) => self.account.set_paused(true),
            (ConsumerMessage::Play, State::Open(_)) => self.account.set_paused(false),
            (message, state) => {
                return Err(Fault::Unexpected {
                    message: name(&message),
                    state: state.words(),
                });
            }
        }
        Ok(())
    }

    fn offer(&mut self, consumer_nonce: crate::handshake::Nonce, now: Duration, out: &mut Vec<Effect>) {
        let config = &self.config;
        let terms = Terms {
            version: PROTOCOL_VERSION,
            chain: config.chain,
            stream: config.stream.to_string(),
            tracks: config.tracks.clone(),
            rate: config.rate,
            opening: config.opening,
            window_ms: millis(config.window),
            min_capacity: config.min_capacity,
            max_capacity: config.max_capacity,
            min_refund_delay: config.min_refund_delay,
            max_refund_delay: config.max_refund_delay,
            commitment_fee_rate_sat_per_kvb: config.commitment_fee_rate_sat_per_kvb,
            min_confirmations: config.min_confirmations,
            unconfirmed_limit: config.unconfirmed_limit,
            settle_delay_ms: millis(config.settle_delay),
            valid_ms: millis(config.funding_timeout),
            channel_key: self.keys.channel_key.x_only_public_key().0,
            provider_certificate: self.keys.certificates.own,
            consumer_certificate: self.keys.certificates.peer,
            provider_nonce: self.keys.nonce,
            consumer_nonce,
        };
        let signature = terms.sign(&self.keys.identity);
        self.enter(State::Offered, now);
        out.push(Effect::Send(ProviderMessage::Terms {
            terms: Box::new(terms),
            signature,
        }));
        out.push(Effect::Notice(ProviderNotice::Offered));
    }

    fn accept(&mut self, contract: Contract, now: Duration, out: &mut Vec<Effect>) -> Result<(), Fault> {
        let config = &self.config;
        let (capacity, min, max) = (contract.capacity(), config.min_capacity, config.max_capacity);
        if capacity < min || capacity > max || contract.payable() < config.opening {
            return Err(Fault::Capacity { capacity, min, max });
        }
        let (delay, shortest, longest) = (contract.delay(), config.min_refund_delay, config.max_refund_delay);
        if delay < shortest || delay > longest {
            return Err(Fault::Delay {
                delay: delay.blocks(),
                min: shortest.blocks(),
                max: longest.blocks(),
            });
        }
        out.push(Effect::Send(ProviderMessage::Accept {
            payout_script: config.payout.clone(),
        }));
        self.enter(State::Accepted(contract), now);
        Ok(())
    }

    fn committed(&mut self, channel: Channel, commitment: Transaction, now: Duration, out: &mut Vec<Effect>) {
        let outpoint = channel.outpoint();
        let capacity = channel.contract().capacity();
        out.push(Effect::SaveChannel(Box::new(ProviderRecord {
            contract: channel.contract().clone(),
            outpoint,
            key_index: self.keys.channel_key_index,
            stream: self.config.stream.to_string(),
            rate: self.config.rate,
            commitment: commitment.clone(),
            best: None,
            consumed: Msat::ZERO,
        })));
        out.push(Effect::Watch {
            outpoint,
            script: channel.script().script_pubkey().clone(),
        });
        out.push(Effect::Broadcast(commitment));
        out.push(Effect::Send(ProviderMessage::Channel {
            outpoint,
            state: ChannelState::Seen,
        }));
        out.push(Effect::Notice(ProviderNotice::Committed { outpoint, capacity }));
        self.enter(
            State::Open(Box::new(OpenChannel {
                channel,
                best: None,
                confirmations: 0,
            })),
            now,
        );
        self.starved_since = Some(now);
    }

    fn payment(
        &mut self,
        outpoint: OutPoint,
        cumulative: Amount,
        signature: PaymentSignature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        if outpoint != open.channel.outpoint() {
            return Err(Fault::OtherChannel);
        }
        let balance = self.account.balance();
        match &open.best {
            Some(best) if best.cumulative() == cumulative => {
                self.send_credit(now, out);
                return Ok(());
            }
            Some(_) if cumulative < balance => {
                return Err(PaymentError::Lower {
                    offered: cumulative,
                    balance,
                }
                .into());
            }
            None if cumulative < self.config.opening => {
                return Err(Fault::Opening {
                    offered: cumulative,
                    opening: self.config.opening,
                });
            }
            _ => (),
        }
        let payment = Payment::check(&open.channel, cumulative, signature)?;
        open.best = Some(payment);
        let added = cumulative.checked_sub(balance).unwrap_or(Amount::ZERO);
        self.account.pay(cumulative);
        self.save_account(now, out);
        out.push(Effect::Notice(ProviderNotice::Paid {
            outpoint,
            balance: cumulative,
            added,
        }));
        // The credit message tells the gate, so it is decided first.
        self.decide_gate(now, out);
        self.send_credit(now, out);
        Ok(())
    }

    fn consumer_closes(
        &mut self,
        reason: &str,
        offer: Option<ClosingOffer>,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        let closing = offer.and_then(|offer| self.cooperative(&offer));
        if let Some((outpoint, transaction)) = closing {
            out.push(Effect::CloseCooperatively {
                outpoint,
                transaction,
            });
        }
        self.end(EndReason::ConsumerClosed(words(reason)), now, out);
    }

    /// Only a channel that has paid nothing is closed cooperatively: any payment is worth its settlement, since
    /// the first one is at least the opening payment.
    fn cooperative(&self, offer: &ClosingOffer) -> Option<(OutPoint, Transaction)> {
        let State::Open(open) = &self.state else {
            return None;
        };
        if open.best.is_some() {
            return None;
        }
        let payout = &self.config.payout;
        let closing = Closing {
            channel: &open.channel,
            balance: offer.balance,
            payout,
            fee: offer.fee,
        };
        let transaction = closing
            .complete(&offer.signature, Amount::ZERO, &self.keys.channel_key)
            .ok()?;
        Some((open.channel.outpoint(), transaction))
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

    fn decide_gate(&mut self, now: Duration, out: &mut Vec<Effect>) -> bool {
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

    fn save_account(&self, now: Duration, out: &mut Vec<Effect>) {
        if let State::Open(open) = &self.state {
            let (outpoint, best) = (open.channel.outpoint(), open.best.map(PaymentRecord::from));
            out.push(Effect::SaveAccount {
                outpoint,
                best,
                consumed: self.account.consumed(now),
            });
        }
    }

    fn send_credit(&mut self, now: Duration, out: &mut Vec<Effect>) {
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
    fn end(&mut self, reason: EndReason, now: Duration, out: &mut Vec<Effect>) {
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

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}

const fn name(message: &ConsumerMessage) -> &'static str {
    match message {
        ConsumerMessage::Hello { .. } => "hello",
        ConsumerMessage::Open { .. } => "open",
        ConsumerMessage::Commitment { .. } => "commitment",
        ConsumerMessage::Payment { .. } => "payment",
        ConsumerMessage::Pause => "pause",
        ConsumerMessage::Play => "play",
        ConsumerMessage::Close { .. } => "close",
        ConsumerMessage::Ping => "ping",
        ConsumerMessage::Pong => "pong",
        ConsumerMessage::Error { .. } => "error",
        ConsumerMessage::Unknown => "an unknown message",
    }
}
