//! What is said of an Electrum server.

use super::{Report, Severity};
use crate::chain::{ElectrumUrl, UnreachableReason};

/// A server answers.
pub fn reachable(server: &ElectrumUrl) -> Report {
    Report::new("chain")
        .text_field("server", server)
        .flag("reachable", true)
        .say(format!("Electrum server {server} answers."))
}

/// A server does not.
pub fn unreachable(server: &ElectrumUrl, why: &UnreachableReason) -> Report {
    Report::new("chain")
        .text_field("server", server)
        .flag("reachable", false)
        .text_field("reason", why)
        .severity(Severity::Warning)
        .say(format!("Electrum server {server} can't be used: {why}."))
}

/// A server says other than the verified chain.
pub fn disagreement(server: &ElectrumUrl, words: &str) -> Report {
    Report::new("chain")
        .text_field("server", server)
        .flag("agrees", false)
        .text_field("reason", words)
        .severity(Severity::Warning)
        .say(format!("Electrum server {server} is not believed: {words}."))
}

/// It does no more.
pub fn agreement(server: &ElectrumUrl) -> Report {
    Report::new("chain")
        .text_field("server", server)
        .flag("agrees", true)
        .say(format!("Electrum server {server} agrees with the others again."))
}
