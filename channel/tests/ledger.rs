//! Both ledgers over hours of an honest but lossy network, with clocks that differ: nobody stalls the other, nobody pays
//! for more than the stated bound beyond what arrived (protocol.md section 7).
//!
//! Media is counted packet by packet: 50 a second of sound, 30 pictures a second. The data channel loses nothing; there
//! loss shows as delay: a lost message is sent again after 200 ms, then 400 ms, and so on, and all later ones wait for it.

mod common;

use common::pair::{consumer_identity, consumer_key, provider_identity, provider_key};
use common::*;
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};
use std::collections::VecDeque;
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::consumer::{
    Arrivals, ChannelKeys, ConsumerEffect, ConsumerEnd, ConsumerNotice, ConsumerPolicy, ConsumerSession, Past,
};
use streamium_channel::fault::Fault;
use streamium_channel::message::{GateState, encode};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::{CommitmentStatus, ProviderConfig, ProviderEffect, ProviderSession};
use streamium_channel::script::ChangeScript;

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3_600);
const BLOCK: Duration = Duration::from_secs(600);
const LATENCY: Duration = Duration::from_millis(40);
const AUDIO: Duration = Duration::from_millis(20);
const VIDEO: Duration = Duration::from_micros(33_333);
const RETRANSMIT: Duration = Duration::from_millis(200);
/// How often the consumer's driver looks at its media.
const MEDIA_INTERVAL: Duration = Duration::from_millis(200);
const TRACK_INTERVAL: Duration = Duration::from_secs(1);

/// One direction of the data channel.
#[derive(Default)]
struct Mail {
    texts: VecDeque<(Duration, String)>,
    last: Duration,
}

struct Show {
    now: Duration,
    dice: TestRng,
    loss_percent: u64,
    /// Nothing gets through from the first to the second.
    burst: (Duration, Duration),
    /// The mean time between bursts of 1 to 3 s.
    bursts: Option<Duration>,
    provider: ProviderSession,
    consumer: ConsumerSession,
    rate: Rate,
    window: Duration,
    provider_ppm: i64,
    consumer_ppm: i64,
    to_provider: Mail,
    to_consumer: Mail,
    last_tick: Duration,
    next_block: Duration,
    height: u32,
    /// Channels and when their commitments are confirmed.
    channels: Vec<(OutPoint, u32)>,
    keys: u32,
    gate: GateState,
    gate_since: Duration,
    // What is to be shown.
    sent: Duration,
    arrived: Duration,
    /// Why the gate closed, and for how long.
    closed: Vec<(GateState, Duration)>,
    paid: Amount,
    former: Amount,
    payments: u64,
    /// How far the provider's count was ahead of the consumer's, at most, in msat.
    drift: i128,
    ahead: i128,
    end: Option<ConsumerEnd>,
}

impl Show {
    fn new(
        seed: u8,
        config: ProviderConfig,
        policy: ConsumerPolicy,
        provider_ppm: i64,
        consumer_ppm: i64,
    ) -> Self {
        let now = seconds(1_000);
        let (p, c) = (shown(now, provider_ppm), shown(now, consumer_ppm));
        let mut show = Self {
            now,
            dice: TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]),
            loss_percent: 5,
            burst: (Duration::MAX, Duration::MAX),
            bursts: None,
            rate: config.rate,
            window: config.window,
            provider: ProviderSession::new(config, provider_identity(), p),
            consumer: ConsumerSession::new(policy, consumer_identity(), Past::default(), None, c),
            provider_ppm,
            consumer_ppm,
            to_provider: Mail::default(),
            to_consumer: Mail::default(),
            last_tick: now,
            next_block: now + BLOCK,
            height: 800_000,
            channels: Vec::new(),
            keys: 10,
            gate: GateState::Unpaid,
            gate_since: now,
            sent: Duration::ZERO,
            arrived: Duration::ZERO,
            closed: Vec::new(),
            paid: Amount::ZERO,
            former: Amount::ZERO,
            payments: 0,
            drift: i128::MIN,
            ahead: i128::MIN,
            end: None,
        };
        show.consumer_effects(show.consumer.start());
        show
    }

    fn percent(&mut self, percent: u64) -> bool {
        self.dice.next_u64() % 100 < percent
    }

    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end && self.end.is_none() {
            self.step();
        }
    }

    fn step(&mut self) {
        let provider = self.provider.next(shown(self.now, self.provider_ppm));
        let mail = [&self.to_provider, &self.to_consumer].map(|mail| mail.texts.front().map(|(at, _)| *at));
        let at = [
            provider.map(|at| true_time(at, self.provider_ppm)),
            mail[0],
            mail[1],
            Some(self.last_tick + MEDIA_INTERVAL),
            Some(self.next_block),
        ];
        let at = at.into_iter().flatten().min().unwrap().max(self.now);
        if self.gate == GateState::Open {
            self.sent += at - self.now;
        }
        self.now = at;
        self.weather();
        while let Some(text) = self.to_provider.due(self.now) {
            let effects = self.provider.text(&text, shown(self.now, self.provider_ppm));
            self.provider_effects(effects);
        }
        while let Some(text) = self.to_consumer.due(self.now) {
            let effects = self.consumer.text(&text, shown(self.now, self.consumer_ppm));
            self.consumer_effects(effects);
        }
        let now = shown(self.now, self.provider_ppm);
        if self.provider.next(now).is_some_and(|at| at <= now) {
            let effects = self.provider.tick(now);
            self.provider_effects(effects);
        }
        if self.now >= self.last_tick + MEDIA_INTERVAL {
            self.tick_consumer();
        }
        if self.now >= self.next_block {
            self.block();
        }
    }

    fn weather(&mut self) {
        let Some(mean) = self.bursts else { return };
        if self.burst.0 == Duration::MAX || self.now > self.burst.1 {
            let wait = mean / 2 + MS * (self.dice.next_u64() % mean.as_millis() as u64) as u32;
            let length = MS * (1_000 + self.dice.next_u64() % 2_000) as u32;
            self.burst = (self.now + wait, self.now + wait + length);
        }
    }

    fn is_in_burst(&self, at: Duration) -> bool {
        at >= self.burst.0 && at < self.burst.1
    }

    /// When the last packet of a track came that came at all, looking back no further than counts.
    fn last_arrival(&mut self, interval: Duration) -> Option<Duration> {
        if self.gate != GateState::Open {
            return None;
        }
        let nanos = interval.as_nanos();
        let sent = self.now.saturating_sub(LATENCY).as_nanos() / nanos * nanos;
        let mut at = Duration::from_nanos(u64::try_from(sent).unwrap());
        while at >= self.gate_since && at + TRACK_INTERVAL * 2 > self.now {
            if !self.is_in_burst(at) && !self.percent(self.loss_percent) {
                return Some(at + LATENCY);
            }
            at -= interval;
        }
        None
    }

    fn tick_consumer(&mut self) {
        let since = self.now - self.last_tick;
        self.last_tick = self.now;
        let (audio, video) = (self.last_arrival(AUDIO), self.last_arrival(VIDEO));
        if let (Some(audio), Some(video)) = (audio, video)
            && self.now < audio.min(video) + TRACK_INTERVAL
        {
            self.arrived += since;
        }
        let ppm = self.consumer_ppm;
        self.consumer.media(Arrivals {
            audio: audio.map(|at| shown(at, ppm)),
            video: video.map(|at| shown(at, ppm)),
        });
        let effects = self.consumer.tick(shown(self.now, ppm));
        self.consumer_effects(effects);
    }

    fn block(&mut self) {
        self.next_block += BLOCK;
        self.height += 1;
        for (outpoint, made) in self.channels.clone() {
            let confirmations = self.height - made;
            let status = CommitmentStatus::Confirmed { confirmations };
            let now = shown(self.now, self.provider_ppm);
            let effects = self.provider.commitment_status(outpoint, status, now);
            self.provider_effects(effects);
        }
    }

    /// Sends over the data channel.
    fn arrival(&mut self) -> Duration {
        let (mut at, mut again) = (self.now, RETRANSMIT);
        while self.is_in_burst(at) || self.percent(self.loss_percent) {
            at += again;
            again *= 2;
        }
        at + LATENCY
    }

    fn set_gate(&mut self, state: GateState) {
        let since = self.now - self.gate_since;
        match (self.gate, state) {
            (GateState::Open, closed) => self.closed.push((closed, Duration::ZERO)),
            (GateState::Unpaid, _) => (),
            (_, _) => {
                if let Some((_, length)) = self.closed.last_mut() {
                    *length += since;
                }
            }
        }
        (self.gate, self.gate_since) = (state, self.now);
    }

    fn provider_effects(&mut self, effects: Vec<ProviderEffect>) {
        for effect in effects {
            match effect {
                ProviderEffect::Send(message) => {
                    let at = self.arrival();
                    self.to_consumer.push(at, encode(&message).unwrap());
                }
                ProviderEffect::Gate(state) => self.set_gate(state),
                ProviderEffect::FreshKey => {
                    self.keys += 1;
                    let now = shown(self.now, self.provider_ppm);
                    let effects = self.provider.fresh_key(provider_key(self.keys), now);
                    self.provider_effects(effects);
                }
                ProviderEffect::SaveAccount(account) => {
                    // What it sent ahead of what was paid.
                    let paid = account.carried + account.best.map_or(Amount::ZERO, |best| best.cumulative);
                    let ahead = account.consumed.to_msat() as i128 - Msat::from(paid).to_msat() as i128;
                    self.ahead = self.ahead.max(ahead);
                }
                _ => (),
            }
        }
    }

    fn consumer_effects(&mut self, effects: Vec<ConsumerEffect>) {
        let now = shown(self.now, self.consumer_ppm);
        for effect in effects {
            match effect {
                ConsumerEffect::Send(message) => {
                    let at = self.arrival();
                    self.to_provider.push(at, encode(&message).unwrap());
                }
                ConsumerEffect::Authorize { question, .. } => {
                    let effects = self.consumer.authorized(question, true, now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::AwaitFunds { .. } => {
                    let effects = self.consumer.funded(now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::BuildCommitment { contract, .. } => {
                    let effects = self.consumer.commitment_built(commitment(&contract), 1, now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::SaveChannel(record) => self.channels.push((record.outpoint, self.height)),
                ConsumerEffect::SavePaid {
                    paid,
                    carried,
                    consumed,
                    ..
                } => {
                    self.paid = paid;
                    self.former = carried;
                    let provider = self.provider.consumed(shown(self.now, self.provider_ppm));
                    let drift = provider.to_msat() as i128 - consumed.to_msat() as i128;
                    self.drift = self.drift.max(drift);
                    self.check_bound();
                }
                ConsumerEffect::FreshKeys => {
                    self.keys += 1;
                    let keys = ChannelKeys {
                        key: consumer_key(self.keys),
                        index: self.keys,
                        change: ChangeScript::new(p2tr(0x55)).unwrap(),
                    };
                    let effects = self.consumer.fresh_keys(keys, now);
                    self.consumer_effects(effects);
                }
                ConsumerEffect::Notice(ConsumerNotice::Paid { .. }) => self.payments += 1,
                ConsumerEffect::End(end) => self.end = Some(end),
                _ => (),
            }
        }
    }
}

// What is to hold.
impl Show {
    /// The consumer has never paid more than this beyond what arrived: an opening payment, the window ahead, and the
    /// drift that is believed, 2 % and one window.
    fn check_bound(&self) {
        let config = config();
        let rate = self.rate;
        let arrived = rate.cost(self.arrived + MEDIA_INTERVAL);
        let bound = arrived
            .plus(arrived.percent(2))
            .plus(rate.cost(self.window * 2))
            .plus(Msat::from(config.opening))
            .plus(Msat::new(1_000));
        let paid = self.former + self.paid;
        assert!(
            Msat::from(paid) <= bound,
            "{paid} for {:?} of media, more than {bound}",
            self.arrived
        );
    }

    /// Nobody stalled: since the first payment the gate never closed for lack of credit. A message that is lost four
    /// times in a row may look like silence for a moment.
    fn check_no_stall(&self) {
        assert_eq!(self.end, None);
        assert!(
            self.closed.iter().all(|(why, _)| *why == GateState::Silent),
            "{:?}",
            self.closed
        );
        let silent = self.now - seconds(1_000) - self.sent;
        assert!(
            silent < seconds(5) + (self.now - seconds(1_000)) / 20_000,
            "{silent:?} without media"
        );
    }

    fn print(&self, what: &str) {
        println!(
            "{what}: {:?} sent, {:?} arrived, {} paid in {} payments through {} channels; drift at most {} msat, \
             sent ahead of payment at most {} msat; gate closed {:?}",
            self.sent,
            self.arrived,
            self.former + self.paid,
            self.payments,
            self.channels.len(),
            self.drift,
            self.ahead,
            self.closed,
        );
    }
}

impl Mail {
    /// Never before what was sent earlier.
    fn push(&mut self, at: Duration, text: String) {
        self.last = self.last.max(at);
        self.texts.push_back((self.last, text));
    }

    fn due(&mut self, now: Duration) -> Option<String> {
        let due = self.texts.front().is_some_and(|(at, _)| *at <= now);
        due.then(|| self.texts.pop_front())
            .flatten()
            .map(|(_, text)| text)
    }
}

/// What a clock shows that is so much fast.
fn shown(at: Duration, ppm: i64) -> Duration {
    let nanos = i128::try_from(at.as_nanos()).unwrap();
    Duration::from_nanos(u64::try_from(nanos + nanos * i128::from(ppm) / 1_000_000).unwrap())
}

fn true_time(at: Duration, ppm: i64) -> Duration {
    let nanos = i128::try_from(at.as_nanos()).unwrap();
    let exact = nanos * 1_000_000 / (1_000_000 + i128::from(ppm));
    let mut true_time = Duration::from_nanos(u64::try_from(exact).unwrap());
    while shown(true_time, ppm) < at {
        true_time += Duration::from_nanos(1);
    }
    true_time
}

/// A rich consumer, whose channels each last for some hours.
fn rich(capacity: u64) -> ConsumerPolicy {
    policy_of(capacity, 100_000_000)
}

fn at_rate(msat_per_s: u64) -> ProviderConfig {
    ProviderConfig {
        rate: Rate::new(msat_per_s),
        max_capacity: sat(100_000_000),
        // So that the first confirmation is not what this is about.
        unconfirmed_limit: sat(100_000_000),
        ..config()
    }
}

fn a_day(provider_ppm: i64, consumer_ppm: i64) {
    // Half a satoshi a second, so that a payment is due every other second: a day has 43,200 of them.
    let mut show = Show::new(1, at_rate(500), rich(12_000), provider_ppm, consumer_ppm);
    show.run(HOUR * 24);
    show.print("a day");
    show.check_no_stall();
    assert!(show.channels.len() > 3, "rolled over");
    assert!(show.sent > HOUR * 24 - seconds(60));
}

#[test]
fn a_day_at_five_percent_loss_with_a_fast_provider() {
    a_day(200, -200);
}

#[test]
fn a_day_at_five_percent_loss_with_a_slow_provider() {
    a_day(-200, 200);
}

/// Two hours with bursts, in which a lost message is sent again at ever longer intervals: 3 s keep it for 6.2 s.
fn bursts(window: Duration) -> Show {
    let config = ProviderConfig {
        window,
        ..at_rate(100_000)
    };
    let mut show = Show::new(2, config, rich(2_000_000), 200, -200);
    show.bursts = Some(seconds(180));
    show.run(HOUR * 2);
    show.print("bursts");
    assert_eq!(show.end, None);
    let longest = show.closed.iter().map(|(_, length)| *length).max();
    assert!(longest < Some(seconds(4)), "{longest:?}");
    assert!(show.sent > HOUR * 2 - seconds(60));
    show
}

#[test]
fn bursts_of_loss_stall_nobody_for_long() {
    bursts(config().window);
}

#[test]
fn a_longer_window_bridges_bursts_of_loss() {
    let show = bursts(seconds(8));
    let starved = show
        .closed
        .iter()
        .filter(|(why, _)| *why != GateState::Silent)
        .count();
    assert_eq!(starved, 0, "{:?}", show.closed);
}

#[test]
fn a_satoshi_that_lasts_for_minutes() {
    let mut show = Show::new(3, at_rate(5), rich(50_000), 200, -200);
    show.run(HOUR * 6);
    show.print("a low rate");
    show.check_no_stall();
}

#[test]
fn a_high_rate() {
    let high = ConsumerPolicy {
        max_rate: Rate::new(10_000_000),
        ..rich(8_000_000)
    };
    let mut show = Show::new(4, at_rate(10_000_000), high, -200, 200);
    show.run(HOUR / 3);
    show.print("a high rate");
    show.check_no_stall();
    assert!(show.channels.len() > 1, "rolled over");
}

#[test]
fn a_clock_three_percent_fast_is_noticed() {
    let mut show = Show::new(5, at_rate(100_000), rich(2_000_000), 30_000, 0);
    show.run(HOUR);
    show.print("3 % fast");
    let Some(ConsumerEnd::Fault(Fault::Drift { .. })) = &show.end else {
        panic!("not noticed: {:?}", show.end);
    };
    // One per cent beyond the two makes a window of 5 s in 500 s.
    assert!(
        show.sent > seconds(450) && show.sent < seconds(600),
        "{:?}",
        show.sent
    );
}

#[test]
fn a_clock_one_and_a_half_percent_fast_is_tolerated() {
    let mut show = Show::new(6, at_rate(100_000), rich(2_000_000), 15_000, 0);
    show.run(HOUR);
    show.print("1.5 % fast");
    show.check_no_stall();
}
