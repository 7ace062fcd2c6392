//! GStreamer's own programs with this build's plugin: a pipeline that `gst-launch-1.0` runs can be frozen, killed and
//! started again.
#![allow(dead_code)]

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::LazyLock;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::wait::PATIENCE;
use super::webrtc::own_server;

/// A folder with nothing but this build's plugin.
pub static PLUGIN: LazyLock<PathBuf> = LazyLock::new(|| {
    let exe = std::env::current_exe().unwrap();
    plugin_folder("plugin", &exe.with_file_name("libgststreamiumpay.so"))
});

/// A folder of this name with nothing but the plugin that cargo has built there.
pub fn plugin_folder(name: &str, built: &Path) -> PathBuf {
    assert!(built.is_file(), "{} is not there", built.display());
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    // GStreamer takes the plugin's name from the file's, which cargo may have added a hash to.
    let stem = built.file_stem().unwrap().to_str().unwrap();
    let link = dir.join(format!("{}.so", stem.split('-').next().unwrap()));
    if std::fs::read_link(&link).ok().as_deref() != Some(built) {
        // At once, since other tests may look; and it may be there, of another build.
        let new = dir.join(std::process::id().to_string());
        symlink(built, &new).unwrap();
        std::fs::rename(new, link).unwrap();
    }
    dir
}

/// What gst-launch knows of plugins: not the user's, which must not learn of this build.
fn registry() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("registry.bin")
}

/// A program that finds this build's elements, and nothing of the user's.
pub fn gstreamer(program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env("GST_PLUGIN_PATH", &*PLUGIN)
        .env("GST_REGISTRY", registry())
        .env(
            "XDG_DATA_HOME",
            Path::new(env!("CARGO_TARGET_TMPDIR")).join("data"),
        )
        .env("STREAMIUM_CONFIG", "");
    command
}

/// All that a program has printed.
pub fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Killed as the kernel does when dropped, and gone then: nothing of it gets to say anything.
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running program, mostly `gst-launch-1.0`; killed when dropped.
pub struct Launched {
    child: Killed,
    lines: Receiver<String>,
    pub seen: Vec<String>,
}

impl Launched {
    /// Runs `gst-launch-1.0 OPTIONS PIPELINE` with this build's elements.
    pub fn start(options: &[&str], pipeline: &str) -> Self {
        Self::prefixed(&[], options, pipeline)
    }

    /// The same, as the arguments of another command.
    pub fn prefixed(prefix: &[&str], options: &[&str], pipeline: &str) -> Self {
        let mut words: Vec<&str> = prefix.to_vec();
        words.push("gst-launch-1.0");
        words.extend(options);
        let mut command = gstreamer(words[0]);
        // gst-launch joins its arguments to one description, so it may as well be one argument.
        command.args(&words[1..]).args(split(pipeline));
        Self::run(&mut command)
    }

    /// Any program.
    pub fn run(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (sender, lines) = channel();
        read_lines(child.stdout.take().unwrap(), sender.clone());
        read_lines(child.stderr.take().unwrap(), sender);
        Self {
            child: Killed(child),
            lines,
            seen: Vec::new(),
        }
    }

    /// The next line that has this in it.
    pub fn wait_for(&mut self, words: &str) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if line.contains(words) {
                        return line;
                    }
                }
                Err(_) => panic!("it never said \"{words}\", but:\n{}", self.seen.join("\n")),
            }
        }
    }

    /// The link that a sink shows.
    pub fn link(&mut self) -> String {
        let line = self.wait_for("Viewers open ");
        line.split("Viewers open ").nth(1).unwrap().trim().to_owned()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child.0);
        kill_process(pid, signal).unwrap();
    }

    /// Kills it as the kernel does, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.0.kill();
        let _ = self.child.0.wait();
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.0.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > until {
                self.seen.extend(self.lines.try_iter());
                panic!("it does not end; it said:\n{}", self.seen.join("\n"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A free stream with a signalling server of its own, in a process of its own; `prefix` as for [`Launched::prefixed`].
pub fn broadcaster(prefix: &[&str], name: &str, dir: &Path, port: u16, sources: &str) -> Launched {
    Launched::prefixed(
        prefix,
        &["-e"],
        &format!(
            "streamiumpaysink name=sink stun-server=none stream-name=\"{name}\" network=regtest data-dir={} \
             link-address=127.0.0.1:{port} {} {sources}",
            dir.display(),
            own_server(port)
        ),
    )
}

/// At blanks that are not within quotes, which stay.
fn split(pipeline: &str) -> Vec<String> {
    let mut quoted = false;
    let words = pipeline.split(|c: char| {
        quoted ^= c == '"';
        c == ' ' && !quoted
    });
    words
        .filter(|word| !word.is_empty())
        .map(|word| word.replace('"', ""))
        .collect()
}

fn read_lines(from: impl Read + Send + 'static, to: Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
