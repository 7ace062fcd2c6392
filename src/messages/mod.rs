//! What our elements tell: messages on the bus, and signals for those who connect to them.

mod own_signal;
mod teller;

use gst::glib;
use gst::prelude::*;

use crate::catalogue::Catalogue;
use crate::report::{Field, Report, Severity};

pub use own_signal::OwnSignal;
pub use teller::Teller;

/// One of our elements.
pub trait Speaker: IsA<gst::Element> {
    const CATALOGUE: &'static Catalogue;
    const SIGNALS: &'static [OwnSignal];

    fn teller(&self) -> &Teller;
}

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

/// Tells what happened: as element message, in words where it has some, and as signal where it is one.
pub fn post_report<E: Speaker>(element: &E, report: &Report) {
    debug_assert_eq!(
        report.check(E::CATALOGUE),
        Ok(()),
        "docs/elements.md says otherwise"
    );
    post_element(element, report);
    if let Some(text) = &report.text {
        post_words(element, report.severity, text);
    }
    element.teller().tell(element, E::SIGNALS, report);
}

fn post_element(element: &impl IsA<gst::Element>, report: &Report) {
    let element = element.as_ref();
    let message = gst::message::Element::builder(structure(report)).src(element);
    let _ = element.post_message(message.build());
}

/// A report for programs: a structure called `streamium-pay/NAME` with its fields.
pub fn structure(report: &Report) -> gst::Structure {
    let mut structure = gst::Structure::new_empty(format!("streamium-pay/{}", report.name));
    for (name, field) in &report.fields {
        structure.set_value(*name, send_value(field));
    }
    structure
}

fn post_words(element: &impl IsA<gst::Element>, severity: Severity, text: &str) {
    match severity {
        Severity::Info => post_info(element, text),
        Severity::Warning => gst::element_warning!(element, gst::ResourceError::Failed, ("{text}")),
        Severity::Error => gst::element_error!(element, gst::ResourceError::Failed, ("{text}")),
    }
}

fn send_value(field: &Field) -> glib::SendValue {
    match field {
        Field::Text(text) => text.to_send_value(),
        Field::Number(number) => number.to_send_value(),
        Field::Flag(flag) => flag.to_send_value(),
    }
}
