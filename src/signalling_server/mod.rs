//! The element's own signalling server, which speaks the protocol of gst-plugin-webrtc's.
//!
//! gst-plugin-webrtc's stops accepting for good when the process has no descriptor left, waits for clients that do not
//! read, and keeps whatever they send. Here each client has a budget ([`limits`]), and where places are short those go that
//! have least use for theirs ([`places`]); the broadcast itself always has one.

mod connection;
mod exchange;
mod guest;
mod limits;
mod places;

use std::net::TcpListener;
use std::sync::{Arc, LazyLock};

use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use futures::FutureExt;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;

use crate::descriptors::{self, Count};
use crate::origin::Origin;
use crate::serving::{ServerThread, accept};
use connection::{Door, Hall};
pub use exchange::{ADDRESS_FIELD, REASON_FIELD};
use guest::Guest;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpayserver",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay signalling server"),
    )
});

/// Where and how it listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// A name, or an address without brackets.
    pub host: String,
    pub port: u16,
    /// The files with certificate and private key, both as PEM.
    pub tls: Option<(String, String)>,
    /// What is added to the handshake's answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Nothing can listen there.
    #[error("{0}")]
    Address(std::io::Error),
    /// The files are not what they should be.
    #[error("{0}")]
    Tls(String),
    /// The system gives no thread, or the like.
    #[error("{0}")]
    System(std::io::Error),
}

/// A header by which the server knows the broadcast that it belongs to.
pub const OWN_HEADER: &str = "streamium-pay-own";

/// A running server. Dropping it closes all its sockets.
pub struct SignallingServer {
    _thread: ServerThread,
    secret: String,
}

impl SignallingServer {
    /// Listens, when this returns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let address = (options.host.as_str(), options.port);
        let listener = TcpListener::bind(address).map_err(StartError::Address)?;
        let acceptor = options.tls.as_ref().map(acceptor).transpose()?;
        let secret = exchange::new_id()
            .ok_or_else(|| StartError::System(std::io::Error::other("no random numbers")))?;
        let hall = Hall::new(limits::most_connections(descriptors::limit()));
        let door = Door {
            headers: options.headers.clone(),
            secret: secret.clone(),
        };
        let thread = ServerThread::start("streamium-sig", listener, |listener| {
            open(listener, hall, door, acceptor)
        });
        Ok(Self {
            _thread: thread.map_err(StartError::System)?,
            secret,
        })
    }

    /// The broadcast's secret in [`OWN_HEADER`].
    pub fn secret(&self) -> &str {
        &self.secret
    }
}

/// Lets everybody in for whom there is a place, until it is dropped.
async fn open(listener: tokio::net::TcpListener, hall: Hall, door: Door, acceptor: Option<TlsAcceptor>) {
    let door = Arc::new(door);
    let failed = |error| gst::warning!(CAT, "own signalling server: {error}");
    loop {
        let stream = accept(&listener, failed).await;
        let Ok(address) = stream.peer_addr() else { continue };
        let is_tight = !Count::now().takes_connection();
        let Some(place) = hall.enter(Origin::of(address.ip()), Instant::now(), is_tight) else {
            continue;
        };
        let number = place.number();
        let guest = Guest::new(stream);
        let (door, acceptor) = (door.clone(), acceptor.clone());
        let task = tokio::spawn(async move {
            let reason = match acceptor {
                Some(acceptor) => connection::serve_tls(&acceptor, guest, &door, place).await,
                None => connection::serve(guest, &door, place).await,
            };
            gst::info!(CAT, "own signalling server: {address}: {reason}");
        });
        hall.runs(number, task.abort_handle());
    }
}

/// Makes what speaks TLS with this certificate and key.
fn acceptor((certificate, key): &(String, String)) -> Result<TlsAcceptor, StartError> {
    // It is asynchronous by name alone. Waiting for it would panic in an application's own executor.
    let made = gstrswebrtc::utils::create_tls_acceptor(certificate, key).now_or_never();
    let made = made.unwrap_or_else(|| Err("they can't be read at once".into()));
    made.map_err(|error| StartError::Tls(format!("{certificate} and {key}: {error}")))
}
