//! From a stream's name to the producers of that name at a signalling server.
//!
//! A name is not an identity: anyone may register any name. So all producers of a name are reported, and who
//! asked tries one after the other until one proves to hold the link's key.
//!
//! This speaks the signalling server's protocol itself, as a listener. The crate's own signaller can be one too,
//! but can't be stopped safely in 0.15.4: `stop` waits for its receiving task with its state's lock held, which
//! that task takes for every producer that comes or goes; and with it hangs the one thread on which
//! all signallers of the process run.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_tungstenite::tungstenite::Message;
use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::{Value, json};

use super::socket::{ServerAddress, Socket};
use super::{CAT, Signaller};

/// The field of a producer's metadata that has the stream's name.
pub const NAME_FIELD: &str = "name";

/// The longest message taken from a server: a list of some ten thousand producers.
const MAX_MESSAGE_LEN: usize = 4 << 20;

/// What the signalling server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProducerEvent {
    /// A producer of the name is there.
    Added { peer_id: String },
    /// It has gone.
    Removed { peer_id: String },
    /// The server could not be reached, or the connection broke, `listened` being true if it had answered before.
    /// Nothing comes after this.
    Failed { reason: String, listened: bool },
}

/// Watches a signalling server for the producers of one stream name, until dropped.
pub struct Resolver {
    stopped: Arc<AtomicBool>,
    /// Dropped to make the task close its connection.
    stop: Mutex<Option<oneshot::Sender<()>>>,
}

impl Resolver {
    /// Connects to the server at `uri` (ws:// or wss://) with the TLS settings and headers of `like`, and
    /// reports each producer called `name` that is there or comes. The callback must return at once.
    pub fn start(
        like: &Signaller,
        uri: &str,
        name: &str,
        on_event: impl Fn(ProducerEvent) + Send + Sync + 'static,
    ) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (stop, until) = oneshot::channel();
        let silent = stopped.clone();
        let listener = Listener {
            server: ServerAddress::new(like, uri),
            name: name.to_owned(),
            known: HashSet::new(),
            listened: false,
            on_event: Box::new(move |event| {
                if !silent.load(Ordering::SeqCst) {
                    on_event(event);
                }
            }),
        };
        gstrswebrtc::RUNTIME.spawn(listener.run(until));
        Self {
            stopped,
            stop: Mutex::new(Some(stop)),
        }
    }

    /// Stops reporting, and disconnects in the background. Anywhere, also in the callback.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
        self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Listener {
    server: ServerAddress,
    name: String,
    /// The producers that were reported as there.
    known: HashSet<String>,
    /// The server has answered.
    listened: bool,
    on_event: Box<dyn Fn(ProducerEvent) + Send + Sync>,
}

impl Listener {
    async fn run(mut self, until: oneshot::Receiver<()>) {
        let session = Box::pin(self.listen());
        let reason = match select(session, until).await {
            Either::Left((Err(reason), _)) => reason,
            Either::Left((Ok(never), _)) => match never {},
            // Stopped: the connection went with the future.
            Either::Right(_) => return,
        };
        gst::info!(CAT, "signalling server {}: {reason}", self.server.uri);
        let listened = self.listened;
        (self.on_event)(ProducerEvent::Failed { reason, listened });
    }

    async fn listen(&mut self) -> Result<std::convert::Infallible, String> {
        let mut socket = self.server.connect(MAX_MESSAGE_LEN).await?;
        gst::debug!(CAT, "listening at {}", self.server.uri);
        while let Some(message) = socket.next().await {
            let Message::Text(text) = message.map_err(|error| error.to_string())? else {
                continue;
            };
            // What is no message of the protocol as we know it is none for us.
            let Ok(message) = serde_json::from_str::<Value>(&text) else {
                continue;
            };
            self.handle(&message, &mut socket).await?;
        }
        Err("it closed the connection".to_owned())
    }

    async fn handle(&mut self, message: &Value, socket: &mut Socket) -> Result<(), String> {
        match message["type"].as_str() {
            Some("welcome") => {
                let status = json!({
                    "type": "setPeerStatus",
                    "peerId": message["peerId"],
                    "roles": ["listener"],
                    "meta": null,
                });
                for request in [status, json!({ "type": "list" })] {
                    socket
                        .send(Message::text(request.to_string()))
                        .await
                        .map_err(|error| error.to_string())?;
                }
            }
            Some("list") => {
                self.listened = true;
                for producer in message["producers"].as_array().into_iter().flatten() {
                    self.producer(&producer["id"], &producer["meta"], true);
                }
            }
            Some("peerStatusChanged") => {
                let roles = message["roles"].as_array();
                let producing = roles.is_some_and(|roles| roles.iter().any(|role| role == "producer"));
                self.producer(&message["peerId"], &message["meta"], producing);
            }
            _ => (),
        }
        Ok(())
    }

    fn producer(&mut self, peer_id: &Value, meta: &Value, producing: bool) {
        let Some(peer_id) = peer_id.as_str().map(ToOwned::to_owned) else {
            return;
        };
        let ours = producing && meta[NAME_FIELD] == self.name;
        if ours && self.known.insert(peer_id.clone()) {
            gst::debug!(CAT, "producer {peer_id} is called \"{}\"", self.name);
            (self.on_event)(ProducerEvent::Added { peer_id });
        } else if !ours && self.known.remove(&peer_id) {
            gst::debug!(CAT, "producer {peer_id} has gone");
            (self.on_event)(ProducerEvent::Removed { peer_id });
        }
    }
}

/// A producer's metadata: the user's, with the stream's name in its field.
pub fn named_meta(user: Option<&gst::StructureRef>, name: &str) -> gst::Structure {
    let mut meta = user.map_or_else(|| gst::Structure::new_empty("meta"), ToOwned::to_owned);
    meta.set(NAME_FIELD, name);
    meta
}
