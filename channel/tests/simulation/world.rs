//! Two computers, what connects them, and time.

use crate::chain::Chain;
use crate::clock::Clock;
use crate::common::sat;
use crate::conditions::Conditions;
use crate::consumer::{Consumer, MEDIA_INTERVAL};
use crate::dice::Dice;
use crate::events::{Answer, Conn, Event, Queue, Side};
use crate::judge::Judge;
use crate::link::Link;
use crate::provider::{GROUP_COMMIT, Live, Provider};
use crate::totals::Totals;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use streamium_channel::bitcoin::{OutPoint, Txid};
use streamium_channel::provider::ProviderSession;

/// A track is taken to arrive for so long after its last packet (protocol.md section 7).
pub const TRACK_INTERVAL: Duration = Duration::from_secs(1);

/// How much of what happened is told when something goes wrong.
const LAST_WORDS: usize = 60;

pub struct World {
    pub now: Duration,
    pub conditions: Conditions,
    pub dice: Dice,
    pub queue: Queue,
    pub chain: Chain,
    pub links: BTreeMap<Conn, Link>,
    pub conn: Conn,
    pub provider: Provider,
    pub consumer: Consumer,
    pub judge: Judge,
    /// Media on its way to the consumer.
    pub flows: BTreeMap<Conn, bool>,
    pub audio_lost_until: Duration,
    pub video_lost_until: Duration,
    pub audio_last: Option<Duration>,
    pub video_last: Option<Duration>,
    /// No more mishaps: it ends.
    pub ending: bool,
    pub totals: Totals,
    words: VecDeque<String>,
    talk: bool,
}

/// What may go wrong with the next effect.
pub struct Chances {
    pub provider_crash: u32,
    pub consumer_crash: u32,
}

impl World {
    pub fn new(conditions: Conditions, dice: Dice, talk: bool) -> Self {
        let rate = conditions.rate;
        let provider = Provider::new(Clock::new(conditions.provider_ppm), rate);
        let consumer = Consumer::new(Clock::new(conditions.consumer_ppm), sat(conditions.budget_sat));
        Self {
            now: Duration::ZERO,
            conditions,
            dice,
            queue: Queue::default(),
            chain: Chain::new(800_000),
            links: BTreeMap::new(),
            conn: 0,
            provider,
            consumer,
            judge: Judge::new(rate),
            flows: BTreeMap::new(),
            audio_lost_until: Duration::ZERO,
            video_lost_until: Duration::ZERO,
            audio_last: None,
            video_last: None,
            ending: false,
            totals: Totals::default(),
            words: VecDeque::new(),
            talk,
        }
    }

    pub fn run(&mut self) {
        self.totals.runs = 1;
        self.connect();
        self.first_happenings();
        let end = self.conditions.length;
        while self.now < end {
            self.step();
        }
        self.end();
        self.totals.time = self.now;
    }

    pub fn chances(&self) -> Chances {
        let on = u32::from(!self.ending);
        Chances {
            provider_crash: self.conditions.provider_crash * on,
            consumer_crash: self.conditions.consumer_crash * on,
        }
    }

    pub fn note(&mut self, words: impl FnOnce() -> String) {
        // Only on replay: words take longer than all the rest.
        if self.talk {
            let words = format!("{:?} {}", self.now, words());
            println!("{words}");
            self.words.push_back(words);
            if self.words.len() > LAST_WORDS {
                self.words.pop_front();
            }
        }
    }

    pub fn last_words(&self) -> String {
        self.words.iter().map(|words| format!("{words}\n")).collect()
    }

    /// Goes on to the next thing that happens.
    pub fn step(&mut self) {
        let wakes = [self.queue.next(), self.provider_wakes(), self.consumer_wakes()];
        let at = wakes
            .into_iter()
            .flatten()
            .min()
            .expect("there is always another block");
        self.pass(at.max(self.now));
        if self.queue.next().is_some_and(|next| next <= self.now) {
            let event = self.queue.pop().unwrap();
            self.happen(event);
        } else {
            self.tick_provider();
            self.tick_consumer();
        }
        self.judge_sessions();
        self.judge_rates();
    }

    /// Time passes, and media with it.
    fn pass(&mut self, to: Duration) {
        let span = to - self.now;
        if span > Duration::ZERO {
            self.judge_sent(span);
            let flows = self.media_flows();
            for (lost_until, last) in [
                (self.audio_lost_until, &mut self.audio_last),
                (self.video_lost_until, &mut self.video_last),
            ] {
                // A burst of loss ends some time within the span: rather a little less than a little more.
                if flows && lost_until <= self.now {
                    *last = Some(to);
                }
            }
            self.judge_arrived(self.now, to);
            self.now = to;
        }
        self.note_arrivals();
    }

    fn media_flows(&self) -> bool {
        let Some((conn, _)) = &self.consumer.live else {
            return false;
        };
        self.flows.get(conn) == Some(&true)
            && self.is_up(*conn)
            && self.provider.up
            && self.now >= self.provider.frozen_until
            && self.now >= self.consumer.frozen_until
    }

    fn note_arrivals(&mut self) {
        if self.consumer.live.is_some() && self.media_flows() {
            let now = self.consumer_now();
            if self.audio_last == Some(self.now) {
                self.consumer.arrivals.audio = Some(now);
            }
            if self.video_last == Some(self.now) {
                self.consumer.arrivals.video = Some(now);
            }
        }
    }

    fn provider_wakes(&self) -> Option<Duration> {
        if !self.provider.up {
            return None;
        }
        let shown = self.provider_now();
        let sessions = self
            .provider
            .sessions
            .values()
            .filter_map(|live| live.session.next(shown));
        let sessions = sessions.min().map(|at| self.provider.clock.when(at, self.now));
        let commit = self.provider.pending_since.map(|since| since + GROUP_COMMIT);
        let wakes = sessions.into_iter().chain(commit).min()?;
        Some(wakes.max(self.provider.frozen_until))
    }

    fn consumer_wakes(&self) -> Option<Duration> {
        let (_, session) = self.consumer.live.as_ref()?;
        let next = session.next(self.consumer_now());
        let next = next.map(|at| self.consumer.clock.when(at, self.now));
        let media = self.consumer.last_tick + MEDIA_INTERVAL;
        Some(
            next.unwrap_or(Duration::MAX)
                .min(media)
                .max(self.consumer.frozen_until),
        )
    }

    fn tick_provider(&mut self) {
        if !self.provider.up || self.now < self.provider.frozen_until {
            return;
        }
        let shown = self.provider_now();
        let due = |live: &Live| live.session.next(shown).is_some_and(|at| at <= shown);
        let due: Vec<_> = self
            .provider
            .sessions
            .iter()
            .filter(|(_, live)| due(live))
            .map(|(id, _)| *id)
            .collect();
        for conn in due {
            let life = self.provider.life;
            self.with_provider(conn, ProviderSession::tick);
            if self.provider.life != life {
                return;
            }
            let shown = self.provider_now();
            if let Some(live) = self.provider.sessions.get(&conn) {
                let next = live.session.next(shown);
                assert!(
                    next.is_none_or(|at| at > shown),
                    "the provider's driver would spin: {next:?} at {shown:?}"
                );
            }
        }
        if self
            .provider
            .pending_since
            .is_some_and(|since| self.now >= since + GROUP_COMMIT)
        {
            self.commit_accounts();
        }
    }

    fn tick_consumer(&mut self) {
        let shown = self.consumer_now();
        let Some((_, session)) = self.consumer.live.as_ref() else {
            return;
        };
        let due = session.next(shown).is_some_and(|at| at <= shown);
        if self.now < self.consumer.frozen_until
            || !due && self.now < self.consumer.last_tick + MEDIA_INTERVAL
        {
            return;
        }
        self.consumer.last_tick = self.now;
        let arrivals = self.consumer.arrivals;
        self.with_consumer(|session, now| {
            session.media(arrivals);
            session.tick(now)
        });
        if let Some((_, session)) = &self.consumer.live {
            let (shown, next) = (self.consumer_now(), session.next(self.consumer_now()));
            assert!(
                next.is_none_or(|at| at > shown),
                "the consumer's driver would spin: {next:?} at {shown:?}"
            );
        }
    }

    /// An answer to an effect: at once, late, twice, as the run has it.
    pub fn answer_later(&mut self, side: Side, conn: Conn, answer: Answer) {
        let life = match side {
            Side::Provider => self.provider.life,
            Side::Consumer => self.consumer.life,
        };
        let times = 1 + u32::from(self.dice.percent(self.conditions.twice));
        for _ in 0..times {
            let at = self.now + self.dice.up_to(self.conditions.answers);
            self.queue
                .push(at, Event::Answer(side, life, conn, answer.clone()));
        }
    }

    pub fn broadcast(&mut self, txid: Txid) {
        self.chain.commit(txid);
        self.tell_provider_of_all();
    }

    /// What the chain says of a channel now reaches the provider soon.
    pub fn tell_provider(&mut self, outpoint: OutPoint) {
        let at = self.now + self.dice.up_to(self.conditions.news);
        let status = self.chain.status(outpoint);
        self.queue.push(at, Event::News(outpoint, status));
        if self.dice.percent(self.conditions.twice) {
            let at = self.now + self.dice.up_to(self.conditions.news);
            self.queue.push(at, Event::News(outpoint, status));
        }
    }

    pub fn tell_provider_of_all(&mut self) {
        let outpoints: Vec<_> = self
            .provider
            .owner
            .keys()
            .chain(self.provider.idle.keys())
            .copied()
            .collect();
        for outpoint in outpoints {
            self.tell_provider(outpoint);
        }
    }
}
