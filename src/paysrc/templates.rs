//! The pads of `streamiumpaysrc`: webrtcsrc's sometimes pads, written out, since its own may not be looked at
//! while ours are registered. A test compares the two.

use std::sync::LazyLock;

use gst::prelude::*;

use super::src_pad::StreamiumPaySrcPad;
use crate::gate::TrackKind;

const VIDEO: [&str; 5] = [
    "video/x-vp8",
    "video/x-h264",
    "video/x-vp9",
    "video/x-h265",
    "video/x-av1",
];
const VIDEO_NAME: &str = "video_%u";
const AUDIO_NAME: &str = "audio_%u";

pub fn pad_templates() -> &'static [gst::PadTemplate] {
    static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
        let builder = |raw: &str| {
            gst::Caps::builder_full()
                .structure_with_any_features(gst::Structure::new_empty(raw))
                .structure(gst::Structure::new_empty("application/x-rtp"))
        };
        let mut video = builder("video/x-raw");
        for name in VIDEO {
            video = video.structure(gst::Structure::new_empty(name));
        }
        let audio = builder("audio/x-raw").structure(gst::Structure::new_empty("audio/x-opus"));
        let template = |name, caps: gst::Caps| {
            gst::PadTemplate::with_gtype(
                name,
                gst::PadDirection::Src,
                gst::PadPresence::Sometimes,
                &caps,
                StreamiumPaySrcPad::static_type(),
            )
        };
        [
            template(VIDEO_NAME, video.build()),
            template(AUDIO_NAME, audio.build()),
        ]
        .into_iter()
        .flatten()
        .collect()
    });
    &TEMPLATES
}

pub fn template(kind: TrackKind) -> Option<gst::PadTemplate> {
    let name = match kind {
        TrackKind::Video => VIDEO_NAME,
        TrackKind::Audio => AUDIO_NAME,
    };
    pad_templates()
        .iter()
        .find(|template| template.name_template() == name)
        .cloned()
}
