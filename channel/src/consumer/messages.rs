//! What each message does in each state; the table is in protocol.md section 9.

use super::resuming::Resumed;
use super::session::ConsumerSession;
use super::state::{Next, State};
use super::{ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice};
use crate::fault::Fault;
use crate::message::{ChannelState, ConsumerMessage, GateState, ProviderMessage, words};
use crate::money::Msat;
use crate::terms::{Expected, Terms};
use bitcoin::OutPoint;
use bitcoin::secp256k1::schnorr;
use std::time::Duration;

impl ConsumerSession {
    /// One message in the present state. What is not named here has no place.
    pub(super) fn message(
        &mut self,
        message: ProviderMessage,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        match (message, &mut self.state) {
            (ProviderMessage::Ping, _) => out.push(Effect::Send(ConsumerMessage::Pong)),
            (ProviderMessage::Pong | ProviderMessage::Error { .. }, _) => (),
            (ProviderMessage::Unknown, _) => return Err(Fault::UnknownType),
            (ProviderMessage::Busy { reason }, state) if state.is_before_channel() => {
                self.finish(ConsumerEnd::Busy(words(&reason)), now, out);
            }
            (ProviderMessage::Refused { reason }, _) => {
                self.finish(ConsumerEnd::ProviderRefused(words(&reason)), now, out);
            }
            (ProviderMessage::Close { reason }, State::Open(open)) => {
                let outpoint = open.channel.outpoint();
                out.push(open.last_record(now));
                self.enter(
                    State::Closing(outpoint, ConsumerEnd::ProviderClosed(words(&reason))),
                    now,
                );
            }
            (ProviderMessage::Close { .. }, State::Closing(..)) => (),
            (ProviderMessage::Close { reason }, _) => {
                self.finish(ConsumerEnd::ProviderClosed(words(&reason)), now, out);
            }
            (ProviderMessage::Terms { terms, signature }, State::AwaitTerms) => {
                self.terms(terms, &signature, now, out)?;
            }
            (ProviderMessage::Terms { terms, signature }, State::Open(open))
                if matches!(open.next, Next::AwaitTerms(..)) =>
            {
                self.verify(&terms, &signature)?;
                self.renewed(terms, now, out)?;
            }
            (ProviderMessage::Rate { offer, signature }, state) if state.terms().is_some() => {
                self.rate_offered(offer, &signature, now, out)?;
            }
            (ProviderMessage::RateChanged { number }, state) if state.terms().is_some() => {
                self.rate_changed(number, now, out)?;
            }
            (ProviderMessage::Accept { payout_script }, state) if state.awaits_accept() => {
                self.accepted(payout_script, now, out)?;
            }
            (
                ProviderMessage::Resumed {
                    outpoint,
                    balance,
                    signature,
                    carried,
                    consumed_msat,
                    payout_script,
                },
                State::Resuming(..),
            ) => {
                let resumed = Resumed {
                    balance,
                    signature,
                    carried,
                    consumed: Msat::new(consumed_msat),
                    payout: payout_script,
                };
                self.resumed(outpoint, resumed, now, out)?;
            }
            (ProviderMessage::NotResumed { outpoint, reason }, State::Resuming(_, candidate))
                if outpoint == candidate.record.outpoint =>
            {
                self.not_resumed(&reason, now, out);
            }
            (ProviderMessage::Channel { outpoint, .. }, State::Open(open))
                if open.former.contains(&outpoint) => {}
            (ProviderMessage::Settled { outpoint, txid }, State::Open(open))
                if open.former.contains(&outpoint) =>
            {
                out.push(Effect::Notice(ConsumerNotice::Settled { outpoint, txid }));
            }
            (ProviderMessage::Channel { outpoint, state }, State::Open(_)) => {
                self.channel_state(outpoint, state, now, out)?;
            }
            (
                ProviderMessage::Credit {
                    outpoint,
                    consumed_msat,
                    gate,
                    ..
                },
                State::Open(open),
            ) => {
                // The account is one, whichever channel it names.
                if outpoint != open.channel.outpoint() && !open.former.contains(&outpoint) {
                    return Err(Fault::OtherChannel);
                }
                self.credit(consumed_msat, gate, now, out)?;
            }
            (ProviderMessage::Settled { outpoint, txid }, State::Closing(ours, end)) if outpoint == *ours => {
                let end = end.clone();
                out.push(Effect::Notice(ConsumerNotice::Settled { outpoint, txid }));
                self.finish(end, now, out);
            }
            // What was on its way when we closed.
            (
                ProviderMessage::Credit { .. }
                | ProviderMessage::Channel { .. }
                | ProviderMessage::Rate { .. }
                | ProviderMessage::RateChanged { .. },
                State::Closing(..),
            ) => (),
            (message, state) => {
                return Err(Fault::Unexpected {
                    message: name(&message),
                    state: state.words(),
                });
            }
        }
        Ok(())
    }

    fn terms(
        &mut self,
        terms: Box<Terms>,
        signature: &schnorr::Signature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        self.verify(&terms, signature)?;
        self.terms_at = now;
        out.push(Effect::Notice(ConsumerNotice::Terms(terms.clone())));
        if terms.rate.is_free() {
            self.enter(State::Free, now);
            return Ok(());
        }
        self.consider(terms, now, out);
        Ok(())
    }

    fn verify(&self, terms: &Terms, signature: &schnorr::Signature) -> Result<(), Fault> {
        let link = &self.keys.link;
        Ok(terms.verify(
            signature,
            &Expected {
                identity: link.key,
                stream: link.stream.as_str(),
                chain: self.keys.chain,
                certificates: self.keys.certificates,
                nonce: self.keys.nonce,
            },
        )?)
    }

    fn channel_state(
        &mut self,
        outpoint: OutPoint,
        state: ChannelState,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        let channel = open.channel_mut(outpoint).ok_or(Fault::OtherChannel)?;
        let confirmations = match state {
            ChannelState::Rejected { reason } => {
                out.extend(self.close(ConsumerEnd::ProviderRefused(words(&reason)), now));
                return Ok(());
            }
            ChannelState::Seen => 0,
            ChannelState::Confirmed { confirmations } => confirmations,
        };
        let news = !channel.acknowledged || confirmations != channel.confirmations;
        channel.acknowledged = true;
        channel.confirmations = confirmations;
        if news {
            out.push(Effect::Notice(ConsumerNotice::Channel {
                outpoint,
                confirmations,
            }));
        }
        self.pay(now, out);
        Ok(())
    }

    fn credit(
        &mut self,
        consumed_msat: u64,
        gate: GateState,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        self.count(now);
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        if gate != open.gate {
            open.gate = gate;
            out.push(Effect::Notice(ConsumerNotice::Gate { state: gate }));
        }
        open.purse.report(Msat::new(consumed_msat), now)?;
        if gate == GateState::Starved {
            self.pay(now, out);
        }
        Ok(())
    }
}

const fn name(message: &ProviderMessage) -> &'static str {
    match message {
        ProviderMessage::Terms { .. } => "terms",
        ProviderMessage::Rate { .. } => "rate",
        ProviderMessage::RateChanged { .. } => "rate-changed",
        ProviderMessage::Accept { .. } => "accept",
        ProviderMessage::Resumed { .. } => "resumed",
        ProviderMessage::NotResumed { .. } => "not-resumed",
        ProviderMessage::Busy { .. } => "busy",
        ProviderMessage::Refused { .. } => "refused",
        ProviderMessage::Channel { .. } => "channel",
        ProviderMessage::Credit { .. } => "credit",
        ProviderMessage::Close { .. } => "close",
        ProviderMessage::Settled { .. } => "settled",
        ProviderMessage::Ping => "ping",
        ProviderMessage::Pong => "pong",
        ProviderMessage::Error { .. } => "error",
        ProviderMessage::Unknown => "an unknown message",
    }
}
