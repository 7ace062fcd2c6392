//! From terms to a channel: the first of a session, and the next one while the last still pays.

use super::session::ConsumerSession;
use super::state::{ConsumerChannel, Next, Opening, Paying, State};
use super::{ChannelKeys as OwnKeys, ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice, Purse};
use crate::agreement::Agreement;
use crate::commitment;
use crate::contract::{Channel, Contract};
use crate::fault::Fault;
use crate::keys::ChannelKeys;
use crate::message::{ConsumerMessage, GateState};
use crate::money::Msat;
use crate::record::ConsumerRecord;
use crate::terms::Terms;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction};
use std::time::Duration;

impl ConsumerSession {
    /// A new channel under these terms, if they are within the policy.
    pub(super) fn await_funds(&mut self, terms: Box<Terms>, now: Duration, out: &mut Vec<Effect>) {
        match self.judged().judge(&terms) {
            Ok(_) => {
                out.push(self.funds_wanted(&terms));
                self.enter(State::Opening(Opening::AwaitFunds(terms)), now);
            }
            Err(refusal) => out.extend(self.close(ConsumerEnd::Refused(refusal), now)),
        }
    }

    /// The funds that a channel takes under these terms.
    pub(super) fn funds_wanted(&self, terms: &Terms) -> Effect {
        Effect::AwaitFunds {
            capacity: self.policy.capacity_under(terms),
            fee_rate: self.policy.fee_rate(terms, self.suggested_fee_rate),
        }
    }

    /// The wallet can pay for the commitment. Without effect unless funds are awaited.
    pub fn funded(&mut self, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let Some(Opening::AwaitFunds(terms)) = self.opening() {
            let terms = terms.clone();
            effects.push(Effect::FreshKeys);
            self.enter_opening(Opening::AwaitKeys(terms), now);
        }
        effects
    }

    /// Fresh keys for the channel that is being opened: it is proposed. Without effect unless they are wanted.
    pub fn fresh_keys(&mut self, keys: OwnKeys, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(Opening::AwaitKeys(terms)) = self.opening() else {
            return effects;
        };
        match self.propose(&keys, terms) {
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
                self.enter_opening(Opening::Asked(terms, Box::new(keys), contract), now);
            }
            Err(fault) => self.fault(fault, now, &mut effects),
        }
        effects
    }

    /// The provider takes the proposal.
    pub(super) fn accepted(
        &mut self,
        payout: ScriptBuf,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let Some(Opening::Asked(terms, keys, contract)) = self.opening() else {
            return Ok(());
        };
        let fee_rate = self.policy.fee_rate(terms, self.suggested_fee_rate);
        let (terms, keys, contract) = (terms.clone(), keys.clone(), contract.clone());
        let script = contract.script()?.script_pubkey().clone();
        out.push(Effect::BuildCommitment {
            contract: contract.clone(),
            script,
            fee_rate,
        });
        self.enter_opening(Opening::Building(terms, keys, contract, payout), now);
        Ok(())
    }

    /// The wallet has built and reserved the commitment. The record is durable before a byte is sent; from
    /// then on the provider may broadcast it.
    pub fn commitment_built(&mut self, transaction: Transaction, output: u32, now: Duration) -> Vec<Effect> {
        let mut effects = Vec::new();
        let Some(Opening::Building(terms, keys, contract, payout)) = self.opening() else {
            return effects;
        };
        // A provider refuses it, so no money is put into it.
        if let Err(error) = commitment::check_cost(&transaction) {
            self.fault(error.into(), now, &mut effects);
            return effects;
        }
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
        self.committed(&channel, keys.index, transaction, output, terms, &mut effects);
        let (terms, payout, key) = (terms.clone(), payout.clone(), keys.key);
        let agreed = Agreement::of(&terms);
        let opened = ConsumerChannel {
            channel,
            key,
            opening: terms.opening,
            fee_rate: agreed.commitment_fee_rate(),
            payout,
            acknowledged: false,
            confirmations: 0,
        };
        if let State::Open(open) = &mut self.state {
            open.next = Next::Ready(Box::new(opened));
            return effects;
        }
        let paying = Paying {
            channel: opened,
            former: Vec::new(),
            next: Next::None { not_before: now },
            purse: Purse::new(terms.rate, terms.window(), terms.opening),
            terms: *terms,
            agreed,
            gate: GateState::Unpaid,
            paid_at: now,
            exhausted: false,
            recorded_at: now,
        };
        self.open(paying, now, &mut effects);
        effects
    }

    fn committed(
        &self,
        channel: &Channel,
        key_index: u32,
        transaction: Transaction,
        output: u32,
        terms: &Terms,
        out: &mut Vec<Effect>,
    ) {
        let (contract, outpoint) = (channel.contract(), channel.outpoint());
        out.push(Effect::SaveChannel(Box::new(ConsumerRecord {
            contract: contract.clone(),
            outpoint,
            key_index,
            link: self.keys.link.to_string(),
            commitment: transaction.clone(),
            paid: Amount::ZERO,
            carried: Amount::ZERO,
            consumed: Msat::ZERO,
            rate: terms.rate,
            agreed: Some(Agreement::of(terms)),
        })));
        out.push(Effect::Watch {
            outpoint,
            script: channel.script().script_pubkey().clone(),
        });
        out.push(Effect::Broadcast(transaction.clone()));
        out.push(Effect::Notice(ConsumerNotice::Committed {
            outpoint,
            capacity: contract.capacity(),
            descriptor: channel.script().descriptor().to_owned(),
        }));
        out.push(Effect::Send(ConsumerMessage::Commitment { transaction, output }));
    }

    /// There are no fresh keys. Nothing has been proposed; a session that pays already tries again later.
    pub fn no_fresh_keys(&mut self, words: String, now: Duration) -> Vec<Effect> {
        self.commitment_failed(words, now)
    }

    /// The wallet could not build it. Nothing has been locked; a session that pays already goes on.
    pub fn commitment_failed(&mut self, words: String, now: Duration) -> Vec<Effect> {
        if let State::Open(open) = &mut self.state {
            open.next = Next::later(now);
            return Vec::new();
        }
        self.close(ConsumerEnd::Failed(words), now)
    }

    /// The session pays from now on. A player that is paused says so first: the provider could not know.
    pub(super) fn open(&mut self, paying: Paying, now: Duration, out: &mut Vec<Effect>) {
        self.enter(State::Open(Box::new(paying)), now);
        self.reckon(now);
        if !self.playing {
            out.push(Effect::Send(ConsumerMessage::Pause));
        }
    }

    /// The channel that is being opened.
    pub(super) fn opening(&self) -> Option<&Opening> {
        match &self.state {
            State::Opening(opening) => Some(opening),
            State::Open(open) => match &open.next {
                Next::Opening(opening, _) => Some(opening),
                _ => None,
            },
            _ => None,
        }
    }

    fn enter_opening(&mut self, next: Opening, now: Duration) {
        if let State::Open(open) = &mut self.state {
            if let Next::Opening(opening, since) = &mut open.next {
                (*opening, *since) = (next, now);
            }
        } else {
            self.enter(State::Opening(next), now);
        }
    }

    /// The contract to propose under these terms.
    fn propose(&self, own: &OwnKeys, terms: &Terms) -> Result<Contract, Fault> {
        let consumer = own.key.x_only_public_key().0;
        let keys = ChannelKeys::new(consumer, terms.channel_key)?;
        let capacity = self.policy.capacity_under(terms);
        let delay = self.policy.refund_delay;
        Ok(Contract::new(keys, delay, capacity, own.change.clone())?)
    }
}
