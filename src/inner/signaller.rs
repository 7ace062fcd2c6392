//! The signaller object of an inner element, whichever copy of the crate it is from.

use std::sync::mpsc;
use std::time::Duration;

use gst::glib;
use gst::glib::translate::IntoGlib;
use gst::prelude::*;

use super::lookup_signal;
use crate::param::text_of;

/// A signaller: what connects a webrtcsink or webrtcsrc to the signalling server.
#[derive(Clone, Debug)]
pub struct Signaller(glib::Object);

// SAFETY: the crate declares its `Signallable` interface Send and Sync (its state is behind mutexes), and every
// copy of it that passes `check` is of that design. We know the object only as a `glib::Object`, which
// can't say so.
unsafe impl Send for Signaller {}
// SAFETY: as above.
unsafe impl Sync for Signaller {}

impl Signaller {
    /// What each connection of a source takes over of the settings that its user made.
    pub const TAKEN_OVER: [&'static str; 3] = ["cafile", "headers", "insecure-tls"];

    /// The signaller of a webrtcsink or webrtcsrc.
    pub fn of(inner: &gst::Element) -> Option<Self> {
        inner
            .dynamic_cast_ref::<gst::ChildProxy>()?
            .child_by_name("signaller")
            .map(Self)
    }

    /// Takes over how `other` reaches its server: certificate authority, headers, TLS. Not its address.
    pub fn copy_settings(&self, other: &Self) {
        for name in Self::TAKEN_OVER {
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

    /// The certificate authority's file and whether any certificate will do, as set for TLS.
    pub fn tls(&self) -> (Option<String>, bool) {
        let has = |name| self.0.find_property(name).is_some();
        let cafile = has("cafile")
            .then(|| self.0.property::<Option<String>>("cafile"))
            .flatten();
        (cafile, has("insecure-tls") && self.0.property("insecure-tls"))
    }

    /// Extra HTTP headers, as set.
    pub fn headers(&self) -> Vec<(String, String)> {
        self.0
            .find_property("headers")
            .and_then(|_| self.0.property::<Option<gst::Structure>>("headers"))
            .map_or_else(Vec::new, |headers| {
                headers
                    .iter()
                    .filter_map(|(name, value)| Some((name.to_string(), text_of(value)?)))
                    .collect()
            })
    }

    /// Waits until the signallers' one thread is in no callback, for a moment at most. Without it, stopping a webrtcsrc
    /// whose provider has just ended the session hangs for good: `stop` waits, with the signaller's lock, for a
    /// callback that waits for that lock.
    ///
    /// It knows the thread of the linked copy only; with an installed copy it does nothing.
    pub fn wait_until_idle() {
        const PATIENCE: Duration = Duration::from_secs(2);
        let (done, idle) = mpsc::channel();
        // With a single thread, a task of its own runs only once the running callback has returned.
        gstrswebrtc::RUNTIME.spawn(async move { done.send(()) });
        let _ = idle.recv_timeout(PATIENCE);
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

    /// True for the one that speaks the protocol of webrtcsink's signalling server.
    pub fn is_standard(&self) -> bool {
        self.0.type_().name() == "GstWebRTCSignaller"
    }

    /// Calls back each time that the address has been set.
    pub fn connect_uri(&self, handler: impl Fn(&Self) + Send + Sync + 'static) -> glib::SignalHandlerId {
        self.0
            .connect_notify(Some("uri"), move |object, _| handler(&Self(object.clone())))
    }

    /// Calls `handler` when the server says that the session is over, instead of ending it. Before anybody else has
    /// connected to that signal.
    pub fn intercept_session_ended(&self, handler: impl Fn() + Send + Sync + 'static) {
        const SIGNAL: &str = "session-ended";
        if let Some(signal) = lookup_signal(SIGNAL, self.0.type_()) {
            // SAFETY: the signal is of the object's type, and only it is looked for: the other arguments are not read. A
            // handler that is found is one of the object's.
            unsafe {
                let handler = glib::gobject_ffi::g_signal_handler_find(
                    self.0.as_ptr(),
                    glib::gobject_ffi::G_SIGNAL_MATCH_ID,
                    signal.into_glib(),
                    0,
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                    std::ptr::null_mut(),
                );
                if handler != 0 {
                    glib::gobject_ffi::g_signal_handler_block(self.0.as_ptr(), handler);
                }
            }
        }
        self.0.connect(SIGNAL, false, move |_| {
            handler();
            Some(true.to_value())
        });
    }

    pub fn disconnect(&self, id: glib::SignalHandlerId) {
        self.0.disconnect(id);
    }

    /// What is missing, as kind and name.
    pub(super) fn check(&self) -> Result<(), (&'static str, &'static str)> {
        const SIGNALS: [&str; 5] = ["start", "stop", "session-ended", "end-session", "webrtcbin-ready"];
        for name in SIGNALS {
            lookup_signal(name, self.0.type_()).ok_or(("signaller signal", name))?;
        }
        for name in ["uri", "producer-peer-id"] {
            self.0.find_property(name).ok_or(("signaller property", name))?;
        }
        Ok(())
    }
}
