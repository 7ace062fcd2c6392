//! Between the sink's sessions and the provider's driver: handles become peers, reports become messages.

use std::sync::Arc;

use gst::prelude::*;
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::terms::{Track, TrackKind};

use super::sessions::{ProviderHooks, SessionHandle};
use super::{StreamiumPaySink, settings::Checked};
use crate::boottime;
use crate::data_channel::{DataChannelError, DataChannelEvent};
use crate::gate;
use crate::messages::post_report;
use crate::origin::Origin;
use crate::peer::{Peer, ProviderPeer, ProviderPeerFigures};
use crate::report::{Field, Report};
use crate::session::provider::{ProviderHandle, ProviderInputs, ProviderStartError};

/// Starts the driver of an element. It reports on the element's bus for as long as there is an element.
pub fn start(element: &StreamiumPaySink, checked: &Checked) -> Result<ProviderHandle, ProviderStartError> {
    let weak = element.downgrade();
    let report = move |report: Report| {
        let Some(element) = weak.upgrade() else { return };
        if let Some(added) = earned(&report) {
            element.update_status(|status| status.earned_sat = status.earned_sat.saturating_add(added));
        }
        post_report(&element, &report);
    };
    ProviderHandle::start(checked.options.clone(), boottime::now, Box::new(report))
}

fn earned(report: &Report) -> Option<u64> {
    let field = report
        .fields
        .iter()
        .find(|(name, _)| report.name == "payment" && *name == "added-sat");
    match field {
        Some((_, Field::Number(added))) => Some(*added),
        _ => None,
    }
}

/// Hands the sessions to a driver.
pub struct PaymentHooks(pub ProviderInputs);

impl PaymentHooks {
    pub fn new(handle: &ProviderHandle) -> Arc<Self> {
        Arc::new(Self(handle.inputs()))
    }
}

impl ProviderHooks for PaymentHooks {
    fn session_added(&self, session: SessionHandle) {
        let id = session.id.clone();
        self.0.added(&id, Box::new(session));
    }

    fn channel_event(&self, id: &str, event: DataChannelEvent) {
        self.0.peer_event(id, event.into());
    }

    fn session_removed(&self, id: &str) {
        self.0.removed(id);
    }
}

impl Peer for SessionHandle {
    fn send(&self, message: &str) -> Result<(), String> {
        let sent = SessionHandle::send(self, message);
        // It asks and does not listen: nothing that is said to it arrives, and all of it would be kept.
        if matches!(sent, Err(DataChannelError::Full { .. })) {
            SessionHandle::end(self);
        }
        sent.map_err(|error| error.to_string())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        let found = SessionHandle::certificates(self).map_err(|error| error.to_string())?;
        Ok(Certificates {
            own: Bytes32::new(found.own),
            peer: Bytes32::new(found.peer),
        })
    }

    fn end(&self) {
        SessionHandle::end(self);
    }
}

impl ProviderPeer for SessionHandle {
    fn set_gate(&self, open: bool) {
        if open {
            self.gate.open();
        } else {
            self.gate.close();
        }
    }

    fn is_gone(&self) -> bool {
        SessionHandle::is_gone(self)
    }

    fn origin(&self) -> Option<Origin> {
        self.origin.clone()
    }

    fn figures(&self) -> ProviderPeerFigures {
        let gate = self.gate.stats();
        ProviderPeerFigures {
            peer: self.peer.clone(),
            passed: gate.passed,
            dropped: gate.dropped,
        }
    }

    fn tracks(&self) -> Vec<Track> {
        let tracks = SessionHandle::tracks(self).into_iter();
        tracks
            .map(|track| Track {
                kind: match track.kind {
                    gate::TrackKind::Audio => TrackKind::Audio,
                    gate::TrackKind::Video => TrackKind::Video,
                },
                codecs: track.encoding,
            })
            .collect()
    }
}
