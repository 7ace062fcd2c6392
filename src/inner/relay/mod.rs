//! Between webrtcsink's signaller and the signalling server.
//!
//! The signaller of gst-plugin-webrtc 0.15 stops listening over one consumer's bad SDP, and for good when its socket is
//! closed; and a signaller that is started again leaves the server for a moment, which ends every session there. So it
//! talks to this relay, over a socket of this machine, and only the relay to the server: it passes on what is
//! good, joins again by itself, and asks the server from time to time whether the stream is still listed.

mod admission;
mod local;
mod sdp;
mod starting;
mod upstream;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::channel::{mpsc, oneshot};
use serde_json::{Value, json};

use super::CAT;
use super::socket::ServerAddress;
use crate::boottime;
use crate::origin::Origin;
use crate::room::Room;
use crate::signalling_server::REASON_FIELD;
use admission::Admission;
use local::{Door, Local};
use upstream::{News, Upstream};

/// More than the server takes itself: a message that breaks the connection would end all sessions.
const MAX_MESSAGE_LEN: usize = 128 << 20;
/// The longest message that a consumer may send: answers have some ten thousand bytes.
const MAX_PEER_MESSAGE_LEN: usize = 256 << 10;
/// How long the signaller's last words may take when the relay is stopped.
const PARTING: Duration = Duration::from_secs(2);

/// What the relay notices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RelayEvent {
    /// The server has given the stream an id: it is listed, or will be at once.
    Joined,
    /// The connection broke or could not be made; it is tried again. `joined`: it had been made since the start.
    Lost { reason: String, joined: bool },
    /// A consumer's message was not passed on, and its session is ended.
    Refused {
        session: String,
        peer: Option<String>,
        reason: String,
    },
    /// A consumer that nobody has got anything against was turned away: its session is ended.
    TurnedAway {
        session: String,
        peer: String,
        reason: &'static str,
        /// How many descriptors are open, and how many may be.
        descriptors: (usize, usize),
    },
    /// A session begins at the sink: somebody's from there.
    Begins { session: String, origin: Origin },
    /// The sink ends a session.
    Ended { session: String, peer: Option<String> },
    /// The server complains.
    Complaint { details: String },
    /// The signaller has left without being told to.
    SignallerGone,
}

/// The relay, until dropped.
pub struct Relay {
    uri: String,
    server: Arc<Mutex<ServerAddress>>,
    /// Dropped to make it end.
    _stop: oneshot::Sender<()>,
}

impl Relay {
    /// Waits for the signaller to connect to [`Relay::uri`]; then connects to `server`. The callbacks must return
    /// at once; `make_room` is called while there are too few descriptors for somebody from there.
    pub fn start(
        server: ServerAddress,
        room: Room,
        make_room: impl Fn(&Origin) + Send + Sync + 'static,
        on_event: impl Fn(RelayEvent) + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let door = Door::open()?;
        let uri = door.uri();
        let server = Arc::new(Mutex::new(server));
        let (guests, arriving) = mpsc::unbounded();
        let (stop, until) = oneshot::channel::<()>();
        let exchange = Exchange {
            server: server.clone(),
            upstream: Upstream::new(),
            local: None,
            sessions: HashMap::new(),
            admission: Admission::new(room),
            joined: false,
            on_event: Box::new(on_event),
            make_room: Box::new(make_room),
        };
        gstrswebrtc::RUNTIME.spawn(async move {
            tokio::select! {
                () = door.keep(guests) => (),
                () = exchange.run(arriving, until) => (),
            }
        });
        Ok(Self {
            uri,
            server,
            _stop: stop,
        })
    }

    /// Where the signaller is to connect.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Another server, from the next connection on.
    pub fn set_server(&self, server: ServerAddress) {
        *self.server.lock().unwrap_or_else(PoisonError::into_inner) = server;
    }
}

struct Exchange {
    server: Arc<Mutex<ServerAddress>>,
    upstream: Upstream,
    local: Option<Local>,
    /// Each session that began on this connection.
    sessions: HashMap<String, Known>,
    admission: Admission,
    /// The server has welcomed us since the start.
    joined: bool,
    on_event: Box<dyn Fn(RelayEvent) + Send + Sync>,
    make_room: Box<dyn Fn(&Origin) + Send + Sync>,
}

/// The relay's knowledge of a session.
struct Known {
    /// The consumer's id.
    peer: String,
    /// Offers that it has not answered.
    offers: u32,
}

impl Exchange {
    async fn run(mut self, mut arriving: mpsc::UnboundedReceiver<Local>, mut until: oneshot::Receiver<()>) {
        loop {
            let server = self.server.clone();
            let server = || server.lock().unwrap_or_else(PoisonError::into_inner).clone();
            tokio::select! {
                Some(local) = arriving.next() => {
                    self.upstream.wake(server);
                    self.adopt(local).await;
                }
                said = local::next(&mut self.local) => match said {
                    Some(message) => self.said(message).await,
                    None => (self.on_event)(RelayEvent::SignallerGone),
                },
                news = self.upstream.next(server) => self.heard(news).await,
                () = starting::pause(self.admission.is_waiting()) => self.let_in().await,
                _ = &mut until => break,
            }
        }
        // What the signaller said while it was stopped is for the server.
        let last_words = async {
            while self.local.is_some() {
                if let Some(message) = local::next(&mut self.local).await {
                    self.upstream.send(&message).await;
                }
            }
        };
        let _ = tokio::time::timeout(PARTING, last_words).await;
        self.upstream.close().await;
    }

    /// The signaller has connected. It is welcomed with the id that the server knows.
    async fn adopt(&mut self, local: Local) {
        self.local = Some(local);
        if let Some(id) = self.upstream.id() {
            let welcome = welcome(id);
            self.tell_signaller(&welcome).await;
        }
    }

    async fn tell_signaller(&mut self, message: &Value) {
        let Some(local) = &mut self.local else { return };
        if !local::send(local, message).await {
            self.local = None;
            (self.on_event)(RelayEvent::SignallerGone);
        }
    }

    /// The signaller has said something.
    async fn said(&mut self, message: Value) {
        let session = text(&message, "sessionId");
        match text(&message, "type") {
            "endSession" => {
                let peer = self.forget(session);
                let session = session.to_owned();
                (self.on_event)(RelayEvent::Ended { session, peer });
            }
            "peer" if message.get("sdp").is_some() => {
                self.admission.offered(session, boottime::now());
                let is_offer = message.get("sdp").is_some_and(|sdp| text(sdp, "type") == "offer");
                if let Some(known) = self.sessions.get_mut(session).filter(|_| is_offer) {
                    known.offers = known.offers.saturating_add(1);
                }
            }
            _ => (),
        }
        self.upstream.send(&message).await;
    }

    async fn heard(&mut self, news: News) {
        match news {
            News::Welcome(id) => {
                // The server knows nothing of sessions from before.
                self.sessions.clear();
                self.admission.forget_waiting();
                self.joined = true;
                self.tell_signaller(&welcome(&id)).await;
                (self.on_event)(RelayEvent::Joined);
            }
            News::Message(message) => self.message(message).await,
            News::Lost(reason) => {
                let joined = self.joined;
                (self.on_event)(RelayEvent::Lost { reason, joined });
            }
        }
    }

    /// The server has said something. What a producer does not expect might end webrtcsink: it gets none of it.
    async fn message(&mut self, message: Value) {
        let session = text(&message, "sessionId").to_owned();
        match text(&message, "type") {
            "startSession" => {
                let offer = message.get("offer").and_then(Value::as_str);
                if let Err(reason) = offer.map_or(Ok(()), check_sdp) {
                    return self.refuse(session, &format!("its offer is bad: {reason}")).await;
                }
                return self.ask(session, message).await;
            }
            "peer" => {
                if let Err(reason) = self.check_peer_message(&session, &message) {
                    return self.refuse(session, &reason).await;
                }
            }
            "endSession" => {
                let peer = self.forget(&session);
                // Of the own server: what the consumer did wrong.
                if let Some(reason) = message.get(REASON_FIELD).and_then(Value::as_str) {
                    let reason = reason.to_owned();
                    (self.on_event)(RelayEvent::Refused {
                        session,
                        peer,
                        reason,
                    });
                }
            }
            "error" => {
                let details = text(&message, "details").to_owned();
                return (self.on_event)(RelayEvent::Complaint { details });
            }
            _ => return gst::debug!(CAT, "not for a producer: {message}"),
        }
        self.tell_signaller(&message).await;
    }

    /// Ends a session on both sides.
    async fn refuse(&mut self, session: String, reason: &str) {
        let peer = self.forget(&session);
        let end = json!({ "type": "endSession", "sessionId": session });
        self.tell_signaller(&end).await;
        self.upstream.send(&end).await;
        let reason = reason.to_owned();
        (self.on_event)(RelayEvent::Refused {
            session,
            peer,
            reason,
        });
    }
}

impl Exchange {
    /// Checks that a consumer's message may be passed on: a candidate, or the one answer to an offer.
    fn check_peer_message(&mut self, session: &str, message: &Value) -> Result<(), String> {
        let (ice, sdp) = (message.get("ice"), message.get("sdp"));
        check_length(ice.map_or(0, |ice| text(ice, "candidate").len()))?;
        match sdp {
            Some(sdp) if text(sdp, "type") == "answer" => {
                check_sdp(text(sdp, "sdp")).map_err(|reason| format!("its answer is bad: {reason}"))?;
                let known = self.sessions.get_mut(session);
                let known = known.filter(|known| known.offers > 0);
                known.ok_or("it answers what was not offered")?.offers -= 1;
                Ok(())
            }
            None if ice.is_some() => Ok(()),
            _ => Err("it sent no answer".to_owned()),
        }
    }
}

fn welcome(id: &str) -> Value {
    json!({ "type": "welcome", "peerId": id })
}

/// A field's text, or nothing.
fn text<'a>(message: &'a Value, field: &str) -> &'a str {
    message.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn check_sdp(sdp: &str) -> Result<(), String> {
    check_length(sdp.len())?;
    sdp::check(sdp)
}

fn check_length(length: usize) -> Result<(), String> {
    if length > MAX_PEER_MESSAGE_LEN {
        return Err(format!("{length} bytes are too many"));
    }
    Ok(())
}
