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

use async_tungstenite::tungstenite::{Error, Message};
use futures::StreamExt;
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::json;

use super::listing::{self, Heard};
use super::socket::{ServerAddress, Socket};
use super::{CAT, Signaller};

/// The field of a producer's metadata that has the stream's name.
pub const NAME_FIELD: &str = "name";

/// The longest message taken from a server. Others may fill its list with whatever they like, of which nothing is kept;
/// beyond this a list can't be read at all.
const MAX_MESSAGE_LEN: usize = 64 << 20;
/// So many producers of one name are reported at a time; which can be told apart only by trying one after the other.
const MOST_PRODUCERS: usize = 64;

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
            let text = match message {
                Ok(Message::Text(text)) => text,
                Ok(_) => continue,
                Err(Error::Capacity(_)) => {
                    return Err(format!(
                        "its list of streams is longer than {MAX_MESSAGE_LEN} bytes"
                    ));
                }
                Err(error) => return Err(error.to_string()),
            };
            // What is no message of the protocol as we know it is none for us.
            let Some(message) = listing::read(&text, &self.name) else {
                continue;
            };
            // Not together with what is made of it.
            drop(text);
            self.handle(message, &mut socket).await?;
        }
        Err("it closed the connection".to_owned())
    }

    async fn handle(&mut self, message: Heard, socket: &mut Socket) -> Result<(), String> {
        match message.kind.as_str() {
            "welcome" => {
                let status = json!({
                    "type": "setPeerStatus",
                    "peerId": message.peer_id,
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
            "list" => {
                self.listened = true;
                for id in message.producers {
                    self.producer(id, true);
                }
            }
            "peerStatusChanged" => {
                if let Some(id) = message.peer_id {
                    self.producer(id, message.is_producer && message.is_of_name);
                }
            }
            _ => (),
        }
        Ok(())
    }

    fn producer(&mut self, peer_id: String, ours: bool) {
        if ours && self.known.len() < MOST_PRODUCERS && self.known.insert(peer_id.clone()) {
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
