//! How sessions begin: asked for, let in, or turned away.

use std::future::pending;
use std::time::Duration;

use serde_json::{Value, json};

use super::admission::{Asked, Busy};
use super::{Exchange, Known, RelayEvent, text};
use crate::boottime;
use crate::descriptors::Count;
use crate::inner::CAT;
use crate::origin::Origin;
use crate::signalling_server::ADDRESS_FIELD;

/// How often is looked whether somebody who waits can be let in.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// Until it is time to look, if anybody waits.
pub async fn pause(is_waiting: bool) {
    if !is_waiting {
        pending::<()>().await;
    }
    tokio::time::sleep(LOOK_INTERVAL).await;
}

impl Exchange {
    /// A consumer asks for a session.
    pub(super) async fn ask(&mut self, session: String, mut message: Value) {
        let peer = text(&message, "peerId").to_owned();
        let address = message
            .as_object_mut()
            .and_then(|fields| fields.remove(ADDRESS_FIELD));
        let is_own = self.server.lock().is_ok_and(|server| server.is_own);
        let address = address.filter(|_| is_own);
        let address = address.and_then(|address| address.as_str()?.parse().ok());
        let asked = Asked {
            session,
            origin: address.map_or_else(|| Origin::Peer(peer.clone()), Origin::of),
            peer,
            message,
        };
        match self.admission.ask(asked.clone(), boottime::now()) {
            Ok(()) => self.let_in().await,
            Err(busy) => self.turn_away(asked, busy).await,
        }
    }

    /// Lets in whoever can be now.
    pub(super) async fn let_in(&mut self) {
        let now = boottime::now();
        loop {
            let make_room = &self.make_room;
            let next = self.admission.next(now, Count::now, |origin| make_room(origin));
            let Some(asked) = next else { break };
            gst::debug!(
                CAT,
                "session {} begins; a session holds {} descriptors",
                asked.session,
                self.admission.cost_of_session()
            );
            let known = Known {
                peer: asked.peer,
                offers: 0,
            };
            self.sessions.insert(asked.session.clone(), known);
            (self.on_event)(RelayEvent::Begins {
                session: asked.session,
                origin: asked.origin,
            });
            self.tell_signaller(&asked.message).await;
        }
        for (asked, busy) in self.admission.given_up(now) {
            self.turn_away(asked, busy).await;
        }
    }

    async fn turn_away(&mut self, asked: Asked, busy: Busy) {
        let end = json!({ "type": "endSession", "sessionId": asked.session });
        self.upstream.send(&end).await;
        let count = Count::now();
        (self.on_event)(RelayEvent::TurnedAway {
            session: asked.session,
            peer: asked.peer,
            reason: busy.words(),
            descriptors: (count.open, count.limit),
        });
    }

    /// A session is over; returns whose it was.
    pub(super) fn forget(&mut self, session: &str) -> Option<String> {
        self.admission.ended(session);
        self.sessions.remove(session).map(|known| known.peer)
    }
}
