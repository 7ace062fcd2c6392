//! From a stream's name to the producers of that name at a signalling server.
//!
//! A name is not an identity: anyone may register any name. So all producers of a name are reported, and who
//! asked tries one after the other until one proves to hold the link's key.

use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;

use super::{CAT, Signaller};

/// The field of a producer's metadata that has the stream's name.
pub const NAME_FIELD: &str = "name";

/// What the signalling server says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProducerEvent {
    /// A producer of the name is there.
    Added { peer_id: String },
    /// It has gone.
    Removed { peer_id: String },
    /// The server could not be reached, or the connection broke.
    Failed { reason: String },
}

/// Watches a signalling server for the producers of one stream name.
pub struct Resolver {
    listener: Signaller,
    handlers: Mutex<Vec<glib::SignalHandlerId>>,
}

impl Resolver {
    /// Connects to the server at `uri` (ws:// or wss://) with a signaller like `like`, and reports each producer
    /// called `name` that is there or comes, until stopped. The callback runs in the signaller's runtime: it
    /// must return at once and stop nothing.
    pub fn start(
        like: &Signaller,
        uri: &str,
        name: &str,
        on_event: impl Fn(ProducerEvent) + Send + Sync + 'static,
    ) -> Self {
        let listener = like.new_listener();
        listener.set_uri(uri);
        let on_event = Arc::new(on_event);
        let mut handlers = Vec::new();

        let wanted = name.to_owned();
        let report = on_event.clone();
        handlers.push(listener.connect("producer-added", move |values| {
            let Some((peer_id, meta)) = producer(values) else {
                return;
            };
            let found = meta.as_deref().and_then(stream_name);
            gst::debug!(CAT, "producer {peer_id} is called {found:?}");
            if found.as_deref() == Some(&wanted) {
                report(ProducerEvent::Added { peer_id });
            }
        }));
        let report = on_event.clone();
        handlers.push(listener.connect("producer-removed", move |values| {
            if let Some((peer_id, _)) = producer(values) {
                report(ProducerEvent::Removed { peer_id });
            }
        }));
        handlers.push(listener.connect("error", move |values| {
            let reason = values
                .first()
                .and_then(|value| value.get::<String>().ok())
                .unwrap_or_default();
            on_event(ProducerEvent::Failed { reason });
        }));

        listener.start();
        Self {
            listener,
            handlers: Mutex::new(handlers),
        }
    }

    /// Stops reporting and disconnects. Not from the callback.
    pub fn stop(&self) {
        let handlers = std::mem::take(&mut *self.handlers.lock().unwrap_or_else(PoisonError::into_inner));
        if handlers.is_empty() {
            return;
        }
        for handler in handlers {
            self.listener.disconnect(handler);
        }
        self.listener.stop();
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop();
    }
}

fn producer(values: &[glib::Value]) -> Option<(String, Option<gst::Structure>)> {
    let peer_id = values.first()?.get::<String>().ok()?;
    let meta = values
        .get(1)
        .and_then(|value| value.get::<Option<gst::Structure>>().ok())
        .flatten();
    Some((peer_id, meta))
}

fn stream_name(meta: &gst::StructureRef) -> Option<String> {
    meta.get::<String>(NAME_FIELD).ok()
}

/// A producer's metadata: the user's, with the stream's name in its field.
pub fn named_meta(user: Option<&gst::StructureRef>, name: &str) -> gst::Structure {
    let mut meta = user.map_or_else(|| gst::Structure::new_empty("meta"), ToOwned::to_owned);
    meta.set(NAME_FIELD, name);
    meta
}
