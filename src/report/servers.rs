//! What is said of an Electrum server.

use super::{Report, Severity};
use crate::chain::ChainEvent;

/// Reports an event that is about a server.
pub fn of_server(event: &ChainEvent) -> Option<Report> {
    let about = |server| Report::new("chain").text_field("server", server);
    Some(match event {
        ChainEvent::Reachable { server } => about(server)
            .flag("reachable", true)
            .say(format!("Electrum server {server} answers.")),
        ChainEvent::Unreachable { server, why } => about(server)
            .flag("reachable", false)
            .text_field("reason", why)
            .severity(Severity::Warning)
            .say(format!("Electrum server {server} can't be used: {why}.")),
        ChainEvent::Disagreement { server, words } => about(server)
            .flag("agrees", false)
            .text_field("reason", words)
            .severity(Severity::Warning)
            .say(format!("Electrum server {server} is not believed: {words}.")),
        ChainEvent::Agreement { server } => about(server)
            .flag("agrees", true)
            .say(format!("Electrum server {server} agrees with the others again.")),
        _ => return None,
    })
}
