//! The signalling server's faults.

use std::path::Path;
use std::time::Instant;

use gststreamiumpay::gate::TrackKind::Video;

use crate::audience::{AFTER, Audience, Broadcast, ours};
use crate::common::child::{Launched, wait_for_port};
use crate::common::webrtc::{free_port, producer_of, run};
use crate::network::Cable;

/// A signalling server in a process of its own: that of another stream.
fn server(dir: &Path, port: u16) -> Launched {
    let server = Launched::start(
        &["-e"],
        &format!(
            "streamiumpaysink name=sink stun-server=none stream-name=other network=regtest data-dir={} \
             run-signalling-server=true signalling-server-host=127.0.0.1 signalling-server-port={port} \
             videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=1/1 ! sink.",
            dir.join("server").display()
        ),
    );
    wait_for_port(port);
    server
}

#[test]
fn a_closed_signalling_socket_is_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let _server = server(dir.path(), port);
        let cable = Cable::to(port);
        let mut broadcast = Broadcast::at(&dir.path().join("p"), cable.port, port);
        let before = producer_of(port);
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), ours(&broadcast.link())]);
        let cut = Instant::now();
        cable.cut();
        broadcast.notes.wait("warning");
        broadcast.relisted(port, &before);
        println!("listed again {:?} after the socket was closed", cut.elapsed());
        audience.saw_nothing_of("a closed signalling socket", &broadcast);
        ours(&broadcast.link()).expect(Video, 10);
        broadcast.notes.check();
    });
}

#[test]
fn a_frozen_signalling_socket_is_noticed_and_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let _server = server(dir.path(), port);
        let cable = Cable::to(port);
        let mut broadcast = Broadcast::at(&dir.path().join("p"), cable.port, port);
        producer_of(port);
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), ours(&broadcast.link())]);
        let frozen = Instant::now();
        cable.freeze();
        while !broadcast.notes.said("warning") {
            audience.watch(1);
        }
        println!("noticed {:?} after the socket froze", frozen.elapsed());
        cable.replace();
        broadcast
            .notes
            .wait_for("signalling", |note| note.flag("reachable"));
        audience.saw_nothing_of("a frozen signalling socket", &broadcast);
        ours(&broadcast.link()).expect(Video, 10);
        broadcast.notes.check();
    });
}

#[test]
fn a_restarted_signalling_server_is_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut first = server(dir.path(), port);
        let mut broadcast = Broadcast::at(&dir.path().join("p"), port, port);
        producer_of(port);
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), ours(&broadcast.link())]);
        first.kill();
        broadcast.notes.wait("warning");
        audience.watch(AFTER);
        let _second = server(dir.path(), port);
        let back = Instant::now();
        producer_of(port);
        println!("listed again {:?} after the server was back", back.elapsed());
        audience.saw_nothing_of("a restarted signalling server", &broadcast);
        ours(&broadcast.link()).expect(Video, 10);
        broadcast.notes.check();
    });
}
