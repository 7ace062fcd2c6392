//! The consumer's state machine. One function a message; the table is in protocol.md section 9.

use super::{
    Arrivals, ConsumerEffect as Effect, ConsumerEnd, ConsumerIdentity, ConsumerNotice, ConsumerPolicy,
    Exhausted, Purse,
};
use crate::contract::{Channel, Contract};
use crate::cooperative::Closing;
use crate::fault::{Fault, Reaction};
use crate::liveness::Liveness;
use crate::message::{ClosingOffer, ConsumerMessage, GateState, decode, words};
use crate::payment::Payment;
use crate::record::ConsumerRecord;
use crate::terms::{PROTOCOL_VERSION, Terms, TrackKind};
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, Transaction};
use std::time::Duration;

/// How long the provider may take for its terms.
pub const TERMS_TIMEOUT: Duration = Duration::from_secs(15);

/// How long the provider may take to accept, and to acknowledge the commitment.
pub const CHANNEL_TIMEOUT: Duration = Duration::from_secs(30);

/// How long to wait for the word that the settlement is on its way. Nothing depends on it.
pub const CLOSING_TIMEOUT: Duration = Duration::from_secs(5);

/// A track that sent nothing for this long is not arriving. Pictures come many times a second and even a silent
/// sound track sends packets; a second bridges what a lossy link retransmits.
const TRACK_INTERVAL: Duration = Duration::from_secs(1);

/// The size of a cooperative close, in vB, generously.
const CLOSING_VB: u64 = 200;

/// Where the session is.
#[derive(Debug)]
pub(super) enum State {
    AwaitTerms,
    /// A free stream, or terms refused by nobody yet: nothing is locked.
    Free,
    AwaitFunds(Box<Terms>),
    Opening(Box<Terms>, Contract),
    Committing(Box<Terms>, Contract, ScriptBuf),
    Open(Box<OpenChannel>),
    Closing(OutPoint, ConsumerEnd),
    Ended,
}

/// The channel that the session pays through.
#[derive(Debug)]
pub(super) struct OpenChannel {
    pub(super) channel: Channel,
    pub(super) terms: Terms,
    pub(super) payout: ScriptBuf,
    pub(super) fee_rate: FeeRate,
    /// The provider has acknowledged the commitment: it may be paid.
    pub(super) acknowledged: bool,
    pub(super) confirmations: u32,
    pub(super) purse: Purse,
    pub(super) gate: GateState,
    pub(super) paid_at: Duration,
    pub(super) exhausted: bool,
}

impl State {
    pub(super) const fn words(&self) -> &'static str {
        match self {
            State::AwaitTerms => "terms are awaited",
            State::Free => "the stream is free",
            State::AwaitFunds(_) => "funds are awaited",
            State::Opening(..) => "accept is awaited",
            State::Committing(..) => "the commitment is being made",
            State::Open(_) => "the channel is open",
            State::Closing(..) => "the settlement is awaited",
            State::Ended => "the session is over",
        }
    }
}

/// One session with a provider, from the connection to its end.
#[derive(Debug)]
pub struct ConsumerSession {
    pub(super) policy: ConsumerPolicy,
    pub(super) keys: ConsumerIdentity,
    pub(super) suggested_fee_rate: Option<FeeRate>,
    pub(super) state: State,
    /// When the present state began.
    pub(super) since: Duration,
    pub(super) liveness: Liveness,
    pub(super) playing: bool,
    pub(super) arrivals: Arrivals,
}

impl ConsumerSession {
    /// A session whose data channel has just opened. `suggested_fee_rate` is the chain's for the commitment.
    pub fn new(
        policy: ConsumerPolicy,
        keys: ConsumerIdentity,
        suggested_fee_rate: Option<FeeRate>,
        now: Duration,
    ) -> Self {
        Self {
            policy,
            keys,
            suggested_fee_rate,
            state: State::AwaitTerms,
            since: now,
            liveness: Liveness::new(now),
            playing: true,
            arrivals: Arrivals::default(),
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

    /// All that was paid in this session.
    pub fn paid(&self) -> Amount {
        match &self.state {
            State::Open(open) => open.purse.paid(),
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

    /// The wallet can pay for the commitment. Without effect unless funds are awaited.
    pub fn funded(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let State::AwaitFunds(terms) = &self.state {
            match self.propose(terms) {
                Ok(contract) => {
                    let terms = terms.clone();
                    effects.push(Effect::Send(ConsumerMessage::Open {
                        capacity: contract.capacity(),
                        consumer_key: contract.keys().consumer(),
                        change_script: contract.change().clone(),
                        refund_delay: contract.delay(),
                    }));
                    effects.push(Effect::Notice(ConsumerNotice::Opening {
                        capacity: contract.capacity(),
                    }));
                    self.enter(State::Opening(terms, contract), now);
                }
                Err(fault) => self.fault(fault, now, &mut effects),
            }
        }
        effects
    }

    /// The wallet has built and reserved the commitment. The record is durable before a byte is sent; from
    /// then on the provider may broadcast it.
    pub fn commitment_built(&mut self, transaction: Transaction, output: u32, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let State::Committing(terms, contract, payout) = &self.state else {
            return effects;
        };
        let outpoint = OutPoint {
            txid: transaction.compute_txid(),
            vout: output,
        };
        let channel = match Channel::new(contract.clone(), outpoint) {
            Ok(channel) => channel,
            Err(error) => {
                self.fault(error.into(), now, &mut effects);
                return effects;
            }
        };
        effects.push(Effect::SaveChannel(Box::new(ConsumerRecord {
            contract: contract.clone(),
            outpoint,
            key_index: self.keys.channel_key_index,
            link: self.keys.link.to_string(),
            commitment: transaction.clone(),
            paid: Amount::ZERO,
        })));
        effects.push(Effect::Watch {
            outpoint,
            script: channel.script().script_pubkey().clone(),
        });
        effects.push(Effect::Broadcast(transaction.clone()));
        effects.push(Effect::Notice(ConsumerNotice::Committed {
            outpoint,
            capacity: contract.capacity(),
            descriptor: channel.script().descriptor().to_owned(),
        }));
        effects.push(Effect::Send(ConsumerMessage::Commitment { transaction, output }));
        let open = OpenChannel {
            channel,
            purse: Purse::new(terms.rate, terms.window(), terms.opening),
            fee_rate: self.policy.fee_rate(terms, self.suggested_fee_rate),
            terms: (**terms).clone(),
            payout: payout.clone(),
            acknowledged: false,
            confirmations: 0,
            gate: GateState::Unpaid,
            paid_at: now,
            exhausted: false,
        };
        self.enter(State::Open(Box::new(open)), now);
        effects
    }

    /// The wallet could not build it. Nothing has been locked.
    pub fn commitment_failed(&mut self, words: String, now: Duration) -> Vec<Effect> {
        self.close(ConsumerEnd::Failed(words), now)
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
            if matches!(self.state, State::Open(_)) {
                let message = if playing {
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
            State::Open(open) if open.acknowledged && self.playing => {
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
        let mut effects = Vec::new();
        match &self.state {
            State::Ended | State::Closing(..) => (),
            State::Open(open) => {
                let reason = words(&end.to_string());
                effects.push(Effect::SavePaid {
                    outpoint: open.channel.outpoint(),
                    paid: open.purse.paid(),
                });
                effects.push(Effect::Send(ConsumerMessage::Close {
                    reason,
                    closing: self.closing_offer(),
                }));
                let outpoint = open.channel.outpoint();
                self.enter(State::Closing(outpoint, end), now);
            }
            _ => {
                let reason = words(&end.to_string());
                effects.push(Effect::Send(ConsumerMessage::Close {
                    reason,
                    closing: None,
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
        if let State::Open(open) = &self.state {
            out.push(Effect::SavePaid {
                outpoint: open.channel.outpoint(),
                paid: open.purse.paid(),
            });
        }
        self.enter(State::Ended, now);
        out.push(Effect::End(end));
    }

    /// Books the time in which every paid track arrived.
    pub(super) fn count(&mut self, now: Duration) {
        if let State::Open(open) = &mut self.state {
            let arrivals = self.arrivals;
            let arriving = open.terms.tracks.iter().all(|track| {
                let last = match track.kind {
                    TrackKind::Audio => arrivals.audio,
                    TrackKind::Video => arrivals.video,
                };
                last.is_some_and(|last| now < last.saturating_add(TRACK_INTERVAL))
            });
            open.purse.arriving(arriving && self.playing, now);
        }
    }

    /// Pays up to the target, if that is more than has been paid.
    pub(super) fn pay(&mut self, now: Duration, out: &mut Vec<Effect>) {
        self.count(now);
        let policy = self.policy;
        let State::Open(open) = &mut self.state else {
            return;
        };
        if !open.acknowledged || !self.playing {
            return;
        }
        open.paid_at = now;
        let (target, paid) = (open.purse.target(now), open.purse.paid());
        let limit = policy.limit(open.channel.contract());
        let cumulative = target.min(limit);
        if cumulative > paid {
            let outpoint = open.channel.outpoint();
            match Payment::sign(&open.channel, &self.keys.channel_key, cumulative) {
                Ok(payment) => {
                    open.purse.pay(cumulative);
                    let (added, consumed) = (
                        cumulative.checked_sub(paid).unwrap_or(Amount::ZERO),
                        open.purse.consumed(now),
                    );
                    out.push(Effect::SavePaid {
                        outpoint,
                        paid: cumulative,
                    });
                    let signature = payment.signature();
                    out.push(Effect::Send(ConsumerMessage::Payment {
                        outpoint,
                        cumulative,
                        signature,
                    }));
                    out.push(Effect::Notice(ConsumerNotice::Paid {
                        outpoint,
                        paid: cumulative,
                        added,
                        consumed,
                    }));
                }
                Err(error) => return self.fault(error.into(), now, out),
            }
        }
        let State::Open(open) = &mut self.state else {
            return;
        };
        let exhausted = target > limit;
        if exhausted && !open.exhausted {
            let why = if limit == policy.budget {
                Exhausted::Budget(limit)
            } else {
                Exhausted::Capacity(limit)
            };
            out.push(Effect::Notice(ConsumerNotice::Exhausted(why)));
        }
        open.exhausted = exhausted;
    }

    fn fault(&mut self, fault: Fault, now: Duration, out: &mut Vec<Effect>) {
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

    /// A channel that has paid nothing is not worth its settlement, so the provider would never settle it: offer
    /// a closing transaction that gives all of it back at once.
    fn closing_offer(&self) -> Option<ClosingOffer> {
        let State::Open(open) = &self.state else {
            return None;
        };
        if open.purse.paid() > Amount::ZERO {
            return None;
        }
        let fee = open.fee_rate.fee_vb(CLOSING_VB)?;
        let closing = Closing {
            channel: &open.channel,
            balance: Amount::ZERO,
            payout: &open.payout,
            fee,
        };
        let signature = closing.offer(&self.keys.channel_key).ok()?;
        Some(ClosingOffer {
            balance: Amount::ZERO,
            fee,
            signature,
        })
    }

    /// A free stream needs no answers from its provider.
    const fn speaks(&self) -> bool {
        !matches!(self.state, State::Free | State::Ended)
    }

    fn state_deadline(&self) -> Option<(Duration, ConsumerEnd)> {
        let (limit, end) = match &self.state {
            State::AwaitTerms => (TERMS_TIMEOUT, ConsumerEnd::TimedOut("its terms")),
            State::Opening(..) => (CHANNEL_TIMEOUT, ConsumerEnd::TimedOut("accepting the channel")),
            State::Open(open) if !open.acknowledged => (
                CHANNEL_TIMEOUT,
                ConsumerEnd::TimedOut("acknowledging the commitment"),
            ),
            State::Closing(_, end) => (CLOSING_TIMEOUT, end.clone()),
            State::AwaitFunds(terms) => (
                Duration::from_millis(u64::from(terms.valid_ms)),
                ConsumerEnd::TimedOut("funding: its offer ended"),
            ),
            State::Free | State::Committing(..) | State::Open(_) | State::Ended => return None,
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
