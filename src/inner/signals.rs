//! Signals that are the inner element's, under the same name on ours.
//!
//! As with [`super::Table`], they come from static tables, and a test compares them with the live elements.

use glib::subclass::Signal;
use gst::glib;

/// A type that may be asked for while our elements are registered: none of the inner elements' own.
pub type TypeOf = fn() -> glib::Type;

/// One signal of the inner element's.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded {
    pub name: &'static str,
    pub params: &'static [TypeOf],
    pub returns: Option<TypeOf>,
}

/// A table of forwarded signals.
pub struct Signals(pub &'static [Forwarded]);

impl Signals {
    pub fn specs(&self) -> impl Iterator<Item = Signal> {
        self.0.iter().map(Forwarded::spec)
    }
}

impl Forwarded {
    fn spec(&self) -> Signal {
        let params = self.params.iter().map(|type_of| type_of());
        let builder = Signal::builder(self.name).param_types(params);
        match self.returns {
            Some(type_of) => builder.return_type_from(type_of()).build(),
            None => builder.build(),
        }
    }
}
