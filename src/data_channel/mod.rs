//! The WebRTC data channel on which both sides talk: label, protocol, size limit, and events.
//!
//! GStreamer calls back with webrtcbin's lock held: whoever reads a webrtcbin property there hangs for good. So
//! every event is handed to a closure of the owner's, which must return at once (it sends on an mpsc) and must
//! touch neither webrtcbin nor a lock that is held while webrtcbin is touched.

mod certificates;

use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst_webrtc::{WebRTCDataChannel, WebRTCDataChannelState};

pub use certificates::{CertificateError, Certificates, certificates};

use crate::peer::PeerEvent;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "streamiumpaychannel",
        gst::DebugColorFlags::empty(),
        Some("streamium-pay data channel"),
    )
});

pub const LABEL: &str = "streamium-pay";
pub const PROTOCOL: &str = "streamium-pay/1";

/// The longest message that is sent or taken, in bytes. WebRTC peers need not take more.
pub const MAX_MESSAGE_LEN: usize = 65_536;

/// The most that may wait to be sent, in bytes. A peer can keep its window shut for as long as it likes and still ask.
pub const MAX_WAITING: u64 = 256 << 10;

/// What happens on a channel. `Open` comes first and once, `Closed` last and once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataChannelEvent {
    Open,
    Message(String),
    /// The peer sent what is no message of ours; the channel goes on.
    Malformed(Malformed),
    Closed,
}

impl From<DataChannelEvent> for PeerEvent {
    fn from(event: DataChannelEvent) -> Self {
        match event {
            DataChannelEvent::Open => Self::Open,
            DataChannelEvent::Message(text) => Self::Text(text),
            DataChannelEvent::Malformed(_) => Self::NotText,
            DataChannelEvent::Closed => Self::Closed,
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    Binary { len: usize },
    TooLong { len: usize },
    Empty,
}

/// Why a channel could not be made or a message not be sent.
#[derive(Debug, thiserror::Error)]
pub enum DataChannelError {
    #[error("webrtcbin made no data channel")]
    NotCreated,
    #[error("a message of {len} bytes is longer than {MAX_MESSAGE_LEN}")]
    TooLong { len: usize },
    #[error("the data channel is not open")]
    NotOpen,
    #[error("the peer takes no messages: {waiting} bytes wait")]
    Full { waiting: u64 },
    #[error("the data channel did not take the message: {0}")]
    Send(#[from] glib::Error),
}

/// One side of the channel. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DataChannel(WebRTCDataChannel);

impl DataChannel {
    /// The provider's side. Only in `consumer-added`, so that the channel is in the first offer.
    pub fn create(
        webrtcbin: &gst::Element,
        on_event: impl Fn(DataChannelEvent) + Send + Sync + 'static,
    ) -> Result<Self, DataChannelError> {
        let options = gst::Structure::builder("options")
            .field("ordered", true)
            .field("protocol", PROTOCOL)
            .build();
        let channel = webrtcbin
            .emit_by_name::<Option<WebRTCDataChannel>>("create-data-channel", &[&LABEL, &options])
            .ok_or(DataChannelError::NotCreated)?;
        Ok(Self::adopt(channel, on_event))
    }

    /// The consumer's side: hands over our channel when the provider has made it. Only in `webrtcbin-ready`,
    /// before any offer. Other channels, and a second of ours, are left alone.
    pub fn listen(
        webrtcbin: &gst::Element,
        on_channel: impl Fn(Self) + Send + Sync + 'static,
        on_event: impl Fn(DataChannelEvent) + Send + Sync + 'static,
    ) {
        let pending = Mutex::new(Some(on_event));
        webrtcbin.connect("on-data-channel", false, move |values| {
            let channel = values.get(1)?.get::<WebRTCDataChannel>().ok()?;
            if channel.label().as_deref() != Some(LABEL) || channel.protocol().as_deref() != Some(PROTOCOL) {
                gst::debug!(
                    CAT,
                    obj = channel,
                    "not ours: {:?} {:?}",
                    channel.label(),
                    channel.protocol()
                );
                return None;
            }
            let on_event = pending.lock().unwrap_or_else(PoisonError::into_inner).take()?;
            let (channel, report) = Self::connect(channel, on_event);
            on_channel(channel.clone());
            // It is open already, and `on-open` will not come any more.
            channel.report_state(&report);
            None
        });
    }

    /// Sends one text message. Any thread may.
    pub fn send(&self, message: &str) -> Result<(), DataChannelError> {
        if message.len() > MAX_MESSAGE_LEN {
            return Err(DataChannelError::TooLong { len: message.len() });
        }
        if self.0.ready_state() != WebRTCDataChannelState::Open {
            return Err(DataChannelError::NotOpen);
        }
        let waiting = self.0.buffered_amount();
        if waiting > MAX_WAITING {
            return Err(DataChannelError::Full { waiting });
        }
        Ok(self.0.send_string_full(Some(message))?)
    }

    /// Closes the channel; the media session stays.
    pub fn close(&self) {
        self.0.close();
    }

    fn adopt(
        channel: WebRTCDataChannel,
        on_event: impl Fn(DataChannelEvent) + Send + Sync + 'static,
    ) -> Self {
        let (channel, report) = Self::connect(channel, on_event);
        channel.report_state(&report);
        channel
    }

    /// Connects all signals. They hold the reporter, never the channel, or it would keep itself alive.
    fn connect(
        channel: WebRTCDataChannel,
        on_event: impl Fn(DataChannelEvent) + Send + Sync + 'static,
    ) -> (Self, Arc<Reporter>) {
        let report = Arc::new(Reporter {
            phase: Mutex::new(Phase::New),
            on_event: Box::new(on_event),
        });
        let reporter = report.clone();
        channel.connect_on_open(move |_| reporter.opened());
        let reporter = report.clone();
        channel.connect_on_close(move |_| reporter.closed());
        let reporter = report.clone();
        channel.connect_on_message_string(move |_, text| reporter.message(text.map(text_event)));
        let reporter = report.clone();
        channel.connect_on_message_data(move |_, data| {
            let len = data.map_or(0, |data| data.len());
            reporter.message(Some(DataChannelEvent::Malformed(Malformed::Binary { len })));
        });
        let reporter = report.clone();
        channel.connect_ready_state_notify(move |channel| {
            if channel.ready_state() == WebRTCDataChannelState::Closed {
                reporter.closed();
            }
        });
        (Self(channel), report)
    }

    fn report_state(&self, report: &Reporter) {
        match self.0.ready_state() {
            WebRTCDataChannelState::Open => report.opened(),
            WebRTCDataChannelState::Closed => report.closed(),
            _ => (),
        }
    }
}

fn text_event(text: &str) -> DataChannelEvent {
    if text.len() > MAX_MESSAGE_LEN {
        DataChannelEvent::Malformed(Malformed::TooLong { len: text.len() })
    } else {
        DataChannelEvent::Message(text.to_owned())
    }
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Phase {
    New,
    Open,
    Closed,
}

/// Puts what GStreamer calls back with, on several threads, into one order.
struct Reporter {
    /// Held while `on_event` runs, so that nothing overtakes `Open` or follows `Closed`.
    phase: Mutex<Phase>,
    on_event: Box<dyn Fn(DataChannelEvent) + Send + Sync>,
}

impl Reporter {
    fn opened(&self) {
        self.advance(Phase::Open, None);
    }

    /// A message means that the channel is open, whether or not that has been said. An absent text is an empty
    /// message.
    fn message(&self, event: Option<DataChannelEvent>) {
        self.advance(
            Phase::Open,
            Some(event.unwrap_or(DataChannelEvent::Malformed(Malformed::Empty))),
        );
    }

    fn closed(&self) {
        self.advance(Phase::Closed, None);
    }

    fn advance(&self, to: Phase, event: Option<DataChannelEvent>) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if *phase == Phase::Closed {
            return;
        }
        if *phase == Phase::New && to == Phase::Open {
            *phase = Phase::Open;
            (self.on_event)(DataChannelEvent::Open);
        }
        if let Some(event) = event {
            (self.on_event)(event);
        }
        if to == Phase::Closed {
            *phase = Phase::Closed;
            (self.on_event)(DataChannelEvent::Closed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter() -> (Reporter, Arc<Mutex<Vec<DataChannelEvent>>>) {
        let events = Arc::new(Mutex::new(Vec::new()));
        let seen = events.clone();
        let on_event = Box::new(move |event| seen.lock().unwrap().push(event));
        (
            Reporter {
                phase: Mutex::new(Phase::New),
                on_event,
            },
            events,
        )
    }

    #[test]
    fn open_comes_first_and_closed_last_and_both_once() {
        let (reporter, events) = reporter();
        reporter.message(Some(text_event("hello")));
        reporter.opened();
        reporter.closed();
        reporter.message(Some(text_event("late")));
        reporter.closed();
        let expected = [
            DataChannelEvent::Open,
            DataChannelEvent::Message("hello".into()),
            DataChannelEvent::Closed,
        ];
        assert_eq!(*events.lock().unwrap(), expected);
    }

    #[test]
    fn a_message_over_the_limit_is_malformed() {
        let limit = "x".repeat(MAX_MESSAGE_LEN);
        assert_eq!(text_event(&limit), DataChannelEvent::Message(limit.clone()));
        let len = MAX_MESSAGE_LEN + 1;
        assert_eq!(
            text_event(&"x".repeat(len)),
            DataChannelEvent::Malformed(Malformed::TooLong { len })
        );
    }
}
