//! A broadcast, and the consumers who must not notice.

use std::path::Path;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;
use gststreamiumpay::inner::{Signaller, make_src};
use gststreamiumpay::paysink::StreamiumPaySink;

use crate::common::frames::Frame;
use crate::common::notes::Notes;
use crate::common::paid::{PaidConsumer, pipeline};
use crate::common::taps::Taps;
use crate::common::wait::{PATIENCE, wait_for_port};
use crate::common::webrtc::{Running, free_port, own_server, producer_of};

pub const VIDEO: &str =
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=30/1 ! sink. ";

/// The largest gap in what a session is given, on the stream's own time line: three frames. A busy machine makes none.
const MAX_GAP: Duration = Duration::from_millis(100);
/// The largest gap in what a consumer sees, on the same line. An encoder that falls behind on a busy machine leaves frames
/// out; a connection that is lost and made again takes longer than this.
const MAX_SEEN_GAP: Duration = Duration::from_millis(1_500);
/// On the wall clock such a machine may be late too.
const MAX_WAIT: Duration = Duration::from_secs(5);
/// Two seconds.
const BEFORE: usize = 60;
/// Four.
pub const AFTER: usize = 120;

/// A free stream of the name that [`producer_of`] knows.
pub struct Broadcast {
    pub running: Running,
    pub sink: StreamiumPaySink,
    pub notes: Notes,
    pub taps: Taps,
}

impl Broadcast {
    /// With a signalling server of its own, and its port.
    pub fn with_server(dir: &Path) -> (Self, u16) {
        let port = free_port();
        let broadcast = Self::start(dir, port, &own_server(port));
        wait_for_port(port);
        (broadcast, port)
    }

    /// At the signalling server that is reached at `signaller`; consumers find it at `port`.
    pub fn at(dir: &Path, signaller: u16, port: u16) -> Self {
        Self::start(dir, port, &format!("signaller::uri=ws://127.0.0.1:{signaller}"))
    }

    fn start(dir: &Path, port: u16, server: &str) -> Self {
        let broadcast = Self::prepare(dir, port, server);
        broadcast.running.0.set_state(gst::State::Playing).unwrap();
        broadcast
    }

    /// Not running yet.
    pub fn prepare(dir: &Path, port: u16, server: &str) -> Self {
        let pipeline = pipeline(&format!(
            "streamiumpaysink name=sink stun-server=none stream-name=\"the test\" network=regtest \
             link-address=127.0.0.1:{port} data-dir={} {server} {VIDEO}",
            dir.display()
        ));
        let sink = pipeline.by_name("sink").unwrap().downcast().unwrap();
        let sink: StreamiumPaySink = sink;
        let notes = Notes::take(&pipeline, "provider");
        let taps = Taps::install(&sink.children()[0]);
        Self {
            running: Running(pipeline),
            sink,
            notes,
            taps,
        }
    }

    pub fn link(&self) -> String {
        self.sink.property::<Option<String>>("link").unwrap()
    }

    /// Nobody has seen anything of it, who comes now sees the stream, and nothing was an error.
    pub fn goes_on(&mut self, what: &str, mut audience: Audience) {
        audience.saw_nothing_of(what, &self.taps);
        ours(&self.link()).expect(Video, 10);
        self.notes.check();
    }

    /// Waits until the stream is listed at the server of this port under another id than `before`.
    pub fn relisted(&mut self, port: u16, before: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = producer_of(port);
            if now != before {
                return now;
            }
            assert!(Instant::now() < until, "it is listed as {before} still");
        }
    }
}

/// A consumer with our element.
pub fn ours(link: &str) -> PaidConsumer {
    PaidConsumer::start_with(link, "")
}

/// A consumer with a plain webrtcsrc, as any WebRTC player.
pub fn plain(port: u16) -> PaidConsumer {
    let source = make_src().unwrap();
    source.set_property("stun-server", None::<String>);
    let signaller = Signaller::of(&source).unwrap();
    signaller.set_uri(&format!("ws://127.0.0.1:{port}"));
    signaller.set_producer(&producer_of(port));
    let consumer = PaidConsumer::around(source);
    consumer.running.0.set_state(gst::State::Playing).unwrap();
    consumer
}

/// Of what all unconfirmed channels may have together, each gets a part.
pub const SHARED_LIMIT: &str = "unconfirmed-limit=30000";

/// Those who watch while something happens to others.
pub struct Audience {
    consumers: Vec<(PaidConsumer, Vec<Frame>)>,
}

impl Audience {
    /// Once all of them have seen two seconds.
    pub fn seated(consumers: Vec<PaidConsumer>) -> Self {
        let consumers = consumers.into_iter().map(|mut consumer| {
            // The first frames wait for the jitter buffer.
            consumer.expect(Video, 15);
            (consumer, Vec::new())
        });
        let mut audience = Self {
            consumers: consumers.collect(),
        };
        for (consumer, _) in &audience.consumers {
            consumer.drain_queued();
        }
        audience.watch(BEFORE);
        audience
    }

    /// All of them see so many more frames.
    pub fn watch(&mut self, frames: usize) {
        for _ in 0..frames {
            for (consumer, seen) in &mut self.consumers {
                seen.push(consumer.next(Video));
            }
        }
    }

    pub fn each(&mut self) -> impl Iterator<Item = &mut PaidConsumer> {
        self.consumers.iter_mut().map(|(consumer, _)| consumer)
    }

    /// Four seconds later: nobody has seen anything of it.
    pub fn saw_nothing_of(&mut self, what: &str, taps: &Taps) {
        self.saw_no_gap(what);
        let sent = largest_sent(taps);
        println!("{what}: largest gap {sent:?} of media time at the provider's gates");
        assert!(sent <= MAX_GAP, "{sent:?} never passed a gate");
    }

    /// The same of a broadcast in another process.
    pub fn saw_no_gap(&mut self, what: &str) {
        self.watch(AFTER);
        for (number, (consumer, seen)) in self.consumers.iter_mut().enumerate() {
            seen.extend(consumer.frames.try_iter().filter(|frame| frame.kind == Video));
            let gap = largest(seen, |one, next| {
                Duration::from(next.running_time.saturating_sub(one.running_time))
            });
            let wait = largest(seen, |one, next| next.at - one.at);
            println!(
                "{what}: consumer {number} saw {} frames in {:?}; largest gap {gap:?} of media time, {wait:?} of wall-clock time",
                seen.len(),
                seen.last().unwrap().at - seen[0].at,
            );
            assert!(gap <= MAX_SEEN_GAP, "consumer {number}: {gap:?} are missing");
            assert!(wait <= MAX_WAIT, "consumer {number}: nothing for {wait:?}");
            for word in ["reconnecting", "lost", "eos", "ended"] {
                assert!(!consumer.notes.said(word), "consumer {number} said \"{word}\"");
            }
            consumer.notes.check();
        }
    }
}

/// The largest gap, in media time, in what the gates have let through.
fn largest_sent(taps: &Taps) -> Duration {
    let gaps = taps.sessions().into_iter().map(|session| {
        let passed = taps.of(&session).passed;
        let times: Vec<_> = passed
            .iter()
            .map(|one| Duration::from(one.running_time))
            .collect();
        largest(&times, |one, next| next.saturating_sub(*one))
    });
    gaps.max().unwrap_or_default()
}

fn largest<T>(all: &[T], distance: impl Fn(&T, &T) -> Duration) -> Duration {
    let pairs = all.iter().zip(all.iter().skip(1));
    pairs
        .map(|(one, next)| distance(one, next))
        .max()
        .unwrap_or_default()
}
