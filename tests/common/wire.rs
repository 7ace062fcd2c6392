//! A connection in memory, between both drivers.
#![allow(dead_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use gststreamiumpay::boottime;
use gststreamiumpay::peer::{ConsumerPeer, Peer, PeerEvent, ProviderPeer};
use gststreamiumpay::session::consumer::ConsumerInputs;
use gststreamiumpay::session::provider::ProviderInputs;
use streamium_channel::consumer::Arrivals;
use streamium_channel::handshake::{Bytes32, Certificates};
use streamium_channel::terms::{Track, TrackKind};

/// The connection: what one side sends, the other's driver gets.
#[derive(Clone, Default)]
pub struct Wire(Arc<WireState>);

#[derive(Default)]
pub struct WireState {
    id: String,
    gate: AtomicBool,
    cut: AtomicBool,
    provider: Mutex<Option<ProviderInputs>>,
    consumer: Mutex<Option<ConsumerInputs>>,
}

impl Wire {
    pub fn connect(provider: &ProviderInputs, consumer: &ConsumerInputs) -> Self {
        Self::connect_as("session", provider, consumer)
    }

    /// With a session id of its own, for a second connection.
    pub fn connect_as(id: &str, provider: &ProviderInputs, consumer: &ConsumerInputs) -> Self {
        let wire = Self(Arc::new(WireState {
            id: id.to_owned(),
            ..WireState::default()
        }));
        *wire.0.provider.lock().unwrap() = Some(provider.clone());
        *wire.0.consumer.lock().unwrap() = Some(consumer.clone());
        provider.added(id, Box::new(ProviderEnd(wire.clone())));
        consumer.connected(id, Box::new(ConsumerEnd(wire.clone())));
        provider.peer_event(id, PeerEvent::Open);
        consumer.peer_event(id, PeerEvent::Open);
        wire
    }

    /// Whether media flows.
    pub fn is_open(&self) -> bool {
        self.0.gate.load(Ordering::SeqCst)
    }

    /// Both sides lose the connection.
    pub fn cut(&self) {
        if !self.0.cut.swap(true, Ordering::SeqCst) {
            self.0.gate.store(false, Ordering::SeqCst);
            if let Some(provider) = &*self.0.provider.lock().unwrap() {
                provider.removed(&self.0.id);
            }
            if let Some(consumer) = &*self.0.consumer.lock().unwrap() {
                consumer.disconnected(&self.0.id);
            }
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.0.cut.load(Ordering::SeqCst) {
            Err("cut".into())
        } else {
            Ok(())
        }
    }
}

pub struct ProviderEnd(Wire);
pub struct ConsumerEnd(Wire);

/// As the provider sees them.
pub const CERTIFICATES: Certificates = Certificates {
    own: Bytes32::new([0xaa; 32]),
    peer: Bytes32::new([0xbb; 32]),
};

impl Peer for ProviderEnd {
    fn send(&self, message: &str) -> Result<(), String> {
        self.0.check()?;
        let consumer = self.0.0.consumer.lock().unwrap().clone();
        consumer
            .unwrap()
            .peer_event(&self.0.0.id, PeerEvent::Text(message.into()));
        Ok(())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        Ok(CERTIFICATES)
    }

    fn end(&self) {
        self.0.cut();
    }
}

impl ProviderPeer for ProviderEnd {
    fn set_gate(&self, open: bool) {
        self.0.0.gate.store(open, Ordering::SeqCst);
    }

    fn tracks(&self) -> Vec<Track> {
        vec![Track {
            kind: TrackKind::Video,
            codecs: "VP8".into(),
        }]
    }
}

impl Peer for ConsumerEnd {
    fn send(&self, message: &str) -> Result<(), String> {
        self.0.check()?;
        let provider = self.0.0.provider.lock().unwrap().clone();
        provider
            .unwrap()
            .peer_event(&self.0.0.id, PeerEvent::Text(message.into()));
        Ok(())
    }

    fn certificates(&self) -> Result<Certificates, String> {
        Ok(Certificates {
            own: CERTIFICATES.peer,
            peer: CERTIFICATES.own,
        })
    }

    fn end(&self) {
        self.0.cut();
    }
}

impl ConsumerPeer for ConsumerEnd {
    fn arrivals(&self) -> Arrivals {
        let arrives = self.0.0.gate.load(Ordering::SeqCst);
        Arrivals {
            audio: None,
            video: arrives.then(boottime::now),
        }
    }

    fn show(&self) {}

    fn try_next(&self) {
        self.0.cut();
    }
}
