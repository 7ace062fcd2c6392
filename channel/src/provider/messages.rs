//! What each message does in each state; the table is in protocol.md section 9.

use super::EndReason;
use super::session::{OpenChannel, ProviderSession, State};
use super::{ProviderEffect as Effect, ProviderNotice};
use crate::commitment;
use crate::contract::{Channel, Contract};
use crate::cooperative::Closing;
use crate::fault::Fault;
use crate::handshake::Nonce;
use crate::keys::ChannelKeys;
use crate::message::{ChannelState, ClosingOffer, ConsumerMessage, ProviderMessage, words};
use crate::money::Msat;
use crate::payment::{Payment, PaymentError, PaymentSignature};
use crate::record::ProviderRecord;
use crate::terms::{PROTOCOL_VERSION, Terms};
use bitcoin::{Amount, OutPoint, Transaction};
use std::time::Duration;

impl ProviderSession {
    /// One message in the present state. What is not named here has no place.
    pub(super) fn message(
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

    fn offer(&mut self, consumer_nonce: Nonce, now: Duration, out: &mut Vec<Effect>) {
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
