//! Consumers whose signalling is nonsense, some of it made to end webrtcsink.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ConnectStream, connect_async};
use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use gststreamiumpay::gate::TrackKind::Video;
use serde_json::{Value, json};

use crate::audience::{Audience, Broadcast, ours, plain};
use crate::common::wait::PATIENCE;
use crate::common::webrtc::{producer_of, run};

/// A connection to the signalling server, without WebRTC behind it.
pub struct Hostile {
    pub socket: WebSocketStream<ConnectStream>,
    pub session: Value,
}

impl Hostile {
    /// Is there, and no more.
    pub async fn connected(port: u16) -> Self {
        let (socket, _) = connect_async(format!("ws://127.0.0.1:{port}")).await.unwrap();
        let mut hostile = Self {
            socket,
            session: Value::Null,
        };
        hostile.wait(|message| message["type"] == "welcome").await;
        hostile
    }

    /// Asks for the stream, and gets its offer.
    pub async fn offered(port: u16, producer: &str, offer: Option<&str>) -> Self {
        let mut hostile = Self::connected(port).await;
        let mut start = json!({ "type": "startSession", "peerId": producer });
        if let Some(offer) = offer {
            start["offer"] = offer.into();
        }
        hostile.send(&start).await;
        let started = hostile.wait(|message| message["type"] == "sessionStarted").await;
        hostile.session = started["sessionId"].clone();
        if offer.is_none() {
            hostile.wait(|message| message["sdp"]["type"] == "offer").await;
        }
        hostile
    }

    pub async fn send(&mut self, message: &Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .unwrap();
    }

    /// The next message for which this holds.
    pub async fn wait(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.socket.next()).await;
            let message = message.expect("the server answers").unwrap().unwrap();
            if let Message::Text(text) = message {
                let message = serde_json::from_str(&text).unwrap();
                if holds(&message) {
                    return message;
                }
            }
        }
    }

    pub async fn say(&mut self, part: &str, nonsense: &Value) {
        let mut message = json!({ "type": "peer", "sessionId": self.session });
        message[part] = nonsense.clone();
        self.send(&message).await;
    }

    /// The other side has ended the session.
    pub async fn shown_out(&mut self) {
        let session = self.session.clone();
        self.wait(|message| message["type"] == "endSession" && message["sessionId"] == session)
            .await;
    }
}

const SESSION: &str = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
const VP8: &str = "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=rtpmap:96 VP8/90000\r\n";

/// Answers, each with what is said of it.
fn answers() -> Vec<(String, &'static str)> {
    vec![
        (String::new(), "is empty"),
        ("garbage".to_owned(), "no media"),
        ("\u{0}\u{1}\u{fffd}".to_owned(), "no media"),
        (SESSION.to_owned(), "no media"),
        (
            format!("{SESSION}m=application 9 UDP/DTLS/SCTP 96\r\n"),
            "no codec",
        ),
        (format!("{SESSION}m=video 9 UDP/TLS/RTP/SAVPF 96\r\n"), "no codec"),
        (
            format!("{SESSION}{VP8}a=fmtp:96 profile=none\r\n"),
            "unknown profile",
        ),
        (format!("{SESSION}{VP8}a=fmtp:96 level=none\r\n"), "unknown level"),
        (
            format!("{SESSION}{VP8}a=foo:1\r\na=fmtp:96 a-foo=2\r\n"),
            "contradicts itself",
        ),
        // No payload type, no media that webrtcsink looks for, another payload type than offered.
        (
            format!("{SESSION}m=video 9 UDP/TLS/RTP/SAVPF x\r\n"),
            "webrtcsink",
        ),
        (
            format!("{SESSION}m=video 99999999 X 99999999999\r\n"),
            "webrtcsink",
        ),
        (
            format!("{SESSION}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n"),
            "webrtcsink",
        ),
        (format!("{SESSION}{}", VP8.replace("96", "35")), "webrtcsink"),
        ("x".repeat(10_000_000), "too many"),
    ]
}

#[test]
fn bad_answers_are_seen_by_nobody_else() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        let producer = producer_of(port);
        for (answer, what) in answers() {
            println!("{:?}", answer.chars().take(200).collect::<String>());
            let mut hostile = gstrswebrtc::RUNTIME.block_on(async {
                let mut hostile = Hostile::offered(port, &producer, None).await;
                hostile
                    .say("sdp", &json!({ "type": "answer", "sdp": answer }))
                    .await;
                hostile
            });
            let error = broadcast
                .notes
                .wait_for("consumer-error", |note| note.text("reason").contains(what));
            println!("  {}", error.text("reason"));
            assert_eq!(error.text("session"), hostile.session.as_str().unwrap());
            assert!(!error.text("peer").is_empty());
            gstrswebrtc::RUNTIME.block_on(hostile.shown_out());
            audience.watch(3);
        }
        audience.saw_nothing_of("bad answers", &broadcast.taps);
        assert_eq!(producer_of(port), producer, "it was listed all the time");
        // And it still listens: another gets in.
        ours(&broadcast.link()).expect(Video, 10);
        broadcast.notes.check();
    });
}

#[test]
fn other_nonsense_is_seen_by_nobody_else() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let (mut broadcast, port) = Broadcast::with_server(dir.path());
        let mut audience = Audience::seated(vec![ours(&broadcast.link()), plain(port)]);
        let producer = producer_of(port);
        let candidates = [
            json!({ "candidate": "garbage", "sdpMLineIndex": 4_000_000_000u32 }),
            json!({ "candidate": "", "sdpMLineIndex": 0 }),
            json!({ "candidate": "candidate:1 1 UDP 99999999999 ::::: 0 typ host", "sdpMLineIndex": 7 }),
            json!({ "candidate": "x".repeat(200_000), "sdpMLineIndex": 0 }),
        ];
        gstrswebrtc::RUNTIME.block_on(async {
            for candidate in candidates {
                let mut hostile = Hostile::offered(port, &producer, None).await;
                hostile.say("ice", &candidate).await;
                // Not of the protocol at all.
                let binary = Message::binary(vec![0xff; 1_000]);
                hostile.socket.send(binary).await.unwrap();
                hostile.socket.send(Message::text("{")).await.unwrap();
            }
            for offer in ["", "garbage", SESSION] {
                let mut hostile = Hostile::offered(port, &producer, Some(offer)).await;
                hostile.shown_out().await;
            }
            let mut hostile = Hostile::offered(port, &producer, None).await;
            hostile
                .say("sdp", &json!({ "type": "offer", "sdp": SESSION }))
                .await;
        });
        audience.saw_nothing_of("other nonsense", &broadcast.taps);
        assert_eq!(producer_of(port), producer, "it was listed all the time");
        ours(&broadcast.link()).expect(Video, 10);
        broadcast.notes.check();
    });
}
