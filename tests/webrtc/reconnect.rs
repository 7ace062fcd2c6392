//! A free stream whose connection is lost: the source comes back, on the same pads and the same time line.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};
use rustix::process::Signal;
use streamium_channel::liveness::{GONE_AFTER, SILENT_AFTER};

use crate::common::child::Launched;
use crate::common::frames::Frame;
use crate::common::paid::PaidConsumer;
use crate::common::wait::wait_for_port;
use crate::common::webrtc::{RAW_AUDIO, RAW_VIDEO, free_port, own_server, run};

/// What detection may take beyond the time after which a peer counts as gone.
const SLACK: Duration = Duration::from_secs(10);

/// A provider of a free stream in a process of its own.
fn provider(dir: &Path, server: &str) -> Launched {
    let pipeline = format!(
        "streamiumpaysink name=sink stun-server=none stream-name=test network=regtest link-address=127.0.0.1 \
         data-dir={} {server} {RAW_VIDEO}{RAW_AUDIO}",
        dir.display()
    );
    Launched::start(&["-e"], &pipeline)
}

/// A viewer who has seen some of it, and the last picture.
fn viewer(link: &str) -> (PaidConsumer, Frame) {
    let mut consumer = PaidConsumer::start_with(link, "");
    consumer.expect(Audio, 10);
    consumer.expect(Video, 10);
    let last = consumer.next(Video);
    (consumer, last)
}

/// The last picture that has come: now that the connection is lost, none comes any more.
fn last_of(consumer: &PaidConsumer, before: Frame) -> Frame {
    let videos = consumer.frames.try_iter().filter(|frame| frame.kind == Video);
    videos.last().unwrap_or(before)
}

/// Waits until media is there again, and checks that downstream saw one live stream with a gap in it.
fn goes_on(consumer: &mut PaidConsumer, last: Frame, since: Instant, what: &str) {
    let first = consumer.next(Video);
    println!(
        "{what}: {:?} from {what} to the first frame; the gap is {:?}",
        first.at.saturating_duration_since(since),
        first.at - last.at
    );
    let mut before = last;
    for frame in std::iter::once(first).chain((0..20).map(|_| consumer.next(Video)).collect::<Vec<_>>()) {
        assert!(
            frame.running_time > before.running_time,
            "{:?} after {:?}",
            frame.running_time,
            before.running_time
        );
        before = frame;
    }
    // On the pipeline's clock, not on one that began anew.
    let gap = Duration::from(first.running_time.saturating_sub(last.running_time));
    let real = first.at - last.at;
    assert!(
        gap.abs_diff(real) < Duration::from_secs(3),
        "{gap:?} of running time in {real:?}"
    );
    consumer.expect(Audio, 10);
    assert_eq!(consumer.source.src_pads().len(), 2, "the same two pads");
    assert!(!consumer.notes.said("eos"));
    consumer.notes.check();
}

#[test]
fn a_frozen_provider_is_noticed_and_comes_back() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut provider = provider(dir.path(), &own_server(port));
        let (mut consumer, last) = viewer(&provider.link());
        let frozen = Instant::now();
        provider.signal(Signal::STOP);
        let lost = consumer.notes.wait("reconnecting");
        println!("frozen: noticed after {:?}", lost.at - frozen);
        assert!(lost.at - frozen < GONE_AFTER + SLACK);
        let last = last_of(&consumer, last);
        assert_eq!(consumer.source.property::<String>("state"), "reconnecting");
        provider.signal(Signal::CONT);
        let thawed = Instant::now();
        goes_on(&mut consumer, last, thawed, "the thaw");
        assert!(consumer.notes.said("reconnected"));
        assert_eq!(consumer.source.property::<String>("state"), "playing");
    });
}

#[test]
fn a_killed_and_restarted_provider_is_found_again() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut first = provider(dir.path(), &own_server(port));
        let (mut consumer, last) = viewer(&first.link());
        let killed = Instant::now();
        first.kill();
        let lost = consumer.notes.wait("reconnecting");
        println!("killed: noticed after {:?}", lost.at - killed);
        assert!(lost.at - killed < SILENT_AFTER + SLACK);
        let last = last_of(&consumer, last);
        let _second = provider(dir.path(), &own_server(port));
        wait_for_port(port);
        let listening = Instant::now();
        goes_on(&mut consumer, last, listening, "the restart");
    });
}

#[test]
fn a_session_goes_on_while_the_signalling_server_restarts() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut server = provider(&dirs.path().join("s"), &own_server(port));
        server.link();
        wait_for_port(port);
        let own_name = format!("stream-name=other signaller::uri=ws://127.0.0.1:{port}");
        let mut broadcast = provider(&dirs.path().join("p"), &own_name);
        let link = broadcast.link();
        let (mut consumer, last) = viewer(&link);
        server.kill();
        consumer.drain_queued();
        consumer.expect(Video, 45);
        consumer.expect(Audio, 45);
        assert!(
            !consumer.notes.said("reconnecting"),
            "the server is not needed while it plays"
        );
        let _again = provider(&dirs.path().join("s"), &own_server(port));
        wait_for_port(port);
        // The provider is at the new server again: who comes now finds it.
        let (mut second, _) = viewer(&link);
        // And so does who was there before, if its connection is lost.
        broadcast.signal(Signal::STOP);
        consumer.notes.wait("reconnecting");
        let last = last_of(&consumer, last);
        broadcast.signal(Signal::CONT);
        goes_on(&mut consumer, last, Instant::now(), "the thaw");
        second.expect(Video, 5);
        second.notes.check();
    });
}

/// What came last waits in the paused player's sinks, and with it, were it not let go, all that stops the session.
#[test]
fn a_paused_player_finds_a_restarted_provider_when_it_plays() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut first = provider(dir.path(), &own_server(port));
        let (mut consumer, last) = viewer(&first.link());
        consumer.running.0.set_state(gst::State::Paused).unwrap();
        first.kill();
        let _second = provider(dir.path(), &own_server(port));
        wait_for_port(port);
        // Nothing is to be seen of it, so there is no event to wait for.
        consumer.notes.expect_none("eos", Duration::from_secs(2));
        let last = last_of(&consumer, last);
        consumer.running.0.set_state(gst::State::Playing).unwrap();
        let playing = Instant::now();
        consumer.notes.wait("reconnected");
        consumer.drain_queued();
        let first = consumer.next(Video);
        println!("{:?} from the play to a live frame", first.at - playing);
        assert!(first.running_time > last.running_time);
        assert!(!consumer.notes.said("eos"));
        consumer.notes.check();
    });
}

#[test]
fn a_provider_that_says_that_it_is_over_is_believed() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut provider = provider(dir.path(), &own_server(free_port()));
        let (mut consumer, _) = viewer(&provider.link());
        let told = Instant::now();
        provider.signal(Signal::INT);
        let eos = consumer.notes.wait("eos");
        println!("EOS {:?} after Ctrl-C at the provider", eos.at - told);
        assert!(!consumer.notes.said("reconnecting"));
        assert!(provider.wait().success());
    });
}

#[test]
fn a_provider_that_stays_away_is_the_end_of_the_stream() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut provider = provider(dir.path(), &own_server(free_port()));
        let mut consumer = PaidConsumer::start_with(&provider.link(), "reconnect-timeout=3000");
        consumer.expect(Video, 5);
        consumer.expect(Audio, 5);
        provider.kill();
        let lost = consumer.notes.wait("reconnecting");
        let warning = consumer.notes.wait("warning");
        let eos = consumer.notes.wait("eos");
        println!("{}", warning.words);
        assert!(warning.words.contains("reconnect-timeout"));
        let tried = eos.at - lost.at;
        assert!((2_900..6_000).contains(&tried.as_millis()), "{tried:?}");
    });
}

/// A network of its own for a provider, joined to ours by a pair of virtual cards.
struct Network {
    namespace: String,
    card: String,
}

const OURS: &str = "198.18.77.1";
const THEIRS: &str = "198.18.77.2";

impl Network {
    /// `None`, with the reason printed, where this user may not make one.
    fn new() -> Option<Self> {
        let id = std::process::id();
        let network = Self {
            namespace: format!("streamium-{id}"),
            card: format!("strm{id}"),
        };
        let (namespace, card) = (&network.namespace, &network.card);
        let made = [
            format!("netns add {namespace}"),
            format!("link add {card} type veth peer name eth0 netns {namespace}"),
            format!("addr add {OURS}/30 dev {card}"),
            // Without IPv6, which would find a way of its own.
            format!("link set {card} addrgenmode none"),
            format!("-n {namespace} link set eth0 addrgenmode none"),
            format!("link set {card} up"),
            format!("-n {namespace} addr add {THEIRS}/30 dev eth0"),
            format!("-n {namespace} link set lo up"),
            format!("-n {namespace} link set eth0 up"),
        ];
        let failed = made.iter().find_map(|words| ip(words).err());
        if let Some(reason) = failed {
            println!("skipped: {reason}");
            return None;
        }
        Some(network)
    }

    /// The provider's card is unplugged.
    fn cut(&self) {
        ip(&format!("-n {} link set eth0 down", self.namespace)).unwrap();
    }

    fn mend(&self) {
        ip(&format!("-n {} link set eth0 up", self.namespace)).unwrap();
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = ip(&format!("link del {}", self.card));
        let _ = ip(&format!("netns del {}", self.namespace));
    }
}

fn ip(words: &str) -> Result<(), String> {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.map_err(|error| format!("ip: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "ip {words}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

#[test]
fn a_cut_network_is_noticed_and_the_stream_comes_back() {
    run(|| {
        let Some(network) = Network::new() else { return };
        let dir = tempfile::tempdir().unwrap();
        let pipeline = format!(
            "streamiumpaysink name=sink stun-server=none stream-name=test network=regtest link-address={THEIRS} \
             data-dir={} run-signalling-server=true {RAW_VIDEO}{RAW_AUDIO}",
            dir.path().display()
        );
        let inside = ["ip", "netns", "exec", &network.namespace];
        let mut provider = Launched::prefixed(&inside, &["-e"], &pipeline);
        let (mut consumer, last) = viewer(&provider.link());
        let cut = Instant::now();
        network.cut();
        let lost = consumer.notes.wait("reconnecting");
        println!("cut: noticed after {:?}", lost.at - cut);
        assert!(lost.at - cut < GONE_AFTER + SLACK);
        let last = last_of(&consumer, last);
        network.mend();
        goes_on(&mut consumer, last, Instant::now(), "the mending");
    });
}
