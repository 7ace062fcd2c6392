//! Strangers at the element's own signalling server, and at somebody else's.

use std::net::TcpListener;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use async_tungstenite::tokio::accept_async;
use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use gststreamiumpay::gate::TrackKind::Video;
use gststreamiumpay::inner::{ProducerEvent, Resolver, Signaller, make_src};
use serde_json::{Value, json};

use crate::audience::{Audience, Broadcast, VIDEO, ours, plain};
use crate::common::child::broadcaster;
use crate::common::wait::PATIENCE;
use crate::common::webrtc::{free_port, producer_of, run};
use crate::hostile::Hostile;

fn producer(name: &str, bulk: usize) -> Value {
    let meta = json!({ "name": name, "bulk": "x".repeat(bulk) });
    json!({ "type": "setPeerStatus", "roles": ["producer"], "meta": meta })
}

#[test]
fn idle_connections_that_answer_pings_keep_nobody_out() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let limited = "ulimit -n 1024; exec \"$0\" \"$@\"";
        let mut sink = broadcaster(&["sh", "-c", limited], "the test", dir.path(), port, VIDEO);
        let link = sink.link();
        let mut audience = Audience::seated(vec![ours(&link), plain(port)]);
        let idle: Vec<_> = gstrswebrtc::RUNTIME.block_on(async {
            let mut idle = Vec::new();
            for _ in 0..300 {
                idle.push(Hostile::connected(port).await);
            }
            idle
        });
        ours(&link).expect(Video, 10);
        audience.saw_no_gap("three hundred idle connections");
        drop(idle);
    });
}

#[test]
fn what_strangers_register_spoils_no_list() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (broadcast, port) = Broadcast::with_server(dir.path());
        let right = producer_of(port);
        let strangers = gstrswebrtc::RUNTIME.block_on(async {
            let mut strangers = Vec::new();
            // Too much of it, in a message that is taken, and in one that is not.
            for bulk in [5_000, 5 << 20] {
                let mut big = Hostile::connected(port).await;
                big.send(&producer("bulk", bulk)).await;
                strangers.push(big);
            }
            for _ in 0..3 {
                let mut squatter = Hostile::connected(port).await;
                squatter.send(&producer("the test", 0)).await;
                strangers.push(squatter);
            }
            let mut asking = Hostile::connected(port).await;
            asking.send(&json!({ "type": "list" })).await;
            let list = asking.wait(|message| message["type"] == "list").await;
            let producers = list["producers"].as_array().unwrap();
            println!("{} bytes of list", list.to_string().len());
            assert_eq!(producers.len(), 4, "what is too big is not listed");
            assert_eq!(producers[0]["id"], right, "the own one comes first");
            strangers
        });
        let since = Instant::now();
        ours(&broadcast.link()).expect(Video, 1);
        println!("the first frame came after {:?}", since.elapsed());
        assert!(
            since.elapsed() < Duration::from_secs(9),
            "no squatter was tried before"
        );
        drop(strangers);
    });
}

#[test]
fn lists_that_nobody_reads_are_not_kept() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (broadcast, port) = Broadcast::with_server(dir.path());
        producer_of(port);
        let before = resident_mib();
        let crowd = gstrswebrtc::RUNTIME.block_on(async {
            let mut crowd = Vec::new();
            for _ in 0..16 {
                let mut stranger = Hostile::connected(port).await;
                stranger.send(&producer("other", 3_500)).await;
                crowd.push(stranger);
            }
            for _ in 0..20 {
                let mut deaf = Hostile::connected(port).await;
                for _ in 0..150 {
                    if deaf
                        .socket
                        .send(Message::text(r#"{"type":"list"}"#))
                        .await
                        .is_err()
                    {
                        break;
                    }
                }
                crowd.push(deaf);
            }
            crowd
        });
        ours(&broadcast.link()).expect(Video, 10);
        let grown = resident_mib().saturating_sub(before);
        println!("grown by {grown} MiB");
        assert!(grown < 150, "{grown} MiB");
        drop(crowd);
    });
}

/// What the process has in memory.
fn resident_mib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() / 1024
}

/// What a listener at a server with a list of this many bytes hears of it.
fn hears(bytes: usize) -> ProducerEvent {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    gstrswebrtc::RUNTIME.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = accept_async(stream).await.unwrap();
        let welcome = json!({ "type": "welcome", "peerId": "listener" });
        socket.send(Message::text(welcome.to_string())).await.unwrap();
        let bulk = json!({ "id": "bulk", "meta": { "name": "other", "bulk": "x".repeat(bytes) } });
        let right = json!({ "id": "right", "meta": { "name": "the test" } });
        let list = json!({ "type": "list", "producers": [bulk, right] }).to_string();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && message.to_text().unwrap().contains("\"list\"") {
                let _ = socket.send(Message::text(list.clone())).await;
            }
        }
    });
    let (sender, events) = channel();
    let sender = Mutex::new(sender);
    let like = Signaller::of(&make_src().unwrap()).unwrap();
    let uri = format!("ws://127.0.0.1:{port}");
    let _resolver = Resolver::start(&like, &uri, "the test", move |event| {
        let _ = sender.lock().unwrap().send(event);
    });
    events.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn a_list_of_any_length_is_survived() {
    run(|| {
        for bytes in [5 << 20, 30 << 20] {
            let right = ProducerEvent::Added {
                peer_id: "right".to_owned(),
            };
            assert_eq!(hears(bytes), right);
        }
        match hears(70 << 20) {
            ProducerEvent::Failed { reason, .. } => assert!(reason.contains("list of streams"), "{reason}"),
            other => panic!("{other:?}"),
        }
    });
}
