//! A WebSocket to a signalling server.

use std::time::Duration;

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{ConnectStream, connect_async_with_tls_connector_and_config};
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;

use super::Signaller;
use crate::signalling_server::OWN_HEADER;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

pub type Socket = WebSocketStream<ConnectStream>;

/// Where a signalling server is, and how it is reached.
#[derive(Debug, Clone)]
pub struct ServerAddress {
    /// ws:// or wss://
    pub uri: String,
    tls: (Option<String>, bool),
    headers: Vec<(String, String)>,
    /// It is the element's own, which says where consumers come from.
    pub is_own: bool,
}

impl ServerAddress {
    /// With the TLS settings and headers of `like`.
    pub fn new(like: &Signaller, uri: &str) -> Self {
        Self {
            uri: uri.to_owned(),
            tls: like.tls(),
            headers: like.headers(),
            is_own: false,
        }
    }

    /// Makes the address of a server of this process, which knows us by the secret, and whose certificate may be for
    /// another name than it is reached by here.
    pub fn own(mut self, secret: &str) -> Self {
        self.tls.1 = true;
        self.headers.push((OWN_HEADER.to_owned(), secret.to_owned()));
        self.is_own = true;
        self
    }

    /// Connects, and takes messages of up to `limit` bytes.
    pub async fn connect(&self, limit: usize) -> Result<Socket, String> {
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, self.try_connect(limit)).await;
        connected.map_err(|_| "it does not answer".to_owned())?
    }

    async fn try_connect(&self, limit: usize) -> Result<Socket, String> {
        let mut request = self
            .uri
            .as_str()
            .into_client_request()
            .map_err(|error| error.to_string())?;
        for (name, value) in &self.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| error.to_string())?;
            let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
            request.headers_mut().insert(name, value);
        }
        let (cafile, insecure) = &self.tls;
        let tls = gstrswebrtc::utils::create_tls_connector(cafile.as_ref(), *insecure)
            .await
            .map_err(|error| error.to_string())?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(limit))
            .max_frame_size(Some(limit));
        let connected = connect_async_with_tls_connector_and_config(request, Some(tls), Some(config)).await;
        connected
            .map(|(socket, _)| socket)
            .map_err(|error| error.to_string())
    }
}
