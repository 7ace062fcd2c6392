//! The Python that the documentation shows, run as it stands there.

use std::path::Path;

use crate::common::child::{Launched, gstreamer};
use crate::common::paid::{PaidProvider, paid_viewer, prefund};
use crate::common::webrtc::{RAW_VIDEO, run};
use crate::pages::{files, page, root};

/// All that there is, each by the function that it defines.
const SHOWN: [&str; 2] = ["on_message", "on_terms"];

/// The Python of a page.
fn snippets(text: &str) -> Vec<String> {
    let fences = text.split("```python\n").skip(1);
    fences
        .map(|rest| rest.split_once("```").unwrap().0.to_owned())
        .collect()
}

fn defines(snippet: &str, function: &str) -> bool {
    snippet.contains(&format!("def {function}("))
}

/// Runs a pipeline with the snippet that defines this function; its source is called `pay`.
fn with_snippet(function: &str, dir: &Path, launch: &str) -> Launched {
    let all = snippets(&page("docs/elements.md"));
    let snippet = all.iter().find(|snippet| defines(snippet, function));
    let file = dir.join("snippet.py");
    std::fs::write(&file, snippet.unwrap_or_else(|| panic!("no {function} is shown"))).unwrap();
    // The distribution's, which has the bindings.
    let mut python = gstreamer("/usr/bin/python3");
    python
        .env("PYTHONUNBUFFERED", "1")
        .arg(root().join("tests/application/host.py"))
        .arg(file)
        .arg(launch);
    Launched::run(&mut python)
}

#[test]
fn every_python_that_is_shown_is_run_here() {
    let pages = files("docs", "md").into_iter().chain([root().join("README.md")]);
    let all: Vec<String> = pages
        .flat_map(|page| snippets(&std::fs::read_to_string(page).unwrap()))
        .collect();
    assert_eq!(all.len(), SHOWN.len());
    for function in SHOWN {
        assert!(all.iter().any(|snippet| defines(snippet, function)), "{function}");
    }
}

/// A viewer with money, in Python.
fn viewer(function: &str, dir: &Path, provider: &PaidProvider) -> Launched {
    let folder = dir.join(function);
    prefund(&folder);
    with_snippet(function, dir, &paid_viewer(&provider.link(), &folder))
}

/// The next that it prints: libraries may have words of their own.
fn next_number(viewer: &mut Launched) -> u64 {
    loop {
        if let Ok(number) = viewer.wait_for("").parse() {
            return number;
        }
    }
}

#[test]
fn the_documented_message_handler_prints_what_has_been_paid() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "");
        let mut viewer = viewer("on_message", dirs.path(), &provider);
        for _ in 0..5 {
            let balance = provider.notes.wait("payment").number("balance-sat");
            assert_eq!(next_number(&mut viewer), balance, "{:?}", viewer.seen);
        }
        provider.notes.check();
    });
}

#[test]
fn the_documented_answer_to_the_terms_takes_a_low_rate_and_refuses_a_high_one() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        for (rate, takes_it) in [(500, true), (501, false)] {
            let dir = dirs.path().join(rate.to_string());
            let settings = format!("rate={rate}");
            let mut provider = PaidProvider::start(&dir.join("p"), RAW_VIDEO, &settings);
            let _viewer = viewer("on_terms", &dir, &provider);
            if takes_it {
                provider.notes.wait("payment");
            } else {
                let ended = provider.notes.wait("ended").text("reason");
                assert!(ended.contains("the application does not agree"), "{ended}");
                assert!(!provider.notes.said("channel"));
            }
        }
    });
}
