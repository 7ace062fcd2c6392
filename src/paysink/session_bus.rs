//! The bus of a session's pipeline: webrtcsink reads it itself, ends a session that fails, and tells nobody why.

use gst::prelude::*;

/// Calls back with the words of each error, and passes every message on to webrtcsink. Once that has begun to read.
pub fn watch_errors(pipeline: &gst::Pipeline, on_error: impl Fn(String) + Send + Sync + 'static) {
    let Some(theirs) = pipeline.bus() else { return };
    let ours = gst::Bus::new();
    ours.set_sync_handler(move |_, message| {
        if let gst::MessageView::Error(error) = message.view() {
            let source = message.src().map(|source| source.name()).unwrap_or_default();
            on_error(format!("{source}: {}", error.error()));
        }
        // It has a handler, which takes every message at once.
        let _ = theirs.post(message.clone());
        gst::BusSyncReply::Drop
    });
    pipeline.set_bus(Some(&ours));
}
