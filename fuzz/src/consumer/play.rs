//! Makes the messages and events of the operations. Signatures are real, by whomever the operation names.

use super::check::Run;
use super::ledger::Ledger;
use super::ops::{ChainState, Count, Gate, Holds, Offer, Op, Other, Pass, Plain, Tracks, Which, Who};
use crate::common::pair::{consumer_identity, link, provider_identity};
use crate::common::*;
use bitcoin::hashes::Hash;
use bitcoin::{Amount, OutPoint, Txid};
use std::time::Duration;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::consumer::ConsumerEnd;
use streamium_channel::contract::Channel;
use streamium_channel::handshake::Bytes32;
use streamium_channel::message::{ChannelState, ErrorCode, GateState, ProviderMessage, decode, encode};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::terms::{PROTOCOL_VERSION, Terms, TrackKind};

/// How often a driver looks at what arrives.
const MEDIA_INTERVAL: Duration = Duration::from_millis(200);

impl Run {
    pub fn play(&mut self, op: &Op) {
        let now = self.now;
        let effects = match op {
            Op::Terms(offer) => return self.send(&signed(*offer)),
            Op::Accept => {
                return self.send(&ProviderMessage::Accept {
                    payout_script: p2tr(0x77),
                });
            }
            Op::Channel { state, of } => return self.channel(*state, *of),
            Op::Credit {
                consumed,
                balance_sat,
                gate,
                of,
            } => {
                return self.credit(*consumed, sat((*balance_sat).into()), *gate, *of);
            }
            Op::Resumed {
                balance,
                by,
                carried,
                consumed,
                other,
            } => {
                return self.resumed(
                    *balance,
                    *by,
                    carried.map(|sat| Amount::from_sat(sat.into())),
                    *consumed,
                    *other,
                );
            }
            Op::NotResumed { other } => {
                let outpoint = self.earlier(*other);
                return self.send(&ProviderMessage::NotResumed {
                    outpoint,
                    reason: "x".into(),
                });
            }
            Op::Settled { of } => {
                let (outpoint, txid) = (self.outpoint(*of), Txid::from_byte_array([3; 32]));
                return self.send(&ProviderMessage::Settled { outpoint, txid });
            }
            Op::Plain(plain) => return self.plain(*plain),
            Op::Again(index) => {
                let at = self.sent.len().checked_sub(1 + usize::from(*index));
                let Some(message) = at.map(|at| self.sent[at].clone()) else {
                    return;
                };
                return self.send(&message);
            }
            Op::Garbage(bytes) => return self.garbage(&String::from_utf8_lossy(bytes)),
            Op::Pass(pass) => return self.time(*pass),
            Op::Playing(playing) => {
                // It may pay at once when it goes on.
                self.playing = *playing;
                self.session.set_playing(*playing, now)
            }
            Op::Budget(budget_sat) => {
                self.policy.budget = sat((*budget_sat).into());
                self.session.set_budget(self.policy.budget, now)
            }
            Op::Funded => self.session.funded(now),
            Op::NotText => self.session.not_text(now),
            Op::Leave => self.session.close(ConsumerEnd::Stopped, now),
            Op::Disconnect => self.session.disconnected(now),
        };
        self.take(effects);
    }

    fn text(&mut self, text: &str) {
        let effects = self.session.text(text, self.now);
        self.take(effects);
    }

    fn send(&mut self, message: &ProviderMessage) {
        if let ProviderMessage::Channel { outpoint, state } = message
            && let Some(held) = self.held.get_mut(outpoint)
        {
            held.acknowledged |= !matches!(state, ChannelState::Rejected { .. });
        }
        self.sent.push(message.clone());
        self.text(&encode(message).expect("a message"));
    }

    /// Which may be a message after all.
    fn garbage(&mut self, text: &str) {
        match decode(text) {
            Ok(ProviderMessage::Unknown) | Err(_) => self.text(text),
            Ok(message) => self.send(&message),
        }
    }

    fn outpoint(&self, which: Which) -> OutPoint {
        let outpoint = match which {
            Which::Present => self.current,
            Which::Next => self.next,
            Which::Other => None,
        };
        outpoint.unwrap_or(crate::common::outpoint(8))
    }

    fn earlier(&self, other: bool) -> OutPoint {
        match &self.past {
            Some(past) if !other => past.record.outpoint,
            _ => outpoint(8),
        }
    }

    /// What the provider says it holds of the earlier channel, with a signature by whomever.
    fn resumed(&mut self, holds: Holds, by: Who, carried: Option<Amount>, consumed: Count, other: bool) {
        let outpoint = self.earlier(other);
        let Some(past) = self.past.clone() else { return };
        let (record, paid) = (&past.record, past.record.paid.to_sat());
        let balance = match holds {
            Holds::Same => sat(paid),
            Holds::More(more) => sat(paid + u64::from(more)),
            Holds::Less(less) => sat(paid.saturating_sub(less.into())),
            Holds::Nothing => Amount::ZERO,
        };
        let signer = match by {
            Who::Consumer => past.key,
            Who::Provider => key(PROVIDER),
            Who::Stranger => key(STRANGER),
        };
        let channel = Channel::new(record.contract.clone(), record.outpoint).expect("a channel");
        let signature = Payment::sign(&channel, &signer, balance)
            .ok()
            .map(|payment| payment.signature());
        let consumed_msat = self.count(consumed, record.consumed).to_msat();
        self.send(&ProviderMessage::Resumed {
            outpoint,
            balance,
            signature,
            carried: carried.unwrap_or(record.carried),
            consumed_msat,
            payout_script: p2tr(0x77),
        });
    }

    fn count(&self, count: Count, own: Msat) -> Msat {
        let bound = self.ledger.as_ref().map_or(Msat::ZERO, Ledger::believed);
        match count {
            Count::Ahead { msat } => own.plus(Msat::new(msat.into())),
            Count::Behind { msat } => own.minus(Msat::new(msat.into())),
            Count::Bound { beyond } => bound.plus(Msat::new(beyond.into())),
            Count::Any(msat) => Msat::new(msat),
        }
    }

    fn channel(&mut self, state: ChainState, of: Which) {
        let outpoint = self.outpoint(of);
        let state = match state {
            ChainState::Seen => ChannelState::Seen,
            ChainState::Confirmed(confirmations) => ChannelState::Confirmed { confirmations },
            ChainState::Rejected => ChannelState::Rejected { reason: "x".into() },
        };
        self.send(&ProviderMessage::Channel { outpoint, state });
    }

    fn credit(&mut self, count: Count, balance: Amount, gate: Gate, of: Which) {
        let own = self.ledger.as_ref().map_or(Msat::ZERO, Ledger::own);
        let consumed = self.count(count, own);
        self.send(&ProviderMessage::Credit {
            outpoint: self.outpoint(of),
            balance,
            consumed_msat: consumed.to_msat(),
            gate: match gate {
                Gate::Open => GateState::Open,
                Gate::Unpaid => GateState::Unpaid,
                Gate::Starved => GateState::Starved,
                Gate::Unconfirmed => GateState::Unconfirmed,
                Gate::Paused => GateState::Paused,
                Gate::Silent => GateState::Silent,
                Gate::Closed => GateState::Closed,
            },
        });
    }

    fn plain(&mut self, plain: Plain) {
        let reason = "x".to_owned();
        let message = match plain {
            Plain::Ping => ProviderMessage::Ping,
            Plain::Pong => ProviderMessage::Pong,
            Plain::Error => ProviderMessage::Error {
                code: ErrorCode::Other,
                words: reason,
            },
            Plain::Close => ProviderMessage::Close { reason },
            Plain::Busy => ProviderMessage::Busy { reason },
            Plain::Refused => ProviderMessage::Refused { reason },
            Plain::Unknown => return self.text(r#"{"type":"teleport"}"#),
        };
        self.send(&message);
    }

    fn time(&mut self, pass: Pass) {
        let mut left = Duration::from_millis(pass.ms.into());
        while !pass.late && left > MEDIA_INTERVAL {
            self.pass(MEDIA_INTERVAL, pass.audio, pass.video);
            left -= MEDIA_INTERVAL;
        }
        self.pass(left, pass.audio, pass.video);
    }

    /// The link's provider signed it, for this connection, and it does not contradict itself.
    pub(super) fn offered_truly(&self, terms: &Terms) -> bool {
        let (consumer, provider) = (consumer_identity(), provider_identity());
        let signed = self.sent.iter().any(|message| match message {
            ProviderMessage::Terms {
                terms: sent,
                signature,
            } => **sent == *terms && *signature == terms.sign(&provider.identity),
            _ => false,
        });
        let ours = terms.provider_certificate == consumer.certificates.peer
            && terms.consumer_certificate == consumer.certificates.own
            && terms.consumer_nonce == consumer.nonce
            && terms.chain == consumer.chain
            && terms.stream == link().stream.as_str()
            && terms.version == PROTOCOL_VERSION;
        let makes_sense = terms.rate.is_free()
            || (!terms.tracks.is_empty()
                && terms.min_capacity <= terms.max_capacity
                && terms.min_refund_delay <= terms.max_refund_delay);
        signed && ours && makes_sense
    }
}

fn signed(offer: Offer) -> ProviderMessage {
    let terms = terms(offer);
    let signer = match offer.other {
        Other::Signer => key(STRANGER),
        _ => provider_identity().identity,
    };
    let signature = terms.sign(&signer);
    ProviderMessage::Terms {
        terms: Box::new(terms),
        signature,
    }
}

/// The tests' terms, with other figures.
fn terms(offer: Offer) -> Terms {
    let mut terms = Terms {
        rate: Rate::new(offer.rate_msat_per_s.into()),
        opening: sat(offer.opening_sat.into()),
        window_ms: offer.window_ms.into(),
        valid_ms: 60_000,
        ..pair::terms()
    };
    terms.tracks.retain(|track| match offer.tracks {
        Tracks::Both => true,
        Tracks::Audio => track.kind == TrackKind::Audio,
        Tracks::Video => track.kind == TrackKind::Video,
        Tracks::None => false,
    });
    change(&mut terms, offer.other);
    terms
}

fn change(terms: &mut Terms, other: Other) {
    let delay = |blocks: u16| RefundDelay::new(blocks).unwrap_or(RefundDelay::LONGEST);
    match other {
        Other::Nothing | Other::Signer => (),
        Other::Capacity { min_sat, max_sat } => {
            (terms.min_capacity, terms.max_capacity) = (sat(min_sat.into()), sat(max_sat.into()));
        }
        Other::Delay { min, max } => {
            (terms.min_refund_delay, terms.max_refund_delay) = (delay(min), delay(max));
        }
        Other::FeeRate(rate) => terms.commitment_fee_rate_sat_per_kvb = rate,
        Other::ValidMs(ms) => terms.valid_ms = ms.into(),
        Other::Version(version) => terms.version = version,
        Other::Chain => terms.chain = Bytes32::new([9; 32]),
        Other::Stream => terms.stream.push('x'),
        Other::Nonce => terms.consumer_nonce = Bytes32::new([9; 32]),
        Other::Certificates => terms.provider_certificate = Bytes32::new([9; 32]),
        Other::Key(who) => {
            let byte = match who {
                Who::Consumer => CONSUMER,
                Who::Provider => PROVIDER,
                Who::Stranger => STRANGER,
            };
            terms.channel_key = key(byte).x_only_public_key().0;
        }
        Other::Free => terms.rate = Rate::new(0),
    }
}
