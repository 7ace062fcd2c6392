//! Between live media and a track: makes of it what downstream takes, such as the one size of a recording. Where nothing
//! has to be made, all passes as it is.

use gst::prelude::*;

use crate::gate::TrackKind;

/// A converter that is linked to a track's sink pad, and stands beside the track.
pub struct Adapter {
    element: gst::Element,
    bin: gst::Bin,
}

impl Adapter {
    pub fn insert(kind: TrackKind, sink: &gst::Pad) -> Result<Self, gst::glib::BoolError> {
        let launch = match kind {
            TrackKind::Video => "videoconvertscale add-borders=true",
            TrackKind::Audio => "audioconvert ! audioresample",
        };
        let parent = sink.parent().and_then(|track| track.parent());
        let bin = parent.and_downcast::<gst::Bin>();
        let bin = bin.ok_or_else(|| gst::glib::bool_error!("the track is in no bin"))?;
        let element = gst::parse::bin_from_description(launch, true);
        let element = element.map_err(|error| gst::glib::bool_error!("{error}"))?;
        bin.add(&element)?;
        let adapter = Self {
            element: element.upcast(),
            bin,
        };
        let src = adapter.pad("src")?;
        src.link(sink)
            .map_err(|error| gst::glib::bool_error!("{error}"))?;
        adapter.element.sync_state_with_parent()?;
        Ok(adapter)
    }

    pub fn link(&self, live: &gst::Pad) -> Result<(), gst::glib::BoolError> {
        let linked = live.link(&self.pad("sink")?);
        linked
            .map(drop)
            .map_err(|error| gst::glib::bool_error!("{error}"))
    }

    fn pad(&self, name: &str) -> Result<gst::Pad, gst::glib::BoolError> {
        let pad = self.element.static_pad(name);
        pad.ok_or_else(|| gst::glib::bool_error!("no {name} pad"))
    }
}

/// May wait for what is being pushed.
impl Drop for Adapter {
    fn drop(&mut self) {
        for name in ["sink", "src"] {
            let Ok(pad) = self.pad(name) else { continue };
            match (pad.peer(), pad.direction()) {
                (Some(peer), gst::PadDirection::Sink) => drop(peer.unlink(&pad)),
                (Some(peer), _) => drop(pad.unlink(&peer)),
                (None, _) => (),
            }
        }
        let _ = self.element.set_locked_state(true);
        let _ = self.bin.remove(&self.element);
        let _ = self.element.set_state(gst::State::Null);
    }
}
