//! What this process holds: threads, file descriptors, memory.
#![allow(dead_code)]

use std::fmt;
use std::time::{Duration, Instant};

/// Idle threads of GLib's and tokio's pools end after 15 s at most.
const POOLS_IDLE: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(90);
const GLANCE: Duration = Duration::from_millis(100);

/// What glibc's `mallinfo2` answers, in bytes.
#[repr(C)]
struct Mallinfo2 {
    arena: usize,
    ordblks: usize,
    smblks: usize,
    hblks: usize,
    hblkhd: usize,
    usmblks: usize,
    fsmblks: usize,
    uordblks: usize,
    fordblks: usize,
    keepcost: usize,
}

unsafe extern "C" {
    fn mallinfo2() -> Mallinfo2;
}

#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub threads: usize,
    pub fds: usize,
    /// What is allocated, in all heaps, and not what the process has in the machine's memory: that swings by megabytes
    /// with what the allocator keeps and the kernel takes back.
    pub heap_kb: i64,
}

impl Footprint {
    pub fn now() -> Self {
        // SAFETY: glibc's function may be called at any time, by any thread.
        let heap = unsafe { mallinfo2() };
        let count = |dir| std::fs::read_dir(dir).unwrap().count();
        Self {
            threads: count("/proc/self/task"),
            fds: count("/proc/self/fd"),
            heap_kb: i64::try_from((heap.uordblks + heap.hblkhd) / 1024).unwrap(),
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
            least.heap_kb = least.heap_kb.min(now.heap_kb);
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
        let Self {
            threads,
            fds,
            heap_kb,
        } = self;
        write!(f, "{threads} threads, {fds} descriptors, {heap_kb} kB")
    }
}

/// How much more is allocated after so many rounds, for each of them.
pub fn growth_kb(before: Footprint, after: Footprint, rounds: usize) -> f64 {
    (after.heap_kb - before.heap_kb) as f64 / rounds as f64
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
