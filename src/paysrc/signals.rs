//! The signals of `streamiumpaysrc`: webrtcsrc's, and its own.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::glib;
use gst::prelude::*;

use super::{authorize, own_signals};
use crate::inner::{Answer, Forwarded, Signals};

/// Those of webrtcsrc's, see [`Signals`]. What a handler must not do is in docs/elements.md.
pub static TABLE: Signals = Signals(&[
    /**
     * GstStreamiumPaySrc::request-encoded-filter:
     * @element: the streamiumpaysrc
     * @producer_id: (type utf8) (nullable): the provider's id at the signalling server
     * @pad_name: (type utf8): our source pad
     * @allowed_caps: (nullable): what may come out there
     *
     * As of webrtcsrc: to put an element after the depayloader. Emitted once a track for each connection. It may
     * see a few packets of a producer that does not prove to hold the link's key; what comes out of our pads never does.
     *
     * Returns: (nullable): the element to put there
     *
     * Since: 0.1
     */
    Forwarded {
        name: "request-encoded-filter",
        params: &[String::static_type, String::static_type, gst::Caps::static_type],
        answer: Answer::Last(gst::Element::static_type),
    },
]);

pub fn signals() -> &'static [Signal] {
    static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
        let own = own_signals::declarations().chain([authorize::signal()]);
        TABLE.specs().chain(own).collect()
    });
    &SIGNALS
}
