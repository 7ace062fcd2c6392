//! One track of a stream that has a slate: live media where there is some and it is let through, else a picture or
//! silence. Downstream sees one stream without a break: one beginning, one segment, times that only grow.
//!
//! Raw media only. Whether downstream takes that shows when it is linked; where it does not, the track stays out of the
//! way ([`Track::takes_raw`]).

mod adapter;
mod fill;
mod filler;
mod imp;
mod live;
mod outlet;
mod picture;
mod queries;
mod silence;

use std::sync::Arc;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::model::Slate;
use crate::gate::TrackKind;

/// What a track answers for its latency, from the start and whatever comes: more than the 200 ms of webrtcbin's jitter
/// buffer and what decoders take, so that nothing changes for the sinks when live media joins.
pub const LATENCY: gst::ClockTime = gst::ClockTime::from_mseconds(300);

/// How far picture and silence are behind: about as far as live media may be, so that none of it, which is paid for,
/// begins before their end and is lost. Where it comes sooner, times jump by as much, and the last picture stays.
const DELAY: gst::ClockTime = gst::ClockTime::from_mseconds(240);

static CAT: std::sync::LazyLock<gst::DebugCategory> = std::sync::LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpayslate",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay slate"),
    )
});

glib::wrapper! {
    pub struct Track(ObjectSubclass<imp::Track>) @extends gst::Element, gst::Object;
}

/// What makes a track.
#[derive(Debug, Clone)]
pub struct TrackSettings {
    pub kind: TrackKind,
    /// The size of the picture until live media has shown its own.
    pub size: (i32, i32),
    pub identity: Identity,
}

/// As what players know a track, and what belongs with it.
#[derive(Debug, Clone)]
pub struct Identity {
    stream: gst::Stream,
    all: gst::StreamCollection,
    group: gst::GroupId,
}

impl Identity {
    /// Those of a whole stream, which is called `name`.
    pub fn new(name: &str, kinds: &[TrackKind]) -> Vec<Self> {
        let group = gst::GroupId::next();
        let streams: Vec<_> = kinds.iter().map(|kind| stream(name, *kind)).collect();
        let all = gst::StreamCollection::builder(None)
            .streams(streams.clone())
            .build();
        let with = |stream| Self {
            stream,
            all: all.clone(),
            group,
        };
        streams.into_iter().map(with).collect()
    }

    fn start(&self) -> gst::Event {
        let id = self.stream.stream_id().unwrap_or_default();
        let start = gst::event::StreamStart::builder(&id).group_id(self.group);
        start.stream(self.stream.clone()).build()
    }

    fn collection(&self) -> gst::Event {
        gst::event::StreamCollection::new(&self.all)
    }
}

fn stream(name: &str, kind: TrackKind) -> gst::Stream {
    let (track, kind) = match kind {
        TrackKind::Video => ("video", gst::StreamType::VIDEO),
        TrackKind::Audio => ("audio", gst::StreamType::AUDIO),
    };
    gst::Stream::new(
        Some(&format!("{name}/{track}")),
        None,
        kind,
        gst::StreamFlags::SELECT,
    )
}

impl Track {
    pub fn new(name: &str, settings: TrackSettings) -> Self {
        let track: Self = glib::Object::builder().property("name", name).build();
        track.imp().set_up(settings);
        track
    }

    /// The pad to be shown, through `outlet`, which is asked what is linked to it.
    pub fn show_as(&self, outlet: &gst::GhostPad) -> Result<(), glib::BoolError> {
        self.imp().set_outlet(outlet);
        outlet.set_target(self.static_pad("src").as_ref())
    }

    /// Whether what is linked downstream takes raw media; `None` while nothing is.
    pub fn takes_raw(&self) -> Option<bool> {
        self.imp().takes_raw()
    }

    /// Takes live media from this pad.
    pub fn attach(&self, live: &gst::Pad) -> Result<(), glib::BoolError> {
        self.imp().attach(live)
    }

    /// Lets go of live media.
    pub fn detach(&self) {
        self.imp().detach();
    }

    pub fn set_slate(&self, slate: Arc<Slate>) {
        self.imp().set_slate(slate);
    }

    /// Lets live media through, from its first buffer on; until then the picture stays.
    pub fn admit(&self) {
        self.imp().admit();
    }

    /// Shows the picture again. What arrived before this is not shown any more, even if it is let through later.
    pub fn cover(&self) {
        self.imp().cover();
    }

    /// Whether any live media was shown.
    pub fn has_played(&self) -> bool {
        self.imp().has_played()
    }

    /// Ends the stream.
    pub fn end(&self) {
        self.imp().end();
    }
}
