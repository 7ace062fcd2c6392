/**
 * SECTION:element-streamiumpaysrc
 *
 * Plays a paid live stream, and pays for it second by second. It says what the stream costs and where to send how much, opens
 * a Bitcoin payment channel, pays for what arrives, and gets back what is not spent. Everything that webrtcsrc has is here
 * under its own name. Signals, messages and statistics are in docs/elements.md.
 *
 * ## Examples
 *
 * |[
 * gst-launch-1.0 streamiumpaysrc name=pay uri='streamium://203.0.113.5:8443/My%20show?key=HEX' \
 *     network=signet electrum-url=tcp://127.0.0.1:60601 \
 *     pay. ! queue ! videoconvert ! autovideosink \
 *     pay. ! queue ! audioconvert ! autoaudiosink
 * ]| Watch, for what #GstStreamiumPaySrc:budget allows. Quote the link.
 *
 * |[
 * gst-launch-1.0 streamiumpaysrc uri='streamium://localhost:8443/test?key=HEX' ! videoconvert ! autovideosink
 * ]| A free stream needs no money and no server.
 *
 * |[
 * gst-launch-1.0 -e streamiumpaysrc name=pay uri='streamium://203.0.113.5:8443/My%20show?key=HEX' \
 *     network=signet electrum-url=tcp://127.0.0.1:60601 budget=2000 slate=false \
 *     webmmux name=mux ! filesink location=show.webm \
 *     pay. ! queue ! videoconvert ! vp8enc deadline=1 ! mux. \
 *     pay. ! queue ! audioconvert ! audioresample ! opusenc ! mux.
 * ]| Record up to 2,000 satoshi of it.
 *
 * |[
 * gst-launch-1.0 playbin3 uri='streamium://203.0.113.5:8443/My%20show?key=HEX'
 * ]| Any player opens a link.
 */
use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::catalogue::{self, Catalogue};
use crate::messages::{OwnSignal, Speaker, Teller};

mod attempt;
mod authorize;
mod children;
mod control;
mod ending;
mod imp;
mod navigation;
mod outage;
pub mod own_signals;
mod pads;
mod payments;
mod producers;
mod properties;
pub mod proxied;
mod running;
mod screen;
mod session;
mod settings;
pub mod signals;
mod slated;
mod src_pad;
mod stats;
mod templates;
mod uri;
mod watch;
mod worker;

pub use properties::Status;
pub use session::{Arrival, ConsumerHooks, ConsumerSession, IdleHooks};
pub use settings::{Checked, Settings, validate};
pub use src_pad::StreamiumPaySrcPad;

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

impl Speaker for StreamiumPaySrc {
    const CATALOGUE: &'static Catalogue = &catalogue::SOURCE;
    const SIGNALS: &'static [OwnSignal] = own_signals::TABLE;

    fn teller(&self) -> &Teller {
        &self.imp().teller
    }
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
