//! Consumers that go without a word.

use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;
use gststreamiumpay::paysink::StreamiumPaySink;
use rustix::process::Signal;

use crate::audience::{Audience, Broadcast, SHARED_LIMIT, VIDEO, ours, plain};
use crate::common::child::Launched;
use crate::common::paid::{PaidConsumer, PaidProvider, payer_settings, prefund};
use crate::common::taps::Taps;
use crate::common::wait::PATIENCE;
use crate::common::webrtc::run;
use crate::signalling::behind_a_cable;

/// A consumer in a process of its own, that plays.
fn child(link: &str, settings: &str) -> Launched {
    Launched::start(
        &["-v"],
        &format!(
            "streamiumpaysrc uri=\"{link}\" stun-server=none slate=false network=regtest {settings} ! fakesink silent=false \
             sync=false"
        ),
    )
}

/// The sessions that webrtcsink drops, as it says so.
fn dropped(sink: &StreamiumPaySink) -> Receiver<String> {
    let (sender, sessions) = channel();
    let sender = Mutex::new(sender);
    sink.children()[0].connect("consumer-removed", false, move |values| {
        let name = values[2].get::<gst::Element>().unwrap().name();
        let session = name.trim_start_matches("webrtcbin-").to_owned();
        let _ = sender.lock().unwrap().send(session);
        None
    });
    sessions
}

/// Somebody who came last, and will go.
struct Leaver<'a> {
    session: String,
    dropped: &'a Receiver<String>,
}

impl<'a> Leaver<'a> {
    /// The session that is not one of these.
    fn find(taps: &Taps, before: &[String], dropped: &'a Receiver<String>) -> Self {
        let mut sessions = taps.sessions().into_iter();
        let session = sessions.find(|session| !before.contains(session)).unwrap();
        Self { session, dropped }
    }

    /// The provider lets it go, while the others watch.
    fn is_let_go(&self, what: &str, audience: &mut Audience) {
        let since = Instant::now();
        while !self.dropped.try_iter().any(|session| session == self.session) {
            audience.watch(1);
            assert!(since.elapsed() < 2 * PATIENCE, "{what} is never let go");
        }
        println!("{what}: let go after {:?}", since.elapsed());
    }
}

#[test]
fn a_frozen_and_a_killed_consumer_are_seen_by_no_other() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        let dropped = dropped(&broadcast.sink);
        let mut before = broadcast.taps.sessions();
        let mut killed = child(&broadcast.link(), "");
        killed.wait_for("chain  ");
        let leaver = Leaver::find(&broadcast.taps, &before, &dropped);
        killed.kill();
        leaver.is_let_go("a killed consumer", &mut audience);

        before.push(leaver.session);
        let mut frozen = child(&broadcast.link(), "");
        frozen.wait_for("chain  ");
        let leaver = Leaver::find(&broadcast.taps, &before, &dropped);
        frozen.signal(Signal::STOP);
        leaver.is_let_go("a frozen consumer", &mut audience);
        broadcast.goes_on("a frozen and a killed consumer", audience);
    });
}

fn paid_child(provider: &PaidProvider, dir: &Path) -> Launched {
    prefund(dir);
    child(&provider.link(), &payer_settings(dir))
}

#[test]
fn a_paying_consumer_that_freezes_is_seen_by_no_other() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), VIDEO, SHARED_LIMIT);
        let link = provider.link();
        let consumers = ["a", "b"].map(|name| PaidConsumer::funded(&link, &dirs.path().join(name), ""));
        let mut audience = Audience::seated(consumers.into());
        let dropped = dropped(&provider.sink);
        let before = provider.taps.sessions();
        let mut frozen = paid_child(&provider, &dirs.path().join("c"));
        frozen.wait_for("chain  ");
        let leaver = Leaver::find(&provider.taps, &before, &dropped);
        let since = Instant::now();
        frozen.signal(Signal::STOP);
        let silent = provider.notes.gate("silent");
        println!("its media stopped after {:?}", silent.at - since);
        assert_eq!(silent.text("session"), leaver.session);
        leaver.is_let_go("a frozen paying consumer", &mut audience);
        let over = provider
            .notes
            .wait_for("ended", |note| note.text("session") == leaver.session);
        println!("{}", over.text("reason"));
        audience.saw_nothing_of("a frozen paying consumer", &provider.taps);
        provider.notes.check();
    });
}

/// After the signalling server's word that the session is over, which the provider does not hear.
#[test]
fn a_player_that_leaves_unheard_is_let_go() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (_server, port, cable, mut broadcast) = behind_a_cable(dir.path());
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), ours(&broadcast.link())]);
        let dropped = dropped(&broadcast.sink);
        let before = broadcast.taps.sessions();
        let mut leaving = plain(port);
        leaving.expect(Video, 10);
        let leaver = Leaver::find(&broadcast.taps, &before, &dropped);
        cable.cut();
        leaver.is_let_go("a player that left unheard", &mut audience);
        broadcast.goes_on("a player that left unheard", audience);
    });
}
