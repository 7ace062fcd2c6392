//! Whether a consumer is still there, by what comes from its machine.
//!
//! Nobody pings the viewers of a free stream, which may be players that know nothing of us, and GStreamer does not notice
//! for minutes that one has gone. But who gets media sends RTCP reports.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::prelude::*;

/// Receivers report at least each five seconds.
const GONE_AFTER: Duration = Duration::from_secs(30);
/// Without media for longer than this there may be nothing to report.
const STALL: Duration = Duration::from_secs(10);

/// One consumer's. Cheap to clone.
#[derive(Clone, Default)]
pub struct Pulse {
    /// How many packets have come.
    heard: Arc<AtomicU64>,
    silence: Arc<Mutex<Silence>>,
}

impl Pulse {
    /// Counts what comes in a session's pipeline. Before it has its parts.
    pub fn watch(&self, pipeline: &gst::Pipeline) {
        let heard = self.heard.clone();
        pipeline.connect_deep_element_added(move |_, _, element| {
            let receives = element
                .factory()
                .is_some_and(|factory| factory.name() == "nicesrc");
            let Some(pad) = element.static_pad("src").filter(|_| receives) else {
                return;
            };
            let heard = heard.clone();
            let mask = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(mask, move |_, _| {
                heard.fetch_add(1, Ordering::Relaxed);
                gst::PadProbeReturn::Ok
            });
        });
    }

    /// To be asked again and again: true once nothing has come for long, though media was sent. `sent` counts that.
    pub fn is_gone(&self, now: Duration, sent: u64) -> bool {
        let heard = self.heard.load(Ordering::Relaxed);
        let mut silence = self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        silence.look(now, heard, sent)
    }
}

#[derive(Default)]
struct Silence {
    heard: u64,
    sent: u64,
    sent_at: Duration,
    since: Duration,
}

impl Silence {
    fn look(&mut self, now: Duration, heard: u64, sent: u64) -> bool {
        if heard != self.heard {
            self.heard = heard;
            self.since = now;
        }
        if sent != self.sent {
            self.sent = sent;
            if now > self.sent_at.saturating_add(STALL) {
                self.since = now;
            }
            self.sent_at = now;
        }
        let is_sending = now <= self.sent_at.saturating_add(STALL);
        is_sending && now >= self.since.saturating_add(GONE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_gets_media_and_reports_nothing_is_gone() {
        let mut silence = Silence::default();
        // Long after the start of the clock, as always.
        let began = SECOND * 1_000;
        let mut look = |second: u32, heard, sent| silence.look(began + SECOND * second, heard, sent);
        assert!(
            (0..60).all(|n| !look(n, u64::from(n / 5), u64::from(n))),
            "reports come"
        );
        assert!((60..85).all(|n| !look(n, 11, u64::from(n))), "not yet");
        assert!(look(90, 11, 90));
    }

    #[test]
    fn who_gets_nothing_need_not_report() {
        let mut silence = Silence::default();
        let began = SECOND * 1_000;
        let mut look = |second: u32, sent| silence.look(began + SECOND * second, 1, sent);
        assert!(!look(0, 1));
        assert!((1..300).all(|n| !look(n, 1)), "the source stands still");
        assert!((300..329).all(|n| !look(n, u64::from(n))), "it goes on");
        assert!(look(331, 331));
    }
}
