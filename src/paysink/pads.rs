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
