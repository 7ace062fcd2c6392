//! The slate as live video: one picture, painted when something changes, sent again and again.

use std::sync::Arc;
use std::time::Duration;

use super::filler::{Filler, Peer, Piece, Scene, choose};
use crate::slate::model::Slate;
use crate::slate::painter::Painter;

/// Often enough for sinks that wait for a frame, and for what is shown to follow what happens.
const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(100);

pub struct Picture {
    painter: Painter,
    size: (i32, i32),
    painted: Option<(Arc<Slate>, gst::Caps, gst::Buffer)>,
}

impl Picture {
    pub fn new(painter: Painter, size: (i32, i32)) -> Self {
        Self {
            painter,
            size,
            painted: None,
        }
    }

    fn picture(&mut self, slate: &Arc<Slate>, caps: &gst::Caps) -> Result<gst::Buffer, String> {
        if let Some((of, with, buffer)) = &self.painted
            && of == slate
            && with == caps
        {
            return Ok(buffer.clone());
        }
        let buffer = self
            .painter
            .paint(slate, caps)
            .map_err(|error| error.to_string())?;
        self.painted = Some((slate.clone(), caps.clone(), buffer.clone()));
        Ok(buffer)
    }
}

impl Filler for Picture {
    fn period(&self) -> Duration {
        PERIOD.into()
    }

    fn choose(&self, live: Option<&gst::Caps>, peer: &dyn Peer) -> Option<gst::Caps> {
        let (width, height) = self.size;
        let usual = gst::Caps::builder("video/x-raw")
            .field("format", "I420")
            .field("width", width)
            .field("height", height)
            .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
            .field("framerate", gst::Fraction::new(0, 1))
            .build();
        let any = gst_video::VideoCapsBuilder::new().build();
        choose(peer, live, &usual, &any)
    }

    fn fill(&mut self, scene: &Scene<'_>) -> Result<Option<Piece>, String> {
        // Of no length: it is shown until another comes.
        Ok(Some((self.picture(scene.slate, scene.caps)?, scene.now)))
    }
}
