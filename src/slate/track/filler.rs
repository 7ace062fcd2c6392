//! What fills a track while no live media flows.

use std::sync::Arc;
use std::time::Duration;

use crate::slate::model::Slate;

/// What a filler makes its next piece from.
pub struct Scene<'a> {
    /// The caps that downstream has agreed to.
    pub caps: &'a gst::Caps,
    pub slate: &'a Arc<Slate>,
    /// Where the last piece, or live media before it, ends.
    pub end: Option<gst::ClockTime>,
    /// Up to when something has to be there.
    pub now: gst::ClockTime,
}

/// A piece, and where it begins.
pub type Piece = (gst::Buffer, gst::ClockTime);

/// Makes pictures or silence.
pub trait Filler: Send {
    /// How often a piece is due.
    fn period(&self) -> Duration;

    /// Caps that downstream takes, if possible those of live media. `accepts` and `query` ask downstream.
    fn choose(&self, live: Option<&gst::Caps>, peer: &dyn Peer) -> Option<gst::Caps>;

    /// The next piece, or why there never will be one.
    fn fill(&mut self, scene: &Scene<'_>) -> Result<Option<Piece>, String>;
}

/// What is linked downstream.
pub trait Peer {
    fn accepts(&self, caps: &gst::Caps) -> bool;
    fn caps(&self, filter: &gst::Caps) -> gst::Caps;
}

impl Peer for gst::Pad {
    fn accepts(&self, caps: &gst::Caps) -> bool {
        use gst::prelude::*;
        self.peer_query_accept_caps(caps)
    }

    fn caps(&self, filter: &gst::Caps) -> gst::Caps {
        use gst::prelude::*;
        self.peer_query_caps(Some(filter))
    }
}

/// Live media's caps where they can be had, else the usual ones, else the nearest that downstream takes.
pub fn choose(
    peer: &dyn Peer,
    live: Option<&gst::Caps>,
    usual: &gst::Caps,
    any: &gst::Caps,
) -> Option<gst::Caps> {
    let live = live.filter(|caps| caps.can_intersect(any));
    if let Some(known) = live.into_iter().chain([usual]).find(|caps| peer.accepts(caps)) {
        return Some(known.clone());
    }
    let mut caps = peer.caps(any);
    if caps.is_any() {
        return Some(usual.clone());
    }
    if caps.is_empty() {
        return None;
    }
    caps.truncate();
    approach(caps.make_mut().structure_mut(0)?, usual.structure(0)?);
    caps.fixate();
    Some(caps)
}

/// Fixes what is open as near to `usual` as can be.
fn approach(structure: &mut gst::StructureRef, usual: &gst::StructureRef) {
    for (field, value) in usual {
        if !structure.has_field(field) {
            continue;
        }
        if let Ok(number) = value.get::<i32>() {
            structure.fixate_field_nearest_int(field, number);
        } else if let Ok(fraction) = value.get::<gst::Fraction>() {
            structure.fixate_field_nearest_fraction(field, fraction);
        } else if let Ok(text) = value.get::<&str>() {
            structure.fixate_field_str(field, text);
        }
    }
}
