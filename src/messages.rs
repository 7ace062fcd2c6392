//! What our elements post on the bus.

use gst::glib;
use gst::prelude::*;

/// Posts an INFO message for people to read.
///
/// The text is in the message's *debug* string, which is all that gst-launch prints of an INFO message.
pub fn post_info(element: &impl IsA<gst::Element>, text: &str) {
    let element = element.as_ref();
    let message = gst::message::Info::builder(gst::ResourceError::Settings, "streamium-pay")
        .debug(text)
        .src(element)
        .build();
    // Without a bus there is nobody to tell.
    let _ = element.post_message(message);
}

/// Posts an element message for programs: a structure called `streamium-pay/<name>` with these fields.
pub fn post_element(element: &impl IsA<gst::Element>, name: &str, fields: &[(&str, glib::SendValue)]) {
    let element = element.as_ref();
    let mut structure = gst::Structure::new_empty(format!("streamium-pay/{name}"));
    for (field, value) in fields {
        structure.set_value(*field, value.clone());
    }
    let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
}
