//! A chain, a provider and a consumer; who is killed when, and what they say meanwhile.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use bitcoin::{Address, Network};
use gststreamiumpay::store::Store;
use gststreamiumpay::wallet::Wallet;

use crate::common::coins::{new_address, sat};
use crate::common::driver::{consumer, provider_options, start_provider};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{free_port, init, own_server};
use crate::process::Process;
use crate::tally::{Heard, Tally};

pub const RATE_SAT_PER_S: u64 = 100;
pub const OPENING_SAT: u64 = 800;
pub const WINDOW_MS: u64 = 3_000;
pub const GRACE_MS: u64 = 500;
pub const PAYMENT_INTERVAL_MS: u64 = 500;
const CAPACITY_SAT: u64 = 100_000;

/// Each coin is good for a few channels; more are needed while settlements wait for their blocks.
const COINS: u64 = 30;
const COIN_SAT: u64 = 1_000_000;

/// The longest that both are left alone: from the last kill, or from when the stream plays again.
const LONGEST: Duration = Duration::from_secs(6);

/// So long the next kill waits for a stream that plays again, if it does.
const SOON: Duration = Duration::from_secs(20);

/// Far more than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// A consumer that gets no media for so long is started again by the person who watches.
const BORED: Duration = Duration::from_secs(10);

pub struct World {
    regtest: Regtest,
    dir: tempfile::TempDir,
    random: fastrand::Rng,
    payout: Address,
    port: u16,
    link: String,
    provider: Option<Process>,
    consumer: Option<Process>,
    heard: Heard,
    began: Instant,
    first_block: u32,
}

impl World {
    pub fn start(seed: u64) -> Self {
        init();
        let (regtest, dir) = (Regtest::start(), tempfile::tempdir().unwrap());
        let (payout, port) = (new_address(&regtest), free_port());
        let first_block = regtest.height();
        let mut world = Self {
            regtest,
            dir,
            random: fastrand::Rng::with_seed(seed),
            payout,
            port,
            link: String::new(),
            provider: None,
            consumer: None,
            heard: Heard::default(),
            began: Instant::now(),
            first_block,
        };
        world.start_provider();
        world.give_coins();
        world.until("the link", |world| !world.link.is_empty());
        world.start_consumer();
        world
    }

    fn give_coins(&mut self) {
        let mut wallet = Wallet::open(&self.folder("c"), Network::Regtest).unwrap();
        let address = wallet.funding_address().unwrap();
        for count in 1..=COINS {
            self.regtest.fund(&address, sat(COIN_SAT));
            // Longer chains of unconfirmed transactions are not relayed.
            if count % 10 == 0 {
                self.regtest.mine(1);
            }
        }
        self.heard.funded += sat(COINS * COIN_SAT);
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn start_provider(&mut self) {
        let launch = format!(
            "streamiumpaysink name=sink stun-server=none stream-name=\"the test\" network=regtest electrum-url={} \
             data-dir={} payout-address={} rate={} opening={OPENING_SAT} window={WINDOW_MS} grace={GRACE_MS} \
             unconfirmed-limit=1000000 unconfirmed-total=100000000 {} link-address=127.0.0.1:{} \
             audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! sink.",
            self.regtest.electrum_url(),
            self.folder("p").display(),
            self.payout,
            RATE_SAT_PER_S * 1_000,
            own_server(self.port),
            self.port,
        );
        self.provider = Some(Process::start("provider", &launch, &self.folder("log")));
    }

    fn start_consumer(&mut self) {
        let launch = format!(
            "streamiumpaysrc uri=\"{}\" stun-server=none slate=false network=regtest electrum-url={} data-dir={} \
             capacity={CAPACITY_SAT} budget={CAPACITY_SAT} max-rate=1000000 payment-interval={PAYMENT_INTERVAL_MS} refund-delay=144",
            self.link,
            self.regtest.electrum_url(),
            self.folder("c").display(),
        );
        self.consumer = Some(Process::start("consumer", &launch, &self.folder("log")));
    }

    /// Leaves both alone for a while, then kills one of them, and starts it again. Every other kill comes while the stream
    /// plays, the others whenever they come.
    pub fn kill_one(&mut self) {
        if self.random.bool() {
            let (until, last) = (Instant::now() + SOON, Instant::now());
            while Instant::now() < until && !(self.heard.is_playing() && self.heard.quiet_since > last) {
                self.step();
            }
        }
        let until = Instant::now() + LONGEST.mul_f64(self.random.f64());
        while Instant::now() < until {
            self.step();
        }
        if self.random.bool() {
            let rest = self.provider.take().map(Process::kill).unwrap_or_default();
            rest.iter().for_each(|line| self.hear_provider(line));
            self.heard.provider_killed();
            self.start_provider();
        } else {
            let rest = self.consumer.take().map(Process::kill).unwrap_or_default();
            rest.iter().for_each(|line| self.hear_consumer(line));
            self.heard.consumer_killed();
            self.start_consumer();
        }
        if self.random.u8(..3) == 0 {
            self.regtest.mine(1);
        }
    }

    /// Takes what they say, and starts a consumer again that has ended by itself or gets nothing.
    fn step(&mut self) {
        let said = self.provider.as_ref().map(Process::said).unwrap_or_default();
        said.iter().for_each(|line| self.hear_provider(line));
        let said = self.consumer.as_ref().map(Process::said).unwrap_or_default();
        said.iter().for_each(|line| self.hear_consumer(line));
        let provider_ended = self.provider.as_mut().is_some_and(Process::has_ended);
        assert!(!provider_ended, "the provider ended by itself: {}", self.log());
        let over = self.consumer.as_mut().is_some_and(Process::has_ended);
        if over || self.heard.quiet_since.elapsed() > BORED {
            self.stop_consumer();
            self.heard.restarts += 1;
            self.start_consumer();
        }
        std::thread::sleep(Duration::from_millis(20));
    }

    fn stop_consumer(&mut self) {
        let rest = self.consumer.take().map(Process::stop).unwrap_or_default();
        rest.iter().for_each(|line| self.hear_consumer(line));
        self.heard.consumer_gone();
    }

    fn hear_provider(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("link", link)) => self.link = link.to_owned(),
            Some(("note", note)) => self.heard.provider_note(note),
            _ => (),
        }
    }

    fn hear_consumer(&mut self, line: &str) {
        match line.split_once(' ') {
            Some(("arrived", total)) => self.heard.arrived(total.parse().unwrap()),
            Some(("note", note)) => {
                if let Some((address, missing)) = self.heard.consumer_note(note) {
                    let address = address.parse::<Address<_>>().unwrap();
                    let address = address.require_network(Network::Regtest).unwrap();
                    self.regtest.fund(&address, missing);
                    self.heard.funded += missing;
                }
            }
            _ => (),
        }
    }

    /// How far it is.
    pub fn say(&self) {
        println!("{:4} s  {}", self.began.elapsed().as_secs(), self.heard);
    }

    /// Both go on undisturbed once more, and end as people end them.
    pub fn play_once_more(&mut self) {
        self.heard.payments = 0;
        self.until("a stream that plays again", |world| world.heard.payments >= 3);
        self.stop_consumer();
        let rest = self.provider.take().map(Process::stop).unwrap_or_default();
        rest.iter().for_each(|line| self.hear_provider(line));
    }

    /// Lets blocks pass until nothing is owed any more on either side, and counts.
    pub fn bury(self) -> Tally {
        let (provider_dir, consumer_dir) = (self.folder("p"), self.folder("c"));
        let mut options = provider_options(&self.regtest, &provider_dir, &self.payout);
        if let Some(paid) = &mut options.paid {
            paid.settle.settle_delay = Duration::ZERO;
            paid.settle.batch_delay = Duration::ZERO;
        }
        let (provider, _provided) = start_provider(options);
        let (consumer, _consumed) =
            consumer(&self.regtest, &consumer_dir, provider.public_key(), CAPACITY_SAT);
        let (provided, consumed) = (
            Store::open(&provider_dir).unwrap(),
            Store::open(&consumer_dir).unwrap(),
        );
        let owed = || {
            (
                provided.unsettled().unwrap().0.len(),
                consumed.unspent().unwrap().0.len(),
            )
        };
        let end = Instant::now() + PATIENCE * 2;
        // At first one by one, as settlements are made and buried; then the refund delay is waited for.
        for round in 0_u32.. {
            let before = owed();
            if before == (0, 0) {
                break;
            }
            assert!(
                Instant::now() < end,
                "still owed (provider's channels, consumer's): {before:?}"
            );
            self.regtest.mine(if round < 12 { 1 } else { 20 });
            let moment = Instant::now() + Duration::from_millis(1_500);
            while owed() == before && Instant::now() < moment {
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        provider.stop(PATIENCE);
        let tally = Tally::new(
            &self.heard,
            &self.regtest,
            &self.payout,
            self.first_block,
            &provider_dir,
            &consumer_dir,
        );
        // The wallet may be a sync behind.
        self.regtest.mine(1);
        consumer.stop(PATIENCE);
        let balance = Wallet::open(&consumer_dir, Network::Regtest).unwrap().balance();
        tally.with_wallet(balance.confirmed + balance.unconfirmed + balance.waiting + balance.reserved)
    }

    fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "waited in vain for {what}: {}", self.log());
            self.step();
        }
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.folder("log")).unwrap_or_default();
        let tail: Vec<&str> = log.lines().rev().take(30).collect();
        tail.into_iter().rev().collect::<Vec<_>>().join("\n")
    }
}
