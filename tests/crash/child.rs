//! The process that dies: both drivers, joined in memory, on the chain of the parent.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bitcoin::{Address, Network, XOnlyPublicKey};
use gststreamiumpay::chain::ChainConfig;
use gststreamiumpay::report::Report;
use gststreamiumpay::session::consumer::ConsumerHandle;
use gststreamiumpay::session::provider::ProviderHandle;
use gststreamiumpay::store::Store;
use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use crate::common::coins::sat;
use crate::common::driver::{
    chain_at, consumer_options_at, provider_options_at, start_consumer, start_provider,
};
use crate::common::reports::{Reports, number, text};
use crate::common::wait::{PATIENCE, wait_until};
use crate::common::wire::Wire;
use crate::process::{LAUNCH, MARK};

const OPENING_SAT: u64 = 800;

/// What it does before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Act {
    /// A paid session, to its settlement.
    Session,
    /// Waits until nothing is owed on either side.
    Bury,
    /// The consumer alone, until its refund is on its way.
    Refund,
}

/// For the child, as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Script {
    pub act: Act,
    pub dir: String,
    pub electrum_url: String,
    pub payout: String,
    /// Where it is killed, and at which visit there.
    pub crash: Option<(String, u32)>,
}

#[test]
#[ignore = "started by the other tests, in a process of its own"]
fn acts() {
    let Ok(script) = std::env::var(LAUNCH) else { return };
    let script: Script = serde_json::from_str(&script).unwrap();
    if let Some((point, visit)) = &script.crash {
        dies_at(point, *visit);
    }
    script.play();
    println!("{MARK}done");
}

/// At once, as in a power cut, and both sides together.
fn dies_at(point: &str, visit: u32) {
    let left = Arc::new(AtomicU32::new(visit));
    fail::cfg_callback(point, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            kill_process(getpid(), Signal::KILL).unwrap();
            // Until the signal has arrived nothing else may happen.
            loop {
                std::thread::park();
            }
        }
    })
    .unwrap();
}

impl Script {
    fn play(&self) {
        match self.act {
            Act::Session => self.session(),
            Act::Bury => self.bury(),
            Act::Refund => self.refund(),
        }
    }

    fn chain(&self) -> ChainConfig {
        chain_at(&self.electrum_url)
    }

    fn provider(&self) -> (ProviderHandle, Reports) {
        let payout = self.payout.parse::<Address<_>>().unwrap();
        let payout = payout.require_network(Network::Regtest).unwrap();
        let dir = Path::new(&self.dir).join("p");
        let mut options = provider_options_at(self.chain(), &dir, &payout);
        if let Some(paid) = &mut options.paid {
            // A channel whose consumer does not come back is settled soon.
            paid.settle.settle_delay = Duration::from_secs(5);
            paid.settle.batch_delay = Duration::ZERO;
            paid.opening = Some(sat(OPENING_SAT));
        }
        start_provider(options)
    }

    fn consumer(&self, provider: XOnlyPublicKey) -> (ConsumerHandle, Reports) {
        let dir = Path::new(&self.dir).join("c");
        start_consumer(consumer_options_at(self.chain(), &dir, provider, 40_000))
    }

    /// Plays until some payments have been made and the channel is confirmed, and is settled.
    fn session(&self) {
        let (provider, mut provided) = self.provider();
        let (consumer, _consumed) = self.consumer(provider.public_key());
        let _wire = Wire::connect(&provider.inputs(), &consumer.inputs());
        provided.wait_for("gate", |report| text(report, "state") == "open");
        let opened = provided.wait("payment");
        let more = number(&opened, "balance-sat").max(OPENING_SAT) + 100;
        provided.wait_for("payment", |report| number(report, "balance-sat") > more);
        // One that goes on may be confirmed already.
        let is_confirmed = |report: &Report| report.name == "channel" && number(report, "confirmations") > 0;
        if !provided.seen.iter().any(is_confirmed) {
            provided.wait_for("channel", is_confirmed);
        }
        consumer.stop(PATIENCE);
        provided.wait("settling");
        provider.stop(PATIENCE);
    }

    fn bury(&self) {
        let (provider, _provided) = self.provider();
        let (consumer, _consumed) = self.consumer(provider.public_key());
        let open = |name| Store::open(&Path::new(&self.dir).join(name)).unwrap();
        let (provided, consumed) = (open("p"), open("c"));
        let is_owed =
            || !provided.unsettled().unwrap().0.is_empty() || !consumed.unspent().unwrap().0.is_empty();
        // Who started this ends it, if it takes too long.
        while is_owed() {
            std::thread::sleep(Duration::from_millis(100));
        }
        consumer.stop(PATIENCE);
        provider.stop(PATIENCE);
    }

    /// The provider's key is of no interest: nobody is there.
    fn refund(&self) {
        let key = XOnlyPublicKey::from_slice(&[2; 32]).unwrap();
        let (consumer, _consumed) = self.consumer(key);
        let store = Store::open(&Path::new(&self.dir).join("c")).unwrap();
        wait_until("a refund on record", || {
            store
                .unspent()
                .unwrap()
                .0
                .iter()
                .all(|channel| !channel.refunds.is_empty())
        });
        consumer.stop(PATIENCE);
    }
}
