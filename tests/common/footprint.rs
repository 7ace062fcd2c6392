//! What this process holds: threads, file descriptors, memory.
#![allow(dead_code)]

use std::fmt;
use std::time::{Duration, Instant};

/// Idle threads of GLib's and tokio's pools end after 15 s at most.
const POOLS_IDLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(90);
const GLANCE: Duration = Duration::from_millis(100);

unsafe extern "C" {
    /// Gives the kernel back what is free: else the figure says what the allocator keeps, not what is held.
    fn malloc_trim(pad: usize) -> std::ffi::c_int;
}

#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub threads: usize,
    pub fds: usize,
    pub rss_kb: i64,
}

impl Footprint {
    pub fn now() -> Self {
        // SAFETY: glibc's function may be called at any time, by any thread.
        unsafe { malloc_trim(0) };
        let count = |dir| std::fs::read_dir(dir).unwrap().count();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let rss = rss.unwrap().trim().trim_end_matches(" kB");
        Self {
            threads: count("/proc/self/task"),
            fds: count("/proc/self/fd"),
            rss_kb: rss.parse().unwrap(),
        }
    }

    /// The least there was while idle pools ended.
    pub fn settled() -> Self {
        let until = Instant::now() + POOLS_IDLE;
        let mut least = Self::now();
        while Instant::now() < until {
            std::thread::sleep(GLANCE);
            let now = Self::now();
            least.threads = least.threads.min(now.threads);
            least.fds = least.fds.min(now.fds);
            least.rss_kb = now.rss_kb;
        }
        least
    }

    /// Waits until there are no more threads and descriptors than in `before`.
    pub fn back_to(before: Self) -> Self {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = Self::now();
            if now.threads <= before.threads && now.fds <= before.fds {
                return now;
            }
            assert!(
                Instant::now() < until,
                "{now}, and before {before}; threads: {:?}, descriptors: {:?}",
                thread_names(),
                open_files()
            );
            std::thread::sleep(GLANCE);
        }
    }
}

impl fmt::Display for Footprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { threads, fds, rss_kb } = self;
        write!(f, "{threads} threads, {fds} descriptors, {rss_kb} kB")
    }
}

fn thread_names() -> Vec<String> {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
    tasks
        .filter_map(|task| Some(name(task.ok()?)?.trim().to_owned()))
        .collect()
}

fn open_files() -> Vec<String> {
    let files = std::fs::read_dir("/proc/self/fd").unwrap();
    files
        .filter_map(|file| {
            let target = std::fs::read_link(file.ok()?.path()).ok()?;
            Some(target.display().to_string())
        })
        .collect()
}
