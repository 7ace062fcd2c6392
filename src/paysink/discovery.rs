//! webrtcsink's discovery of caps, where it outlives its run.
//!
//! It begins with a pad's first buffer, in a task. If the element is stopped before that has begun, gst-plugin-webrtc 0.15 finds
//! nothing to abort: pipelines are started afterwards and wait for media for good, a thread each, and keep the webrtcsink.

use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::CAT;
use crate::inner::Signaller;

/// How webrtcsink names the consumer for which nobody consumes.
const NOBODY: &str = "discovery";

/// The pipelines of the run's discoveries. The lock is a leaf.
#[derive(Default, Clone)]
pub struct Discoveries(Arc<Mutex<Vec<glib::WeakRef<gst::Element>>>>);

impl Discoveries {
    /// Gets to know those of a webrtcsink.
    pub fn watch(&self, sink: &gst::Element) {
        const SIGNAL: &str = "payloader-setup";
        if glib::subclass::SignalId::lookup(SIGNAL, sink.type_()).is_none() {
            return;
        }
        let discoveries = self.clone();
        sink.connect(SIGNAL, false, move |values| {
            let is_nobody = values.get(1).is_some_and(|id| id.get() == Ok(NOBODY));
            let payloader = values.get(3).and_then(|value| value.get::<gst::Element>().ok());
            if let Some(payloader) = payloader.filter(|_| is_nobody) {
                discoveries.add(&outermost(payloader));
            }
            Some(false.to_value())
        });
    }

    /// Ends what has outlived the run. Once webrtcsink has stopped.
    pub fn end(&self) {
        // What had not begun has by then.
        Signaller::wait_until_idle();
        let all = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        for pipeline in all.iter().filter_map(glib::WeakRef::upgrade) {
            gst::debug!(CAT, obj = pipeline, "a discovery that has outlived its run");
            // An error is what it listens to.
            gst::element_error!(pipeline, gst::CoreError::StateChange, ("the stream has stopped"));
        }
    }

    fn add(&self, pipeline: &gst::Element) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(pipeline.downgrade());
    }
}

fn outermost(mut element: gst::Element) -> gst::Element {
    while let Some(parent) = element.parent().and_then(|parent| parent.downcast().ok()) {
        element = parent;
    }
    element
}
