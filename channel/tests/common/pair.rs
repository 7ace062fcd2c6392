//! A provider's and a consumer's session against each other, in simulated time, over a link that may delay.

use super::*;
use std::collections::VecDeque;
use streamium_channel::consumer::{
    Arrivals, ConsumerEffect, ConsumerEnd, ConsumerIdentity, ConsumerNotice, ConsumerSession,
};
use streamium_channel::handshake::Certificates;
use streamium_channel::link::Link;
use streamium_channel::message::{ConsumerMessage, GateState, ProviderMessage, encode};
use streamium_channel::money::Msat;
use streamium_channel::provider::{
    CommitmentStatus, EndReason, ProviderEffect, ProviderIdentity, ProviderSession,
};
use streamium_channel::record::{ConsumerRecord, PaymentRecord, ProviderRecord};

const STEP: Duration = Duration::from_millis(50);

pub struct Pair {
    pub now: Duration,
    pub provider: ProviderSession,
    pub consumer: ConsumerSession,
    /// How long a message travels.
    pub latency: Duration,
    /// Media arrives while the gate is open, unless this says no.
    pub media: bool,
    /// The wallet answers `AwaitFunds` at once, unless this says no.
    pub funded: bool,
    to_provider: VecDeque<(Duration, String)>,
    to_consumer: VecDeque<(Duration, String)>,
    pub gate: GateState,
    pub open_time: Duration,
    pub provider_record: Option<ProviderRecord>,
    pub consumer_record: Option<ConsumerRecord>,
    pub best: Option<PaymentRecord>,
    pub consumed: Msat,
    pub settle_due: bool,
    pub closing: Option<Transaction>,
    pub broadcasts: Vec<Transaction>,
    pub notices: Vec<ConsumerNotice>,
    pub provider_end: Option<EndReason>,
    pub consumer_end: Option<ConsumerEnd>,
    pub paid: Amount,
    /// What went over the wire, for looking at.
    pub log: Vec<String>,
}

pub fn link() -> Link {
    Link {
        tls: false,
        host: "h".into(),
        port: 1,
        stream: StreamName::new("cats").unwrap(),
        key: key(IDENTITY).x_only_public_key().0,
    }
}

pub fn provider_identity() -> ProviderIdentity {
    ProviderIdentity {
        identity: key(IDENTITY),
        channel_key: key(PROVIDER),
        channel_key_index: 3,
        nonce: Bytes32::new([1; 32]),
        certificates: Certificates {
            own: Bytes32::new([0xaa; 32]),
            peer: Bytes32::new([0xbb; 32]),
        },
    }
}

pub fn consumer_identity() -> ConsumerIdentity {
    ConsumerIdentity {
        link: link(),
        chain: Bytes32::genesis(Network::Regtest),
        channel_key: key(CONSUMER),
        channel_key_index: 5,
        change: ChangeScript::new(p2tr(0x55)).unwrap(),
        nonce: Bytes32::new([2; 32]),
        certificates: Certificates {
            own: Bytes32::new([0xbb; 32]),
            peer: Bytes32::new([0xaa; 32]),
        },
    }
}

impl Pair {
    pub fn new() -> Self {
        Self::with(config(), policy(), consumer_identity())
    }

    pub fn with(config: ProviderConfig, policy: ConsumerPolicy, consumer: ConsumerIdentity) -> Self {
        let now = seconds(1_000);
        let mut pair = Self {
            now,
            provider: ProviderSession::new(config, provider_identity(), now),
            consumer: ConsumerSession::new(policy, consumer, None, now),
            latency: Duration::from_millis(40),
            media: true,
            funded: true,
            to_provider: VecDeque::new(),
            to_consumer: VecDeque::new(),
            gate: GateState::Unpaid,
            open_time: Duration::ZERO,
            provider_record: None,
            consumer_record: None,
            best: None,
            consumed: Msat::ZERO,
            settle_due: false,
            closing: None,
            broadcasts: Vec::new(),
            notices: Vec::new(),
            provider_end: None,
            consumer_end: None,
            paid: Amount::ZERO,
            log: Vec::new(),
        };
        let effects = pair.provider.start();
        pair.provider_effects(effects);
        let effects = pair.consumer.start();
        pair.consumer_effects(effects);
        pair
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step();
        }
    }

    /// Lets time pass until something holds; fails after two simulated minutes.
    pub fn until(&mut self, what: &str, mut holds: impl FnMut(&Self) -> bool) {
        let end = self.now + seconds(120);
        while !holds(self) {
            assert!(
                self.now < end,
                "waited in vain for {what}; the wire said {:#?}",
                self.log
            );
            self.step();
        }
    }

    pub fn until_playing(&mut self) {
        self.until("media", |pair| pair.gate == GateState::Open);
    }

    pub fn confirm(&mut self, confirmations: u32) {
        let effects = self
            .provider
            .commitment_status(CommitmentStatus::Confirmed { confirmations }, self.now);
        self.provider_effects(effects);
    }

    /// What the consumer sends next, by hand.
    pub fn inject(&mut self, message: &ConsumerMessage) {
        let effects = self.provider.text(&encode(message).unwrap(), self.now);
        self.provider_effects(effects);
    }

    /// What the provider sends next, by hand.
    pub fn inject_to_consumer(&mut self, message: &ProviderMessage) {
        let effects = self.consumer.text(&encode(message).unwrap(), self.now);
        self.consumer_effects(effects);
    }

    fn step(&mut self) {
        self.now += STEP;
        if self.gate == GateState::Open {
            self.open_time += STEP;
            if self.media {
                self.consumer.media(Arrivals {
                    audio: Some(self.now),
                    video: Some(self.now),
                });
            }
        }
        while let Some(text) = due(&mut self.to_provider, self.now) {
            let effects = self.provider.text(&text, self.now);
            self.provider_effects(effects);
        }
        while let Some(text) = due(&mut self.to_consumer, self.now) {
            let effects = self.consumer.text(&text, self.now);
            self.consumer_effects(effects);
        }
        let effects = self.provider.tick(self.now);
        self.provider_effects(effects);
        let effects = self.consumer.tick(self.now);
        self.consumer_effects(effects);
        // Whoever sleeps until then must not find that nothing was due, again and again.
        let later = |at: Option<Duration>| at.is_none_or(|at| at > self.now);
        assert!(
            later(self.provider.next(self.now)),
            "the provider's driver would spin"
        );
        assert!(
            later(self.consumer.next(self.now)),
            "the consumer's driver would spin"
        );
    }

    pub fn provider_effects(&mut self, effects: Vec<ProviderEffect>) {
        for effect in effects {
            match effect {
                ProviderEffect::Send(message) => {
                    let text = encode(&message).unwrap();
                    self.log.push(format!("{:?} <- {text}", self.now));
                    self.to_consumer.push_back((self.now + self.latency, text));
                }
                ProviderEffect::SaveChannel(record) => self.provider_record = Some(*record),
                ProviderEffect::SaveAccount { best, consumed, .. } => {
                    assert!(consumed >= self.consumed, "the ledger went backwards");
                    let cumulative = |best: Option<PaymentRecord>| best.map(|best| best.cumulative);
                    assert!(
                        cumulative(best) >= cumulative(self.best),
                        "the balance went backwards"
                    );
                    (self.best, self.consumed) = (best, consumed);
                }
                ProviderEffect::Broadcast(tx) => {
                    assert!(self.provider_record.is_some(), "broadcast before it was durable");
                    self.broadcasts.push(tx);
                }
                ProviderEffect::Gate(state) => self.gate = state,
                ProviderEffect::Settle(outpoint) => {
                    self.settle_due = true;
                    // Said at once where the commitment is confirmed.
                    let txid = bitcoin::Txid::from_byte_array([7; 32]);
                    let settled = ProviderMessage::Settled { outpoint, txid };
                    self.provider_effects(vec![ProviderEffect::Send(settled)]);
                }
                ProviderEffect::CloseCooperatively { transaction, .. } => self.closing = Some(transaction),
                ProviderEffect::End(reason) => self.provider_end = Some(reason),
                ProviderEffect::Watch { .. } | ProviderEffect::Notice(_) => (),
            }
        }
    }

    pub fn consumer_effects(&mut self, effects: Vec<ConsumerEffect>) {
        for effect in effects {
            match effect {
                ConsumerEffect::Send(message) => {
                    if matches!(message, ConsumerMessage::Commitment { .. }) {
                        assert!(self.consumer_record.is_some(), "sent before it was durable");
                    }
                    let text = encode(&message).unwrap();
                    self.log.push(format!("{:?} -> {text}", self.now));
                    self.to_provider.push_back((self.now + self.latency, text));
                }
                ConsumerEffect::AwaitFunds { .. } if self.funded => {
                    let effects = self.consumer.funded(self.now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::BuildCommitment { contract, .. } => {
                    let effects = self.consumer.commitment_built(commitment(&contract), 1, self.now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::SaveChannel(record) => self.consumer_record = Some(*record),
                ConsumerEffect::SavePaid { paid, .. } => self.paid = paid,
                ConsumerEffect::Broadcast(tx) => {
                    assert!(self.consumer_record.is_some(), "broadcast before it was durable");
                    self.broadcasts.push(tx);
                }
                ConsumerEffect::Notice(notice) => self.notices.push(notice),
                ConsumerEffect::End(end) => self.consumer_end = Some(end),
                ConsumerEffect::AwaitFunds { .. } | ConsumerEffect::Watch { .. } => (),
            }
        }
    }
}

fn due(queue: &mut VecDeque<(Duration, String)>, now: Duration) -> Option<String> {
    queue
        .front()
        .is_some_and(|(at, _)| *at <= now)
        .then(|| queue.pop_front().unwrap().1)
}
