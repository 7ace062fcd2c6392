//! One connection as the driver holds it.

use std::time::Duration;

use streamium_channel::provider::{EndReason, ProviderNotice, ProviderSession, Stake};

use crate::peer::ProviderPeer;

/// How long a connection may take until its data channel is open.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// After a session's end its last messages need a moment to get out before the connection is cut.
pub const LINGER: Duration = Duration::from_secs(2);

/// A peer that talks before we are ready may say this much.
pub const MAX_EARLY: usize = 8;

/// A consumer's payments are said to people no more often than this; programs get each.
const PAID_TEXT_INTERVAL: Duration = Duration::from_secs(5);

/// A connection and its session.
pub struct Live {
    pub peer: Box<dyn ProviderPeer>,
    pub since: Duration,
    pub phase: Phase,
    pub paid_said: Option<Duration>,
}

/// How far the connection is.
pub enum Phase {
    /// The data channel is not open yet.
    Connecting,
    /// It is, but the chain has not been heard of yet. What the peer says waits.
    Waiting(Vec<String>),
    /// The state machine runs.
    Running(Box<ProviderSession>),
    /// The session is over; the connection ends at this time.
    Lingering { until: Duration },
}

impl Live {
    pub fn new(peer: Box<dyn ProviderPeer>, now: Duration) -> Self {
        Self {
            peer,
            since: now,
            phase: Phase::Connecting,
            paid_said: None,
        }
    }

    pub fn session(&mut self) -> Option<&mut ProviderSession> {
        match &mut self.phase {
            Phase::Running(session) => Some(session),
            _ => None,
        }
    }

    /// When something has to be done about it.
    pub fn next(&self, now: Duration) -> Option<Duration> {
        match &self.phase {
            Phase::Connecting | Phase::Waiting(_) => Some(self.since.saturating_add(CONNECT_TIMEOUT)),
            Phase::Running(session) => session.next(now),
            Phase::Lingering { until } => Some(*until),
        }
    }

    /// What one that has not paid has put into its session; `None` for the others.
    pub fn unpaid(&self) -> Option<Stake> {
        match &self.phase {
            Phase::Connecting | Phase::Waiting(_) => Some(Stake::Nothing),
            Phase::Running(session) => (!session.has_paid()).then(|| session.stake()),
            Phase::Lingering { .. } => None,
        }
    }

    /// A payment is put in words now and then only.
    pub fn may_say_paid(&mut self, notice: &ProviderNotice, now: Duration) -> bool {
        if !matches!(notice, ProviderNotice::Paid { .. }) {
            return true;
        }
        let last = self.paid_said;
        let due = last.is_none_or(|last| now >= last.saturating_add(PAID_TEXT_INTERVAL));
        if due {
            self.paid_said = Some(now);
        }
        due
    }
}

impl Drop for Live {
    /// Whatever ends a connection here, a panic of the driver's included: nobody counts any more, so nothing flows.
    fn drop(&mut self) {
        self.peer.set_gate(false);
    }
}

/// True for ends that only say that a viewer never paid: nothing for people to read.
pub fn is_quiet(reason: &EndReason) -> bool {
    matches!(reason, EndReason::TimedOut("saying hello"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use streamium_channel::handshake::Certificates;
    use streamium_channel::terms::Track;

    use super::*;
    use crate::peer::Peer;

    struct Gate(Arc<AtomicBool>);

    impl Peer for Gate {
        fn send(&self, _: &str) -> Result<(), String> {
            Ok(())
        }

        fn certificates(&self) -> Result<Certificates, String> {
            Err("none".to_owned())
        }

        fn end(&self) {}
    }

    impl ProviderPeer for Gate {
        fn set_gate(&self, open: bool) {
            self.0.store(open, Ordering::SeqCst);
        }

        fn tracks(&self) -> Vec<Track> {
            Vec::new()
        }
    }

    #[test]
    fn a_driver_that_panics_leaves_no_gate_open() {
        let open = Arc::new(AtomicBool::new(false));
        let gate = Gate(open.clone());
        let driver = std::thread::spawn(move || {
            let live = Live::new(Box::new(gate), Duration::ZERO);
            live.peer.set_gate(true);
            panic!("as a driver might");
        });
        assert!(driver.join().is_err());
        assert!(!open.load(Ordering::SeqCst));
    }
}
