//! Viewers whose signalling is nonsense: the broadcast goes on for the others, and for those who come later.

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ConnectStream, connect_async};
use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use gststreamiumpay::gate::TrackKind::Video;
use serde_json::{Value, json};

use crate::common::webrtc::{Consumer, PATIENCE, Provider, RAW_VIDEO, producer_of, run};

/// A connection to the signalling server, without WebRTC behind it.
struct Viewer(WebSocketStream<ConnectStream>);

impl Viewer {
    async fn connect(port: u16) -> Self {
        let (socket, _) = connect_async(format!("ws://127.0.0.1:{port}")).await.unwrap();
        Self(socket)
    }

    async fn send(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message for which this holds.
    async fn wait(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let message = message.expect("the server answers").unwrap().unwrap();
            if let Message::Text(text) = message {
                let message = serde_json::from_str(&text).unwrap();
                if holds(&message) {
                    return message;
                }
            }
        }
    }

    /// Asks for the stream, and says this once it is offered.
    async fn answer(port: u16, producer: &str, part: &str, nonsense: &Value) -> Self {
        let mut viewer = Self::connect(port).await;
        viewer.wait(|message| message["type"] == "welcome").await;
        viewer
            .send(&json!({ "type": "startSession", "peerId": producer }))
            .await;
        let offer = viewer.wait(|message| message["sdp"]["type"] == "offer").await;
        let mut answer = json!({ "type": "peer", "sessionId": offer["sessionId"] });
        answer[part] = nonsense.clone();
        viewer.send(&answer).await;
        viewer
    }
}

#[test]
fn an_empty_or_garbled_answer_disturbs_nobody() {
    run(|| {
        let provider = Provider::free(RAW_VIDEO);
        let watching = Consumer::ours(&provider);
        watching.expect(Video, 10);
        let session = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n";
        let answers = [
            ("sdp", json!({ "type": "answer", "sdp": "" })),
            ("sdp", json!({ "type": "answer", "sdp": "garbage" })),
            ("sdp", json!({ "type": "answer", "sdp": "v=0\r\n" })),
            ("sdp", json!({ "type": "answer", "sdp": session })),
            (
                "sdp",
                json!({ "type": "answer", "sdp": format!("{session}m=video 99999999 X 999\r\n") }),
            ),
            ("sdp", json!({ "type": "answer", "sdp": "x".repeat(50_000) })),
            ("sdp", json!({ "type": "offer", "sdp": session })),
            (
                "ice",
                json!({ "candidate": "garbage", "sdpMLineIndex": 4_000_000_000u32 }),
            ),
            ("ice", json!({ "candidate": "", "sdpMLineIndex": 0 })),
        ];
        for (part, nonsense) in answers {
            println!("{nonsense:.80}");
            let producer = producer_of(provider.port);
            let viewer = Viewer::answer(provider.port, &producer, part, &nonsense);
            let viewer = gstrswebrtc::RUNTIME.block_on(viewer);
            watching.buffers.try_iter().for_each(drop);
            watching.expect(Video, 10);
            drop(viewer);
        }
        // The signaller still listens: another viewer gets in.
        let later = Consumer::plain(&provider);
        later.expect(Video, 10);
        for running in [&provider.running, &watching.running, &later.running] {
            running.check();
        }
    });
}
