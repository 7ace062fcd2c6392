//! The signals of `streamiumpaysink`: webrtcsink's, and its own.

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::glib;
use gst::prelude::*;

use super::own_signals;
use crate::inner::{Forwarded, Signals};

/// Those of webrtcsink's, see [`Signals`].
pub static TABLE: Signals = Signals(&[
    Forwarded {
        name: "consumer-added",
        params: &[String::static_type, gst::Element::static_type],
        returns: None,
    },
    Forwarded {
        name: "consumer-removed",
        params: &[String::static_type, gst::Element::static_type],
        returns: None,
    },
]);

pub fn signals() -> &'static [Signal] {
    static SIGNALS: LazyLock<Vec<Signal>> =
        LazyLock::new(|| TABLE.specs().chain(own_signals::declarations()).collect());
    &SIGNALS
}
