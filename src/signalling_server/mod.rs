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
use std::thread::JoinHandle;
use std::time::Duration;

use async_tungstenite::tungstenite::handshake::server::{Callback, Request, Response};
use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use futures::channel::oneshot;
use futures::future::select;
use gst_plugin_webrtc_signalling::handlers::Handler;
use gst_plugin_webrtc_signalling::server::{Server, ServerError};
use rustix::process::{Resource, getrlimit};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;

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
/// After a failure to accept, such as too many open files.
const PAUSE: Duration = Duration::from_millis(100);

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
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl SignallingServer {
    /// Listens, when this returns.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(options: &Options) -> Result<Self, StartError> {
        let address = (options.host.as_str(), options.port);
        let listener = TcpListener::bind(address).map_err(StartError::Address)?;
        listener.set_nonblocking(true).map_err(StartError::System)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(StartError::System)?;
        let hall = Hall {
            headers: Arc::new(options.headers.clone()),
            places: Arc::new(Semaphore::new(most_connections())),
            greeted: VecDeque::new(),
        };
        let tls = options.tls.clone();
        let (stop, stopped) = oneshot::channel();
        let (listening, result) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("streamium-sig".to_owned())
            .spawn(move || {
                runtime.block_on(async {
                    let serving = std::pin::pin!(hall.open(listener, tls, |result| {
                        let _ = listening.send(result);
                    }));
                    select(serving, stopped).await;
                });
                // With it go all connections.
                drop(runtime);
            })
            .map_err(StartError::System)?;
        let server = Self {
            stop: Some(stop),
            thread: Some(thread),
        };
        let ended = |_| StartError::System(std::io::ErrorKind::BrokenPipe.into());
        result.recv().map_err(ended)??;
        Ok(server)
    }
}

impl Drop for SignallingServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
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
    headers: Arc<Vec<(HeaderName, HeaderValue)>>,
    places: Arc<Semaphore>,
    /// Those who have not said what they want yet, the oldest first.
    greeted: VecDeque<AbortHandle>,
}

impl Hall {
    /// Lets everybody in, until it is dropped. `ready` hears how that begins.
    async fn open(
        mut self,
        listener: TcpListener,
        tls: Option<(String, String)>,
        ready: impl FnOnce(Result<(), StartError>),
    ) {
        let listener = match tokio::net::TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return ready(Err(StartError::System(error))),
        };
        let acceptor = match tls {
            None => None,
            Some((certificate, key)) => {
                match gstrswebrtc::utils::create_tls_acceptor(&certificate, &key).await {
                    Ok(acceptor) => Some(acceptor),
                    Err(error) => {
                        let words = format!("{certificate} and {key}: {error}");
                        return ready(Err(StartError::Tls(words)));
                    }
                }
            }
        };
        ready(Ok(()));
        let server = Server::spawn(Handler::new);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    gst::warning!(CAT, "own signalling server: {error}");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            self.make_room();
            let Ok(place) = self.places.clone().acquire_owned().await else {
                return;
            };
            let guest = Guest::new(stream, place);
            let (mut server, acceptor) = (server.clone(), acceptor.clone());
            let greeting = greeting(self.headers.clone());
            let welcome = async move {
                match acceptor {
                    Some(acceptor) => {
                        let stream = acceptor.accept(guest).await?;
                        server.accept_hdr_async(stream, greeting).await
                    }
                    None => server.accept_hdr_async(guest, greeting).await,
                }
            };
            self.welcome(welcome);
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
