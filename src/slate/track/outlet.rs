//! What has been sent downstream, so that what follows fits.

use gst::prelude::*;

use super::Identity;

/// Owned by whoever pushes; its mutex is the source pad's stream lock in all but name.
#[derive(Default)]
pub struct Outlet {
    started: bool,
    has_segment: bool,
    caps: Option<gst::Caps>,
    /// Where the last buffer ends, or begins if its length is unknown: in running time, which is all that is sent.
    end: Option<gst::ClockTime>,
    begun: Option<gst::ClockTime>,
    /// The next buffer does not follow the last.
    discont: bool,
    /// Live media was the last that was sent.
    pub live: bool,
    pub has_played: bool,
    pub over: bool,
}

impl Outlet {
    /// Where the last buffer ends.
    pub fn end(&self) -> Option<gst::ClockTime> {
        self.end
    }

    pub fn caps(&self) -> Option<&gst::Caps> {
        self.caps.as_ref()
    }

    /// Whether a buffer that begins here can follow: live media goes on as it will, but what takes over must not begin
    /// before the other's end.
    pub fn is_next(&self, live: bool, begin: gst::ClockTime) -> bool {
        live == self.live
            || (self.begun.is_none_or(|last| begin > last) && self.end.is_none_or(|end| begin >= end))
    }

    /// Turns to the other of the two, live media or slate.
    pub fn turn(&mut self, live: bool) {
        if self.live != live {
            self.live = live;
            self.discont = true;
        }
        self.has_played |= live;
    }

    /// What has to come before any buffer, and before the end.
    pub fn start(&mut self, pad: &gst::Pad, identity: &Identity) {
        if !self.started {
            self.started = true;
            pad.push_event(identity.start());
            pad.push_event(identity.collection());
        }
    }

    fn segment(&mut self, pad: &gst::Pad) {
        if !self.has_segment {
            self.has_segment = true;
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            pad.push_event(gst::event::Segment::new(&segment));
        }
    }

    /// Downstream was flushed.
    pub fn flushed(&mut self) {
        self.has_segment = false;
        self.discont = true;
    }

    pub fn set_caps(&mut self, pad: &gst::Pad, caps: &gst::Caps) {
        if self.caps.as_ref() != Some(caps) {
            self.caps = Some(caps.clone());
            pad.push_event(gst::event::Caps::new(caps));
        }
    }

    /// Sends a buffer with its time of beginning.
    pub fn push(
        &mut self,
        pad: &gst::Pad,
        mut buffer: gst::Buffer,
        begin: gst::ClockTime,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.segment(pad);
        let length = buffer.duration();
        let data = buffer.make_mut();
        data.set_pts(begin);
        data.set_dts(None);
        if std::mem::take(&mut self.discont) {
            data.set_flags(gst::BufferFlags::DISCONT);
        }
        self.begun = Some(begin);
        self.end = Some(begin + length.unwrap_or_default());
        pad.push(buffer)
    }

    /// Nothing comes after this.
    pub fn finish(&mut self, pad: &gst::Pad) -> bool {
        self.over = true;
        self.segment(pad);
        pad.push_event(gst::event::Eos::new())
    }
}
