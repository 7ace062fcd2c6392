//! What docs/protocol.md says is enough: an implementation in another language, without any code of this crate's, comes to
//! the same bytes. It needs `python3` and nothing else; without one there is a word and no test.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The stranger's verdict on these vectors, or nothing where there is no Python.
fn judge(vectors: &Path) -> Option<Output> {
    let script = here().join("tests/stranger/stranger.py");
    // -B: it leaves no compiled files in the source.
    let run = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(vectors)
        .output();
    match run {
        Ok(output) => Some(output),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("skipped: there is no python3");
            None
        }
        Err(error) => panic!("python3: {error}"),
    }
}

#[test]
fn another_implementation_comes_to_the_same_bytes() {
    let Some(output) = judge(&here().join("vectors")) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for what in [
        "settlement of several",
        "resume's hash",
        "refund's fee",
        "form of credit",
    ] {
        assert!(said.contains(what), "{what} was not checked:\n{said}");
    }
}

/// The vectors with one thing changed, removed when it is dropped.
struct Changed(PathBuf);

impl Changed {
    fn new(file: &str, from: &str, to: &str) -> Self {
        let name = format!("vectors-{}-{}", std::process::id(), file);
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for entry in std::fs::read_dir(here().join("vectors")).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let is_meant = path.file_name().unwrap() == file;
            assert!(!is_meant || text.contains(from), "{file} has no {from}");
            let text = if is_meant {
                text.replacen(from, to, 1)
            } else {
                text
            };
            std::fs::write(folder.join(path.file_name().unwrap()), text).unwrap();
        }
        Self(folder)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn it_finds_what_differs() {
    for (file, from, to) in [
        (
            "channel.json",
            "\"refund_delay_blocks\": 288",
            "\"refund_delay_blocks\": 289",
        ),
        ("settlement.json", "\"fee_sat\": 1", "\"fee_sat\": 2"),
        ("refund.json", "\"fee_sat\": 138", "\"fee_sat\": 139"),
        ("resume.json", "0707:1\"", "0707:2\""),
        ("messages.json", "\"cumulative_sat\"", "\"cumulative_msat\""),
    ] {
        let changed = Changed::new(file, from, to);
        let Some(output) = judge(&changed.0) else { return };
        assert!(!output.status.success(), "{file}: {to} was not noticed");
    }
}
