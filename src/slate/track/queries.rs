//! What up- and downstream ask.

use gst::prelude::*;
use gst::subclass::prelude::*;

use super::LATENCY;
use super::imp::Track;

impl Track {
    /// What live media may be: what is linked downstream says so. Where nothing is, it is not decoded.
    pub(super) fn live_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let Ok((_, src)) = self.pads() else { return false };
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) if self.takes_raw() == Some(true) => {
                let mut raw = self.any_raw();
                if let Some(filter) = caps.filter() {
                    raw = raw.intersect(filter);
                }
                caps.set_result(&src.peer_query_caps(Some(&raw)));
                true
            }
            gst::QueryViewMut::Caps(caps) => {
                let rtp = gst::Caps::new_empty_simple("application/x-rtp");
                let result = caps
                    .filter()
                    .map_or_else(|| rtp.clone(), |filter| filter.intersect(&rtp));
                caps.set_result(&result);
                true
            }
            gst::QueryViewMut::AcceptCaps(accept) => {
                let linked = self.takes_raw() == Some(true);
                accept.set_result(!linked || src.peer_query_accept_caps(&accept.caps_owned()));
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    pub(super) fn upstream_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        // Whether or not there is live media to be told.
        let always = matches!(
            event.type_(),
            gst::EventType::Latency | gst::EventType::Reconfigure
        );
        gst::Pad::event_default(pad, Some(&*self.obj()), event) || always
    }

    pub(super) fn query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Latency(latency) => {
                latency.set(true, LATENCY.max(self.live_latency()), None::<gst::ClockTime>);
                true
            }
            gst::QueryViewMut::Caps(caps) => {
                let offered = self.offered();
                let result = caps.filter().map_or_else(
                    || offered.clone(),
                    |filter| filter.intersect_with_mode(&offered, gst::CapsIntersectMode::First),
                );
                caps.set_result(&result);
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    /// All that the pad may come to carry, for as long as nothing is linked.
    fn offered(&self) -> gst::Caps {
        let shown_as = self.shown_as.upgrade();
        let template = shown_as.as_ref().and_then(|pad| pad.pad_template());
        match (self.raw.get(), template) {
            (None | Some(false), Some(template)) => template.caps().clone(),
            _ => self.any_raw(),
        }
    }

    fn live_latency(&self) -> gst::ClockTime {
        let mut query = gst::query::Latency::new();
        let asked = self.pads().is_ok_and(|(sink, _)| sink.peer_query(&mut query));
        let (_, least, _) = query.result();
        if asked { least } else { gst::ClockTime::ZERO }
    }
}
