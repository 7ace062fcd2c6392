//! Consumers who take more of the element's own signalling server than is theirs.

use std::net::TcpStream;
use std::time::Duration;

use async_tungstenite::tokio::connect_async;
use async_tungstenite::tungstenite::Message;
use gststreamiumpay::gate::TrackKind::Video;

use crate::audience::{AFTER, Audience, Broadcast, VIDEO, ours, plain};
use crate::common::child::broadcaster;
use crate::common::webrtc::{free_port, producer_of, run};

/// So many files may the broadcaster's process have open.
const MAX_FILES: usize = 300;

/// A server that can be kept busy by asking is, by then.
const LONG_ENOUGH: Duration = Duration::from_secs(30);

#[test]
fn who_takes_every_connection_keeps_nobody_out() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let limited = format!("ulimit -n {MAX_FILES}; exec \"$0\" \"$@\"");
        let mut sink = broadcaster(&["sh", "-c", &limited], "the test", dir.path(), port, VIDEO);
        let link = sink.link();
        let mut audience = Audience::seated(vec![ours(&link), plain(port)]);
        let flood: Vec<_> = (0..MAX_FILES + 100)
            .map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a connection"))
            .collect();
        ours(&link).expect(Video, 10);
        audience.saw_no_gap("a flood of connections");
        drop(flood);
        ours(&link).expect(Video, 10);
    });
}

#[test]
fn who_asks_and_never_reads_keeps_nobody_waiting() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        let producer = producer_of(port);
        let mut asked = 0_u32;
        let _deaf = gstrswebrtc::RUNTIME.block_on(async {
            let (mut socket, _) = connect_async(format!("ws://127.0.0.1:{port}")).await.unwrap();
            // Until the server does not take it any more, or has had enough of it.
            let ask = async {
                while socket.send(Message::text(r#"{"type":"list"}"#)).await.is_ok() {
                    asked += 1;
                }
            };
            let _ = tokio::time::timeout(LONG_ENOUGH, ask).await;
            socket
        });
        println!("asked {asked} times");
        audience.watch(AFTER);
        assert_eq!(producer_of(port), producer, "it was listed all the time");
        broadcast.goes_on("a deaf consumer", audience);
    });
}
