//! Our connection to the signalling server: made again when it is lost, and watched.

use std::time::Duration;

use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, pending};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{MAX_MESSAGE_LEN, text};
use crate::backoff::Backoff;
use crate::inner::CAT;
use crate::inner::listing;
use crate::inner::socket::{ServerAddress, Socket};

/// How often the server is asked whether it still lists us.
const ASK_INTERVAL: Duration = Duration::from_secs(10);
/// How long it may take to answer. A connection that is dropped ends sessions at the server, so not too soon.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
/// How long a message may take to be sent.
const SEND_LIMIT: Duration = Duration::from_secs(10);
/// A connection that lasted this long was a good one: should it be lost, the pauses begin with the shortest again.
const STABLE: Duration = Duration::from_secs(30);

/// What comes of the connection.
pub enum News {
    /// The server has given us an id.
    Welcome(String),
    /// Any other message, but for the lists that we ask for ourselves.
    Message(Value),
    /// It is tried again, by itself.
    Lost(String),
}

/// See the module.
pub struct Upstream {
    state: State,
    backoff: Backoff,
}

enum State {
    /// Nobody needs it yet.
    Idle,
    Connecting(BoxFuture<'static, Result<Socket, String>>),
    Open(Box<Connection>),
    Away {
        until: Instant,
    },
}

impl Upstream {
    pub fn new() -> Self {
        Self {
            state: State::Idle,
            backoff: Backoff::default(),
        }
    }

    /// What comes next. May be dropped and called again. `server` says where the server is each time that it is tried.
    pub async fn next(&mut self, server: impl Fn() -> ServerAddress) -> News {
        loop {
            match &mut self.state {
                State::Idle => pending().await,
                State::Away { until } => {
                    sleep_until(*until).await;
                    self.connect(server());
                }
                State::Connecting(socket) => match socket.await {
                    Ok(socket) => self.state = State::Open(Box::new(Connection::new(socket))),
                    Err(reason) => return self.lost(reason),
                },
                State::Open(connection) => match connection.next().await {
                    Ok(news) => return news,
                    Err(reason) => return self.lost(reason),
                },
            }
        }
    }

    /// Connects, unless it has been told to before.
    pub fn wake(&mut self, server: impl FnOnce() -> ServerAddress) {
        if matches!(self.state, State::Idle) {
            self.connect(server());
        }
    }

    fn connect(&mut self, server: ServerAddress) {
        gst::info!(CAT, "joining the signalling server {}", server.uri);
        self.state = State::Connecting(async move { server.connect(MAX_MESSAGE_LEN).await }.boxed());
    }

    fn lost(&mut self, reason: String) -> News {
        if let State::Open(connection) = &self.state
            && connection.since.elapsed() >= STABLE
        {
            self.backoff.reset();
        }
        self.state = State::Away {
            until: Instant::now() + self.backoff.pause(),
        };
        News::Lost(reason)
    }

    /// Sends, if there is a connection: a new one begins with nothing of the last.
    pub async fn send(&mut self, message: &Value) {
        if let State::Open(connection) = &mut self.state {
            connection.send(message).await;
        }
    }

    /// The id that the server has given us on the present connection.
    pub fn id(&self) -> Option<&str> {
        match &self.state {
            State::Open(connection) => connection.id.as_deref(),
            _ => None,
        }
    }

    pub async fn close(&mut self) {
        if let State::Open(connection) = &mut self.state {
            let _ = connection.socket.close(None).await;
        }
    }
}

struct Connection {
    socket: Socket,
    since: Instant,
    id: Option<String>,
    /// We have said that we are a producer.
    registered: bool,
    ask_at: Instant,
    /// The server has been asked since then, and has not answered.
    asked_at: Option<Instant>,
    /// A message could not be sent.
    is_stuck: bool,
}

impl Connection {
    fn new(socket: Socket) -> Self {
        let now = Instant::now();
        Self {
            socket,
            since: now,
            id: None,
            registered: false,
            ask_at: now + ASK_INTERVAL,
            // It owes us a welcome.
            asked_at: Some(now),
            is_stuck: false,
        }
    }

    async fn next(&mut self) -> Result<News, String> {
        loop {
            if self.is_stuck {
                return Err("it takes nothing any more".to_owned());
            }
            let due = self.asked_at.map_or(self.ask_at, |at| at + ANSWER_LIMIT);
            let Ok(message) = timeout_at(due, self.socket.next()).await else {
                if self.asked_at.is_some() {
                    return Err("it does not answer any more".to_owned());
                }
                self.ask().await;
                continue;
            };
            let text = match message {
                Some(Ok(Message::Text(text))) => text,
                Some(Ok(Message::Close(_))) | None => return Err("it closed the connection".to_owned()),
                Some(Ok(_)) => continue,
                Some(Err(error)) => return Err(error.to_string()),
            };
            // Others may fill it with whatever they like: it is looked for our id alone.
            if let Some(is_listed) = listing::has_producer(&text, self.id.as_deref().unwrap_or_default()) {
                self.asked_at = None;
                if is_listed {
                    continue;
                }
                return Err("it does not list this stream any more".to_owned());
            }
            // What is no message of the protocol as we know it is none for us.
            let Ok(message) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            return Ok(self.sort(message));
        }
    }

    async fn ask(&mut self) {
        self.ask_at = Instant::now() + ASK_INTERVAL;
        if self.registered {
            self.asked_at = Some(Instant::now());
            self.send(&json!({ "type": "list" })).await;
        }
    }

    fn sort(&mut self, message: Value) -> News {
        match text(&message, "type") {
            "welcome" => {
                let id = text(&message, "peerId").to_owned();
                self.asked_at = None;
                self.id = Some(id.clone());
                News::Welcome(id)
            }
            _ => News::Message(message),
        }
    }

    async fn send(&mut self, message: &Value) {
        if text(message, "type") == "setPeerStatus" {
            self.registered = true;
        }
        let sending = self.socket.send(Message::text(message.to_string()));
        self.is_stuck |= !matches!(timeout(SEND_LIMIT, sending).await, Ok(Ok(())));
    }
}
