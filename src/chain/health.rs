//! Which Electrum servers can be relied on, for statistics.

use std::collections::HashMap;

use super::{ChainEvent, ElectrumUrl, Tip};

/// The chain as a side sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChainFigures {
    pub tip: Option<Tip>,
    pub servers: u64,
    /// Those that answer and are believed.
    pub servers_up: u64,
}

/// Counts the servers.
#[derive(Debug, Default)]
pub struct Servers(HashMap<ElectrumUrl, Health>);

#[derive(Clone, Copy, Debug, Default)]
struct Health {
    answers: bool,
    disagrees: bool,
}

impl Servers {
    /// None has been heard of yet.
    pub fn new(servers: &[ElectrumUrl]) -> Self {
        let unknown = |server: &ElectrumUrl| (server.clone(), Health::default());
        Self(servers.iter().map(unknown).collect())
    }

    pub fn heard(&mut self, event: &ChainEvent) {
        match event {
            ChainEvent::Reachable { server } => self.of(server).answers = true,
            ChainEvent::Unreachable { server, .. } => self.of(server).answers = false,
            ChainEvent::Disagreement { server, .. } => self.of(server).disagrees = true,
            ChainEvent::Agreement { server } => self.of(server).disagrees = false,
            _ => (),
        }
    }

    fn of(&mut self, server: &ElectrumUrl) -> &mut Health {
        self.0.entry(server.clone()).or_default()
    }

    pub fn figures(&self, tip: Option<Tip>) -> ChainFigures {
        let up = self
            .0
            .values()
            .filter(|server| server.answers && !server.disagrees);
        ChainFigures {
            tip,
            servers: self.0.len() as u64,
            servers_up: up.count() as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{UnreachableReason, parse_servers};
    use super::*;

    #[test]
    fn a_server_is_up_while_it_answers_and_is_believed() {
        let known = parse_servers("tcp://127.0.0.1:1,tcp://127.0.0.1:2").unwrap();
        let mut servers = Servers::new(&known);
        let (first, second) = (|| known[0].clone(), || known[1].clone());
        let why = UnreachableReason::TimedOut;
        let events = [
            (ChainEvent::Reachable { server: first() }, 1),
            (ChainEvent::Reachable { server: second() }, 2),
            (
                ChainEvent::Disagreement {
                    server: first(),
                    words: String::new(),
                },
                1,
            ),
            (
                ChainEvent::Unreachable {
                    server: second(),
                    why,
                },
                0,
            ),
            (ChainEvent::Agreement { server: first() }, 1),
        ];
        assert_eq!(servers.figures(None).servers_up, 0, "none has been heard of");
        for (event, up) in events {
            servers.heard(&event);
            let figures = servers.figures(None);
            assert_eq!((figures.servers, figures.servers_up), (2, up), "{event:?}");
        }
    }
}
