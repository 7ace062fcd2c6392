//! Reading sources and pages.

use std::path::{Path, PathBuf};

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn page(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// All files below a folder whose name ends so.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|of| of == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// A doc block: its first line without the colon at the end, and the rest.
#[derive(Debug)]
pub struct Block {
    pub title: String,
    pub lines: Vec<String>,
}

impl Block {
    pub fn text(&self) -> String {
        self.lines.join(" ")
    }
}

/// The doc blocks in GStreamer's form of all our sources.
pub fn blocks() -> Vec<Block> {
    let sources = files("src", "rs");
    let texts = sources.iter().map(|path| std::fs::read_to_string(path).unwrap());
    texts.flat_map(|text| blocks_of(&text)).collect()
}

fn blocks_of(text: &str) -> Vec<Block> {
    let bodies = text.split("/**\n").skip(1);
    bodies
        .map(|rest| {
            let (body, _) = rest.split_once("*/").expect("a block has an end");
            let mut lines = body.lines().map(|line| {
                let line = line.trim_start();
                let line = line.strip_prefix('*').unwrap_or(line);
                line.strip_prefix(' ').unwrap_or(line).to_owned()
            });
            let title = lines.next().unwrap_or_default();
            Block {
                title: title.strip_suffix(':').unwrap_or(&title).to_owned(),
                lines: lines.filter(|line| !line.is_empty()).collect(),
            }
        })
        .collect()
}

/// The rows of the table below a line of a page, as cells.
pub fn table(page: &str, below: &str) -> Vec<Vec<String>> {
    let (_, rest) = page
        .split_once(&format!("\n{below}\n"))
        .unwrap_or_else(|| panic!("no line {below:?}"));
    let rows = rest
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2);
    rows.map(|row| {
        let cells = row
            .trim()
            .trim_start_matches('|')
            .trim_end_matches('|')
            .split(" | ");
        cells.map(|cell| cell.trim().to_owned()).collect()
    })
    .collect()
}
