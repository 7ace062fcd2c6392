//! Every command line that is printed anywhere is one that GStreamer takes.

use gst::glib;
use gst::prelude::*;

use crate::elements;
use crate::pages::{blocks, files, page, root};

/// The `gst-launch-1.0` lines of a text, each with what it continues on.
fn command_lines(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if !line.starts_with("gst-launch-1.0 ") {
            continue;
        }
        let mut command = line.to_owned();
        while let Some(head) = command.strip_suffix('\\') {
            command = format!("{head}{}", lines.next().expect("a line that goes on"));
        }
        found.push(command);
    }
    found
}

/// Makes the pipeline, with what a shell and gst-launch make of the line.
fn parse(command: &str) -> Result<(), glib::Error> {
    let words = glib::shell_parse_argv(command).unwrap();
    let words: Vec<_> = words.iter().skip(1).map(|word| word.to_str().unwrap()).collect();
    let pipeline: Vec<_> = words
        .iter()
        .copied()
        .skip_while(|word| word.starts_with('-'))
        .collect();
    let mut context = gst::ParseContext::new();
    match gst::parse::launchv_full(&pipeline, Some(&mut context), gst::ParseFlags::FATAL_ERRORS) {
        Err(error) => {
            // What else a reader has installed is not ours.
            let missing = context.missing_elements();
            let other = !missing.is_empty() && missing.iter().all(|name| !name.starts_with("streamium"));
            if other { Ok(()) } else { Err(error) }
        }
        Ok(pipeline) => {
            let _ = pipeline.set_state(gst::State::Null);
            Ok(())
        }
    }
}

#[test]
fn every_command_line_parses() {
    let elements = elements();
    let pages = files("docs", "md").into_iter().chain([root().join("README.md")]);
    let mut commands: Vec<_> = pages
        .flat_map(|page| command_lines(&std::fs::read_to_string(page).unwrap()))
        .collect();
    for element in elements {
        let title = format!("SECTION:element-{}", element.factory().unwrap().name());
        let section = blocks().into_iter().find(|block| block.title == title);
        let found = command_lines(&section.unwrap_or_else(|| panic!("no {title}")).lines.join("\n"));
        assert!(found.len() >= 2, "{title} has {} command lines", found.len());
        commands.extend(found);
    }
    assert!(commands.len() >= 8, "{} command lines", commands.len());
    for command in commands {
        if let Err(error) = parse(&command) {
            panic!("{command}\n{error}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_noticed() {
    let _ = elements();
    assert!(parse("gst-launch-1.0 -e streamiumpaysrc uri=a ! fakesink").is_ok());
    assert!(parse("gst-launch-1.0 streamiumpaysrc rain=500 ! fakesink").is_err());
    assert!(parse("gst-launch-1.0 streamiumpaysource ! fakesink").is_err());
    assert!(page("README.md").contains("gst-launch-1.0 streamiumpaysink"));
}
