/**
 * SECTION:element-streamiumpaysink
 *
 * A paid live stream: a webrtcsink whose consumers get media only while their payments cover it.
 *
 * |[
 * gst-launch-1.0 videotestsrc is-live=true ! streamiumpaysink run-signalling-server=true stream-name=test
 * ]| A free stream, with its own signalling server.
 */
use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod children;
mod errors;
mod imp;
mod payments;
mod properties;
pub mod proxied;
mod repricing;
mod sessions;
mod settings;
mod signalling;
pub mod signals;
mod templates;

pub use properties::Status;
pub use sessions::{ClosedHooks, FreeHooks, ProviderHooks, SessionHandle, Sessions, Track};
pub use settings::{Checked, Settings, validate};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpaysink",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay sink"),
    )
});

glib::wrapper! {
    pub struct StreamiumPaySink(ObjectSubclass<imp::StreamiumPaySink>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "streamiumpaysink",
        gst::Rank::NONE,
        StreamiumPaySink::static_type(),
    )
}

impl StreamiumPaySink {
    /// Sets who drives the sessions, instead of what the rate says (free: all gates open; paid: all stay
    /// closed). Before READY.
    pub fn set_hooks(&self, hooks: Arc<dyn ProviderHooks>) {
        self.imp().set_hooks(hooks);
    }

    /// Changes the read-only properties, and notifies of those that are different.
    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        self.imp().update_status(change);
    }
}
