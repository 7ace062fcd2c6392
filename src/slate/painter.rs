//! Draws slates, with GStreamer's own elements: a small pipeline for each picture, which lives as long as that takes.

use std::time::{Duration, Instant};

use gst::prelude::*;

use super::canvas;
use super::layout::{Block, Layout, Place};
use super::model::Slate;

/// How long a picture may take; fonts are looked up for the first.
const LIMIT: Duration = Duration::from_secs(20);
/// How often it is looked whether something has failed.
const GLANCE: gst::ClockTime = gst::ClockTime::from_mseconds(200);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaintError {
    #[error("the element {0} is missing")]
    Missing(&'static str),
    #[error("these are no caps of raw video with a size: {0}")]
    Caps(String),
    #[error("no picture came")]
    Failed,
}

/// What caps say of a single picture.
const LOOK: [&str; 6] = [
    "format",
    "width",
    "height",
    "pixel-aspect-ratio",
    "colorimetry",
    "chroma-site",
];

/// A way to draw. Cheap.
#[derive(Debug, Clone, Copy)]
pub struct Painter(());

impl Painter {
    /// Fails where an element is not installed.
    pub fn new() -> Result<Self, PaintError> {
        for name in ["appsrc", "textoverlay", "videoconvert", "capsfilter", "appsink"] {
            gst::ElementFactory::find(name).ok_or(PaintError::Missing(name))?;
        }
        Ok(Self(()))
    }

    /// One picture, in raw video of these caps, which must be fixed and of system memory.
    pub fn paint(self, slate: &Slate, caps: &gst::Caps) -> Result<gst::Buffer, PaintError> {
        let bad = || PaintError::Caps(caps.to_string());
        let info = gst_video::VideoInfo::from_caps(caps).map_err(|_| bad())?;
        let (width, height) = (
            usize::try_from(info.width()).ok(),
            usize::try_from(info.height()).ok(),
        );
        let (width, height) = width
            .zip(height)
            .filter(|(w, h)| *w > 0 && *h > 0)
            .ok_or_else(bad)?;
        let layout = Layout::new(slate, info.width(), info.height());
        let pixels = canvas::paint(&layout, width, height);
        run(&layout, pixels, &info, caps)
    }
}

fn run(
    layout: &Layout,
    pixels: Vec<u8>,
    info: &gst_video::VideoInfo,
    caps: &gst::Caps,
) -> Result<gst::Buffer, PaintError> {
    let failed = |_| PaintError::Failed;
    let canvas = gst_video::VideoInfo::builder(gst_video::VideoFormat::Bgrx, info.width(), info.height())
        .par(info.par())
        .build()
        .and_then(|info| info.to_caps())
        .map_err(failed)?;
    let source = gst_app::AppSrc::builder()
        .caps(&canvas)
        .format(gst::Format::Time)
        .build();
    let sink = gst_app::AppSink::builder().caps(&look(caps)).sync(false).build();
    let pipeline = Drawing(gst::Pipeline::new());
    let mut chain = vec![source.clone().upcast::<gst::Element>()];
    for block in &layout.blocks {
        chain.push(overlay(block, info)?);
    }
    let convert = gst::ElementFactory::make("videoconvert");
    // Letters have colours, and edges that shall not be fringed.
    chain.push(convert.build().map_err(|_| PaintError::Missing("videoconvert"))?);
    chain.push(sink.clone().upcast());
    pipeline.0.add_many(&chain).map_err(failed)?;
    gst::Element::link_many(&chain).map_err(failed)?;
    pipeline
        .0
        .set_state(gst::State::Playing)
        .map_err(|_| PaintError::Failed)?;
    let mut buffer = gst::Buffer::from_mut_slice(pixels);
    if let Some(buffer) = buffer.get_mut() {
        buffer.set_pts(gst::ClockTime::ZERO);
    }
    source.push_buffer(buffer).map_err(|_| PaintError::Failed)?;
    pipeline.wait(&sink).ok_or(PaintError::Failed)
}

/// What of caps a single picture has: no rate, and nothing that videoconvert can't make.
fn look(caps: &gst::Caps) -> gst::Caps {
    let mut look = gst::Structure::new_empty("video/x-raw");
    for (field, value) in caps.structure(0).into_iter().flatten() {
        if LOOK.contains(&field.as_str()) {
            look.set_value(field, value.clone());
        }
    }
    gst::Caps::from(look)
}

/// A text with its lower left or upper left corner in its place.
///
/// textoverlay places by a padding on both sides and a shift.
fn overlay(block: &Block, info: &gst_video::VideoInfo) -> Result<gst::Element, PaintError> {
    let width = i32::try_from(info.width()).unwrap_or(i32::MAX);
    let padding = (width - block.width) / 2;
    let (align, distance) = match block.place {
        Place::Top(distance) => ("top", distance),
        Place::Bottom(distance) => ("bottom", distance),
    };
    let element = gst::ElementFactory::make("textoverlay")
        .property("text", &block.markup)
        .property("auto-resize", false)
        .property("draw-shadow", false)
        .property("draw-outline", false)
        .property_from_str("wrap-mode", "none")
        .property_from_str("halignment", if block.centred { "center" } else { "left" })
        .property_from_str("line-alignment", if block.centred { "center" } else { "left" })
        .property_from_str("valignment", align)
        .property("xpad", padding)
        .property("ypad", distance)
        .property(
            "deltax",
            if block.centred {
                block.x + block.width / 2 - width / 2
            } else {
                block.x - padding
            },
        )
        .build();
    element.map_err(|_| PaintError::Missing("textoverlay"))
}

/// Stopped whatever happens.
struct Drawing(gst::Pipeline);

impl Drawing {
    fn wait(&self, sink: &gst_app::AppSink) -> Option<gst::Buffer> {
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            if let Some(sample) = sink.try_pull_sample(GLANCE) {
                return sample.buffer_owned();
            }
            if self.0.bus()?.pop_filtered(&[gst::MessageType::Error]).is_some() {
                break;
            }
        }
        None
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
