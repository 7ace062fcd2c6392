//! The property `stats`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::glib;
use streamium_channel::consumer::ChannelFigures;

use crate::boottime;
use crate::peer::TrackFigures;
use crate::session::Published;
use crate::session::consumer::ConsumerStats;
use crate::stats::Fields;
use crate::wallet::Balance;

/// The statistics of the driver that runs, or ran last, and what the element counts itself. The lock is a leaf.
#[derive(Default)]
pub struct Stats {
    published: Mutex<Published<ConsumerStats>>,
    reconnects: AtomicU64,
    outage_ms: AtomicU64,
}

impl Stats {
    /// From now on those of another driver.
    pub fn follow(&self, published: Published<ConsumerStats>) {
        *self.published.lock().unwrap_or_else(PoisonError::into_inner) = published;
    }

    /// A lost connection is back.
    pub fn reconnected(&self, outage: Duration) {
        let ms = u64::try_from(outage.as_millis()).unwrap_or(u64::MAX);
        self.reconnects.fetch_add(1, Ordering::Relaxed);
        self.outage_ms.fetch_add(ms, Ordering::Relaxed);
    }

    pub fn value(&self, state: &str) -> glib::Value {
        let fields = fields(&self.read(), boottime::now());
        let fields = fields
            .text("state", state)
            .number("reconnects", self.reconnects.load(Ordering::Relaxed))
            .number("outage-ms", self.outage_ms.load(Ordering::Relaxed));
        fields.within(None)
    }

    fn read(&self) -> Arc<ConsumerStats> {
        let published = self
            .published
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        published.read()
    }
}

fn fields(stats: &ConsumerStats, now: Duration) -> Fields {
    let tracks = stats.tracks.iter().fold(Fields::new(), |fields, track| {
        fields.structure(&track.name, track_fields(track, now))
    });
    Fields::new()
        .number("rate-msat-per-s", stats.rate.msat_per_s())
        .sat("paid-sat", stats.paid)
        .number("consumed-msat", stats.consumed.to_msat())
        .sat("budget-left-sat", stats.budget_left)
        .some(stats.wallet, |fields, wallet| {
            fields.structure("wallet", wallet_fields(wallet))
        })
        .some(stats.channel, |fields, channel| {
            fields.structure("channel", channel_fields(&channel))
        })
        .structure("tracks", tracks)
        .chain(&stats.chain)
}

fn wallet_fields(wallet: Balance) -> Fields {
    Fields::new()
        .sat("confirmed-sat", wallet.confirmed)
        .sat("unconfirmed-sat", wallet.unconfirmed)
        .sat("waiting-sat", wallet.waiting)
        .sat("reserved-sat", wallet.reserved)
}

fn channel_fields(channel: &ChannelFigures) -> Fields {
    Fields::new()
        .text("outpoint", &channel.outpoint.to_string())
        .sat("capacity-sat", channel.capacity)
        .sat("paid-sat", channel.paid)
        .number("confirmations", u64::from(channel.confirmations))
}

fn track_fields(track: &TrackFigures, now: Duration) -> Fields {
    Fields::new()
        .number("buffers", track.buffers)
        .some(track.last, |fields, last| {
            fields.ms("last-arrival-ms", now.saturating_sub(last))
        })
}
