//! Keeping many consumers from making one shared encoder produce nothing but key frames.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use gst::prelude::*;

use super::{CAT, DISCARD, lock};

/// At most one key frame request goes upstream in this time.
pub const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(500);

/// Limits the key frame requests that leave a sink pad upstream, without losing any: a request that comes too
/// soon is sent when its time has come, together with all others that came meanwhile. So whoever asks gets a
/// key frame that is younger than its request.
#[derive(Clone)]
pub struct KeyFrameLimiter(Arc<Limiter>);

struct Limiter {
    interval: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    sent: Option<Instant>,
    /// Whether a later request is on its way already.
    pending: bool,
    /// The held back request that is being sent now: let it through.
    sending: Option<gst::Seqnum>,
}

enum Verdict {
    Send,
    After(Duration),
    Covered,
}

impl KeyFrameLimiter {
    /// Limits the requests that leave `pad`, a sink pad.
    pub fn install(pad: &gst::Pad) -> Self {
        Self::install_with(pad, KEY_FRAME_INTERVAL)
    }

    /// Like [`KeyFrameLimiter::install`], with another interval.
    pub fn install_with(pad: &gst::Pad, interval: Duration) -> Self {
        let limiter = Self(Arc::new(Limiter {
            interval,
            state: Mutex::default(),
        }));
        let probe = limiter.clone();
        pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |pad, info| {
            let Some(gst::PadProbeData::Event(event)) = &info.data else {
                return gst::PadProbeReturn::Ok;
            };
            if !gst_video::ForceKeyUnitEvent::is(event) {
                return gst::PadProbeReturn::Ok;
            }
            match probe.decide(event.seqnum(), Instant::now()) {
                Verdict::Send => return gst::PadProbeReturn::Ok,
                Verdict::After(wait) => probe.send_after(pad, event.clone(), wait),
                Verdict::Covered => gst::trace!(CAT, obj = pad, "a later key frame request covers this one"),
            }
            DISCARD
        });
        limiter
    }

    fn decide(&self, seqnum: gst::Seqnum, now: Instant) -> Verdict {
        let mut state = lock(&self.0.state);
        if state.sending == Some(seqnum) {
            state.sending = None;
            return Verdict::Send;
        }
        if state.pending {
            return Verdict::Covered;
        }
        let wait = state.sent.map_or(Duration::ZERO, |sent| {
            (sent + self.0.interval).duration_since(now)
        });
        if wait.is_zero() {
            state.sent = Some(now);
            Verdict::Send
        } else {
            state.pending = true;
            Verdict::After(wait)
        }
    }

    fn send_after(&self, pad: &gst::Pad, event: gst::Event, wait: Duration) {
        let clock = gst::SystemClock::obtain();
        let wait = gst::ClockTime::try_from(wait).unwrap_or(gst::ClockTime::ZERO);
        let due = clock.time() + wait;
        let weak = pad.downgrade();
        let limiter = self.clone();
        let timer = clock.new_single_shot_id(due).wait_async(move |_, _, _| {
            let Some(pad) = weak.upgrade() else { return };
            // The clock has one thread for all its waits, and an event upstream may take its time.
            match pad.parent_element() {
                Some(element) => element.call_async(move |_| limiter.send_pending(&pad, event)),
                None => limiter.send_pending(&pad, event),
            }
        });
        if timer.is_err() {
            gst::warning!(CAT, obj = pad, "no timer: a key frame request is lost");
            lock(&self.0.state).pending = false;
        }
    }

    fn send_pending(&self, pad: &gst::Pad, event: gst::Event) {
        {
            let mut state = lock(&self.0.state);
            state.pending = false;
            state.sending = Some(event.seqnum());
            state.sent = Some(Instant::now());
        }
        gst::trace!(CAT, obj = pad, "sending the held back key frame request");
        if !pad.push_event(event) {
            gst::debug!(CAT, obj = pad, "upstream did not take the key frame request");
        }
    }
}
