//! Makes the messages and events of the operations. Signatures are real, by whomever the operation names.

use super::check::Run;
use super::held::Held;
use super::ops::{Capacity, News, Op, Pass, Pay, Plain, Sum, Which, Who};
use crate::common::*;
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, absolute};
use std::sync::OnceLock;
use std::time::Duration;
use streamium_channel::blocks::{MIN_REFUND_DELAY, RefundDelay};
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::cooperative::Closing;
use streamium_channel::handshake::Bytes32;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::message::{ClosingOffer, ConsumerMessage, ErrorCode, decode, encode};
use streamium_channel::payment::Payment;
use streamium_channel::provider::{CommitmentStatus, EndReason};
use streamium_channel::resume::Challenge;
use streamium_channel::terms::PROTOCOL_VERSION;

impl Who {
    const fn byte(self) -> u8 {
        match self {
            Who::Consumer => CONSUMER,
            Who::Provider => PROVIDER,
            Who::Stranger => STRANGER,
        }
    }
}

impl Run {
    pub fn play(&mut self, op: &Op) {
        match op {
            Op::Hello {
                other_version,
                other_chain,
            } => self.hello(*other_version, *other_chain),
            Op::Open { capacity, delay, key } => self.open(*capacity, *delay, *key),
            Op::Commitment {
                other_value,
                output,
                version,
                lock_time,
            } => {
                self.commitment(*other_value, *output, *version, *lock_time);
            }
            Op::Pay(pay) => self.pay(pay),
            Op::Plain(plain) => self.plain(*plain),
            Op::Again(index) => {
                let at = self.sent.len().checked_sub(1 + usize::from(*index));
                if let Some(message) = at.map(|at| self.sent[at].clone()) {
                    self.send(&message);
                }
            }
            Op::Garbage(bytes) => self.garbage(&String::from_utf8_lossy(bytes)),
            Op::NotText => {
                let effects = self.session.not_text(self.now);
                self.take(effects);
            }
            Op::Chain { news, next } => self.chain(*news, *next),
            Op::Resume {
                by,
                other_outpoint,
                other_nonce,
            } => self.resume(*by, *other_outpoint, *other_nonce),
            Op::Renew => self.send(&ConsumerMessage::Renew),
            Op::Book => {
                self.ledger.book(self.now);
                let effects = self.session.book(self.now);
                self.take(effects);
            }
            Op::Supersede { next } => {
                // The other session has the channel that pays, or its next one; it is not let go of here.
                let outpoint = self.outpoint(if *next { Which::Next } else { Which::Present });
                if let Some(held) = self.held.get_mut(&outpoint).filter(|_| !self.ended) {
                    held.superseded = true;
                }
                let effects = self.session.supersede(outpoint, self.now);
                self.take(effects);
            }
            Op::Tip(height) => self.session.tip(*height),
            Op::Pass(Pass { ms, late }) => {
                let time = Duration::from_millis(u64::from(*ms));
                if *late {
                    self.pass_late(time)
                } else {
                    self.pass(time)
                }
            }
            Op::Disconnect => {
                let effects = self.session.disconnected(self.now);
                self.take(effects);
            }
            Op::Stop => {
                let effects = self.session.close(EndReason::Stopping, self.now);
                self.take(effects);
            }
        }
    }

    fn text(&mut self, text: &str) {
        // Whatever arrives is a sign of life.
        self.heard = self.now;
        self.ledger.heard(self.now);
        let effects = self.session.text(text, self.now);
        self.take(effects);
    }

    fn send(&mut self, message: &ConsumerMessage) {
        match message {
            ConsumerMessage::Pause if self.is_open() => self.paused = true,
            ConsumerMessage::Play if self.is_open() => self.paused = false,
            ConsumerMessage::Open {
                capacity,
                consumer_key,
                change_script,
                refund_delay,
            } => {
                let offered = self.terms.as_ref().map(|terms| terms.channel_key);
                let keys = offered.and_then(|provider| ChannelKeys::new(*consumer_key, provider).ok());
                let made = |keys| Contract::new(keys, *refund_delay, *capacity, change_script.clone()).ok();
                self.proposed = keys.and_then(made);
            }
            _ => (),
        }
        self.sent.push(message.clone());
        self.text(&encode(message).expect("a message"));
    }

    /// Which may be a message after all.
    fn garbage(&mut self, text: &str) {
        match decode(text) {
            Ok(ConsumerMessage::Unknown) | Err(_) => self.text(text),
            Ok(message) => self.send(&message),
        }
    }

    fn hello(&mut self, other_version: Option<u16>, other_chain: bool) {
        let chain = if other_chain {
            Bytes32::new([9; 32])
        } else {
            self.config.chain
        };
        self.send(&ConsumerMessage::Hello {
            versions: vec![other_version.unwrap_or(PROTOCOL_VERSION)],
            chain,
            nonce: Bytes32::new([2; 32]),
        });
    }

    fn open(&mut self, capacity: Capacity, delay: u16, who: Who) {
        let capacity = match capacity {
            Capacity::Usual => sat(50_000),
            Capacity::Smaller(less) => sat(50_000_u64.saturating_sub(less.into())),
            Capacity::Any(any) => sat(any),
        };
        let refund_delay = RefundDelay::new(delay).unwrap_or_else(|_| {
            RefundDelay::new(MIN_REFUND_DELAY + delay % 1_000).expect("within the bounds")
        });
        let consumer_key = key(who.byte()).x_only_public_key().0;
        let change_script = contract(50_000).change().clone();
        self.send(&ConsumerMessage::Open {
            capacity,
            consumer_key,
            change_script,
            refund_delay,
        });
    }

    fn commitment(&mut self, value: Option<u32>, output: Option<u8>, version: Option<i8>, lock: Option<u32>) {
        let contract = self.proposed.clone().unwrap_or_else(|| contract(50_000));
        let mut transaction = commitment(&contract);
        if let Some(value) = value {
            transaction.output[1].value = sat(value.into());
        }
        if let Some(version) = version {
            transaction.version = Version(version.into());
        }
        if let Some(lock) = lock {
            transaction.lock_time = absolute::LockTime::from_consensus(lock);
        }
        let output = output.map_or(1, u32::from);
        self.send(&ConsumerMessage::Commitment { transaction, output });
    }

    fn outpoint(&self, which: Which) -> OutPoint {
        let outpoint = match which {
            Which::Present => self.current,
            Which::Next => self.next,
            Which::Other => None,
        };
        outpoint.unwrap_or(outpoint_of_nobody())
    }

    fn channel(&self, which: Which) -> Channel {
        static OTHER: OnceLock<Channel> = OnceLock::new();
        match self.held.get(&self.outpoint(which)) {
            Some(held) => held.channel.clone(),
            None => OTHER.get_or_init(|| channel(50_000)).clone(),
        }
    }

    fn paid(&self, which: Which) -> Amount {
        self.held
            .get(&self.outpoint(which))
            .map_or(Amount::ZERO, Held::balance)
    }

    fn sum(&self, sum: Sum, which: Which) -> Amount {
        let balance = self.paid(which).to_sat();
        let payable = self.channel(which).contract().payable().to_sat();
        sat(match sum {
            Sum::More(more) => balance.saturating_add(more.into()),
            Sum::Less(less) => balance.saturating_sub(less.into()),
            Sum::BelowPayable(less) => payable.saturating_sub(less.into()),
            Sum::AbovePayable(more) => payable.saturating_add(more.into()),
            Sum::Any(any) => any,
        })
    }

    fn pay(&mut self, pay: &Pay) {
        let channel = self.channel(pay.of);
        let cumulative = self.sum(pay.sum, pay.of);
        let signed = pay.signed.map_or(cumulative, |sum| self.sum(sum, pay.of));
        // What can't be signed is sent with the signature of something that can.
        let by = key(pay.by.byte());
        let payment = Payment::sign(&channel, &by, signed).or_else(|_| Payment::sign(&channel, &by, sat(1)));
        let signature = payment.expect("one satoshi can be paid").signature();
        let outpoint = self.outpoint(pay.sent_for);
        self.send(&ConsumerMessage::Payment {
            outpoint,
            cumulative,
            signature,
        });
    }

    /// Only the consumer's own signature over this very connection proves that the channel is its own.
    fn resume(&mut self, by: Who, other_outpoint: bool, other_nonce: bool) {
        let Some(mut terms) = self.terms.clone() else {
            return;
        };
        let outpoint = match &self.past {
            Some(past) if !other_outpoint => past.outpoint,
            _ => outpoint_of_nobody(),
        };
        if other_nonce {
            terms.provider_nonce = Bytes32::new([9; 32]);
        }
        let signature = Challenge::of(&terms, outpoint).sign(&key(by.byte()));
        self.proven = by == Who::Consumer && !other_nonce;
        self.send(&ConsumerMessage::Resume { outpoint, signature });
        self.proven = false;
    }

    fn plain(&mut self, plain: Plain) {
        let reason = || "x".to_owned();
        let message = match plain {
            Plain::Pause => ConsumerMessage::Pause,
            Plain::Play => ConsumerMessage::Play,
            Plain::Ping => ConsumerMessage::Ping,
            Plain::Pong => ConsumerMessage::Pong,
            Plain::Error => ConsumerMessage::Error {
                code: ErrorCode::Other,
                words: reason(),
            },
            Plain::Close => ConsumerMessage::Close {
                reason: reason(),
                closing: Vec::new(),
                refused_rate: None,
            },
            Plain::Offer {
                balance_sat,
                fee_sat,
                by,
            } => ConsumerMessage::Close {
                reason: reason(),
                closing: self.offer(sat(balance_sat.into()), sat(fee_sat.into()), by),
                refused_rate: None,
            },
            Plain::Unknown => return self.text(r#"{"type":"teleport"}"#),
        };
        self.send(&message);
    }

    fn offer(&self, balance: Amount, fee: Amount, by: Who) -> Vec<ClosingOffer> {
        let (channel, payout) = (self.channel(Which::Present), &self.config.payout);
        let closing = Closing {
            channel: &channel,
            balance,
            payout,
            fee,
        };
        let signature = closing.offer(&key(by.byte())).ok();
        let outpoint = channel.outpoint();
        signature
            .map(|signature| ClosingOffer {
                outpoint,
                balance,
                fee,
                signature,
            })
            .into_iter()
            .collect()
    }

    fn chain(&mut self, news: News, next: bool) {
        let outpoint = self.outpoint(if next { Which::Next } else { Which::Present });
        let last = self
            .held
            .get(&outpoint)
            .map_or(0, |held| held.record.contract.delay().last_usable_confirmation());
        let status = match news {
            News::Missing => CommitmentStatus::Missing,
            News::Mempool => CommitmentStatus::Mempool,
            News::Confirmed(more) => CommitmentStatus::Confirmed {
                confirmations: 1 + u32::from(more),
            },
            News::NearRefund(more) => CommitmentStatus::Confirmed {
                confirmations: last.saturating_add_signed(more.into()).max(1),
            },
        };
        self.news(outpoint, status);
    }

    /// Nobody says anything any more: the session ends by itself, and lets go of all its channels.
    pub fn let_it_end(mut self) {
        for _ in 0..10 {
            self.pass(seconds(10));
        }
        assert!(self.ended, "it never ended");
        let effects = self.session.close(EndReason::Stopping, self.now);
        self.take(effects);
        for held in self.held.values() {
            assert!(
                held.released != held.superseded,
                "let go of once, unless another has it"
            );
            held.settles();
        }
    }
}

/// Of no channel of the session's.
fn outpoint_of_nobody() -> OutPoint {
    outpoint(8)
}
