//! The slate as live video: one picture, painted when something changes, sent again and again.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::filler::{Filler, Peer, Piece, Scene, choose};
use crate::slate::model::Slate;
use crate::slate::painter::{PaintError, Painter};

/// Often enough for sinks that wait for a frame, and for what is shown to follow what happens.
const PERIOD: gst::ClockTime = gst::ClockTime::from_mseconds(100);

pub struct Picture {
    painter: Painter,
    size: (i32, i32),
    painted: Option<Painted>,
    /// The next, while the last is still sent: painting takes longer than a period.
    painting: Option<JoinHandle<Result<Painted, PaintError>>>,
}

struct Painted {
    of: Arc<Slate>,
    with: gst::Caps,
    buffer: gst::Buffer,
}

fn paint(painter: Painter, slate: &Arc<Slate>, caps: &gst::Caps) -> Result<Painted, PaintError> {
    let buffer = painter.paint(slate, caps)?;
    Ok(Painted {
        of: slate.clone(),
        with: caps.clone(),
        buffer,
    })
}

impl Picture {
    pub fn new(painter: Painter, size: (i32, i32)) -> Self {
        Self {
            painter,
            size,
            painted: None,
            painting: None,
        }
    }

    /// The newest there is; waits for one only where none fits the caps.
    fn picture(&mut self, slate: &Arc<Slate>, caps: &gst::Caps) -> Result<gst::Buffer, PaintError> {
        self.collect(false)?;
        if let Some(painted) = self.painted.as_ref().filter(|painted| painted.with == *caps) {
            let buffer = painted.buffer.clone();
            if painted.of != *slate {
                self.begin(slate, caps)?;
            }
            return Ok(buffer);
        }
        self.collect(true)?;
        let painted = paint(self.painter, slate, caps)?;
        let buffer = painted.buffer.clone();
        self.painted = Some(painted);
        Ok(buffer)
    }

    /// Begins to paint, unless that is being done.
    fn begin(&mut self, slate: &Arc<Slate>, caps: &gst::Caps) -> Result<(), PaintError> {
        if self.painting.is_none() {
            let (painter, slate, caps) = (self.painter, slate.clone(), caps.clone());
            let thread = std::thread::Builder::new()
                .name("slate-painter".to_owned())
                .spawn(move || paint(painter, &slate, &caps));
            self.painting = Some(thread.map_err(|_| PaintError::Failed)?);
        }
        Ok(())
    }

    /// Takes what has been painted, if it is done or is to be waited for.
    fn collect(&mut self, wait: bool) -> Result<(), PaintError> {
        if let Some(thread) = self.painting.take_if(|thread| wait || thread.is_finished()) {
            self.painted = Some(thread.join().map_err(|_| PaintError::Failed)??);
        }
        Ok(())
    }
}

impl Drop for Picture {
    fn drop(&mut self) {
        // Nobody waits for it any more, but no thread may outlive the element.
        let _ = self.collect(true);
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
        let picture = self.picture(scene.slate, scene.caps);
        Ok(Some((picture.map_err(|error| error.to_string())?, scene.now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: (i32, i32) = (320, 240);

    fn caps(format: &str) -> gst::Caps {
        let caps = gst::Caps::builder("video/x-raw")
            .field("format", format)
            .field("width", SIZE.0)
            .field("height", SIZE.1)
            .field("framerate", gst::Fraction::new(0, 1));
        caps.build()
    }

    fn named(name: &str) -> Arc<Slate> {
        Arc::new(Slate {
            title: name.to_owned(),
            ..Slate::default()
        })
    }

    fn is_same(a: &gst::Buffer, b: &gst::Buffer) -> bool {
        a.as_ptr() == b.as_ptr()
    }

    #[test]
    fn the_last_picture_is_there_while_the_next_is_painted() {
        gst::init().unwrap();
        let mut picture = Picture::new(Painter::new().unwrap(), SIZE);
        let first = picture.picture(&named("first"), &caps("I420")).unwrap();
        let second = named("second");
        let meanwhile = picture.picture(&second, &caps("I420")).unwrap();
        assert!(is_same(&first, &meanwhile));
        picture.collect(true).unwrap();
        let next = picture.picture(&second, &caps("I420")).unwrap();
        assert!(!is_same(&first, &next));
        assert!(is_same(&next, &picture.picture(&second, &caps("I420")).unwrap()));
    }

    #[test]
    fn what_is_painted_for_other_caps_is_not_shown() {
        gst::init().unwrap();
        let mut picture = Picture::new(Painter::new().unwrap(), SIZE);
        picture.picture(&named("first"), &caps("I420")).unwrap();
        let second = named("second");
        picture.picture(&second, &caps("I420")).unwrap();
        let wide = picture.picture(&second, &caps("BGRx")).unwrap();
        assert_eq!(wide.size(), 320 * 240 * 4);
    }
}
