//! GStreamer's own programs, as a user runs them: without a plugin of webrtcsink's beside ours, and with one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use tempfile::TempDir;

use crate::common::child::{Launched, PLUGIN, gstreamer, plugin_folder, said};
use crate::common::wait::wait_for_port;
use crate::common::webrtc::{free_port, own_server, run};

/// A folder with the plugin that users install. It is a cdylib too, so cargo has built it along with ours.
static THEIRS: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = std::env::current_exe().unwrap();
    let built = exe
        .parent()
        .unwrap()
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let is_it = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy();
        name.starts_with("libgstrswebrtc-") && name.ends_with(".so")
    };
    let modified = |path: &PathBuf| path.metadata().unwrap().modified().unwrap();
    let newest = built.filter(is_it).max_by_key(modified);
    plugin_folder("rswebrtc", &newest.expect("cargo builds libgstrswebrtc"))
});

/// A machine with some plugins, on which GStreamer was never run.
struct Machine {
    plugins: String,
    registry: TempDir,
}

impl Machine {
    /// With the plugins of these folders, which are scanned in this order.
    fn with(folders: &[&Path]) -> Self {
        let folders: Vec<_> = folders.iter().map(|folder| folder.to_str().unwrap()).collect();
        Self {
            plugins: folders.join(":"),
            registry: tempfile::tempdir().unwrap(),
        }
    }

    fn program(&self, name: &str) -> Command {
        let mut command = gstreamer(name);
        command
            .env("GST_PLUGIN_PATH", &self.plugins)
            .env("GST_REGISTRY", self.registry.path().join("registry.bin"))
            .env("GST_DEBUG", "streamiumpayinner:5")
            .env("GST_DEBUG_NO_COLOR", "1");
        command
    }

    /// Dies of any warning.
    fn inspect(&self, what: &str) -> (bool, String) {
        let mut command = self.program("gst-inspect-1.0");
        let output = command
            .env("G_DEBUG", "fatal-warnings")
            .arg(what)
            .output()
            .unwrap();
        (output.status.success(), said(&output))
    }

    fn launch(&self, pipeline: &str) -> Launched {
        Launched::run(self.program("gst-launch-1.0").arg("-v").args(pipeline.split(' ')))
    }
}

/// All elements can be looked at, and the scanner, which is a process of its own, drops no plugin.
fn inspects(machine: &Machine, theirs_too: bool) {
    for element in ["streamiumpaysink", "streamiumpaysrc", "webrtcsink", "webrtcsrc"] {
        let (found, words) = machine.inspect(element);
        assert_eq!(
            found,
            theirs_too || element.starts_with("streamium"),
            "{element}: {words}"
        );
        let complaint = words
            .lines()
            .find(|line| line.contains("WARNING") || line.contains("CRITICAL"));
        assert_eq!(complaint, None, "{element}");
    }
    let (_, dropped) = machine.inspect("--print-blacklist");
    assert!(dropped.contains("Total count"), "{dropped}");
    assert!(
        !dropped.contains("libgststreamiumpay") && !dropped.contains("libgstrswebrtc"),
        "{dropped}"
    );
}

/// A free broadcast to a viewer in another process, each with the inner elements that `whose` names.
fn plays(machine: &Machine, whose: &str) {
    let (port, data) = (free_port(), tempfile::tempdir().unwrap());
    let data = data.path().display();
    let mut provider = machine.launch(&format!(
        "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! streamiumpaysink \
         {} link-address=127.0.0.1 stun-server=none data-dir={data}/provider",
        own_server(port)
    ));
    provider.wait_for(&format!("webrtcsink from {whose}"));
    let link = provider.link();
    wait_for_port(port);
    let mut consumer = machine.launch(&format!(
        "streamiumpaysrc uri={link} stun-server=none slate=false data-dir={data}/consumer ! videoconvert \
         ! fakesink silent=false sync=false async=false"
    ));
    consumer.wait_for(&format!("webrtcsrc from {whose}"));
    for _ in 0..15 {
        consumer.wait_for("last-message = chain");
    }
}

#[test]
fn without_a_plugin_of_webrtcsinks() {
    run(|| {
        let machine = Machine::with(&[&PLUGIN]);
        inspects(&machine, false);
        plays(&machine, "the linked crate");
    });
}

#[test]
fn with_one_that_is_scanned_first() {
    run(|| {
        let machine = Machine::with(&[&THEIRS, &PLUGIN]);
        inspects(&machine, true);
        plays(&machine, "plugin Some(\"rswebrtc\")");
    });
}

#[test]
fn with_one_that_is_scanned_last() {
    run(|| {
        let machine = Machine::with(&[&PLUGIN, &THEIRS]);
        inspects(&machine, true);
        plays(&machine, "plugin Some(\"rswebrtc\")");
    });
}
