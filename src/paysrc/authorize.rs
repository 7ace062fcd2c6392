//! The signal with which an application decides about the price.

use std::ops::ControlFlow;
use std::sync::Arc;

use gst::glib;
use gst::prelude::*;

use super::StreamiumPaySrc;
use crate::messages::structure;
use crate::report::Report;
use crate::session::consumer::Authorizer;

const NAME: &str = "authorize-terms";

/**
 * GstStreamiumPaySrc::authorize-terms:
 * @element: the element
 * @terms: a #GstStructure streamium-pay/terms with the fields of that message: `stream`, `public-key` (text),
 *   `rate-msat-per-s`, `opening-sat`, `window-ms` (guint64); and `old-rate-msat-per-s` (guint64) where another rate had
 *   been agreed to
 *
 * Emitted with verified terms of a paid stream that are within the bounds of the properties, before anything is
 * committed or paid; and again with each new rate, before it is taken. Not for a connection that comes back on the
 * terms that were agreed to.
 *
 * The first handler that returns false refuses, and the session ends; a channel that was open is settled as it stands.
 * Without a handler the answer is true.
 *
 * It is emitted from a thread of its own, so a handler may take its time and ask a person, as long as the offer lasts: for
 * terms the provider's funding-timeout, for a new rate two minutes. Meanwhile the old rate holds. A later question does not
 * wait for the answer to an earlier one; while eight are unanswered the answer to any other is false.
 *
 * Returns: false to refuse
 *
 * Since: 0.1
 */
pub fn signal() -> glib::subclass::Signal {
    glib::subclass::Signal::builder(NAME)
        .param_types([gst::Structure::static_type()])
        .return_type::<bool>()
        .run_last()
        // With no handler at all this is the answer: an unset boolean would be false.
        .class_handler(|_| Some(true.to_value()))
        .accumulator(|_, _, answer| match answer.get() {
            Ok(false) => ControlFlow::Break(answer.clone()),
            _ => ControlFlow::Continue(answer.clone()),
        })
        .build()
}

/// Asks who is connected to an element's signal. An element that is gone plays nothing.
pub fn authorizer(element: &StreamiumPaySrc) -> Authorizer {
    let weak = element.downgrade();
    Arc::new(move |report: &Report| {
        weak.upgrade()
            .is_some_and(|element| element.emit_by_name::<bool>(NAME, &[&structure(report)]))
    })
}
