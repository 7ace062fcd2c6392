//! The signalling server's faults.

use std::net::TcpListener;
use std::path::Path;
use std::time::Instant;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_async};
use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use gst::prelude::*;
use gststreamiumpay::inner::Signaller;
use serde_json::{Value, json};

use crate::audience::{AFTER, Audience, Broadcast, ours, plain};
use crate::common::child::{Launched, broadcaster};
use crate::common::network::Cable;
use crate::common::wait::wait_for_port;
use crate::common::webrtc::{free_port, own_server, producer_of, run};

/// A signalling server in a process of its own: that of another stream.
pub fn server(dir: &Path, port: u16) -> Launched {
    let video = "videotestsrc is-live=true ! video/x-raw,width=16,height=16,framerate=1/1 ! sink.";
    let mut server = broadcaster(&[], "other", &dir.join("server"), port, video);
    server.link();
    wait_for_port(port);
    server
}

/// A broadcast that reaches such a server, whose port is told, by a cable.
pub fn behind_a_cable(dir: &Path) -> (Launched, u16, Cable, Broadcast) {
    let port = free_port();
    let server = server(dir, port);
    let cable = Cable::to(port);
    let broadcast = Broadcast::at(&dir.join("p"), cable.port, port);
    (server, port, cable, broadcast)
}

#[test]
fn a_closed_signalling_socket_is_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (_server, port, cable, mut broadcast) = behind_a_cable(dir.path());
        let before = producer_of(port);
        let audience = Audience::seated(vec![ours(&broadcast.link()), ours(&broadcast.link())]);
        let cut = Instant::now();
        cable.cut();
        broadcast.notes.wait("warning");
        broadcast.relisted(port, &before);
        println!("listed again {:?} after the socket was closed", cut.elapsed());
        broadcast.goes_on("a closed signalling socket", audience);
    });
}

#[test]
fn a_frozen_signalling_socket_is_noticed_and_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (_server, port, cable, mut broadcast) = behind_a_cable(dir.path());
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
        broadcast.goes_on("a frozen signalling socket", audience);
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
        broadcast.goes_on("a restarted signalling server", audience);
    });
}

/// Whatever it stopped over.
#[test]
fn a_signaller_that_stops_is_started_again_and_seen_by_nobody() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let before = producer_of(port);
        let audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        let signaller = Signaller::of(&broadcast.sink.children()[0]).unwrap();
        signaller.stop();
        broadcast.goes_on("a stopped signaller", audience);
        assert_eq!(producer_of(port), before, "it never left the server");
    });
}

#[test]
fn a_port_that_is_taken_is_said() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let _taken = TcpListener::bind(("127.0.0.1", port)).unwrap();
        let mut broadcast = Broadcast::prepare(dir.path(), port, &own_server(port));
        assert!(broadcast.running.0.set_state(gst::State::Playing).is_err());
        let error = broadcast.notes.last("error").words;
        println!("{error}");
        assert!(error.contains("signalling-server-port"), "{error}");
    });
}

#[test]
fn a_server_that_never_answered_is_an_error() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let mut broadcast = Broadcast::at(dir.path(), port, port);
        let error = broadcast.notes.wait("error").words;
        println!("{error}");
        let address = format!("ws://127.0.0.1:{port}/");
        assert!(error.contains(&address), "{error}");
        broadcast.running.0.set_state(gst::State::Null).unwrap();
        let signaller = Signaller::of(&broadcast.sink.children()[0]).unwrap();
        assert_eq!(signaller.uri().unwrap(), address, "as it was set");
    });
}

/// A server of its own kind: it forgets who is there, and says what no producer expects.
#[test]
fn a_strange_server_is_joined_again_and_ends_nothing() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut broadcast = Broadcast::at(dir.path(), port, port);
        gstrswebrtc::RUNTIME.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            for id in ["one", "two"] {
                let (stream, _) = listener.accept().await.unwrap();
                forgets(accept_async(stream).await.unwrap(), id).await;
            }
        });
        let lost = broadcast.notes.wait("warning").words;
        println!("{lost}");
        assert!(lost.contains("does not list"), "{lost}");
        broadcast.notes.check();
    });
}

/// Welcomes a producer, says strange things, and forgets it: until it leaves.
async fn forgets(mut socket: WebSocketStream<TokioAdapter<tokio::net::TcpStream>>, id: &str) {
    let said = [
        json!({ "type": "welcome", "peerId": id }),
        // webrtcsink's signaller panics at these two.
        json!({ "type": "listConsumers", "consumers": [] }),
        json!({ "type": "peerStatusChanged", "roles": ["producer"], "meta": null }),
        json!({ "type": "nonsense" }),
        json!("nonsense"),
    ];
    for message in said {
        socket.send(Message::text(message.to_string())).await.unwrap();
    }
    let mut registered = false;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let message: Value = serde_json::from_str(&text).unwrap();
        match message["type"].as_str() {
            Some("setPeerStatus") => {
                assert_eq!(message["peerId"], id);
                registered = true;
            }
            Some("list") => {
                assert!(registered);
                let list = json!({ "type": "list", "producers": [{ "id": "somebody", "meta": null }] });
                socket.send(Message::text(list.to_string())).await.unwrap();
            }
            _ => (),
        }
    }
}
