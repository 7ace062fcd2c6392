//! The type of the source pads: ghosts with the properties that webrtcsrc's pads have.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::StreamiumPaySrc;

/// The property of webrtcsrc's pads.
const MSID: &str = "msid";

glib::wrapper! {
    pub struct StreamiumPaySrcPad(ObjectSubclass<Imp>)
        @extends gst::GhostPad, gst::ProxyPad, gst::Pad, gst::Object;
}

#[derive(Default)]
pub struct Imp;

#[glib::object_subclass]
impl ObjectSubclass for Imp {
    const NAME: &'static str = "GstStreamiumPaySrcPad";
    type Type = StreamiumPaySrcPad;
    type ParentType = gst::GhostPad;
}

impl ObjectImpl for Imp {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                /**
                 * GstStreamiumPaySrcPad:msid:
                 *
                 * As of webrtcsrc's pads: the id of the media stream that the pad's track was announced in, NULL
                 * while there is no connection. Read-only.
                 *
                 * Since: 0.1
                 */
                glib::ParamSpecString::builder(MSID)
                    .nick("Media stream")
                    .blurb("The id of the media stream that the pad's track was announced in")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        self.inner_pad()
            .filter(|pad| pad.has_property_with_type(MSID, glib::Type::STRING))
            .map_or_else(
                || pspec.default_value().to_owned(),
                |pad| pad.property_value(MSID),
            )
    }
}

impl GstObjectImpl for Imp {}
impl PadImpl for Imp {}
impl ProxyPadImpl for Imp {}
impl GhostPadImpl for Imp {}

impl Imp {
    /// The pad of that name of the webrtcsrc that runs now.
    fn inner_pad(&self) -> Option<gst::Pad> {
        let pad = self.obj();
        let element = pad.parent().and_downcast::<StreamiumPaySrc>()?;
        element.imp().current()?.static_pad(&pad.name())
    }
}
