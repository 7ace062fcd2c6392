//! The sink pads: ghosts of webrtcsink's, with the properties that those have.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::{CAT, StreamiumPaySink};
use crate::gate::KeyFrameLimiter;

/// The property of webrtcsink's pads.
const MSID: &str = "msid";

glib::wrapper! {
    pub struct StreamiumPaySinkPad(ObjectSubclass<Imp>)
        @extends gst::GhostPad, gst::ProxyPad, gst::Pad, gst::Object;
}

#[derive(Default)]
pub struct Imp;

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "GstStreamiumPaySinkPad";
    type Type = StreamiumPaySinkPad;
    type ParentType = gst::GhostPad;
}

impl ObjectImpl for Imp {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                /**
                 * GstStreamiumPaySinkPad:msid:
                 *
                 * As of webrtcsink's pads: the id of the media stream that the pad's track is announced in. Not set by
                 * default. Can be set in NULL and READY.
                 *
                 * Since: 0.1
                 */
                glib::ParamSpecString::builder(MSID)
                    .nick("Media stream")
                    .blurb("The id of the media stream that the pad's track is announced in")
                    .flags(glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY)
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, _pspec: &glib::ParamSpec) {
        match self.target() {
            Some(target) => target.set_property_from_value(MSID, value),
            None => gst::warning!(CAT, imp = self, "msid can't be set: webrtcsink's pad has none"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.target().map_or_else(
            || pspec.default_value().to_owned(),
            |target| target.property_value(MSID),
        )
    }
}

impl GstObjectImpl for Imp {}
impl PadImpl for Imp {}
impl ProxyPadImpl for Imp {}
impl GhostPadImpl for Imp {}

impl Imp {
    /// webrtcsink's pad, unless it is one of a version without the property.
    fn target(&self) -> Option<gst::Pad> {
        self.obj()
            .target()
            .filter(|target| target.has_property_with_type(MSID, glib::Type::STRING))
    }
}

/// Requests a pad of webrtcsink's, which names it by kind and in order, and shows it under its name.
pub fn request(
    element: &StreamiumPaySink,
    inner: &gst::Element,
    template: &gst::PadTemplate,
) -> Option<gst::Pad> {
    let target = inner.request_pad_simple(template.name_template())?;
    let ghost = gst::GhostPad::builder_from_template_with_target(template, &target)
        .map_err(|error| gst::error!(CAT, obj = element, "no pad: {error}"))
        .ok()?
        .name(target.name())
        .build();
    KeyFrameLimiter::install(ghost.upcast_ref());
    ghost.set_active(true).ok()?;
    element.add_pad(&ghost).ok()?;
    // gst-launch waits for this with what it is to set on the pad.
    element.child_added(&ghost, &ghost.name());
    Some(ghost.upcast())
}

/// Gives both pads back.
pub fn release(element: &StreamiumPaySink, inner: Option<&gst::Element>, pad: &gst::Pad) {
    let target = pad
        .downcast_ref::<gst::GhostPad>()
        .and_then(|ghost| ghost.target());
    let _ = pad.set_active(false);
    let _ = element.remove_pad(pad);
    element.child_removed(pad, &pad.name());
    if let (Some(inner), Some(target)) = (inner, target) {
        inner.release_request_pad(&target);
    }
}

/// One of our pads and a pad of webrtcsink's for it.
pub type Successor = (gst::GhostPad, gst::Pad);

/// Requests a pad of another webrtcsink's for each of ours, under the same name and with the same properties.
pub fn successors(element: &StreamiumPaySink, inner: &gst::Element) -> Result<Vec<Successor>, String> {
    let pads = element.sink_pads().into_iter();
    let ghosts = pads.filter_map(|pad| pad.downcast::<gst::GhostPad>().ok());
    ghosts
        .map(|ghost| {
            let name = ghost.name();
            let pad = request_named(inner, &name).ok_or_else(|| format!("webrtcsink gives no pad {name}"))?;
            if pad.has_property_with_type(MSID, glib::Type::STRING) {
                pad.set_property_from_value(MSID, &ghost.property_value(MSID));
            }
            Ok((ghost, pad))
        })
        .collect()
}

/// Lets our pads show these. Once their webrtcsink is in the bin, which unlinks what it takes in.
pub fn retarget(successors: &[Successor]) -> Result<(), String> {
    successors
        .iter()
        .try_for_each(|(ghost, pad)| ghost.set_target(Some(pad)))
        .map_err(|error| error.to_string())
}

/// webrtcsink counts its pads of a kind: the numbers of those that have been released are skipped.
fn request_named(inner: &gst::Element, name: &str) -> Option<gst::Pad> {
    let (kind, number) = name.rsplit_once('_')?;
    let template = format!("{kind}_%u");
    for _ in 0..=number.parse::<u32>().ok()? {
        let pad = inner.request_pad_simple(&template)?;
        if pad.name() == name {
            return Some(pad);
        }
        discard(inner, &pad);
    }
    None
}

/// Gives a pad back with what webrtcsink leaves there: the pad, and two elements, one of them a sink, without whose
/// EOS the whole would never be at its end. Only before a run.
fn discard(inner: &gst::Element, pad: &gst::Pad) {
    let first = pad
        .downcast_ref::<gst::GhostPad>()
        .and_then(|ghost| ghost.target()?.parent_element());
    let second = first
        .as_ref()
        .and_then(|first| first.static_pad("src")?.peer()?.parent_element());
    inner.release_request_pad(pad);
    let _ = inner.remove_pad(pad);
    let Some(bin) = inner.downcast_ref::<gst::Bin>() else {
        return;
    };
    for part in [first, second].into_iter().flatten() {
        let _ = bin.remove(&part);
        let _ = part.set_state(gst::State::Null);
    }
}
