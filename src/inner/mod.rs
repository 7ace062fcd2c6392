//! webrtcsink and webrtcsrc, which our elements wrap.
//!
//! They are made from the user's installed plugin where there is one, else from the crate linked into ours, and
//! are talked to by GObject properties and signals only: two copies of the crate can't share a process's type
//! names, so no type of the linked copy may be touched unless it is the only one. Never call anything here
//! from `plugin_init` or `class_init`: registering the linked types there makes the plugin scanner drop the
//! user's own copy.

mod bond;
mod kind;
mod left_out;
mod listing;
mod proxied;
mod relay;
mod resolve;
mod signaller;
mod signals;
mod socket;

use std::sync::{LazyLock, Once};

use gst::glib;
use gst::prelude::*;

pub use bond::Bond;
pub use kind::Kind;
pub use left_out::{LeftOut, Part};
pub use proxied::{Proxied, Refused, Table, When};
pub use relay::{Relay, RelayEvent};
pub use resolve::{NAME_FIELD, ProducerEvent, Resolver, named_meta};
pub use signaller::Signaller;
pub use signals::{Answer, Forwarded, Signals, TypeOf};
pub use socket::ServerAddress;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpayinner",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay inner elements"),
    )
});

/// Why an inner element can't be used.
#[derive(Debug, Clone, thiserror::Error)]
pub enum InnerError {
    #[error("{element} could not be made: {reason}")]
    NotMade { element: &'static str, reason: String },
    #[error(
        "{element} has no {kind} \"{name}\": it is too old. Install gst-plugins-rs {OLDEST} or later, or remove that \
         plugin: this one brings a copy for where there is none"
    )]
    Lacks {
        element: String,
        kind: &'static str,
        name: &'static str,
    },
    #[error("the GStreamer plugin \"{0}\" is missing: it has webrtcbin's transport")]
    MissingPlugin(&'static str),
}

/// The oldest version that has what [`make_sink`] and [`make_src`] ask for.
const OLDEST: &str = "0.13";

/// Makes a webrtcsink that has all we need.
pub fn make_sink() -> Result<gst::Element, InnerError> {
    provide_bandwidth_estimator();
    let sink = make("webrtcsink", || {
        glib::Object::with_type(gstrswebrtc::webrtcsink::WebRTCSink::static_type()).downcast()
    })?;
    check(
        &sink,
        &["consumer-pipeline-created", "consumer-added", "consumer-removed"],
        &["meta", "signaller"],
    )?;
    Ok(sink)
}

/// Makes a webrtcsrc that has all we need.
pub fn make_src() -> Result<gst::Element, InnerError> {
    let src = make("webrtcsrc", || {
        glib::Object::with_type(gstrswebrtc::webrtcsrc::WebRTCSrc::static_type()).downcast()
    })?;
    check(&src, &[], &["signaller"])?;
    Ok(src)
}

fn make(
    element: &'static str,
    linked: impl FnOnce() -> Result<gst::Element, glib::Object>,
) -> Result<gst::Element, InnerError> {
    for (plugin, factory) in [
        ("webrtc", "webrtcbin"),
        ("nice", "nicesrc"),
        ("dtls", "dtlsdec"),
        ("sctp", "sctpdec"),
    ] {
        // Without these webrtcbin fails much later, and says little.
        if gst::ElementFactory::find(factory).is_none() {
            return Err(InnerError::MissingPlugin(plugin));
        }
    }
    let made = match gst::ElementFactory::find(element) {
        Some(factory) => {
            gst::debug!(
                CAT,
                "{element} from plugin {:?}",
                factory.plugin().map(|plugin| plugin.plugin_name())
            );
            factory.create().build().map_err(|error| error.to_string())
        }
        None => {
            gst::debug!(CAT, "{element} from the linked crate");
            linked().map_err(|object| format!("{} is no element", object.type_()))
        }
    };
    made.map_err(|reason| InnerError::NotMade { element, reason })
}

/// Checks for the signals and properties without which a later call would abort the process. Each proxied
/// property is looked at where it is used, since a user may do without.
fn check(
    inner: &gst::Element,
    signals: &[&'static str],
    properties: &[&'static str],
) -> Result<(), InnerError> {
    let lacks = |kind, name| InnerError::Lacks {
        element: described(inner),
        kind,
        name,
    };
    for name in signals {
        lookup_signal(name, inner.type_()).ok_or(lacks("signal", name))?;
    }
    for name in properties {
        inner.find_property(name).ok_or(lacks("property", name))?;
    }
    let signaller = Signaller::of(inner).ok_or(lacks("child", "signaller"))?;
    signaller.check().map_err(|(kind, name)| lacks(kind, name))
}

/// An inner element in words, and the plugin that is to blame for what it lacks.
fn described(inner: &gst::Element) -> String {
    let Some(factory) = inner.factory() else {
        return format!("the built-in {}", inner.type_());
    };
    let plugin = factory.plugin();
    let plugin = plugin.map(|plugin| {
        let file = plugin.filename().unwrap_or_default();
        format!(
            " (plugin {} {}, {})",
            plugin.plugin_name(),
            plugin.version(),
            file.display()
        )
    });
    format!("the installed {}{}", factory.name(), plugin.unwrap_or_default())
}

fn lookup_signal(name: &str, type_: glib::Type) -> Option<glib::subclass::SignalId> {
    glib::subclass::SignalId::lookup(name, type_)
}

/// webrtcsink's default congestion control needs `rtpgccbwe`, which is in a plugin that distributions seldom
/// have. The linked copy fills in, unless a copy of that plugin is there (two would clash).
fn provide_bandwidth_estimator() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let present = gst::ElementFactory::find("rtpgccbwe").is_some()
            || gst::Registry::get().find_plugin("rsrtp").is_some();
        if present {
            return;
        }
        if let Err(error) = gstrsrtp::plugin_register_static() {
            gst::warning!(CAT, "no congestion control: {error}");
        }
    });
}
