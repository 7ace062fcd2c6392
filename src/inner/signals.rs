//! Signals that are the inner element's, under the same name on ours.
//!
//! As with [`super::Table`], they come from static tables, and a test compares them with the live elements. The inner
//! element's signal is answered with what ours answers. If that is nothing, as when nobody listens, the inner element's
//! defaults stay in force.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use glib::signal::{signal_handler_block, signal_handler_unblock, signal_has_handler_pending};
use glib::subclass::{Signal, SignalId};
use gst::glib;
use gst::prelude::*;

use super::{CAT, described};

/// A type that may be asked for while our elements are registered: none of the inner elements' own.
pub type TypeOf = fn() -> glib::Type;

/// What becomes of the answers of several handlers, and of no answer.
#[derive(Debug, Clone, Copy)]
pub enum Answer {
    /// There is none to be given.
    Nothing,
    /// The last handler's counts, none by default.
    Last(TypeOf),
    /// Handlers run until one says true; then the inner element does not do its own part.
    UntilTrue,
    /// The first handler's counts. By default the inner element has its own.
    First(TypeOf),
}

/// One signal of the inner element's.
#[derive(Debug, Clone, Copy)]
pub struct Forwarded {
    pub name: &'static str,
    pub params: &'static [TypeOf],
    pub answer: Answer,
}

/// A table of forwarded signals.
pub struct Signals(pub &'static [Forwarded]);

impl Signals {
    pub fn specs(&self) -> impl Iterator<Item = Signal> {
        self.0.iter().map(Forwarded::spec)
    }

    /// From now on `outer` says what `inner` says, of those signals that `inner` has.
    pub fn forward(&self, inner: &gst::Element, outer: &impl IsA<gst::Element>) {
        for row in self.0 {
            if row.is_of(inner) {
                row.forward(inner, outer.as_ref());
            } else {
                gst::info!(CAT, obj = inner, "no signal {} to forward", row.name);
            }
        }
    }

    /// Says so if somebody listens on `outer` to what `inner` will never emit.
    pub fn warn_of_unheard(&self, inner: &gst::Element, outer: &impl IsA<gst::Element>) {
        let unheard: Vec<_> = self.unheard(inner, outer.as_ref()).collect();
        if !unheard.is_empty() {
            gst::element_warning!(
                outer.as_ref(),
                gst::CoreError::MissingPlugin,
                (
                    "Nobody will call the handlers of {}: {} has no such signal. Update gst-plugins-rs.",
                    unheard.join(", "),
                    described(inner)
                )
            );
        }
    }

    fn unheard(&self, inner: &gst::Element, outer: &gst::Element) -> impl Iterator<Item = &'static str> {
        let missing = self.0.iter().filter(|row| !row.is_of(inner));
        missing
            .filter(|row| has_handlers(outer, row.name))
            .map(|row| row.name)
    }
}

impl Forwarded {
    fn spec(&self) -> Signal {
        let params = self.params.iter().map(|type_of| type_of());
        let builder = Signal::builder(self.name)
            .param_types(params)
            .return_type_from(self.answer_type())
            .run_last();
        match self.answer {
            Answer::Nothing | Answer::Last(_) => builder.build(),
            Answer::UntilTrue => builder
                .accumulator(|_, _, value| match value.get() {
                    Ok(true) => ControlFlow::Break(value.clone()),
                    _ => ControlFlow::Continue(value.clone()),
                })
                .build(),
            Answer::First(_) => builder
                .accumulator(|_, _, value| ControlFlow::Break(value.clone()))
                .build(),
        }
    }

    fn answer_type(&self) -> glib::Type {
        match self.answer {
            Answer::Nothing => glib::Type::UNIT,
            Answer::Last(type_of) | Answer::First(type_of) => type_of(),
            Answer::UntilTrue => glib::Type::BOOL,
        }
    }

    /// Whether this inner element has the signal, as we know it. Another version's may differ.
    fn is_of(&self, inner: &gst::Element) -> bool {
        SignalId::lookup(self.name, inner.type_()).is_some_and(|id| {
            let query = id.query();
            query.param_types().len() == self.params.len()
                && query.return_type().type_() == self.answer_type()
        })
    }

    fn forward(&'static self, inner: &gst::Element, outer: &gst::Element) {
        let outer = outer.downgrade();
        let own = Arc::new(OnceLock::new());
        let handler = own.clone();
        let id = inner.connect(self.name, false, move |values| {
            let answer = outer
                .upgrade()
                .and_then(|outer| self.emit(&outer, values.get(1..).unwrap_or_default()));
            let none = || Some(glib::Value::from_type(self.answer_type()));
            match self.answer {
                Answer::Nothing => None,
                Answer::Last(_) | Answer::UntilTrue => answer.or_else(none),
                Answer::First(_) => answer
                    .filter(|value| !is_nothing(value))
                    .or_else(|| without(handler.get(), self.name, values))
                    .or_else(none),
            }
        });
        let _ = own.set(id);
    }

    fn emit(&self, outer: &gst::Element, values: &[glib::Value]) -> Option<glib::Value> {
        let values: Option<Vec<_>> = self
            .params
            .iter()
            .zip(values)
            .map(|(type_of, value)| plain(value, type_of()))
            .collect();
        match values {
            Some(values) => outer.emit_by_name_with_values(self.name, &values),
            None => {
                gst::warning!(CAT, obj = outer, "{} has arguments of other types", self.name);
                None
            }
        }
    }
}

/// An argument as the type that ours declares: flags of the inner element's own type are plain numbers.
fn plain(value: &glib::Value, as_type: glib::Type) -> Option<glib::Value> {
    if value.type_().is_a(as_type) {
        Some(value.clone())
    } else {
        value.transform_with_type(as_type).ok()
    }
}

fn has_handlers(element: &gst::Element, signal: &str) -> bool {
    SignalId::lookup(signal, element.type_())
        .is_some_and(|id| signal_has_handler_pending(element, id, None, false))
}

/// What the inner element answers without us: an accumulator that takes the first answer would else take ours, of
/// which there is none.
fn without(own: Option<&glib::SignalHandlerId>, signal: &str, values: &[glib::Value]) -> Option<glib::Value> {
    let (first, arguments) = values.split_first()?;
    let (inner, own) = (first.get::<gst::Element>().ok()?, own?);
    signal_handler_block(&inner, own);
    let answer = inner.emit_by_name_with_values(signal, arguments);
    signal_handler_unblock(&inner, own);
    answer
}

/// No answer, or caps without a structure, which webrtcsink would panic over.
fn is_nothing(value: &glib::Value) -> bool {
    let caps = value.get::<Option<gst::Caps>>();
    let structure = value.get::<Option<gst::Structure>>();
    caps.is_ok_and(|caps| caps.is_none_or(|caps| caps.structure(0).is_none()))
        || structure.is_ok_and(|structure| structure.is_none())
}
