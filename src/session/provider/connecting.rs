//! From a connection to a session, and to the connection's end.

use streamium_channel::handshake::Bytes32;
use streamium_channel::provider::{ProviderConfig, ProviderIdentity, ProviderSession};
use streamium_channel::terms::Track;

use super::driver::Driver;
use super::live::{Live, MAX_EARLY, Phase};
use super::notices;
use crate::peer::{PeerEvent, ProviderPeer};
use crate::session::nonce;

impl Driver {
    pub(super) fn added(&mut self, id: String, peer: Box<dyn ProviderPeer>) {
        if self.stopping.is_some() {
            peer.end();
            return;
        }
        let free = self.options.paid.is_none();
        if !self.has_room() && !self.evict_for(peer.origin().as_ref()) {
            peer.end();
            return;
        }
        peer.set_gate(free);
        self.sessions.insert(id, Live::new(peer, self.now()));
    }

    pub(super) fn peer_event(&mut self, id: &str, event: PeerEvent) {
        let now = self.now();
        let Some(live) = self.sessions.get_mut(id) else {
            return;
        };
        match (event, &mut live.phase) {
            (PeerEvent::Open, Phase::Connecting) => {
                live.phase = Phase::Waiting(Vec::new());
                self.begin(id);
            }
            (PeerEvent::Text(text), Phase::Waiting(early)) if early.len() < MAX_EARLY => early.push(text),
            (PeerEvent::Text(text), Phase::Running(session)) => {
                if let Some(money) = &self.money {
                    session.suggest_fee_rate(money.settling_fee_rate());
                }
                let effects = session.text(&text, now);
                self.carry_out(id, effects);
            }
            (PeerEvent::NotText, Phase::Running(session)) => {
                let effects = session.not_text(now);
                self.carry_out(id, effects);
            }
            (PeerEvent::Closed, Phase::Running(session)) => {
                let effects = session.disconnected(now);
                self.carry_out(id, effects);
            }
            _ => (),
        }
    }

    pub(super) fn removed(&mut self, id: &str) {
        let now = self.now();
        if let Some(session) = self.sessions.get_mut(id).and_then(Live::session) {
            let effects = session.disconnected(now);
            self.carry_out(id, effects);
        }
        self.sessions.remove(id);
    }

    /// Starts the state machine of an open data channel, as soon as the chain has been heard of.
    pub(super) fn begin(&mut self, id: &str) {
        let ready = self
            .money
            .as_ref()
            .is_none_or(|money| money.chain.tip().is_some());
        let Some(live) = self.sessions.get_mut(id) else {
            return;
        };
        let Phase::Waiting(early) = &mut live.phase else {
            return;
        };
        if !ready {
            return;
        }
        let early = std::mem::take(early);
        match self.make_session(id) {
            Ok(session) => {
                let effects = session.start();
                if let Some(live) = self.sessions.get_mut(id) {
                    live.phase = Phase::Running(Box::new(session));
                }
                self.carry_out(id, effects);
                for text in early {
                    self.peer_event(id, PeerEvent::Text(text));
                }
            }
            Err(words) => {
                self.say(notices::failed(id, &words));
                if let Some(live) = self.sessions.remove(id) {
                    live.peer.end();
                }
            }
        }
    }

    fn make_session(&mut self, id: &str) -> Result<ProviderSession, String> {
        let live = self.sessions.get(id).ok_or("the connection is gone")?;
        let (certificates, tracks) = (live.peer.certificates()?, live.peer.tracks());
        // A free stream opens no channels, so its terms name a key that is never used.
        let channel_key = match self.options.paid {
            Some(_) => self.fresh_channel_key()?,
            None => self.channel_key(0)?,
        };
        let identity = ProviderIdentity {
            identity: self.identity,
            channel_key,
            nonce: nonce()?,
            certificates,
        };
        let mut session = ProviderSession::new(self.config(tracks), identity, self.now());
        if let Some(tip) = self.money.as_ref().and_then(|money| money.chain.tip()) {
            session.tip(tip.height);
        }
        Ok(session)
    }

    pub(super) fn config(&self, tracks: Vec<Track>) -> ProviderConfig {
        let chain = Bytes32::genesis(self.options.network);
        let stream = self.options.stream.clone();
        match (&self.options.paid, &self.money) {
            (Some(paid), Some(money)) => money.config(paid, chain, stream, tracks),
            _ => notices::free_config(chain, stream, tracks),
        }
    }
}
