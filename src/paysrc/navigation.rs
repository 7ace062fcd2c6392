//! Navigation events that are sent to the element; those on its pads take their own way upstream.

use gst::prelude::*;

use super::CAT;

/// Sends it to the provider, if the properties let webrtcsrc do so.
pub fn send(inner: Option<gst::Element>, event: gst::Event) -> bool {
    // webrtcsrc panics over one that it can't read.
    if let Err(error) = gst_video::NavigationEvent::parse(&event) {
        gst::warning!(CAT, "no navigation event: {error}");
        return false;
    }
    inner.is_some_and(|inner| inner.send_event(event))
}
