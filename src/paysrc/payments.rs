//! Between the source's session and the consumer's driver: handles become peers, reports become messages.

use std::sync::Arc;
use std::time::Duration;

use gst::prelude::*;
use gst::subclass::prelude::ObjectSubclassIsExt;
use streamium_channel::consumer::Arrivals;
use streamium_channel::handshake::{Bytes32, Certificates};

use super::StreamiumPaySrc;
use super::authorize::authorizer;
use super::session::{Arrival, ConsumerHooks, ConsumerSession};
use crate::boottime;
use crate::data_channel::DataChannelEvent;
use crate::gate::TrackKind;
use crate::messages::post_report;
use crate::peer::{ConsumerPeer, Peer, TrackFigures};
use crate::session::consumer::{
    ConsumerHandle, ConsumerInputs, ConsumerOptions, ConsumerStartError, ConsumerStatus,
};

/// Starts the driver of an element. It reports on the element's bus for as long as there is an element.
pub fn start(
    element: &StreamiumPaySrc,
    options: ConsumerOptions,
) -> Result<ConsumerHandle, ConsumerStartError> {
    let weak = element.downgrade();
    let report = move |report| {
        if let Some(element) = weak.upgrade() {
            post_report(&element, &element.imp().reported(report));
        }
    };
    let weak = element.downgrade();
    let status = move |status| {
        if let Some(element) = weak.upgrade() {
            element.update_status(|shown| match status {
                ConsumerStatus::FundingAddress(address) => shown.funding_address = Some(address),
                ConsumerStatus::Paid(paid) => shown.paid_sat = paid.to_sat(),
                ConsumerStatus::State(state) => shown.state = state.to_owned(),
            });
        }
    };
    let authorizer = Some(authorizer(element));
    ConsumerHandle::start(
        options,
        boottime::now,
        Box::new(report),
        Box::new(status),
        authorizer,
    )
}

/// Hands the session to a driver.
pub struct PaymentHooks(ConsumerInputs);

impl PaymentHooks {
    pub fn new(handle: &ConsumerHandle) -> Arc<Self> {
        Arc::new(Self(handle.inputs()))
    }
}

impl ConsumerHooks for PaymentHooks {
    fn connected(&self, session: ConsumerSession) {
        let id = session.id.clone();
        // Whose media it is shows when the terms have come.
        session.hide();
        self.0.connected(&id, Box::new(session));
    }

    fn channel_event(&self, id: &str, event: DataChannelEvent) {
        self.0.peer_event(id, event.into());
    }

    fn disconnected(&self, id: &str) {
        self.0.disconnected(id);
    }
}

impl Peer for ConsumerSession {
    fn send(&self, message: &str) -> Result<(), String> {
        ConsumerSession::send(self, message).map_err(|error| error.to_string())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        let found = ConsumerSession::certificates(self).map_err(|error| error.to_string())?;
        Ok(Certificates {
            own: Bytes32::new(found.own),
            peer: Bytes32::new(found.peer),
        })
    }

    fn end(&self) {
        ConsumerSession::end(self);
    }
}

impl ConsumerPeer for ConsumerSession {
    fn arrivals(&self) -> Arrivals {
        let arrivals = ConsumerSession::arrivals(self);
        Arrivals {
            audio: last(&arrivals, TrackKind::Audio),
            video: last(&arrivals, TrackKind::Video),
        }
    }

    fn track_figures(&self) -> Vec<TrackFigures> {
        let figures = |arrival: Arrival| TrackFigures {
            name: arrival.track,
            buffers: arrival.count,
            last: arrival.last,
        };
        let arrivals = ConsumerSession::arrivals(self).into_iter();
        arrivals.map(figures).collect()
    }

    fn show(&self) {
        ConsumerSession::show(self);
    }

    fn try_next(&self) {
        self.try_next_producer();
    }

    fn lost(&self) {
        ConsumerSession::lost(self);
    }
}

/// Of several tracks of a kind, the one that is furthest behind: every paid track has to arrive.
fn last(arrivals: &[Arrival], kind: TrackKind) -> Option<Duration> {
    arrivals
        .iter()
        .filter(|arrival| arrival.kind == kind)
        .map(|arrival| arrival.last)
        .min()
        .flatten()
}
