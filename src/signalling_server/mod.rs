//! The element's own signalling server: that of gst-plugin-webrtc, of which webrtcsink runs a copy too, behind a door of
//! ours.
//!
//! webrtcsink's own stops accepting for good when the process has no descriptor left, which anybody can bring about who
//! opens connections and says nothing; and one client that doesn't read makes all others wait. Here connections
//! are limited in number, and each in how long it may keep somebody waiting.

mod guest;

use std::collections::VecDeque;
use std::net::TcpListener;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_tungstenite::tungstenite::handshake::server::{Callback, Request, Response};
use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use futures::FutureExt;
use gst_plugin_webrtc_signalling::handlers::Handler;
use gst_plugin_webrtc_signalling::server::{Server, ServerError};
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

use crate::serving::{ServerThread, accept};
use guest::Guest;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpayserver",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay signalling server"),
    )
});

/// The part of the process's descriptors that connections may have: the media need more.
const SHARE: u64 = 4;
const MIN_CONNECTIONS: usize = 16;
const MAX_CONNECTIONS: usize = 4_096;
/// From the connection to the end of the WebSocket's handshake.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

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

/// A running server. Dropping it closes all its sockets.
pub struct SignallingServer {
    _thread: ServerThread,
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
        let hall = Hall {
            acceptor,
            headers: Arc::new(options.headers.clone()),
            places: Arc::new(Semaphore::new(most_connections())),
            greeted: VecDeque::new(),
        };
        let thread = ServerThread::start("streamium-sig", listener, |listener| hall.open(listener));
        Ok(Self {
            _thread: thread.map_err(StartError::System)?,
        })
    }
}

/// What speaks TLS with this certificate and key.
fn acceptor((certificate, key): &(String, String)) -> Result<TlsAcceptor, StartError> {
    // It is asynchronous by name alone. Waiting for it would panic in an application's own executor.
    let made = gstrswebrtc::utils::create_tls_acceptor(certificate, key).now_or_never();
    let made = made.unwrap_or_else(|| Err("they can't be read at once".into()));
    made.map_err(|error| StartError::Tls(format!("{certificate} and {key}: {error}")))
}

/// How many connections there may be at a time.
fn most_connections() -> usize {
    let files = getrlimit(Resource::Nofile).current;
    let share = files.map_or(usize::MAX, |files| {
        usize::try_from(files / SHARE).unwrap_or(usize::MAX)
    });
    share.clamp(MIN_CONNECTIONS, MAX_CONNECTIONS)
}

struct Hall {
    acceptor: Option<TlsAcceptor>,
    headers: Arc<Vec<(HeaderName, HeaderValue)>>,
    places: Arc<Semaphore>,
    /// Those who have not said what they want yet, the oldest first.
    greeted: VecDeque<AbortHandle>,
}

impl Hall {
    /// Lets everybody in, until it is dropped.
    async fn open(mut self, listener: tokio::net::TcpListener) {
        let server = Server::spawn(Handler::new);
        let failed = |error| gst::warning!(CAT, "own signalling server: {error}");
        loop {
            let stream = accept(&listener, failed).await;
            self.make_room();
            let Ok(place) = self.places.clone().acquire_owned().await else {
                return;
            };
            let guest = Guest::new(stream, place);
            let (mut server, acceptor) = (server.clone(), self.acceptor.clone());
            let greeting = greeting(self.headers.clone());
            self.welcome(async move {
                match acceptor {
                    Some(acceptor) => {
                        let stream = acceptor.accept(guest).await?;
                        server.accept_hdr_async(stream, greeting).await
                    }
                    None => server.accept_hdr_async(guest, greeting).await,
                }
            });
        }
    }

    /// Who came long ago and has said nothing goes for who comes now.
    fn make_room(&mut self) {
        self.greeted.retain(|guest| !guest.is_finished());
        if self.places.available_permits() > 0 {
            return;
        }
        match self.greeted.pop_front() {
            Some(oldest) => oldest.abort(),
            None => gst::warning!(
                CAT,
                "own signalling server: all places are taken, whoever comes waits"
            ),
        }
    }

    fn welcome(&mut self, welcome: impl Future<Output = Result<String, ServerError>> + Send + 'static) {
        let task = tokio::spawn(async {
            match tokio::time::timeout(HANDSHAKE_LIMIT, welcome).await {
                Ok(Ok(id)) => gst::info!(CAT, "own signalling server: {id} has come"),
                Ok(Err(error)) => gst::info!(CAT, "own signalling server: {error}"),
                Err(_) => gst::info!(CAT, "own signalling server: a client said nothing"),
            }
        });
        self.greeted.push_back(task.abort_handle());
    }
}

/// Adds the headers to the handshake's answer.
#[allow(clippy::result_large_err, reason = "it is the library's")]
fn greeting(headers: Arc<Vec<(HeaderName, HeaderValue)>>) -> impl Callback + Unpin {
    move |_: &Request, mut response: Response| {
        for (name, value) in headers.iter() {
            response.headers_mut().append(name, value.clone());
        }
        Ok(response)
    }
}
