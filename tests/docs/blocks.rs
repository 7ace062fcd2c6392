//! Every property and every signal of our own has a doc block in the sources that says all that is to be said.

use gst::glib;
use gst::glib::translate::{FromGlib, IntoGlib};
use gst::prelude::*;
use gststreamiumpay::{paysink, paysrc};

use crate::elements;
use crate::pages::{Block, blocks};

/// The words for the unit of a number.
const UNITS: [&str; 7] = [
    "satoshi",
    "millisatoshi",
    "milliseconds",
    "blocks",
    "how many",
    "index",
    "port number",
];

fn block(title: &str) -> Block {
    let mut found: Vec<_> = blocks()
        .into_iter()
        .filter(|block| block.title == title)
        .collect();
    assert_eq!(found.len(), 1, "{title} needs one doc block in the sources");
    found.remove(0)
}

fn has_unit(text: &str) -> bool {
    let text = text.to_lowercase();
    UNITS.iter().any(|unit| text.contains(unit))
}

fn check_since(block: &Block) {
    let last = block.lines.last().map(String::as_str);
    assert_eq!(last, Some("Since: 0.1"), "the last line of {}", block.title);
}

fn check_property(element: &gst::Element, property: &glib::ParamSpec) {
    let block = block(&format!("{}:{}", element.type_().name(), property.name()));
    check_since(&block);
    let (title, text, flags) = (&block.title, block.text(), property.flags());
    let mutability = if !flags.contains(glib::ParamFlags::WRITABLE) {
        "Read-only"
    } else if flags.contains(gst::PARAM_FLAG_MUTABLE_PLAYING) {
        "Can be changed at any time."
    } else {
        "Can be set in NULL and READY."
    };
    assert!(text.contains(mutability), "{title} should say: {mutability}");
    if let Some(default) = default_of(property) {
        let said =
            text.contains(&format!("efault {default}")) || text.contains(&format!("{default}, the default"));
        assert!(said, "{title} should say its default, {default}");
        assert!(has_unit(&text), "{title} should say its unit");
    } else if flags.contains(glib::ParamFlags::WRITABLE) {
        assert!(
            text.to_lowercase().contains("default"),
            "{title} should say its default"
        );
    }
}

/// The default of a number that can be set, as people write it.
fn default_of(property: &glib::ParamSpec) -> Option<String> {
    let default = property.default_value();
    let number = default
        .get::<u64>()
        .or_else(|_| default.get::<u32>().map(u64::from))
        .ok()?;
    property
        .flags()
        .contains(glib::ParamFlags::WRITABLE)
        .then(|| gststreamiumpay::report::sats(bitcoin::Amount::from_sat(number)).replace(" sat", ""))
}

#[test]
fn every_own_property_is_documented() {
    for element in elements() {
        let proxied = match element.type_().name() {
            "GstStreamiumPaySink" => &paysink::proxied::TABLE,
            _ => &paysrc::proxied::TABLE,
        };
        let own = |property: &&glib::ParamSpec| {
            property.owner_type() == element.type_() && proxied.find(property.name()).is_none()
        };
        let properties = element.list_properties();
        let mut count = 0;
        for property in properties.iter().filter(own) {
            check_property(&element, property);
            count += 1;
        }
        assert!(count > 15, "{count} properties of {}", element.name());
    }
}

/// The signals that a class declares itself, and the types of their arguments.
fn signals(class: glib::Type) -> Vec<(String, Vec<glib::Type>)> {
    let ids = unsafe {
        // SAFETY: the array is ours to free, and holds as many numbers as said.
        let mut count = 0;
        let ids = glib::gobject_ffi::g_signal_list_ids(class.into_glib(), &mut count);
        let listed = std::slice::from_raw_parts(ids, count as usize).to_vec();
        glib::ffi::g_free(ids.cast());
        listed
    };
    let queries = ids.into_iter().map(|id| {
        // SAFETY: the number is one that GObject has just listed.
        let id = unsafe { glib::subclass::SignalId::from_glib(id) };
        id.query()
    });
    queries
        .map(|query| {
            let types = query.param_types().iter().map(|of| of.type_());
            (query.signal_name().to_owned(), types.collect())
        })
        .collect()
}

fn check_signal(class: glib::Type, name: &str, arguments: &[glib::Type]) {
    let block = block(&format!("{}::{name}", class.name()));
    check_since(&block);
    let described: Vec<_> = block.lines.iter().filter(|line| line.starts_with('@')).collect();
    let title = &block.title;
    assert!(described[0].starts_with("@element: "), "{title}");
    assert_eq!(described.len(), arguments.len() + 1, "the arguments of {title}");
    for (argument, line) in arguments.iter().zip(&described[1..]) {
        let is_number = *argument == glib::Type::U64;
        assert!(
            !is_number || has_unit(line),
            "{title} should say the unit of {line}"
        );
    }
}

#[test]
fn every_own_signal_is_documented() {
    for element in elements() {
        let (own, forwarded) = match element.type_().name() {
            "GstStreamiumPaySink" => (paysink::own_signals::TABLE, &paysink::signals::TABLE),
            _ => (paysrc::own_signals::TABLE, &paysrc::signals::TABLE),
        };
        let mut live = signals(element.type_());
        live.retain(|(name, _)| !forwarded.0.iter().any(|signal| signal.name == name));
        for signal in own {
            assert!(
                live.iter().any(|(name, _)| name == signal.name),
                "{}",
                signal.name
            );
        }
        for (name, arguments) in live {
            check_signal(element.type_(), &name, &arguments);
        }
    }
}

#[test]
fn every_doc_block_is_of_something_that_is_there() {
    let pads = [
        paysink::StreamiumPaySinkPad::static_type(),
        paysrc::StreamiumPaySrcPad::static_type(),
    ];
    let classes: Vec<_> = elements()
        .iter()
        .map(|element| element.type_())
        .chain(pads)
        .collect();
    for block in blocks() {
        let Some((class, name)) = block.title.split_once(':') else {
            continue;
        };
        if class == "SECTION" {
            continue;
        }
        let Some(class) = classes.iter().find(|one| one.name() == class) else {
            panic!("{}: no such class", block.title);
        };
        let is_there = match name.strip_prefix(':') {
            Some(signal) => signals(*class).iter().any(|(name, _)| name == signal),
            None => glib::object::ObjectClass::from_type(*class)
                .unwrap()
                .find_property(name)
                .is_some(),
        };
        assert!(is_there, "{} is documented, and not there", block.title);
    }
}
