//! The pads of `streamiumpaysink`: webrtcsink's, written out, since its own may not be looked at while ours are
//! registered. A test compares the two.

use std::sync::LazyLock;

use gst::prelude::*;

use super::pads::StreamiumPaySinkPad;

const MEMORIES: [&str; 5] = [
    "memory:CUDAMemory",
    "memory:GLMemory",
    "memory:NVMM",
    "memory:D3D11Memory",
    "memory:VAMemory",
];
const VIDEO: [&str; 5] = [
    "video/x-vp8",
    "video/x-h264",
    "video/x-vp9",
    "video/x-h265",
    "video/x-av1",
];

pub fn pad_templates() -> &'static [gst::PadTemplate] {
    static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
        let mut video = gst::Caps::builder_full().structure(gst::Structure::new_empty("video/x-raw"));
        for memory in MEMORIES {
            let features = gst::CapsFeatures::new([memory]);
            video = video.structure_with_features(gst::Structure::new_empty("video/x-raw"), features);
        }
        for name in VIDEO {
            video = video.structure(gst::Structure::new_empty(name));
        }
        let audio = gst::Caps::builder_full()
            .structure(gst::Structure::new_empty("audio/x-raw"))
            .structure(gst::Structure::new_empty("audio/x-opus"));
        let template = |name, caps: gst::Caps| {
            gst::PadTemplate::with_gtype(
                name,
                gst::PadDirection::Sink,
                gst::PadPresence::Request,
                &caps,
                StreamiumPaySinkPad::static_type(),
            )
        };
        [
            template("video_%u", video.build()),
            template("audio_%u", audio.build()),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &TEMPLATES
}
