//! The tables of docs/elements.md.

use std::collections::BTreeSet;

use gststreamiumpay::catalogue::{self, Catalogue, FieldSpec, Kind};
use gststreamiumpay::messages::OwnSignal;
use gststreamiumpay::{paysink, paysrc};

use crate::pages::{files, page, table};

/// The names of numbers end in a unit, or are one of these.
const COUNTS: [&str; 7] = [
    "blocks-left",
    "channels",
    "confirmations",
    "descriptors",
    "descriptors-limit",
    "min-confirmations",
    "turned-away",
];
const UNITS: [&str; 5] = ["-sat", "-msat", "-msat-per-s", "-ms", "-vb"];

fn fields(fields: &[FieldSpec]) -> String {
    let cells: Vec<_> = fields
        .iter()
        .map(|field| format!("`{}`{}", field.name, if field.optional { "?" } else { "" }))
        .collect();
    cells.join(", ")
}

fn check_messages(catalogue: &Catalogue, title: &str) {
    let expected: Vec<_> = catalogue
        .0
        .iter()
        .map(|message| {
            vec![
                format!("`{}`", message.name),
                fields(message.fields),
                message.when.to_owned(),
            ]
        })
        .collect();
    let found = table(&page("docs/elements.md"), title);
    if found != expected {
        let rows: Vec<_> = expected
            .iter()
            .map(|row| format!("| {} |", row.join(" | ")))
            .collect();
        panic!("the table below {title:?} should be\n{}\n", rows.join("\n"));
    }
}

#[test]
fn the_messages_are_documented() {
    check_messages(&catalogue::SINK, "### Messages of streamiumpaysink");
    check_messages(&catalogue::SOURCE, "### Messages of streamiumpaysrc");
}

#[test]
fn the_names_of_fields_say_their_types() {
    let intro = page("docs/elements.md");
    let (_, intro) = intro.split_once("\n## Messages\n").unwrap();
    let messages = catalogue::SINK.0.iter().chain(catalogue::SOURCE.0);
    for field in messages.flat_map(|message| message.fields) {
        let name = field.name;
        let has_unit = UNITS.iter().any(|unit| name.ends_with(unit));
        assert_eq!(
            has_unit || COUNTS.contains(&name),
            field.kind == Kind::Number,
            "{name}"
        );
        if field.kind == Kind::Flag || COUNTS.contains(&name) {
            assert!(
                intro.contains(&format!("`{name}`")),
                "the type of {name} should be said"
            );
        }
    }
}

/// Every name that a source gives to a report.
#[test]
fn every_message_in_the_sources_is_in_the_catalogue() {
    let mut named = BTreeSet::new();
    for path in files("src", "rs") {
        let text = std::fs::read_to_string(&path).unwrap();
        let (code, _) = text.split_once("#[cfg(test)]").unwrap_or((&text, ""));
        for (at, _) in code
            .match_indices("eport::new(")
            .chain(code.match_indices(" report(\""))
        {
            let call = &code[at..];
            let (call, _) = call.split_once(')').unwrap();
            named.extend(call.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    let known = catalogue::SINK.0.iter().chain(catalogue::SOURCE.0);
    let known: BTreeSet<_> = known.map(|message| message.name.to_owned()).collect();
    assert_eq!(named, known, "left: in the sources, right: in the catalogue");
}

fn check_signals(signals: &[OwnSignal], title: &str) {
    let found = table(&page("docs/elements.md"), title);
    let found: Vec<_> = found
        .iter()
        .map(|row| (row[0].as_str(), row[1].as_str()))
        .collect();
    let expected: Vec<_> = signals
        .iter()
        .map(|signal| {
            let arguments: Vec<_> = signal.arguments.iter().map(|name| format!("`{name}`")).collect();
            (format!("`{}`", signal.name), arguments.join(", "))
        })
        .collect();
    let expected: Vec<_> = expected.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    for row in &expected {
        assert!(found.contains(row), "{title} should have {row:?}");
    }
}

#[test]
fn the_signals_are_documented() {
    check_signals(paysink::own_signals::TABLE, "### Signals of streamiumpaysink");
    check_signals(paysrc::own_signals::TABLE, "### Signals of streamiumpaysrc");
}

/// A signal has what its message has, in that order, and its arguments are in each of the messages.
#[test]
fn a_signals_arguments_are_fields_of_its_message() {
    let sides = [
        (&catalogue::SINK, paysink::own_signals::TABLE),
        (&catalogue::SOURCE, paysrc::own_signals::TABLE),
    ];
    for (catalogue, signals) in sides {
        for signal in signals {
            let message = catalogue.find(signal.report).expect(signal.name);
            for argument in signal.arguments {
                let field = message.field(argument);
                let field = field.unwrap_or_else(|| panic!("{}: {argument}", signal.name));
                // An optional one comes with the one that the signal is for.
                assert!(
                    !field.optional || signal.only_with.is_some(),
                    "{}: {argument}",
                    signal.name
                );
            }
        }
    }
}
