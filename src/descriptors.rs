//! The process's descriptors, of which a session holds some twenty-five. GLib aborts the process when there is none left
//! for it, so sessions are admitted only while there are enough.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Stays for everything else: the chain's servers, files, the application. A quarter of a small limit.
const RESERVE: usize = 128;
/// The cost of a session until one has been seen.
const ASSUMED: usize = 32;
/// The bounds of the measured cost, as others open descriptors meanwhile.
const LEAST: usize = 16;
const MOST: usize = 64;

/// Connections to the process's own signalling servers, which are no part of a session.
static CONNECTIONS: AtomicUsize = AtomicUsize::new(0);

/// One such connection, until dropped.
pub struct Connection(());

impl Connection {
    pub fn new() -> Self {
        CONNECTIONS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        CONNECTIONS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many descriptors there are, and how many there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub open: usize,
    /// Connections to own signalling servers among them.
    pub connections: usize,
    pub limit: usize,
}

impl Count {
    pub fn now() -> Self {
        Self {
            open: open(),
            connections: CONNECTIONS.load(Ordering::SeqCst),
            limit: limit(),
        }
    }

    fn reserve(self) -> usize {
        RESERVE.min(self.limit / 4)
    }

    /// Whether one more connection to a signalling server leaves enough. Sessions leave more than these may take.
    pub fn takes_connection(self) -> bool {
        self.open.saturating_add(self.reserve() / 2) < self.limit
    }
}

/// How many the process may have open.
pub fn limit() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Raises the soft limit to the hard one, which any process may do; returns both where that changed it.
pub fn raise() -> Option<(u64, u64)> {
    let limit = getrlimit(Resource::Nofile);
    let before = limit.current?;
    // Without a hard limit the kernel has one of its own.
    let most = limit.maximum.unwrap_or(1 << 20);
    if before >= most {
        return None;
    }
    let raised = Rlimit {
        current: Some(most),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised).ok()?;
    Some((before, most))
}

/// How many the process has open. Where that can't be found out it is taken to be half of what it may.
fn open() -> usize {
    let entries = std::fs::read_dir("/proc/self/fd").or_else(|_| std::fs::read_dir("/dev/fd"));
    // One is for reading.
    entries.map_or_else(|_| limit() / 2, |entries| entries.count().saturating_sub(1))
}

/// The cost of sessions, as measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs {
    /// The descriptors that were open beside connections when there was no session.
    without: Option<usize>,
    session: usize,
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            without: None,
            session: ASSUMED,
        }
    }
}

impl Costs {
    /// Returns how many descriptors one session holds.
    pub fn session(&self) -> usize {
        self.session
    }

    /// Looks at what is open while no session is being made.
    pub fn look(&mut self, count: Count, sessions: usize) {
        let open = count.open.saturating_sub(count.connections);
        match (sessions, self.without) {
            (0, _) => self.without = Some(open),
            (_, Some(without)) => {
                let each = open.saturating_sub(without).div_ceil(sessions);
                self.session = each.clamp(LEAST, MOST);
            }
            (_, None) => (),
        }
    }

    /// Whether there is enough for one more beside those that are being made, which may hold nothing yet.
    pub fn take_one_more(&self, count: Count, being_made: usize) -> bool {
        let needed = self.session.saturating_mul(being_made.saturating_add(1));
        count.open.saturating_add(needed).saturating_add(count.reserve()) <= count.limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(open: usize, limit: usize) -> Count {
        Count {
            open,
            connections: 0,
            limit,
        }
    }

    #[test]
    fn what_a_session_costs_is_measured() {
        let mut costs = Costs::default();
        costs.look(count(60, 1_024), 0);
        costs.look(count(60 + 250, 1_024), 10);
        assert_eq!(costs.session(), 25);
        // Strangers' connections, and whatever else somebody opens, say little of sessions.
        let mut with_strangers = count(60 + 250 + 200, 1_024);
        with_strangers.connections = 200;
        costs.look(with_strangers, 10);
        assert_eq!(costs.session(), 25);
        costs.look(count(900, 1_024), 1);
        assert_eq!(costs.session(), MOST);
    }

    #[test]
    fn enough_is_left_for_everything_else() {
        let mut costs = Costs::default();
        costs.look(count(60, 1_024), 0);
        costs.look(count(85, 1_024), 1);
        let sessions = (1..).find(|sessions| !costs.take_one_more(count(60 + 25 * sessions, 1_024), 0));
        assert_eq!(sessions, Some(33));
        // Sixty at once, none of which has opened anything yet.
        let at_once = (0..).find(|being_made| !costs.take_one_more(count(60, 1_024), *being_made));
        assert_eq!(at_once, Some(33));
        assert!(count(1_024 - 65, 1_024).takes_connection());
        assert!(!count(1_024 - 64, 1_024).takes_connection());
    }

    #[test]
    fn those_that_are_open_are_counted() {
        let before = open();
        let files: Vec<_> = (0..50)
            .map(|_| std::fs::File::open("/dev/null").unwrap())
            .collect();
        assert!(open() >= before + 40, "other tests may close some");
        drop(files);
    }
}
