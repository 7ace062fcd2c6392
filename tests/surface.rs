//! All of webrtcsink's and webrtcsrc's surface on ours: tables against live elements, what passes through while they
//! run, and both elements with and without the user's own plugin beside.

mod common;
#[path = "surface/docs.rs"]
mod docs;
#[path = "surface/filter.rs"]
mod filter;
#[path = "surface/installed.rs"]
mod installed;
#[path = "surface/navigation.rs"]
mod navigation;
#[path = "surface/properties.rs"]
mod properties;
#[path = "surface/shape.rs"]
mod shape;
#[path = "surface/signals.rs"]
mod signals;

use gst::prelude::*;
use gststreamiumpay::inner::{self, LeftOut, Part, Signals, Table};
use gststreamiumpay::{paysink, paysrc};

/// One of our elements, with the inner element that it stands for.
pub struct Pair {
    pub ours: gst::Element,
    /// A live one by itself.
    pub inner: gst::Element,
    pub table: &'static Table,
    pub signals: &'static Signals,
    pub left_out: &'static [LeftOut],
}

pub fn pairs() -> [Pair; 2] {
    let make = |name| gst::ElementFactory::make(name).build().unwrap();
    [
        Pair {
            ours: make("streamiumpaysink"),
            inner: inner::make_sink().unwrap(),
            table: &paysink::proxied::TABLE,
            signals: &paysink::signals::TABLE,
            left_out: paysink::proxied::LEFT_OUT,
        },
        Pair {
            ours: make("streamiumpaysrc"),
            inner: inner::make_src().unwrap(),
            table: &paysrc::proxied::TABLE,
            signals: &paysrc::signals::TABLE,
            left_out: paysrc::proxied::LEFT_OUT,
        },
    ]
}

impl Pair {
    pub fn leaves_out(&self, part: Part, name: &str) -> bool {
        self.left_out
            .iter()
            .any(|one| one.part == part && one.name == name)
    }

    /// Those that are left out, of one part of the surface.
    pub fn left_out(&self, part: Part) -> impl Iterator<Item = &'static str> {
        let of_part = self.left_out.iter().filter(move |one| one.part == part);
        of_part.map(|one| {
            assert!(one.why.len() > 10, "{} is left out without a reason", one.name);
            one.name
        })
    }
}

/// The webrtcsink or webrtcsrc inside one of ours. A source's comes and goes, and while it is not connected its
/// properties are held by one that is not to be seen.
pub fn inside(ours: &gst::Element) -> Option<gst::Element> {
    let children = ours.downcast_ref::<gst::Bin>().unwrap().children();
    children
        .into_iter()
        .find(|child| child.find_property("signaller").is_some())
}
