//! One connection: from the handshake to its end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_tungstenite::WebSocketStream;
use async_tungstenite::tokio::{TokioAdapter, accept_hdr_async_with_config};
use async_tungstenite::tungstenite::handshake::server::{Request, Response};
use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use async_tungstenite::tungstenite::protocol::WebSocketConfig;
use async_tungstenite::tungstenite::{Error, Message};
use futures::{AsyncReadExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::exchange::{Consequence, Exchange, Outgoing, new_id};
use super::limits::{DRAIN_LIMIT, HANDSHAKE_LIMIT, MAX_MESSAGE_LEN, PING_INTERVAL, Talk};
use super::places::{Number, Places};
use super::{CAT, OWN_HEADER};
use crate::boottime;
use crate::origin::Origin;

/// The parameters of the handshake.
pub struct Door {
    /// Added to the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The secret by which the broadcast is recognized.
    pub secret: String,
}

/// All that the connections share. Cheap to clone.
#[derive(Clone)]
pub struct Hall(Arc<Mutex<Shared>>);

struct Shared {
    places: Places,
    exchange: Exchange,
}

impl Shared {
    fn settle(&mut self) {
        for consequence in self.exchange.consequences() {
            match consequence {
                Consequence::Uses(number, used) => self.places.used(number, used),
                Consequence::Goes(number) => {
                    gst::info!(CAT, "own signalling server: a client reads nothing, and goes");
                    self.places.end(number);
                }
            }
        }
    }
}

impl Hall {
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Mutex::new(Shared {
            places: Places::new(most),
            exchange: Exchange::default(),
        })))
    }

    /// A place for somebody, if there is one.
    pub fn enter(&self, origin: Origin, now: Instant, is_tight: bool) -> Option<Place> {
        let (entered, gone) = self.lock().places.enter(origin, now, is_tight);
        if gone.is_some() {
            gst::info!(CAT, "own signalling server: somebody goes for somebody who comes");
        }
        let Some(number) = entered else {
            gst::warning!(CAT, "own signalling server: all places are taken");
            return None;
        };
        Some(Place {
            hall: self.clone(),
            number,
            id: None,
        })
    }

    pub fn runs(&self, number: Number, task: AbortHandle) {
        self.lock().places.runs(number, task);
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, until dropped.
pub struct Place {
    hall: Hall,
    number: Number,
    id: Option<(String, Queue)>,
}

/// The messages that wait to be sent.
struct Queue {
    waiting: Arc<AtomicUsize>,
    all_waiting: Arc<AtomicUsize>,
}

impl Queue {
    fn sent(&self, length: usize) {
        self.waiting.fetch_sub(length, Ordering::SeqCst);
        self.all_waiting.fetch_sub(length, Ordering::SeqCst);
    }
}

impl Place {
    pub fn number(&self) -> Number {
        self.number
    }

    /// False if it has been ended meanwhile.
    fn greet(&mut self, is_own: bool) -> Option<(UnboundedReceiver<String>, String)> {
        let id = new_id()?;
        let (queue, outgoing) = unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let mut shared = self.hall.lock();
        let origin = shared.places.origin(self.number)?.clone();
        let kept = Queue {
            waiting: waiting.clone(),
            all_waiting: shared.exchange.all_waiting(),
        };
        let to_it = Outgoing { queue, waiting };
        shared.exchange.welcome(&id, self.number, origin, is_own, to_it);
        shared.settle();
        drop(shared);
        self.id = Some((id.clone(), kept));
        Some((outgoing, id))
    }

    fn said(&self, id: &str, text: &str) {
        let mut shared = self.hall.lock();
        shared.places.heard(self.number, Instant::now());
        match serde_json::from_str(text) {
            Ok(message) => shared.exchange.said(id, message),
            Err(error) => gst::info!(CAT, "own signalling server: {id} sends no message: {error}"),
        }
        shared.settle();
    }

    fn sent_too_much(&self, id: &str, reason: &str) {
        let mut shared = self.hall.lock();
        shared.exchange.sent_too_much(id, reason);
        shared.settle();
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = self.hall.lock();
        if let Some((id, queue)) = &self.id {
            shared.exchange.left(id);
            queue.sent(queue.waiting.load(Ordering::SeqCst));
        }
        shared.places.left(self.number);
        shared.settle();
    }
}

pub async fn serve_tls(acceptor: &TlsAcceptor, guest: super::Guest, door: &Door, place: Place) -> String {
    match timeout(HANDSHAKE_LIMIT, acceptor.accept(guest)).await {
        Ok(Ok(stream)) => serve(stream, door, place).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it said nothing".to_owned(),
    }
}

/// Serves a client until it goes; returns why it did.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(stream: S, door: &Door, mut place: Place) -> String {
    let mut is_own = false;
    #[allow(clippy::result_large_err, reason = "it is the library's")]
    let greeting = |request: &Request, mut response: Response| {
        let said = request.headers().get(OWN_HEADER);
        is_own = said.is_some_and(|secret| secret.as_bytes() == door.secret.as_bytes());
        for (name, value) in &door.headers {
            response.headers_mut().append(name, value.clone());
        }
        Ok(response)
    };
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_LEN))
        .max_frame_size(Some(MAX_MESSAGE_LEN))
        .read_buffer_size(READ_BUFFER_LEN)
        .write_buffer_size(0);
    let accepted = accept_hdr_async_with_config(stream, greeting, Some(config));
    let mut socket = match timeout(HANDSHAKE_LIMIT, accepted).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return error.to_string(),
        Err(_) => return "it said nothing".to_owned(),
    };
    let Some((mut outgoing, id)) = place.greet(is_own) else {
        return "it has been ended".to_owned();
    };
    let reason = converse(&mut socket, &mut outgoing, &place, &id, is_own).await;
    reason.err().unwrap_or_default()
}

/// tungstenite's default is 128 KiB for each connection.
const READ_BUFFER_LEN: usize = 8 << 10;

type Client<S> = WebSocketStream<TokioAdapter<S>>;

async fn converse<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Client<S>,
    outgoing: &mut UnboundedReceiver<String>,
    place: &Place,
    id: &str,
    is_own: bool,
) -> Result<(), String> {
    let words = |error: Error| error.to_string();
    let mut talk = Talk::new();
    let mut ping_at = Instant::now() + PING_INTERVAL;
    loop {
        tokio::select! {
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => {
                    if !is_own && !talk.allows(text.len(), boottime::now()) {
                        return Err("it says too much".to_owned());
                    }
                    place.said(id, &text);
                }
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                // Pings are answered, which costs something too.
                Some(Ok(_)) if !is_own && !talk.allows(0, boottime::now()) => {
                    return Err("it says too much".to_owned());
                }
                Some(Ok(_)) => (),
                Some(Err(Error::Capacity(error))) => {
                    let reason = format!("{error}: {MAX_MESSAGE_LEN} bytes at most, more are too many");
                    place.sent_too_much(id, &reason);
                    return drain(socket, outgoing).await.and(Err(reason));
                }
                Some(Err(error)) => return Err(words(error)),
            },
            Some(text) = outgoing.recv() => {
                ping_at = Instant::now() + PING_INTERVAL;
                let length = text.len();
                socket.send(Message::text(text)).await.map_err(words)?;
                if let Some((_, queue)) = &place.id {
                    queue.sent(length);
                }
            }
            () = sleep_until(ping_at) => {
                ping_at = Instant::now() + PING_INTERVAL;
                socket.send(Message::Ping(Vec::new().into())).await.map_err(words)?;
            }
        }
    }
}

/// Says what there is to say to somebody whose message is not read, and lets it finish: the last words would be lost if the
/// connection broke.
async fn drain<S: AsyncRead + AsyncWrite + Unpin>(
    socket: &mut Client<S>,
    outgoing: &mut UnboundedReceiver<String>,
) -> Result<(), String> {
    while let Ok(text) = outgoing.try_recv() {
        socket
            .send(Message::text(text))
            .await
            .map_err(|error| error.to_string())?;
    }
    let mut scrap = vec![0; READ_BUFFER_LEN];
    let stream = socket.get_mut();
    let read_on = async { while matches!(stream.read(&mut scrap).await, Ok(1..)) {} };
    let _ = timeout(DRAIN_LIMIT, read_on).await;
    Ok(())
}
