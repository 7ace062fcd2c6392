//! The source pads: each a ghost of one of the inner webrtcsrc's, and the same for all sessions one after the other.
//!
//! Downstream sees one live stream with a gap for each lost connection: no end, no flush and no second beginning. The
//! buffers of all sessions are stamped with the pipeline's running time, so they follow one another; the first
//! of each is marked DISCONT, and caps are sent again.

use std::sync::atomic::{AtomicBool, Ordering};

use gst::prelude::*;
use gst::subclass::prelude::ObjectSubclassIsExt;

use super::session::Arrivals;
use super::slated::track_of;
use super::{CAT, StreamiumPaySrc, templates};
use crate::gate::{DISCARD, TrackKind};
use crate::messages::post_info;

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
    // Of an earlier session, or with a slate.
    if let Some(ghost) = element.static_pad(&name).and_downcast::<gst::GhostPad>() {
        watch(inner, &ghost, kind, arrivals);
        hide_end(element, inner);
        if let Err(reason) = go_on(element, inner, &ghost) {
            gst::error!(CAT, obj = element, "pad {name} can't be reused: {reason}");
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
    hide_end(element, inner);
    if ghost.set_active(true).is_err() || element.add_pad(&ghost).is_err() {
        gst::error!(CAT, obj = element, "pad {} can't be added", ghost.name());
    }
}

/// Leads a session's pad to one of ours that is there already.
fn go_on(element: &StreamiumPaySrc, inner: &gst::Pad, ghost: &gst::GhostPad) -> Result<(), String> {
    if let Some(track) = track_of(ghost) {
        if track.takes_raw() != Some(false) {
            return track.attach(inner).map_err(|error| error.to_string());
        }
        let name = ghost.name();
        post_info(
            element,
            &format!("{name} goes on encoded, as what is linked to it wants: there is no slate."),
        );
    }
    continue_stream(inner, ghost);
    ghost.set_target(Some(inner)).map_err(|error| error.to_string())
}

/// Records arrivals, and drops what nobody may see yet, and what nobody wants: one unlinked track would otherwise end
/// the whole session with not-linked.
///
/// On the inner pad, which belongs to one session; ours may serve several.
fn watch(inner: &gst::Pad, ghost: &gst::GhostPad, kind: TrackKind, arrivals: &Arrivals) {
    let track = arrivals.add(&ghost.name(), kind);
    let (arrivals, ghost) = (arrivals.clone(), ghost.downgrade());
    let (missed, first) = (AtomicBool::new(false), AtomicBool::new(true));
    inner.add_probe(
        gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST,
        move |pad, info| {
            track.record();
            if arrivals.are_hidden() {
                missed.store(true, Ordering::Relaxed);
                return DISCARD;
            }
            if missed.swap(false, Ordering::Relaxed) && kind == TrackKind::Video {
                // Whoever takes it encoded has missed the key frame.
                pad.send_event(gst_video::UpstreamForceKeyUnitEvent::builder().build());
            }
            if !ghost.upgrade().is_some_and(|ghost| ghost.is_linked()) {
                return DISCARD;
            }
            if first.swap(false, Ordering::Relaxed)
                && let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data
            {
                buffer.make_mut().set_flags(gst::BufferFlags::DISCONT);
            }
            gst::PadProbeReturn::Ok
        },
    );
}

/// Keeps from downstream that a session ends: whether the stream does is not the inner element's to say.
///
/// webrtcsrc flushes a session that ends, and what is recorded downstream must not be flushed. Only in a paused player
/// it must, since a buffer may be waiting there for the play, and with it all that stops the session.
fn hide_end(element: &StreamiumPaySrc, inner: &gst::Pad) {
    let element = element.downgrade();
    inner.add_probe(
        gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH,
        move |_, info| {
            let Some(gst::PadProbeData::Event(event)) = &info.data else {
                return gst::PadProbeReturn::Ok;
            };
            let playing = || {
                element
                    .upgrade()
                    .is_some_and(|element| element.imp().is_playing())
            };
            match event.type_() {
                gst::EventType::Eos => DISCARD,
                gst::EventType::FlushStart | gst::EventType::FlushStop if playing() => DISCARD,
                _ => gst::PadProbeReturn::Ok,
            }
        },
    );
}

/// Lets a session's pad go on with the stream that an earlier one began on `ghost`.
fn continue_stream(inner: &gst::Pad, ghost: &gst::GhostPad) {
    if ghost.pad_flags().contains(gst::PadFlags::FLUSHING) {
        ghost.push_event(gst::event::FlushStop::new(false));
    }
    if ghost.sticky_event::<gst::event::StreamStart>(0).is_none() {
        return;
    }
    inner.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, |_, info| match &info.data {
        Some(gst::PadProbeData::Event(event))
            if matches!(
                event.type_(),
                gst::EventType::StreamStart | gst::EventType::StreamCollection
            ) =>
        {
            DISCARD
        }
        _ => gst::PadProbeReturn::Ok,
    });
}

/// Whether anything of the stream was seen.
pub fn were_used(element: &StreamiumPaySrc) -> bool {
    let used = |pad: &gst::Pad| {
        pad.downcast_ref()
            .and_then(track_of)
            .is_none_or(|track| track.has_played())
    };
    element.src_pads().iter().any(used)
}

/// Ends the stream on every pad, each in a thread of its own: a player may hold one stream's end back until the others
/// have ended, as `playbin` does.
pub fn end_of_stream(element: &StreamiumPaySrc) {
    for pad in element.src_pads() {
        element.call_async(move |_| end(&pad));
    }
}

/// In a paused player webrtcsrc leaves its pads flushing.
fn end(pad: &gst::Pad) {
    if let Some(track) = pad.downcast_ref().and_then(track_of) {
        return track.end();
    }
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

/// Lets go of the inner element's pads, before it goes.
pub fn detach(element: &StreamiumPaySrc) {
    for pad in element.src_pads() {
        if let Some(track) = pad.downcast_ref().and_then(track_of) {
            track.detach();
        } else if let Some(ghost) = pad.downcast_ref::<gst::GhostPad>() {
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
