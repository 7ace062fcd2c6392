//! What each message does in each state; the table is in protocol.md section 9.

use super::session::{COMMITMENT_TIMEOUT, ProviderSession};
use super::state::{Next, OpenChannel, State};
use super::{ChannelKey, ProviderConfig, ProviderEffect as Effect, ProviderIdentity};
use crate::contract::Contract;
use crate::fault::Fault;
use crate::keys::ChannelKeys;
use crate::message::{ConsumerMessage, ProviderMessage};
use crate::terms::PROTOCOL_VERSION;
use std::time::Duration;

/// Terms are sent again for a consumer that has not answered the last ones for this long.
const RENEW_AGAIN: Duration = Duration::from_secs(10);

impl ProviderSession {
    /// One message in the present state. What is not named here has no place.
    pub(super) fn message(
        &mut self,
        message: ConsumerMessage,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let free = self.config.rate.is_free();
        match (message, &mut self.state) {
            (ConsumerMessage::Ping, _) => out.push(Effect::Send(ProviderMessage::Pong)),
            (ConsumerMessage::Pong | ConsumerMessage::Error { .. }, _) => (),
            (ConsumerMessage::Unknown, _) => return Err(Fault::UnknownType),
            (
                ConsumerMessage::Close {
                    reason,
                    closing,
                    refused_rate,
                },
                _,
            ) => {
                if let Some(number) = refused_rate {
                    self.rate_refused(number, &reason, out);
                }
                self.consumer_closes(&reason, &closing, now, out);
            }
            (
                ConsumerMessage::AcceptRate { number },
                State::Offered | State::Resuming(_) | State::Accepted(_) | State::Open(_),
            ) => {
                self.rate_accepted(number, now, out)?;
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
                if chain != self.config.chain && !free {
                    return Err(Fault::Chain);
                }
                self.offer(nonce, now, out);
            }
            (ConsumerMessage::Resume { outpoint, signature }, State::Offered) if !free => {
                self.resume(outpoint, signature, now, out);
            }
            (message @ ConsumerMessage::Open { .. }, state) if !free => {
                let key = state.offered(&self.keys);
                let key = key.ok_or_else(|| unexpected(&message, state))?;
                let contract = proposed(message, &key)?;
                self.accept(contract, now, out)?;
            }
            (ConsumerMessage::Commitment { transaction, output }, State::Accepted(contract)) => {
                let contract = contract.clone();
                self.commitment(&contract, transaction, output, now, out)?;
            }
            (ConsumerMessage::Commitment { transaction, output }, State::Open(open))
                if matches!(open.next, Next::Accepted(..)) =>
            {
                self.next_commitment(transaction, output, out)?;
            }
            (ConsumerMessage::Renew, State::Open(open))
                if open.may_renew(&self.config, self.next_since, now) =>
            {
                open.next = Next::Wanted;
                self.next_since = now;
                out.push(Effect::FreshKey);
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
            (message, state) => return Err(unexpected(&message, state)),
        }
        Ok(())
    }
}

/// The contract that `open` proposes, with the provider's key of the terms it answers.
fn proposed(message: ConsumerMessage, key: &ChannelKey) -> Result<Contract, Fault> {
    let ConsumerMessage::Open {
        capacity,
        consumer_key,
        change_script,
        refund_delay,
    } = message
    else {
        return Err(Fault::UnknownType);
    };
    let keys = ChannelKeys::new(consumer_key, key.key.x_only_public_key().0)?;
    Ok(Contract::new(keys, refund_delay, capacity, change_script)?)
}

impl OpenChannel {
    /// The next channel can be opened once this one is confirmed: what it paid will all count.
    fn may_renew(&self, config: &ProviderConfig, since: Duration, now: Duration) -> bool {
        self.is_confirmed(config.min_confirmations)
            && match self.next {
                Next::None => true,
                Next::Offered(_) => now >= since.saturating_add(RENEW_AGAIN),
                // The consumer has given up: its wallet could not pay, or the answer came too late for it.
                Next::Wanted | Next::Accepted(..) => now >= since.saturating_add(COMMITMENT_TIMEOUT),
                Next::Ready(_) => false,
            }
    }
}

impl State {
    /// The key in the terms that wait for an answer.
    fn offered(&self, keys: &ProviderIdentity) -> Option<ChannelKey> {
        match self {
            State::Offered => Some(keys.channel_key),
            State::Open(open) => match open.next {
                Next::Offered(key) => Some(key),
                _ => None,
            },
            _ => None,
        }
    }
}

fn unexpected(message: &ConsumerMessage, state: &State) -> Fault {
    Fault::Unexpected {
        message: name(message),
        state: state.words(),
    }
}

const fn name(message: &ConsumerMessage) -> &'static str {
    match message {
        ConsumerMessage::Hello { .. } => "hello",
        ConsumerMessage::Resume { .. } => "resume",
        ConsumerMessage::Renew => "renew",
        ConsumerMessage::Open { .. } => "open",
        ConsumerMessage::Commitment { .. } => "commitment",
        ConsumerMessage::Payment { .. } => "payment",
        ConsumerMessage::AcceptRate { .. } => "accept-rate",
        ConsumerMessage::Pause => "pause",
        ConsumerMessage::Play => "play",
        ConsumerMessage::Close { .. } => "close",
        ConsumerMessage::Ping => "ping",
        ConsumerMessage::Pong => "pong",
        ConsumerMessage::Error { .. } => "error",
        ConsumerMessage::Unknown => "an unknown message",
    }
}
