//! What people and programs are told. The elements turn each report into messages on the bus, the command line into lines.

use streamium_channel::money::Rate;

use crate::chain::{ElectrumUrl, UnreachableReason};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The element message is `streamium-pay/NAME`.
    pub name: &'static str,
    /// The sentence for people; `None` for what happens every second.
    pub text: Option<String>,
    /// The fields of the element message.
    pub fields: Vec<(&'static str, Field)>,
    pub severity: Severity,
}

/// A field's value. Units are in the field's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    Text(String),
    Number(u64),
    Flag(bool),
}

/// How a report is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Severity {
    /// As INFO.
    #[default]
    Info,
    /// As WARNING: something does not work now.
    Warning,
    /// As ERROR: nothing can work any more.
    Error,
}

impl Report {
    /// A report of this name, which is in [`crate::catalogue`].
    pub fn new(name: &'static str) -> Self {
        debug_assert!(crate::catalogue::is_known(name), "{name} is not in the catalogue");
        Self {
            name,
            text: None,
            fields: Vec::new(),
            severity: Severity::Info,
        }
    }

    pub fn say(mut self, text: impl Into<String>) -> Self {
        self.text = Some(text.into());
        self
    }

    pub fn severity(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    pub fn text_field(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, Field::Text(value.to_string())));
        self
    }

    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.fields.push((name, Field::Number(value)));
        self
    }

    pub fn sat(self, name: &'static str, value: bitcoin::Amount) -> Self {
        self.number(name, value.to_sat())
    }

    /// What the price was, and what it is to be.
    pub fn rates(self, old: Rate, new: Rate) -> Self {
        self.number("old-rate-msat-per-s", old.msat_per_s())
            .number("rate-msat-per-s", new.msat_per_s())
    }

    pub fn flag(mut self, name: &'static str, value: bool) -> Self {
        self.fields.push((name, Field::Flag(value)));
        self
    }
}

/// Takes the reports, in the thread that makes them.
pub type ReportHandler = Box<dyn Fn(Report) + Send>;

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

/// An amount for people: `1,234 sat`.
pub fn sats(amount: bitcoin::Amount) -> String {
    let digits = amount.to_sat().to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + " sat"
}

/// A time for people: `14 s`, `3 min`, `2 h 5 min`.
pub fn span(time: std::time::Duration) -> String {
    match time.as_secs() {
        seconds if seconds < 120 => format!("{seconds} s"),
        seconds if seconds < 7_200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitcoin::Amount;
    use std::time::Duration;

    #[test]
    fn figures_are_readable() {
        for (sat, text) in [
            (0, "0 sat"),
            (999, "999 sat"),
            (1_000, "1,000 sat"),
            (1_234_567, "1,234,567 sat"),
        ] {
            assert_eq!(sats(Amount::from_sat(sat)), text);
        }
        assert_eq!(span(Duration::from_secs(14)), "14 s");
        assert_eq!(span(Duration::from_secs(200)), "3 min");
        assert_eq!(span(Duration::from_secs(7_500)), "2 h 5 min");
    }
}
