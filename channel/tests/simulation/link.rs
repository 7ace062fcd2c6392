//! The connections between the two: what is on its way arrives late, in order, or not at all.

use crate::events::{Conn, Event, Side};
use crate::world::World;
use std::time::Duration;

/// A connection. The newest is the one that is used; a side may not have noticed yet that an older one is gone.
#[derive(Clone, Debug, Default)]
pub struct Link {
    pub up: bool,
    /// When the last message arrives on each side: no later one comes before it.
    to_provider: Duration,
    to_consumer: Duration,
}

impl Link {
    pub fn new() -> Self {
        Self {
            up: true,
            ..Self::default()
        }
    }
}

impl World {
    /// Sends a text. On a broken connection it is lost.
    pub fn send(&mut self, to: Side, conn: Conn, text: String) {
        self.totals.messages += 1;
        let (unruly, latency, jitter) = (
            self.conditions.unruly,
            self.conditions.latency,
            self.conditions.jitter,
        );
        let mut at = self.now + latency + self.dice.up_to(jitter);
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.up) else {
            return;
        };
        let last = match to {
            Side::Provider => &mut link.to_provider,
            Side::Consumer => &mut link.to_consumer,
        };
        if unruly {
            if self.dice.percent(5) {
                let later = at + self.dice.up_to(Duration::from_secs(5));
                self.queue.push(later, Event::Text(to, conn, text.clone()));
            }
        } else {
            at = at.max(*last);
            *last = at;
        }
        self.queue.push(at, Event::Text(to, conn, text));
    }

    /// The connection breaks. Each side notices after a while, or only by the other's silence.
    pub fn cut(&mut self, conn: Conn) {
        let Some(link) = self.links.get_mut(&conn).filter(|link| link.up) else {
            return;
        };
        link.up = false;
        for side in [Side::Provider, Side::Consumer] {
            if self.dice.percent(60) {
                let at = self.now + self.dice.up_to(Duration::from_secs(3));
                self.queue.push(at, Event::Lost(side, conn));
            }
        }
    }

    pub fn is_up(&self, conn: Conn) -> bool {
        self.links.get(&conn).is_some_and(|link| link.up)
    }
}
