//! The signaller object of an inner element, whichever copy of the crate it is from.

use gst::glib;
use gst::prelude::*;

use super::lookup_signal;

/// A signaller: what connects webrtcsink, webrtcsrc or a listener to the signalling server.
#[derive(Clone, Debug)]
pub struct Signaller(glib::Object);

// SAFETY: the crate declares its `Signallable` interface Send and Sync (its state is behind mutexes), and every
// copy of it that passes `check` is of that design. We know the object only as a `glib::Object`, which
// can't say so.
unsafe impl Send for Signaller {}
// SAFETY: as above.
unsafe impl Sync for Signaller {}

impl Signaller {
    /// The signaller of a webrtcsink or webrtcsrc.
    pub fn of(inner: &gst::Element) -> Option<Self> {
        inner
            .dynamic_cast_ref::<gst::ChildProxy>()?
            .child_by_name("signaller")
            .map(Self)
    }

    /// A new one of the same type, that only watches which producers there are.
    pub fn new_listener(&self) -> Self {
        let listener = Self(glib::Object::with_type(self.0.type_()));
        listener.0.set_property_from_str("role", "listener");
        listener.copy_settings(self);
        listener
    }

    /// Takes over how `other` reaches its server: certificate authority, headers, TLS. Not its address.
    pub fn copy_settings(&self, other: &Self) {
        for name in ["cafile", "headers", "insecure-tls"] {
            let both = self.0.find_property(name).is_some() && other.0.find_property(name).is_some();
            if both {
                self.0
                    .set_property_from_value(name, &other.0.property_value(name));
            }
        }
    }

    pub fn object(&self) -> &glib::Object {
        &self.0
    }

    pub fn uri(&self) -> Option<String> {
        self.0.property("uri")
    }

    pub fn set_uri(&self, uri: &str) {
        self.0.set_property("uri", uri);
    }

    pub fn set_producer(&self, peer_id: &str) {
        self.0.set_property("producer-peer-id", peer_id);
    }

    pub fn start(&self) {
        self.0.emit_by_name::<bool>("start", &[]);
    }

    /// Disconnects, and waits for that: never from one of the signaller's own callbacks, which run in the
    /// runtime that would be waited for.
    pub fn stop(&self) {
        self.0.emit_by_name::<bool>("stop", &[]);
    }

    /// Ends one session on both sides: our element drops it, the server tells the peer. Takes locks of the
    /// element's: never from one of its callbacks.
    pub fn end_session(&self, session_id: &str) {
        self.0.emit_by_name::<bool>("session-ended", &[&session_id]);
        self.0.emit_by_name::<bool>("end-session", &[&session_id]);
    }

    /// Connects to a signal by name; the handler gets the signal's arguments.
    pub fn connect(
        &self,
        signal: &str,
        handler: impl Fn(&[glib::Value]) + Send + Sync + 'static,
    ) -> glib::SignalHandlerId {
        self.0.connect(signal, false, move |values| {
            handler(values.get(1..).unwrap_or_default());
            None
        })
    }

    /// Like [`Signaller::connect`], for signals that want a bool back: `false`, as the elements' own handlers
    /// say.
    pub fn connect_bool(
        &self,
        signal: &str,
        handler: impl Fn(&[glib::Value]) + Send + Sync + 'static,
    ) -> glib::SignalHandlerId {
        self.0.connect(signal, false, move |values| {
            handler(values.get(1..).unwrap_or_default());
            Some(false.to_value())
        })
    }

    pub fn disconnect(&self, id: glib::SignalHandlerId) {
        self.0.disconnect(id);
    }

    /// What is missing, as kind and name.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        const SIGNALS: [&str; 8] = [
            "start",
            "stop",
            "error",
            "session-ended",
            "end-session",
            "producer-added",
            "producer-removed",
            "webrtcbin-ready",
        ];
        for name in SIGNALS {
            lookup_signal(name, self.0.type_()).ok_or(("signaller signal", name))?;
        }
        for name in ["uri", "role", "producer-peer-id"] {
            self.0.find_property(name).ok_or(("signaller property", name))?;
        }
        Ok(())
    }
}
