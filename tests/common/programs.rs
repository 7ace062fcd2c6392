//! GStreamer's own programs, with the plugin of this build and nothing of the user's.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder that holds the plugin, as an installed one does, with a registry of its own.
pub struct Plugins(TempDir);

impl Plugins {
    pub fn ours() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = "libgststreamiumpay.so";
        std::os::unix::fs::symlink(built(name), folder.path().join(name)).unwrap();
        Self(folder)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// A program that finds these plugins; it reads no configuration file.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env("GST_PLUGIN_PATH", self.path())
            .env("GST_REGISTRY", self.path().join("registry.bin"))
            .env("WEBRTCSINK_SIGNALLING_SERVER_LOG", "error")
            .env("STREAMIUM_CONFIG", "");
        command
    }
}

/// What Cargo has built beside this test.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().unwrap().join(name);
    assert!(path.exists(), "{} is not there", path.display());
    path
}

/// All that a program has printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
