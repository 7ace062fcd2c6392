//! Signals of our own: each is a report, by another way.

use gst::glib;
use gst::prelude::*;

use super::send_value;
use crate::catalogue::{Catalogue, Kind};
use crate::report::Report;

/// A signal, and the report that it is emitted for.
#[derive(Debug)]
pub struct OwnSignal {
    pub name: &'static str,
    /// The report's name.
    pub report: &'static str,
    /// Only for a report that has this field.
    pub only_with: Option<&'static str>,
    /// The fields that are its arguments, in order.
    pub arguments: &'static [&'static str],
}

impl OwnSignal {
    /// What the class declares.
    pub fn declare(&self, catalogue: &Catalogue) -> glib::subclass::Signal {
        let fields = catalogue
            .find(self.report)
            .map_or(&[][..], |message| message.fields);
        let types: Vec<glib::Type> = self
            .arguments
            .iter()
            .filter_map(|name| fields.iter().find(|field| field.name == *name))
            .map(|field| gtype(field.kind))
            .collect();
        glib::subclass::Signal::builder(self.name)
            .param_types(types)
            .build()
    }

    /// Whether this report is one for the signal.
    pub fn is_of(&self, report: &Report) -> bool {
        let has = |field| report.fields.iter().any(|(name, _)| *name == field);
        report.name == self.report && self.only_with.is_none_or(has)
    }

    /// The arguments; `None` where the report lacks one, which a test finds first.
    pub fn values(&self, report: &Report) -> Option<Vec<glib::SendValue>> {
        let value = |argument: &&str| {
            let field = report.fields.iter().find(|(name, _)| name == argument);
            field.map(|(_, field)| send_value(field))
        };
        self.arguments.iter().map(value).collect()
    }
}

fn gtype(kind: Kind) -> glib::Type {
    match kind {
        Kind::Text => String::static_type(),
        Kind::Number => u64::static_type(),
        Kind::Flag => bool::static_type(),
    }
}
