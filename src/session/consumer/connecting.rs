//! From a connection to a session.

use streamium_channel::consumer::{ConsumerIdentity, ConsumerSession};
use streamium_channel::handshake::Bytes32;

use super::ConsumerStatus;
use super::driver::{Driver, Live};
use super::money::Money;
use crate::peer::{ConsumerPeer, PeerEvent};
use crate::session::nonce;

impl Driver {
    pub(super) fn connected(&mut self, id: String, peer: Box<dyn ConsumerPeer>) {
        if self.stopping.is_some() {
            peer.end();
            return;
        }
        self.live = Some(Live {
            id,
            peer,
            since: self.now(),
            session: None,
            verified: false,
            ends_at: None,
        });
        self.set_status(ConsumerStatus::State("connecting"));
    }

    pub(super) fn peer_event(&mut self, id: &str, event: PeerEvent) {
        let now = self.now();
        if self.live.as_ref().is_none_or(|live| live.id != id) {
            return;
        }
        match event {
            PeerEvent::Open => self.begin(),
            PeerEvent::Text(text) => self.with_session(|session| session.text(&text, now)),
            PeerEvent::NotText => self.with_session(|session| session.not_text(now)),
            PeerEvent::Closed => self.with_session(|session| session.disconnected(now)),
        }
    }

    /// Starts the state machine once the data channel is open.
    fn begin(&mut self) {
        match self.make_session() {
            Ok(session) => {
                let effects = session.start();
                if let Some(live) = &mut self.live {
                    live.session = Some(session);
                }
                self.set_status(ConsumerStatus::State("awaiting-terms"));
                self.carry_out(effects);
            }
            Err(words) => self.fail(&words),
        }
    }

    fn make_session(&mut self) -> Result<ConsumerSession, String> {
        let live = self.live.as_ref().ok_or("the connection is gone")?;
        let certificates = live.peer.certificates()?;
        let identity = ConsumerIdentity {
            link: self.options.link.clone(),
            chain: Bytes32::genesis(self.options.network),
            nonce: nonce()?,
            certificates,
        };
        let suggested = self.money.as_ref().and_then(Money::fee_rate);
        let past = self.past();
        let mut session = ConsumerSession::new(self.options.policy, identity, past, suggested, self.now());
        let _ = session.set_playing(self.playing, self.now());
        Ok(session)
    }
}
