//! From terms to a channel: the first of a session, and each next one while the last still pays.

use super::session::ProviderSession;
use super::state::{Next, OpenChannel, State};
use super::{ChannelKey, ProviderEffect as Effect, ProviderNotice};
use crate::commitment;
use crate::contract::{Channel, Contract};
use crate::fault::Fault;
use crate::handshake::Nonce;
use crate::message::{ChannelState, ProviderMessage};
use crate::money::Msat;
use crate::record::ProviderRecord;
use crate::resume::Challenge;
use crate::terms::{PROTOCOL_VERSION, Terms};
use bitcoin::{Amount, OutPoint, Transaction, XOnlyPublicKey};
use std::time::Duration;

impl ProviderSession {
    /// The answer to `hello`.
    pub(super) fn offer(&mut self, consumer_nonce: Nonce, now: Duration, out: &mut Vec<Effect>) {
        self.consumer_nonce = Some(consumer_nonce);
        self.send_terms(self.keys.channel_key.key.x_only_public_key().0, out);
        self.enter(State::Offered, now);
        out.push(Effect::Notice(ProviderNotice::Offered));
    }

    /// A fresh key for the next channel: its terms can be sent.
    pub fn fresh_key(&mut self, key: ChannelKey, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let State::Open(open) = &mut self.state
            && matches!(open.next, Next::Wanted)
        {
            open.next = Next::Offered(key);
            self.next_since = now;
            self.send_terms(key.key.x_only_public_key().0, &mut effects);
        }
        effects
    }

    fn send_terms(&self, channel_key: XOnlyPublicKey, out: &mut Vec<Effect>) {
        let Some(terms) = self.terms(channel_key) else {
            return;
        };
        let signature = terms.sign(&self.keys.identity);
        out.push(Effect::Send(ProviderMessage::Terms {
            terms: Box::new(terms),
            signature,
        }));
    }

    /// What a consumer has to sign to go on with a channel over this connection.
    pub(super) fn challenge(&self, outpoint: OutPoint) -> Option<Challenge> {
        let terms = self.terms(self.keys.channel_key.key.x_only_public_key().0)?;
        Some(Challenge::of(&terms, outpoint))
    }

    pub(super) fn terms(&self, channel_key: XOnlyPublicKey) -> Option<Terms> {
        let config = &self.config;
        Some(Terms {
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
            channel_key,
            provider_certificate: self.keys.certificates.own,
            consumer_certificate: self.keys.certificates.peer,
            provider_nonce: self.keys.nonce,
            consumer_nonce: self.consumer_nonce?,
        })
    }

    /// A proposed channel, checked against what was offered. `key` is the one in the offer.
    pub(super) fn accept(
        &mut self,
        contract: Contract,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
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
        match &mut self.state {
            State::Open(open) => {
                if let Next::Offered(key) = open.next {
                    open.next = Next::Accepted(key, contract);
                    self.next_since = now;
                }
            }
            _ => self.enter(State::Accepted(contract), now),
        }
        Ok(())
    }

    /// The commitment of the first channel.
    pub(super) fn commitment(
        &mut self,
        contract: &Contract,
        transaction: Transaction,
        output: u32,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        commitment::check_cost(&transaction)?;
        let channel = commitment::check(contract, &transaction, output, self.tip_height)?;
        let key = self.keys.channel_key;
        self.committed(&channel, key, None, transaction, out);
        self.open(
            OpenChannel::new(channel, key, None, self.config.unconfirmed_limit),
            now,
        );
        Ok(())
    }

    /// The commitment of the next channel.
    pub(super) fn next_commitment(
        &mut self,
        transaction: Transaction,
        output: u32,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let State::Open(open) = &self.state else {
            return Ok(());
        };
        let Next::Accepted(key, contract) = &open.next else {
            return Ok(());
        };
        commitment::check_cost(&transaction)?;
        let (key, channel) = (
            *key,
            commitment::check(contract, &transaction, output, self.tip_height)?,
        );
        let follows = Some(open.channel.outpoint());
        self.committed(&channel, key, follows, transaction, out);
        if let State::Open(open) = &mut self.state {
            let limit = self.config.unconfirmed_limit;
            open.next = Next::Ready(Box::new(OpenChannel::new(channel, key, None, limit)));
        }
        Ok(())
    }

    fn committed(
        &self,
        channel: &Channel,
        key: ChannelKey,
        follows: Option<OutPoint>,
        commitment: Transaction,
        out: &mut Vec<Effect>,
    ) {
        let outpoint = channel.outpoint();
        let capacity = channel.contract().capacity();
        out.push(Effect::SaveChannel(Box::new(ProviderRecord {
            contract: channel.contract().clone(),
            outpoint,
            key_index: key.index,
            stream: self.config.stream.to_string(),
            rate: self.config.rate,
            commitment: commitment.clone(),
            follows,
            went_on_to: None,
            best: None,
            carried: Amount::ZERO,
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
    }

    /// The channel that the session pays through from now on.
    pub(super) fn open(&mut self, open: OpenChannel, now: Duration) {
        self.account.set_limit(Some(open.unconfirmed_limit));
        self.enter(State::Open(Box::new(open)), now);
        self.starved_since = Some(now);
    }
}

pub(super) fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
