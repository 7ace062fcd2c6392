//! docs/elements.md against the tables.

use std::collections::BTreeSet;

use glib::subclass::SignalId;
use gst::glib;
use gst::prelude::*;

use crate::common::webrtc::run;
use crate::{Pair, pairs};

/// The section on what is passed through.
fn section() -> &'static str {
    let text = include_str!("../../docs/elements.md");
    let (_, rest) = text
        .split_once("## What is webrtcsink's and webrtcsrc's")
        .unwrap();
    rest.split("\n## ").next().unwrap()
}

fn quoted(text: &str) -> BTreeSet<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// The names in the table of one element.
fn table(element: &str) -> BTreeSet<&'static str> {
    let (_, rest) = section().split_once(&format!("| `{element}` | |\n")).unwrap();
    quoted(rest.split("\n\n").next().unwrap())
}

fn signals_and_properties(pair: &Pair) -> BTreeSet<&'static str> {
    let signals = pair.signals.0.iter().map(|row| row.name);
    pair.table.rows().map(|row| row.name).chain(signals).collect()
}

#[test]
fn the_documentation_names_what_is_passed_through_and_nothing_else() {
    run(|| {
        for pair in pairs() {
            let element = pair.ours.factory().unwrap().name();
            let (told, there) = (table(&element), signals_and_properties(&pair));
            let missing: Vec<_> = there.difference(&told).collect();
            assert!(
                missing.is_empty(),
                "{element}: not in docs/elements.md: {missing:?}"
            );
            for name in told.difference(&there) {
                let known = name.contains("::")
                    || pair.ours.find_property(name).is_some()
                    || SignalId::lookup(name, pair.ours.type_()).is_some()
                    || glib::Type::from_name(*name).is_some_and(|one| pair.ours.type_().is_a(one));
                assert!(known, "{element} has no {name}, which docs/elements.md names");
            }
        }
    });
}

#[test]
fn the_documentation_names_what_is_left_out() {
    run(|| {
        let told = quoted(section());
        for pair in pairs() {
            for one in pair.left_out {
                assert!(told.contains(one.name), "{}: {}", one.name, one.why);
            }
        }
    });
}
