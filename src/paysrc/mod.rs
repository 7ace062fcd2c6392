/**
 * SECTION:element-streamiumpaysrc
 *
 * Plays a paid live stream, and pays for it second by second.
 *
 * |[
 * gst-launch-1.0 streamiumpaysrc uri='streamium://localhost:8443/test' ! videoconvert ! autovideosink
 * ]|
 */
use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

mod attempt;
mod control;
mod ending;
mod imp;
mod outage;
mod pads;
mod payments;
mod producers;
mod properties;
pub mod proxied;
mod screen;
mod session;
mod settings;
mod slated;
mod templates;
mod uri_handler;
mod watch;
mod worker;

pub use properties::Status;
pub use session::{Arrival, ConsumerHooks, ConsumerSession, IdleHooks};
pub use settings::{Settings, validate};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpaysrc",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay source"),
    )
});

glib::wrapper! {
    pub struct StreamiumPaySrc(ObjectSubclass<imp::StreamiumPaySrc>)
        @extends gst::Bin, gst::Element, gst::Object,
        @implements gst::ChildProxy, gst::URIHandler;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    // Ranked, since it is the only one that handles its links.
    gst::Element::register(
        Some(plugin),
        "streamiumpaysrc",
        gst::Rank::PRIMARY,
        StreamiumPaySrc::static_type(),
    )
}

impl StreamiumPaySrc {
    /// Sets who drives the session. Before PLAYING.
    pub fn set_hooks(&self, hooks: Arc<dyn ConsumerHooks>) {
        self.imp().set_hooks(hooks);
    }

    /// Leaves the current producer for the next of the same name.
    pub fn try_next_producer(&self) {
        self.imp().try_next_producer();
    }

    /// Changes the read-only properties, and notifies of those that are different.
    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        self.imp().update_status(change);
    }
}
