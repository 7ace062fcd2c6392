//! The property `stats`.

use std::sync::{Arc, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use streamium_channel::provider::Figures;

use crate::session::Published;
use crate::session::provider::{ProviderStats, SessionStats};
use crate::stats::Fields;

/// The statistics of the driver that runs, or ran last. The lock is a leaf.
#[derive(Default)]
pub struct Stats(Mutex<Published<ProviderStats>>);

impl Stats {
    /// From now on those of another driver.
    pub fn follow(&self, published: Published<ProviderStats>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = published;
    }

    fn read(&self) -> Arc<ProviderStats> {
        let published = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        published.read()
    }

    /// Beside those of webrtcsink, whose locks it takes.
    pub fn value(&self, inner: Option<&gst::Element>) -> glib::Value {
        let inner = inner.filter(|inner| inner.find_property("stats").is_some());
        let theirs = inner.and_then(|inner| inner.property::<Option<gst::Structure>>("stats"));
        fields(&self.read()).within(theirs)
    }
}

fn fields(stats: &ProviderStats) -> Fields {
    let channels = &stats.channels;
    let sessions = stats.sessions.iter().fold(Fields::new(), |fields, session| {
        fields.structure(&session.id, session_fields(session))
    });
    Fields::new()
        .number("rate-msat-per-s", stats.rate.msat_per_s())
        .sat("earned-sat", stats.earned)
        .number("payments", stats.payments)
        .number("consumers-connected", stats.connected())
        .number("consumers-paying", stats.paying)
        .number("consumers-unpaid", stats.unpaid)
        .number("open-gates", stats.open_gates())
        .sat("unconfirmed-sat", stats.unconfirmed())
        .number("channels-open", channels.open)
        .number("channels-to-settle", channels.to_settle)
        .sat("to-settle-sat", channels.to_settle_amount)
        .number("channels-settled", channels.settled)
        .sat("settled-sat", channels.settled_amount)
        .sat("settlement-fees-sat", channels.fees)
        .numbers("gate-closings", &stats.gate_closings)
        .numbers("faults", &stats.faults)
        .chain(&stats.chain)
        .structure("sessions", sessions)
}

fn session_fields(session: &SessionStats) -> Fields {
    Fields::new()
        .text("state", session.state)
        .text("peer", &session.peer.peer)
        .ms("connected-ms", session.connected)
        .number("buffers-passed", session.peer.passed)
        .number("buffers-dropped", session.peer.dropped)
        .some(session.figures.as_ref(), money_fields)
}

fn money_fields(fields: Fields, figures: &Figures) -> Fields {
    fields
        .number("rate-msat-per-s", figures.rate.msat_per_s())
        .sat("balance-sat", figures.balance)
        .number("consumed-msat", figures.consumed.to_msat())
        .ms("credit-ms", figures.credit)
        .some(figures.channel, |fields, channel| {
            fields
                .text("outpoint", &channel.outpoint.to_string())
                .sat("capacity-sat", channel.capacity)
                .number("confirmations", u64::from(channel.confirmations))
        })
}
