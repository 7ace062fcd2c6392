//! Makes the messages and events of the operations. Signatures are real, by whomever the operation names.

use super::check::Run;
use super::ops::{Capacity, News, Op, Pass, Pay, Plain, Sum, Who};
use crate::common::*;
use bitcoin::transaction::Version;
use bitcoin::{Amount, absolute};
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
            Op::Chain(news) => self.chain(*news),
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
                let keys = ChannelKeys::new(*consumer_key, key(PROVIDER).x_only_public_key().0).ok();
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
        let contract = self.contract.clone().unwrap_or_else(|| contract(50_000));
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

    /// The session's, or another where there is none yet.
    fn channel(&self) -> Channel {
        static OTHER: OnceLock<Channel> = OnceLock::new();
        let other = || OTHER.get_or_init(|| channel(50_000)).clone();
        self.channel.clone().unwrap_or_else(other)
    }

    fn sum(&self, sum: Sum) -> Amount {
        let (balance, payable) = (
            self.balance().to_sat(),
            self.channel().contract().payable().to_sat(),
        );
        sat(match sum {
            Sum::More(more) => balance.saturating_add(more.into()),
            Sum::Less(less) => balance.saturating_sub(less.into()),
            Sum::BelowPayable(less) => payable.saturating_sub(less.into()),
            Sum::AbovePayable(more) => payable.saturating_add(more.into()),
            Sum::Any(any) => any,
        })
    }

    fn pay(&mut self, pay: &Pay) {
        let ours = self.channel();
        let other = || Channel::new(ours.contract().clone(), outpoint(8)).expect("a channel");
        let channel = if pay.other_channel { &other() } else { &ours };
        let cumulative = self.sum(pay.sum);
        let signed = pay.signed.map_or(cumulative, |sum| self.sum(sum));
        // What can't be signed is sent with the signature of something that can.
        let by = key(pay.by.byte());
        let payment = Payment::sign(channel, &by, signed).or_else(|_| Payment::sign(channel, &by, sat(1)));
        let signature = payment.expect("one satoshi can be paid").signature();
        let outpoint = if pay.other_outpoint {
            outpoint(8)
        } else {
            ours.outpoint()
        };
        self.send(&ConsumerMessage::Payment {
            outpoint,
            cumulative,
            signature,
        });
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
                closing: None,
            },
            Plain::Offer {
                balance_sat,
                fee_sat,
                by,
            } => ConsumerMessage::Close {
                reason: reason(),
                closing: self.offer(sat(balance_sat.into()), sat(fee_sat.into()), by),
            },
            Plain::Unknown => return self.text(r#"{"type":"teleport"}"#),
        };
        self.send(&message);
    }

    fn offer(&self, balance: Amount, fee: Amount, by: Who) -> Option<ClosingOffer> {
        let (channel, payout) = (self.channel(), &self.config.payout);
        let closing = Closing {
            channel: &channel,
            balance,
            payout,
            fee,
        };
        let signature = closing.offer(&key(by.byte())).ok()?;
        Some(ClosingOffer {
            balance,
            fee,
            signature,
        })
    }

    fn chain(&mut self, news: News) {
        self.news(match news {
            News::Missing => CommitmentStatus::Missing,
            News::Mempool => CommitmentStatus::Mempool,
            News::Confirmed(more) => CommitmentStatus::Confirmed {
                confirmations: 1 + u32::from(more),
            },
            News::NearRefund(more) => CommitmentStatus::Confirmed {
                confirmations: self.last_usable().saturating_add_signed(more.into()).max(1),
            },
        });
    }
}
