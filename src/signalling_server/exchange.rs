//! The exchange between the peers of the own signalling server, in gst-plugin-webrtc's protocol.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gst_plugin_webrtc_signalling_protocol::{
    EndSessionMessage, IncomingMessage, OutgoingMessage, Peer, PeerMessage, PeerMessageInner, PeerStatus,
    SdpMessage,
};
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

use super::limits::{
    MAX_ALL_WAITING_LEN, MAX_META_LEN, MAX_PRODUCERS, MAX_PRODUCERS_OF_ORIGIN, MAX_SESSIONS, MAX_WAITING_LEN,
    SMALL_WAITING_LEN,
};
use super::places::{Number, Use};
use crate::origin::Origin;

/// A field of `startSession` that only the own broadcaster gets: the consumer's address.
pub const ADDRESS_FIELD: &str = "address";
/// A field of `endSession` that only the own broadcaster gets: what the consumer did wrong.
pub const REASON_FIELD: &str = "reason";

/// The messages that wait for one client.
pub struct Outgoing {
    pub queue: UnboundedSender<String>,
    /// Its length in bytes; whoever sends it takes it off.
    pub waiting: Arc<AtomicUsize>,
}

struct Member {
    number: Number,
    origin: Origin,
    is_own: bool,
    status: PeerStatus,
    outgoing: Outgoing,
}

struct Session {
    producer: String,
    consumer: String,
    began: String,
}

/// A consequence for the places: a use that changed, or a peer that has to go.
#[derive(Debug, PartialEq, Eq)]
pub enum Consequence {
    Uses(Number, Use),
    /// The peer does not read what it asks for.
    Goes(Number),
}

#[derive(Default)]
pub struct Exchange {
    members: HashMap<String, Member>,
    sessions: HashMap<String, Session>,
    /// The bytes that wait for all members.
    waiting: Arc<AtomicUsize>,
    consequences: Vec<Consequence>,
}

impl Exchange {
    /// The bytes of all unread messages; the task that sends one takes it off.
    pub fn all_waiting(&self) -> Arc<AtomicUsize> {
        self.waiting.clone()
    }

    /// The consequences for the places.
    pub fn consequences(&mut self) -> Vec<Consequence> {
        std::mem::take(&mut self.consequences)
    }

    /// Adds a peer. `is_own`: it is the broadcast.
    pub fn welcome(&mut self, id: &str, number: Number, origin: Origin, is_own: bool, outgoing: Outgoing) {
        let member = Member {
            number,
            origin,
            is_own,
            status: PeerStatus::default(),
            outgoing,
        };
        self.members.insert(id.to_owned(), member);
        let used = if is_own { Use::Own } else { Use::Idle };
        self.consequences.push(Consequence::Uses(number, used));
        self.tell(
            id,
            &OutgoingMessage::Welcome {
                peer_id: id.to_owned(),
            },
        );
    }

    /// Removes a peer that has gone.
    pub fn left(&mut self, id: &str) {
        let Some(member) = self.members.remove(id) else {
            return;
        };
        let sessions: Vec<_> = self.sessions_of(id).map(|(session, _)| session.clone()).collect();
        for session in sessions {
            self.end_session(id, &session, None);
        }
        if member.status.roles.is_empty() {
            return;
        }
        self.tell_listeners(&PeerStatus {
            roles: Vec::new(),
            meta: member.status.meta,
            peer_id: Some(id.to_owned()),
        });
    }

    /// Ends a peer that has sent more than is taken: its sessions are over, and whoever had them is told why.
    pub fn sent_too_much(&mut self, id: &str, reason: &str) {
        let sessions: Vec<_> = self.sessions_of(id).map(|(session, _)| session.clone()).collect();
        for session in sessions {
            let end = OutgoingMessage::EndSession(EndSessionMessage {
                session_id: session.clone(),
            });
            self.tell(id, &end);
            self.end_session(id, &session, Some(reason));
        }
    }

    /// Handles a peer's message.
    pub fn said(&mut self, id: &str, message: IncomingMessage) {
        let result = match message {
            // That is the server's own.
            IncomingMessage::NewPeer => Ok(()),
            IncomingMessage::SetPeerStatus(status) => self.set_status(id, status),
            IncomingMessage::StartSession(start) => self.start_session(id, &start.peer_id, start.offer),
            IncomingMessage::EndSession(end) => {
                if self.session_of(id, &end.session_id).is_some() {
                    self.end_session(id, &end.session_id, None);
                }
                Ok(())
            }
            IncomingMessage::Peer(message) => self.pass_on(id, message),
            IncomingMessage::List => {
                let producers = self.list(PeerStatus::producing);
                self.tell(id, &OutgoingMessage::List { producers });
                Ok(())
            }
            IncomingMessage::ListConsumers => {
                let consumers = self.list(PeerStatus::consuming);
                self.tell(id, &OutgoingMessage::ListConsumers { consumers });
                Ok(())
            }
        };
        if let Err(details) = result {
            self.tell(id, &OutgoingMessage::Error { details });
        }
    }

    /// The broadcast's own comes first, so that nobody tries strangers of its name before it.
    fn list(&self, wanted: impl Fn(&PeerStatus) -> bool) -> Vec<Peer> {
        let mut found: Vec<_> = self
            .members
            .iter()
            .filter(|(_, member)| wanted(&member.status))
            .collect();
        found.sort_by_key(|(_, member)| (!member.is_own, member.number));
        let peer = |(id, member): (&String, &Member)| Peer {
            id: id.clone(),
            meta: member.status.meta.clone(),
        };
        found.into_iter().map(peer).collect()
    }

    fn set_status(&mut self, id: &str, mut status: PeerStatus) -> Result<(), String> {
        let Some(member) = self.members.get(id) else {
            return Ok(());
        };
        status.peer_id = Some(id.to_owned());
        if status == member.status {
            return Ok(());
        }
        if status.producing() && status.consuming() {
            return Err("a peer is either a producer or a consumer that waits for one".to_owned());
        }
        if !member.is_own {
            let meta = status.meta.as_ref().map_or(0, |meta| meta.to_string().len());
            if meta > MAX_META_LEN {
                return Err(format!(
                    "{meta} bytes of meta are too many: {MAX_META_LEN} at most"
                ));
            }
            if status.producing() && !member.status.producing() {
                self.check_producers(&member.origin)?;
            }
        }
        status.roles.dedup();
        status.roles.truncate(3);
        let lost_role = (member.status.producing() && !status.producing())
            || (member.status.consuming() && !status.consuming());
        if lost_role {
            let sessions: Vec<_> = self.sessions_of(id).map(|(session, _)| session.clone()).collect();
            for session in sessions {
                self.end_session(id, &session, None);
            }
        }
        if let Some(member) = self.members.get_mut(id) {
            member.status = status.clone();
        }
        self.update_use(id);
        self.tell_listeners(&status);
        Ok(())
    }

    fn check_producers(&self, origin: &Origin) -> Result<(), String> {
        let strangers = self
            .members
            .values()
            .filter(|one| !one.is_own && one.status.producing());
        let (mut all, mut of_origin) = (0, 0);
        for one in strangers {
            all += 1;
            of_origin += usize::from(one.origin == *origin);
        }
        if all >= MAX_PRODUCERS || of_origin >= MAX_PRODUCERS_OF_ORIGIN {
            return Err("there are too many producers".to_owned());
        }
        Ok(())
    }

    fn start_session(&mut self, from: &str, to: &str, offer: Option<String>) -> Result<(), String> {
        let Some(me) = self.members.get(from) else {
            return Ok(());
        };
        let other = self.members.get(to).ok_or("there is no such peer")?;
        let (producer, consumer) = match &other.status {
            status if status.producing() => (to, from),
            status if status.consuming() => (from, to),
            _ => return Err("that peer is neither a producer nor a consumer that waits for one".to_owned()),
        };
        let begun = self
            .sessions
            .values()
            .filter(|session| session.began == from)
            .count();
        if !me.is_own && begun >= MAX_SESSIONS {
            return Err(format!("{begun} sessions are too many"));
        }
        let session_id = new_id().ok_or("there are no random numbers")?;
        let session = Session {
            producer: producer.to_owned(),
            consumer: consumer.to_owned(),
            began: from.to_owned(),
        };
        let (producer, consumer) = (producer.to_owned(), consumer.to_owned());
        self.sessions.insert(session_id.clone(), session);
        let started = OutgoingMessage::SessionStarted {
            peer_id: producer.clone(),
            session_id: session_id.clone(),
        };
        self.tell(&consumer, &started);
        let start = OutgoingMessage::StartSession {
            peer_id: consumer.clone(),
            session_id,
            offer,
        };
        let address = match self.members.get(&consumer).map(|member| &member.origin) {
            Some(Origin::Address(address)) => Some(address.to_string()),
            _ => None,
        };
        self.tell_more(&producer, &start, ADDRESS_FIELD, address.as_deref());
        self.update_use(&producer);
        self.update_use(&consumer);
        Ok(())
    }

    fn pass_on(&mut self, from: &str, message: PeerMessage) -> Result<(), String> {
        let Some(session) = self.session_of(from, &message.session_id) else {
            return Ok(());
        };
        let is_offer = matches!(
            message.peer_message,
            PeerMessageInner::Sdp(SdpMessage::Offer { .. })
        );
        if is_offer && session.consumer == from {
            return Err("only a producer offers".to_owned());
        }
        let to = other(session, from).to_owned();
        self.tell(&to, &OutgoingMessage::Peer(message));
        Ok(())
    }

    fn session_of(&self, id: &str, session: &str) -> Option<&Session> {
        let session = self.sessions.get(session);
        session.filter(|session| session.producer == id || session.consumer == id)
    }

    fn sessions_of(&self, id: &str) -> impl Iterator<Item = (&String, &Session)> {
        let all = self.sessions.iter();
        all.filter(move |(_, session)| session.producer == id || session.consumer == id)
    }

    fn end_session(&mut self, by: &str, id: &str, reason: Option<&str>) {
        let Some(session) = self.sessions.remove(id) else {
            return;
        };
        let to = other(&session, by).to_owned();
        let end = OutgoingMessage::EndSession(EndSessionMessage {
            session_id: id.to_owned(),
        });
        self.tell_more(&to, &end, REASON_FIELD, reason);
        self.update_use(&to);
        self.update_use(by);
    }

    /// Only a session with the broadcast is a use: strangers' sessions with each other keep nobody's place.
    fn update_use(&mut self, id: &str) {
        let Some(member) = self.members.get(id).filter(|member| !member.is_own) else {
            return;
        };
        let is_own = |id: &String| self.members.get(id).is_some_and(|member| member.is_own);
        let with_own = |(_, session): (_, &Session)| is_own(&session.producer) || is_own(&session.consumer);
        let used = if self.sessions_of(id).any(with_own) {
            Use::Session
        } else if member.status.roles.is_empty() {
            Use::Idle
        } else {
            Use::Registered
        };
        let number = member.number;
        self.consequences.push(Consequence::Uses(number, used));
    }

    fn tell_listeners(&mut self, status: &PeerStatus) {
        let listeners = self
            .members
            .iter()
            .filter(|(_, member)| member.status.listening());
        let listeners: Vec<_> = listeners.map(|(id, _)| id.clone()).collect();
        for id in listeners {
            self.tell(&id, &OutgoingMessage::PeerStatusChanged(status.clone()));
        }
    }

    fn tell(&mut self, id: &str, message: &OutgoingMessage) {
        self.tell_more(id, message, "", None);
    }

    /// Makes the message with a field that only the own broadcaster gets.
    fn tell_more(&mut self, id: &str, message: &OutgoingMessage, field: &str, more: Option<&str>) {
        let Some(member) = self.members.get(id) else {
            return;
        };
        let Ok(mut message) = serde_json::to_value(message) else {
            return;
        };
        if let (true, Some(more), Value::Object(fields)) = (member.is_own, more, &mut message) {
            fields.insert(field.to_owned(), json!(more));
        }
        let message = message.to_string();
        let length = message.len();
        let before = member.outgoing.waiting.fetch_add(length, Ordering::SeqCst);
        let all = self.waiting.fetch_add(length, Ordering::SeqCst);
        let is_deaf = before > 0 && before.saturating_add(length) > MAX_WAITING_LEN;
        let is_one_too_many = before > SMALL_WAITING_LEN && all.saturating_add(length) > MAX_ALL_WAITING_LEN;
        if !member.is_own && (is_deaf || is_one_too_many) {
            self.consequences.push(Consequence::Goes(member.number));
        }
        if member.outgoing.queue.send(message).is_err() {
            member.outgoing.waiting.fetch_sub(length, Ordering::SeqCst);
            self.waiting.fetch_sub(length, Ordering::SeqCst);
        }
    }
}

fn other<'a>(session: &'a Session, id: &str) -> &'a str {
    if session.producer == id {
        &session.consumer
    } else {
        &session.producer
    }
}

/// Nobody guesses it.
pub fn new_id() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    let number = u128::from_be_bytes(bytes);
    // As a UUID is written; some clients may look for that.
    let text = format!("{number:032x}");
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default().to_owned();
    Some([part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)].join("-"))
}
