//! Providers and consumers of paid streams: both elements over real WebRTC, on the test chain.
#![allow(dead_code)]

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bitcoin::{Address, Network, OutPoint};
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind;
use gststreamiumpay::paysink::StreamiumPaySink;
use gststreamiumpay::wallet::Wallet;

use super::coins::{new_address, sat, wait_for_mempool};
use super::frames::{Frame, play};
use super::notes::{Note, Notes};
use super::regtest::Regtest;
use super::taps::Taps;
use super::wait::{PATIENCE, wait_for_port};
use super::webrtc::{Running, free_port, own_server};

/// The rate of the tests' streams: fast enough that a test sees money run out.
pub const RATE_SAT_PER_S: u64 = 200;
pub const CAPACITY_SAT: u64 = 40_000;

pub fn pipeline(launch: &str) -> gst::Pipeline {
    gst::parse::launch(launch).unwrap().downcast().unwrap()
}

/// Where a provider listens.
pub enum At {
    /// At a signalling server of its own.
    Own,
    /// At the one of this port.
    Port(u16),
}

/// A provider of a paid stream.
pub struct PaidProvider {
    pub running: Running,
    pub sink: StreamiumPaySink,
    pub notes: Notes,
    pub taps: Taps,
    pub port: u16,
    pub payout: Address,
}

impl PaidProvider {
    /// On the shared chain, with its own signalling server; `settings` override what is usual here.
    pub fn start(dir: &Path, sources: &str, settings: &str) -> Self {
        Self::at(At::Own, dir, sources, settings)
    }

    pub fn at(at: At, dir: &Path, sources: &str, settings: &str) -> Self {
        let regtest = Regtest::shared();
        let payout = new_address(regtest);
        let (port, server) = match at {
            At::Port(port) => (port, format!("signaller::uri=ws://127.0.0.1:{port}")),
            At::Own => {
                let port = free_port();
                (port, own_server(port))
            }
        };
        let pipeline = pipeline(&described(
            dir,
            port,
            &payout,
            &format!("{server} {settings}"),
            sources,
        ));
        let sink = pipeline.by_name("sink").unwrap().downcast::<StreamiumPaySink>();
        let sink = sink.unwrap();
        let notes = Notes::take(&pipeline, "provider");
        let taps = Taps::install(&sink.children()[0]);
        pipeline.set_state(gst::State::Playing).unwrap();
        wait_for_port(port);
        Self {
            running: Running(pipeline),
            sink,
            notes,
            taps,
            port,
            payout,
        }
    }

    pub fn link(&self) -> String {
        self.sink.property::<Option<String>>("link").unwrap()
    }

    /// The best payment that it has said it holds.
    pub fn balance(&mut self) -> u64 {
        self.notes.last("payment").number("balance-sat")
    }

    /// Mines a block once the commitment is in the mempool, and waits until that has been noticed.
    pub fn confirm(&mut self) -> OutPoint {
        let regtest = Regtest::shared();
        let channel = self.notes.last("channel");
        let outpoint: OutPoint = channel.text("outpoint").parse().unwrap();
        wait_for_mempool(regtest, outpoint.txid);
        regtest.mine(1);
        self.notes
            .wait_for("channel", |note| note.number("confirmations") > 0);
        outpoint
    }

    /// Stops it: what can be settled is by then.
    pub fn stop(&self) {
        self.running.0.set_state(gst::State::Null).unwrap();
    }

    /// Once more, after [`PaidProvider::stop`].
    pub fn play_again(&self) {
        self.running.0.set_state(gst::State::Playing).unwrap();
        wait_for_port(self.port);
    }
}

/// The pipeline of a provider with its own signalling server, for a process of its own.
pub fn paid_provider(dir: &Path, port: u16, payout: &Address, settings: &str, sources: &str) -> String {
    described(
        dir,
        port,
        payout,
        &format!("{} {settings}", own_server(port)),
        sources,
    )
}

/// The pipeline of a viewer, for a process of its own; the source is called `pay`.
pub fn paid_viewer(link: &str, dir: &Path) -> String {
    format!(
        "streamiumpaysrc name=pay uri=\"{link}\" stun-server=none network=regtest {} ! queue ! videoconvert \
         ! fakesink sync=false",
        payer_settings(dir)
    )
}

/// What a source needs to pay these rates.
pub fn payer_settings(dir: &Path) -> String {
    let electrum = Regtest::shared().electrum_url();
    let dir = dir.display();
    format!(
        "data-dir={dir} electrum-url={electrum} capacity={CAPACITY_SAT} max-rate=1000000 payment-interval=500"
    )
}

fn described(dir: &Path, port: u16, payout: &Address, settings: &str, sources: &str) -> String {
    format!(
        "streamiumpaysink name=sink stun-server=none stream-name=\"the test\" link-address=127.0.0.1:{port} \
         network=regtest electrum-url={} data-dir={} payout-address={payout} rate={} opening=800 window=3000 \
         unconfirmed-limit=100000 unconfirmed-total=100000 {settings} {sources}",
        Regtest::shared().electrum_url(),
        dir.display(),
        RATE_SAT_PER_S * 1_000,
    )
}

/// A paying consumer: streamiumpaysrc, decoded to fakesinks.
pub struct PaidConsumer {
    pub running: Running,
    pub source: gst::Element,
    pub notes: Notes,
    pub frames: Receiver<Frame>,
}

impl PaidConsumer {
    /// With an Electrum server and all that these rates need.
    pub fn start(link: &str, dir: &Path, settings: &str) -> Self {
        let consumer = Self::prepare_paid(link, dir, settings);
        consumer.play();
        consumer
    }

    /// The same, of somebody whose wallet has money already.
    pub fn funded(link: &str, dir: &Path, settings: &str) -> Self {
        prefund(dir);
        Self::start(link, dir, settings)
    }

    /// One with all that these rates need, not playing yet.
    pub fn prepare_paid(link: &str, dir: &Path, settings: &str) -> Self {
        Self::prepare(link, &format!("{} {settings}", payer_settings(dir)))
    }

    /// With these settings alone.
    pub fn start_with(link: &str, settings: &str) -> Self {
        let consumer = Self::prepare(link, settings);
        consumer.play();
        consumer
    }

    pub fn play(&self) {
        self.running.0.set_state(gst::State::Playing).unwrap();
    }

    /// Not running yet.
    pub fn prepare(link: &str, settings: &str) -> Self {
        // What is counted and timed here is paid media; tests/slate.rs is about the slate.
        let launch =
            format!("streamiumpaysrc uri=\"{link}\" stun-server=none network=regtest slate=false {settings}");
        Self::around(gst::parse::launch(&launch).unwrap())
    }

    /// Any source with pads like ours; not started.
    pub fn around(source: gst::Element) -> Self {
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source).unwrap();
        let (sender, frames) = channel();
        let sender = Mutex::new(sender);
        let weak = pipeline.downgrade();
        source.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let sender = Mutex::new(sender.lock().unwrap().clone());
            play(&pipeline, pad, move |frame| {
                let _ = sender.lock().unwrap().send(frame);
            });
        });
        Self {
            notes: Notes::take(&pipeline, "consumer"),
            running: Running(pipeline),
            source,
            frames,
        }
    }

    /// The next decoded buffer of this kind.
    pub fn next(&mut self, kind: TrackKind) -> Frame {
        let until = Instant::now() + PATIENCE;
        loop {
            let frame = self.any();
            if frame.kind == kind {
                return frame;
            }
            if Instant::now() > until {
                self.notes.give_up(&format!("no {kind:?}"));
            }
        }
    }

    /// The next decoded buffer.
    pub fn any(&mut self) -> Frame {
        match self.frames.recv_timeout(PATIENCE) {
            Ok(frame) => frame,
            Err(_) => {
                self.notes.all();
                self.notes.give_up("no media")
            }
        }
    }

    /// Forgets the buffers that have come up to now.
    pub fn drain_queued(&self) {
        while self.frames.try_recv().is_ok() {}
    }

    /// Waits for so many of this kind.
    pub fn expect(&mut self, kind: TrackKind, count: usize) {
        for _ in 0..count {
            self.next(kind);
        }
    }

    /// Forgets the frames that have come, and waits until none comes for `quiet`.
    pub fn drain(&self, quiet: Duration) -> Option<Frame> {
        let started = Instant::now();
        let mut last = None;
        while let Ok(frame) = self.frames.recv_timeout(quiet) {
            last = Some(frame);
            assert!(started.elapsed() < PATIENCE, "it never became quiet");
        }
        last
    }

    /// Pays what it asks for, as a person would.
    pub fn fund(&mut self) -> Note {
        let asked = self.notes.wait("funding-required");
        let address = asked.text("address").parse::<Address<_>>().unwrap();
        let address = address.require_network(Network::Regtest).unwrap();
        Regtest::shared().fund(&address, sat(asked.number("amount-sat")));
        asked
    }

    /// Leaves, as a person who closes the player.
    pub fn stop(&self) {
        self.running.0.set_state(gst::State::Null).unwrap();
    }
}

/// What we add to an element's statistics.
pub fn stats(element: &impl IsA<gst::Element>) -> gst::Structure {
    let all = element.as_ref().property::<gst::Structure>("stats");
    all.get("streamium-pay").unwrap()
}

/// Gives a consumer's wallet confirmed money before it starts: twice the tests' capacity.
pub fn prefund(dir: &Path) {
    let regtest = Regtest::shared();
    let address = Wallet::open(dir, Network::Regtest)
        .unwrap()
        .funding_address()
        .unwrap();
    regtest.fund(&address, sat(2 * CAPACITY_SAT));
    regtest.mine(1);
}
