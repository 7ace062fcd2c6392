//! Every test that docs/security.md names exists, and every row names one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The functions right below a line that says that they are tests.
fn tests() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["src", "tests", "channel/src", "channel/tests"] {
        let folder = root().join(folder);
        if folder.is_dir() {
            sources(&folder, &mut files);
        }
    }
    let mut tests = BTreeSet::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        let lines: Vec<_> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            if *line != "#[test]" {
                continue;
            }
            let below = lines[index + 1..].iter().find(|line| !line.starts_with("#["));
            let name = below.and_then(|line| line.strip_prefix("fn "));
            let name = name
                .and_then(|line| line.split_once('('))
                .map(|(name, _)| name.to_owned());
            tests.extend(name);
        }
    }
    tests
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

#[test]
fn every_attempt_names_tests_that_exist() {
    let text = std::fs::read_to_string(root().join("docs/security.md")).unwrap();
    assert!(!text.contains("TODO"), "something is left to be written");
    let (_, attempts) = text.split_once("## 2. Attempts").unwrap();
    let rows = attempts.lines().filter(|line| line.starts_with('|'));
    let rows: Vec<Vec<_>> = rows
        .map(|row| row.trim_matches('|').split('|').map(str::trim).collect())
        .filter(|row: &Vec<_>| row[0] != "attempt" && row[0] != "---")
        .collect();
    assert!(rows.len() > 80, "{} rows", rows.len());
    let known = tests();
    let mutations = std::fs::read_to_string(root().join("tests/mutate.sh")).unwrap();
    for row in rows {
        let [attempt, rule, happens, named, removal] = row[..] else {
            panic!("a row has five cells: {row:?}");
        };
        assert!(!rule.is_empty() && !happens.is_empty(), "{attempt}");
        let named = quoted(named);
        assert!(!named.is_empty(), "{attempt}: no test");
        let tried = named.iter().any(|test| mutations.contains(&format!(" {test}\n")));
        assert!(
            removal.is_empty() || removal == "yes" && tried,
            "{attempt}: its removal was not tried"
        );
        for test in named {
            assert!(known.contains(test), "{attempt}: there is no test {test}");
        }
    }
}
