//! What arrives of live media.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::imp::{Track, lock};

impl Track {
    /// A buffer of live media.
    pub(super) fn live(
        &self,
        pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some((begin, caps)) = self.placed(pad, &buffer) else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let (Ok((_, src)), Some(settings)) = (self.pads(), self.settings()) else {
            return Err(gst::FlowError::Error);
        };
        let linked = self.takes_raw() == Some(true);
        let mut outlet = lock(&self.outlet);
        if outlet.over {
            return Err(gst::FlowError::Eos);
        }
        // Looked at only now: once covered, nothing is sent.
        if !linked || !lock(&self.wanted).show(begin) || !outlet.is_next(true, begin) {
            return Ok(gst::FlowSuccess::Ok);
        }
        self.after_flush(&mut outlet);
        outlet.turn(true);
        outlet.start(src, &settings.identity);
        outlet.set_caps(src, &caps);
        match outlet.push(src, buffer, begin) {
            // Not wanted any more: no reason to end the session.
            Err(gst::FlowError::NotLinked) => Ok(gst::FlowSuccess::Ok),
            flow => flow,
        }
    }

    /// When it begins, in running time, and its caps; `None` if it can't be shown.
    fn placed(&self, pad: &gst::Pad, buffer: &gst::BufferRef) -> Option<(gst::ClockTime, gst::Caps)> {
        let caps = pad
            .current_caps()
            .filter(|caps| caps.can_intersect(&self.any_raw()))?;
        let segment = pad.sticky_event::<gst::event::Segment>(0)?;
        let segment = segment.segment().downcast_ref::<gst::ClockTime>()?.clone();
        Some((segment.to_running_time(buffer.pts()?)?, caps))
    }

    /// Beginning, segment and end are the track's to say.
    pub(super) fn live_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let Ok((_, src)) = self.pads() else { return false };
        match event.type_() {
            gst::EventType::FlushStart => {
                lock(&self.wanted).flushed = true;
                src.push_event(event);
            }
            gst::EventType::CustomDownstream | gst::EventType::CustomDownstreamOob => {
                return gst::Pad::event_default(pad, Some(&*self.obj()), event);
            }
            _ => (),
        }
        true
    }
}
