//! The inner webrtcsink, a new one for each run.
//!
//! In gst-plugin-webrtc 0.15 one runs only once: the parts behind a pad are made when it is requested, and taken away when the
//! element stops, so its second run ends with not-linked. The new one has the same name, properties, pads and signaller.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

use super::discovery::Discoveries;
use super::sessions::Sessions;
use super::{CAT, StreamiumPaySink, faults, pads, proxied, signals};
use crate::gate::TrackKind;
use crate::inner::{self, Bond, Signaller};

/// A webrtcsink, its signaller, and what binds them.
#[derive(Clone)]
struct Made {
    sink: gst::Element,
    signaller: Signaller,
    bond: Bond,
}

/// The present one, or why there is none. The lock is a leaf.
pub struct Inner {
    made: Mutex<Result<Made, String>>,
    has_run: AtomicBool,
    discoveries: Discoveries,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            made: Mutex::new(Err("there is no webrtcsink yet".to_owned())),
            has_run: AtomicBool::new(false),
            discoveries: Discoveries::default(),
        }
    }
}

impl Inner {
    pub fn sink(&self) -> Option<gst::Element> {
        self.get().ok().map(|made| made.sink)
    }

    pub fn signaller(&self) -> Option<Signaller> {
        self.get().ok().map(|made| made.signaller)
    }

    /// Why there is none.
    pub fn failure(&self) -> Option<String> {
        self.get().err()
    }

    /// Makes the first.
    pub fn make(&self, element: &StreamiumPaySink, sessions: &Sessions) -> Result<(), String> {
        let made = make_first().and_then(|made| {
            self.adopt(element, &made, sessions)?;
            Ok(made)
        });
        let result = made.as_ref().map(|_| ()).map_err(Clone::clone);
        *self.lock() = made;
        result
    }

    /// Before each run: makes another if this one has run.
    pub fn renew(&self, element: &StreamiumPaySink, sessions: &Sessions) -> Result<(), String> {
        if !self.has_run.swap(true, Ordering::SeqCst) {
            return Ok(());
        }
        let old = self.get()?;
        let new = succeed(&old)?;
        let pads = pads::successors(element, &new.sink)?;
        *self.lock() = Ok(new.clone());
        let _ = element.remove(&old.sink);
        if old.sink.set_state(gst::State::Null).is_err() {
            gst::warning!(CAT, obj = element, "the last run's webrtcsink did not stop");
        }
        self.adopt(element, &new, sessions)?;
        pads::retarget(&pads)
    }

    /// After each run, when webrtcsink has stopped.
    pub fn stopped(&self) {
        self.discoveries.end();
    }

    /// Takes a webrtcsink in, and watches it.
    fn adopt(&self, element: &StreamiumPaySink, made: &Made, sessions: &Sessions) -> Result<(), String> {
        let Made { sink, signaller, .. } = made;
        element.add(sink).map_err(|error| error.to_string())?;
        let weak = element.downgrade();
        let tracks = move || {
            let pads = weak.upgrade().map(|element| element.sink_pads());
            pads.unwrap_or_default()
                .iter()
                .filter_map(|pad| TrackKind::from_name(&pad.name()))
                .collect()
        };
        let weak = element.downgrade();
        let on_failure = move |session: &str, peer: &str, reason: &str| {
            if let Some(element) = weak.upgrade().filter(|element| !element.is_stopping()) {
                faults::consumer_error(&element, Some(session), Some(peer), reason);
            }
        };
        sessions.watch(sink, signaller, tracks, on_failure);
        self.discoveries.watch(sink);
        // After our own handlers: a user's find the gate in place.
        signals::TABLE.forward(sink, element);
        Ok(())
    }

    fn get(&self) -> Result<Made, String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Result<Made, String>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_first() -> Result<Made, String> {
    let sink = inner::make_sink().map_err(|error| error.to_string())?;
    let signaller = Signaller::of(&sink).ok_or("webrtcsink has no signaller")?;
    let bond = Bond::of_new(&signaller);
    Ok(Made {
        sink,
        signaller,
        bond,
    })
}

/// One with all that the old one has. The signaller is the same, so that what is set on it or connected to it counts.
fn succeed(old: &Made) -> Result<Made, String> {
    let sink = inner::make_sink().map_err(|error| error.to_string())?;
    sink.set_property("name", old.sink.name());
    proxied::TABLE.copy(&old.sink, &sink);
    let signaller = old.signaller.clone();
    let bond = old.bond.pass_on(&signaller, &sink)?;
    Ok(Made {
        sink,
        signaller,
        bond,
    })
}
