//! The thread that shows picture or silence.

use std::sync::PoisonError;

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::filler::{Filler, Piece, Scene};
use super::imp::{Track, lock};
use super::picture::Picture;
use super::silence::Silence;
use super::{DELAY, TrackSettings};
use crate::gate::TrackKind;
use crate::slate::painter::{PaintError, Painter};

/// The end of filling.
enum Over {
    /// Nothing is sent any more.
    Quiet,
    /// Live media goes on without.
    NoSlate(String),
    Failed(String),
}

fn make(settings: &TrackSettings) -> Result<Box<dyn Filler>, PaintError> {
    Ok(match settings.kind {
        TrackKind::Video => Box::new(Picture::new(Painter::new()?, settings.size)),
        TrackKind::Audio => Box::new(Silence),
    })
}

impl Track {
    pub(super) fn fill(&self) {
        let Some(settings) = self.settings() else { return };
        let mut filler = match make(settings) {
            Ok(filler) => filler,
            Err(error) => return self.explain(&Over::NoSlate(error.to_string())),
        };
        while self.wait(&*filler) {
            if let Err(over) = self.turn(&mut *filler, settings) {
                return self.explain(&over);
            }
        }
    }

    /// Until the next piece is due; false if the track stops.
    fn wait(&self, filler: &dyn Filler) -> bool {
        let wanted = lock(&self.wanted);
        if wanted.stop {
            return false;
        }
        // All that ends the idling is told.
        let wanted = if wanted.needs_no_filling() {
            self.changed.wait(wanted).unwrap_or_else(PoisonError::into_inner)
        } else {
            let waited = self.changed.wait_timeout(wanted, filler.period());
            waited.unwrap_or_else(PoisonError::into_inner).0
        };
        !wanted.stop
    }

    /// Sends one piece, if one is due.
    fn turn(&self, filler: &mut dyn Filler, settings: &TrackSettings) -> Result<(), Over> {
        match self.takes_raw() {
            Some(true) => (),
            Some(false) => return Err(Over::Quiet),
            None => return Ok(()),
        }
        let now = self.obj().current_running_time();
        let Some(now) = now.and_then(|now| now.checked_sub(DELAY)) else {
            return Ok(());
        };
        let caps = self.agree(filler)?;
        // One lock after the other, and none is held while it is painted.
        let slate = lock(&self.wanted).slate.clone();
        let end = lock(&self.outlet).end();
        let scene = Scene {
            caps: &caps,
            slate: &slate,
            end,
            now,
        };
        match filler.fill(&scene).map_err(Over::NoSlate)? {
            Some(piece) => self.send(piece, &caps, settings),
            None => Ok(()),
        }
    }

    /// Caps that downstream takes: those that were sent last for as long as that may be.
    fn agree(&self, filler: &dyn Filler) -> Result<gst::Caps, Over> {
        let (_, src) = self.pads().map_err(|_| Over::Quiet)?;
        let sent = lock(&self.outlet).caps().cloned();
        let asks_anew = src.check_reconfigure();
        if let Some(sent) = sent.as_ref().filter(|_| !asks_anew && !self.outlet_was_live()) {
            return Ok(sent.clone());
        }
        let none = || Over::Failed("what is linked downstream takes no picture or sound of ours".to_owned());
        filler.choose(sent.as_ref(), src).ok_or_else(none)
    }

    fn outlet_was_live(&self) -> bool {
        lock(&self.outlet).live
    }

    fn send(&self, (buffer, begin): Piece, caps: &gst::Caps, settings: &TrackSettings) -> Result<(), Over> {
        let (_, src) = self.pads().map_err(|_| Over::Quiet)?;
        let mut outlet = lock(&self.outlet);
        if outlet.over {
            return Err(Over::Quiet);
        }
        // Live media may have come meanwhile.
        if lock(&self.wanted).needs_no_filling() || !outlet.is_next(false, begin) {
            return Ok(());
        }
        self.after_flush(&mut outlet);
        outlet.turn(false);
        outlet.start(src, &settings.identity);
        outlet.set_caps(src, caps);
        match outlet.push(src, buffer, begin) {
            Ok(_) | Err(gst::FlowError::NotLinked | gst::FlowError::Flushing) => Ok(()),
            Err(gst::FlowError::Eos) => Err(Over::Quiet),
            Err(error) => Err(Over::Failed(error.to_string())),
        }
    }

    fn explain(&self, over: &Over) {
        match over {
            Over::Quiet => (),
            Over::NoSlate(reason) => gst::element_imp_warning!(
                self,
                gst::CoreError::MissingPlugin,
                ("There is no slate: {reason}. Text is drawn by GStreamer's pango plugin.")
            ),
            Over::Failed(reason) => {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Format,
                    ("The slate can't be shown: {reason}.")
                );
            }
        }
    }
}
