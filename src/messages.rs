//! What our elements post on the bus.

use gst::glib;
use gst::prelude::*;

use crate::data_channel::DataChannelEvent;
use crate::session::{Field, PeerEvent, Report, Severity};

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
    let mut structure = gst::Structure::new_empty(format!("streamium-pay/{name}"));
    for (field, value) in fields {
        structure.set_value(*field, value.clone());
    }
    post_structure(element.as_ref(), structure);
}

fn post_structure(element: &gst::Element, structure: gst::Structure) {
    let _ = element.post_message(gst::message::Element::builder(structure).src(element).build());
}

/// A report for programs.
pub fn structure(report: &Report) -> gst::Structure {
    let mut structure = gst::Structure::new_empty(format!("streamium-pay/{}", report.name));
    for (name, field) in &report.fields {
        let value = match field {
            Field::Text(text) => text.to_send_value(),
            Field::Number(number) => number.to_send_value(),
            Field::Flag(flag) => flag.to_send_value(),
        };
        structure.set_value(*name, value);
    }
    structure
}

/// Posts what a driver reports: as element message, and in words where it has some.
pub fn post_report(element: &impl IsA<gst::Element>, report: &Report) {
    post_structure(element.as_ref(), structure(report));
    let Some(text) = &report.text else { return };
    match report.severity {
        Severity::Info => post_info(element, text),
        Severity::Warning => gst::element_warning!(element, gst::ResourceError::Failed, ("{text}")),
        Severity::Error => gst::element_error!(element, gst::ResourceError::Failed, ("{text}")),
    }
}

/// What a driver is told of a data channel.
pub fn peer_event(event: DataChannelEvent) -> PeerEvent {
    match event {
        DataChannelEvent::Open => PeerEvent::Open,
        DataChannelEvent::Message(text) => PeerEvent::Text(text),
        DataChannelEvent::Malformed(_) => PeerEvent::NotText,
        DataChannelEvent::Closed => PeerEvent::Closed,
    }
}
