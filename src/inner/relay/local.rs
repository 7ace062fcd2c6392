//! The inner signaller's end of the relay.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_hdr_async_with_config};
use async_tungstenite::tungstenite::Message;
use async_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use async_tungstenite::tungstenite::http::StatusCode;
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::future::pending;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::MAX_MESSAGE_LEN;
use crate::inner::CAT;
use crate::serving::accept;

/// A signaller that reads takes a message at once.
const SEND_LIMIT: Duration = Duration::from_secs(10);
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

pub type Local = WebSocketStream<TokioAdapter<TcpStream>>;

/// Where the inner signaller connects to: a port of this machine, and a path that no other program knows.
pub struct Door {
    listener: std::net::TcpListener,
    address: SocketAddr,
    path: String,
}

impl Door {
    pub fn open() -> std::io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret).map_err(std::io::Error::other)?;
        Ok(Self {
            address: listener.local_addr()?,
            listener,
            path: format!("/{:032x}", u128::from_ne_bytes(secret)),
        })
    }

    pub fn uri(&self) -> String {
        format!("ws://{}{}", self.address, self.path)
    }

    /// Lets in who knows the path, until `guests` is dropped. A stranger who is slow keeps nobody waiting.
    pub async fn keep(self, guests: mpsc::UnboundedSender<Local>) {
        let listener = match TcpListener::from_std(self.listener) {
            Ok(listener) => listener,
            Err(error) => return gst::error!(CAT, "no relay: {error}"),
        };
        loop {
            let stream = accept(&listener, |error| gst::warning!(CAT, "relay: {error}")).await;
            gstrswebrtc::RUNTIME.spawn(admit(stream, self.path.clone(), guests.clone()));
        }
    }
}

async fn admit(stream: TcpStream, path: String, guests: mpsc::UnboundedSender<Local>) {
    #[allow(clippy::result_large_err, reason = "it is the library's")]
    let check = |request: &Request, response: Response| {
        if request.uri().path() == path {
            return Ok(response);
        }
        let mut refusal = ErrorResponse::new(None);
        *refusal.status_mut() = StatusCode::NOT_FOUND;
        Err(refusal)
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN));
    let admitted = accept_hdr_async_with_config(stream, check, Some(config));
    match timeout(HANDSHAKE_LIMIT, admitted).await {
        // Nobody waits for it if the relay has been stopped.
        Ok(Ok(local)) => drop(guests.unbounded_send(local)),
        Ok(Err(error)) => gst::debug!(CAT, "relay: not let in: {error}"),
        Err(_) => gst::debug!(CAT, "relay: somebody connected and said nothing"),
    }
}

/// The next message of the inner signaller's; `None` once when it goes.
pub async fn next(local: &mut Option<Local>) -> Option<Value> {
    let Some(socket) = local else {
        return pending().await;
    };
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => match serde_json::from_str(&text) {
                Ok(message) => return Some(message),
                Err(error) => gst::warning!(CAT, "the signaller's message is no JSON: {error}"),
            },
            Some(Ok(Message::Close(_)) | Err(_)) | None => {
                *local = None;
                return None;
            }
            Some(Ok(_)) => (),
        }
    }
}

/// False if it takes nothing any more.
pub async fn send(local: &mut Local, message: &Value) -> bool {
    let sent = timeout(SEND_LIMIT, local.send(Message::text(message.to_string()))).await;
    matches!(sent, Ok(Ok(())))
}
