//! The source pads: each a ghost of one of the inner webrtcsrc's.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;

use super::session::Arrivals;
use super::{CAT, StreamiumPaySrc, templates};
use crate::gate::{DISCARD, TrackKind};

/// Shows an inner pad on our element, under its own name. Runs in the inner element's `pad-added`, with
/// webrtcsrc's locks held: it must ask the inner element nothing.
pub fn expose(element: &StreamiumPaySrc, inner: &gst::Pad, arrivals: &Arrivals) {
    if inner.direction() != gst::PadDirection::Src {
        return;
    }
    let name = inner.name();
    let Some(kind) = TrackKind::from_name(&name) else {
        gst::warning!(CAT, obj = element, "no track: pad {name}");
        return;
    };
    // A pad of an earlier producer's, from before its terms were refused.
    if let Some(ghost) = element.static_pad(&name).and_downcast::<gst::GhostPad>() {
        watch(inner, &ghost, kind, arrivals);
        if let Err(error) = ghost.set_target(Some(inner)) {
            gst::error!(CAT, obj = element, "pad {name} can't be reused: {error}");
        }
        return;
    }
    let template = templates::template(kind);
    let ghost = template
        .as_ref()
        .map(|template| gst::GhostPad::builder_from_template_with_target(template, inner));
    let ghost = match ghost {
        Some(Ok(builder)) => builder.name(name).build(),
        Some(Err(error)) => {
            gst::error!(CAT, obj = element, "pad {name} can't be shown: {error}");
            return;
        }
        None => return,
    };
    watch(inner, &ghost, kind, arrivals);
    if ghost.set_active(true).is_err() || element.add_pad(&ghost).is_err() {
        gst::error!(CAT, obj = element, "pad {} can't be added", ghost.name());
    }
}

/// Records arrivals, and drops what nobody may see yet, and what nobody wants: one unlinked track would otherwise end
/// the whole session with not-linked.
///
/// On the inner pad, which belongs to one session; ours may serve several.
fn watch(inner: &gst::Pad, ghost: &gst::GhostPad, kind: TrackKind, arrivals: &Arrivals) {
    let track = arrivals.add(&ghost.name(), kind);
    let (arrivals, ghost) = (arrivals.clone(), ghost.downgrade());
    let missed = AtomicBool::new(false);
    inner.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST,
        move |pad, _| {
            track.record();
            if arrivals.are_hidden() {
                missed.store(true, Ordering::Relaxed);
                return DISCARD;
            }
            if missed.swap(false, Ordering::Relaxed) && kind == TrackKind::Video {
                // Whoever takes it encoded has missed the key frame.
                pad.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
            }
            if ghost.upgrade().is_some_and(|ghost| ghost.is_linked()) {
                gst::PadProbeReturn::Ok
            } else {
                DISCARD
            }
        },
    );
}

/// Ends the stream on every pad; says whether there was any. webrtcsrc leaves its pads flushing and silent.
pub fn end_of_stream(element: &StreamiumPaySrc) -> bool {
    let pads = element.src_pads();
    for pad in &pads {
        let flushing = pad.pad_flags().contains(gst::PadFlags::FLUSHING);
        if flushing {
            pad.push_event(gst::event::FlushStop::new(false));
            // The flush took the segment away, and no sink takes EOS before one.
            let segment = gst::FormattedSegment::<gst::ClockTime>::new();
            pad.push_event(gst::event::Segment::new(&segment));
        }
        let taken = pad.push_event(gst::event::Eos::new());
        gst::debug!(CAT, obj = pad, "EOS, flushing before: {flushing}, taken: {taken}");
    }
    !pads.is_empty()
}

/// Lets go of the inner element's pads, before it goes.
pub fn detach(element: &StreamiumPaySrc) {
    for pad in element.src_pads() {
        if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
            let _ = ghost.set_target(None::<&gst::Pad>);
        }
    }
}

/// Removes all pads.
pub fn remove(element: &StreamiumPaySrc) {
    for pad in element.src_pads() {
        let _ = pad.set_active(false);
        let _ = element.remove_pad(&pad);
    }
}
