//! What people and programs are told. The elements turn each report into messages on the bus, the command line into lines.

mod documented;
mod servers;
mod words;

use streamium_channel::money::Rate;

pub(crate) use servers::of_server;
pub use words::{sats, span};

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
