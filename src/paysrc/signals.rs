//! The signals of `streamiumpaysrc`: webrtcsrc's, and its own.

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::glib;
use gst::prelude::*;

use super::{authorize, own_signals};
use crate::inner::{Forwarded, Signals};

/// Those of webrtcsrc's, see [`Signals`].
pub static TABLE: Signals = Signals(&[Forwarded {
    name: "request-encoded-filter",
    params: &[String::static_type, String::static_type, gst::Caps::static_type],
    returns: Some(gst::Element::static_type),
}]);

pub fn signals() -> &'static [Signal] {
    static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
        let own = own_signals::declarations().chain([authorize::signal()]);
        TABLE.specs().chain(own).collect()
    });
    &SIGNALS
}
