/**
 * SECTION:element-streamiumpaysink
 *
 * A paid live stream: a webrtcsink whose consumers get media only while their payments cover it. Each consumer opens a
 * Bitcoin payment channel and signs a slightly larger payment every second; the last one is settled on the chain. Everything
 * that webrtcsink has is here under its own name. Signals, messages, statistics and metrics are in docs/elements.md.
 *
 * ## Examples
 *
 * |[
 * gst-launch-1.0 videotestsrc is-live=true ! videoconvert ! streamiumpaysink run-signalling-server=true stream-name=test
 * ]| A free stream, with its own signalling server. It prints the link that viewers open.
 *
 * |[
 * gst-launch-1.0 streamiumpaysink name=pay stream-name="My show" rate=500 network=signet payout-address=tb1pYOURADDRESS \
 *     electrum-url=tcp://127.0.0.1:60601 run-signalling-server=true \
 *     v4l2src ! videoconvert ! queue ! pay. \
 *     autoaudiosrc ! audioconvert ! queue ! pay.
 * ]| A camera and a microphone, for half a satoshi a second.
 *
 * |[
 * gst-launch-1.0 streamiumpaysink name=pay rate=500 network=signet payout-address=tb1pYOURADDRESS \
 *     electrum-url=tcp://127.0.0.1:60601 run-signalling-server=true congestion-control=disabled \
 *     metrics-address=127.0.0.1:9101 \
 *     videotestsrc is-live=true ! videoconvert ! x264enc tune=zerolatency key-int-max=60 ! \
 *     video/x-h264,profile=constrained-baseline ! pay.
 * ]| Encoded once for all consumers, with metrics for Prometheus.
 */
use std::sync::{Arc, LazyLock};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use crate::catalogue::{self, Catalogue};
use crate::inner::Signaller;
use crate::messages::{OwnSignal, Speaker, Teller};

mod channel_properties;
mod children;
mod crowd;
mod discovery;
mod faults;
mod imp;
mod link;
mod metrics;
mod navigation;
pub mod own_signals;
mod pads;
mod payments;
mod properties;
pub mod proxied;
mod proxied_servers;
mod pulse;
mod renewal;
mod repricing;
mod server;
mod session_bus;
mod sessions;
mod settings;
mod signalling;
pub mod signals;
mod stats;
mod templates;

pub use pads::StreamiumPaySinkPad;
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
        @implements gst::ChildProxy, gst_video::Navigation;
}

pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(
        Some(plugin),
        "streamiumpaysink",
        gst::Rank::NONE,
        StreamiumPaySink::static_type(),
    )
}

impl Speaker for StreamiumPaySink {
    const CATALOGUE: &'static Catalogue = &catalogue::SINK;
    const SIGNALS: &'static [OwnSignal] = own_signals::TABLE;

    fn teller(&self) -> &Teller {
        &self.imp().teller
    }
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

    /// Going down: what fails then is nobody's trouble.
    fn is_stopping(&self) -> bool {
        self.imp().is_stopping()
    }

    fn signalling_server(&self) -> Option<String> {
        self.imp().signalling_server()
    }

    fn signaller(&self) -> Option<Signaller> {
        self.imp().signaller()
    }
}
