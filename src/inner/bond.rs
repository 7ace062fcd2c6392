//! By which handlers a webrtcsink answers its signaller: one that has been replaced must not answer any more, though an
//! application, or a message on its bus, may keep it alive.

use std::ffi::c_ulong;

use gst::glib;
use gst::glib::gobject_ffi as ffi;
use gst::glib::translate::IntoGlib;
use gst::prelude::*;

use super::{Signaller, lookup_signal};

/// What webrtcsink listens to.
const HEARD: [&str; 7] = [
    "error",
    "request-meta",
    "session-requested",
    "session-description",
    "handle-ice",
    "session-ended",
    "shutdown",
];

/// The handlers of one webrtcsink.
#[derive(Debug, Clone)]
pub struct Bond(Vec<c_ulong>);

impl Bond {
    /// Of a webrtcsink that has just been made: nobody else has connected yet.
    pub fn of_new(signaller: &Signaller) -> Self {
        Self(handlers(signaller.object()))
    }

    /// Takes `signaller` from its webrtcsink and gives it to another, as whose own it answers from then on. While it is
    /// stopped.
    pub fn pass_on(&self, signaller: &Signaller, to: &gst::Element) -> Result<Self, String> {
        const NAME: &str = "signaller";
        let object = signaller.object();
        let fits = to.find_property(NAME).is_some_and(|property| {
            property.flags().contains(glib::ParamFlags::WRITABLE)
                && object.type_().is_a(property.value_type())
        });
        if !fits {
            return Err("the installed webrtcsink takes no signaller: it can run only once".to_owned());
        }
        let present = handlers(object);
        for id in present.iter().filter(|id| self.0.contains(id)) {
            // SAFETY: the handler is one of the object's, as was just found.
            unsafe { ffi::g_signal_handler_disconnect(object.as_ptr(), *id) };
        }
        to.set_property(NAME, object);
        let mut new = handlers(object);
        new.retain(|id| !present.contains(id));
        Ok(Self(new))
    }
}

/// All handlers of the signals that webrtcsink listens to. They are blocked for a moment: GLib has no other way to list them.
fn handlers(object: &glib::Object) -> Vec<c_ulong> {
    let mut found = Vec::new();
    for signal in HEARD
        .iter()
        .filter_map(|name| lookup_signal(name, object.type_()))
    {
        while let Some(id) = first_unblocked(object, signal) {
            // SAFETY: the handler is one of the object's, as was just found.
            unsafe { ffi::g_signal_handler_block(object.as_ptr(), id) };
            found.push(id);
        }
    }
    for id in &found {
        // SAFETY: as above; it was blocked once.
        unsafe { ffi::g_signal_handler_unblock(object.as_ptr(), *id) };
    }
    found
}

fn first_unblocked(object: &glib::Object, signal: glib::subclass::SignalId) -> Option<c_ulong> {
    // SAFETY: the signal is of the object's type, and only it and whether it is blocked are looked for: the other arguments
    // are not read.
    let id = unsafe {
        ffi::g_signal_handler_find(
            object.as_ptr(),
            ffi::G_SIGNAL_MATCH_ID | ffi::G_SIGNAL_MATCH_UNBLOCKED,
            signal.into_glib(),
            0,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    (id != 0).then_some(id)
}
