//! All element messages: what each is called, what it carries, and when it comes. The tables of docs/elements.md are
//! these, and a message that is not here does not pass a debug build.

mod sink;
mod source;

pub use sink::SINK;
pub use source::SOURCE;

use crate::report::{Field, Report};

/// The messages of one element, in the order in which they are documented.
#[derive(Debug)]
pub struct Catalogue(pub &'static [Message]);

/// One message. It is posted as `streamium-pay/NAME`.
#[derive(Debug)]
pub struct Message {
    pub name: &'static str,
    pub fields: &'static [FieldSpec],
    /// For the documentation, in Markdown.
    pub when: &'static str,
}

/// One field of a message. Its unit is in its name.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    pub name: &'static str,
    pub kind: Kind,
    /// Not in every message of this name.
    pub optional: bool,
}

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `gchararray`
    Text,
    /// `guint64`
    Number,
    /// `gboolean`
    Flag,
}

impl Catalogue {
    pub fn find(&self, name: &str) -> Option<&'static Message> {
        self.0.iter().find(|message| message.name == name)
    }

    /// Says what of a report is not as documented.
    pub fn check(&self, report: &Report) -> Result<(), String> {
        let name = report.name;
        let message = self.find(name).ok_or_else(|| format!("no message {name}"))?;
        for (field, value) in &report.fields {
            let spec = message.field(field);
            let spec = spec.ok_or_else(|| format!("{name} has no field {field}"))?;
            if spec.kind != Kind::of(value) {
                return Err(format!("{field} of {name} is a {:?}", spec.kind));
            }
        }
        let said = |field: &str| report.fields.iter().filter(|(name, _)| *name == field).count();
        match message.fields.iter().find(|spec| {
            let least = usize::from(!spec.optional);
            !(least..=1).contains(&said(spec.name))
        }) {
            Some(spec) => Err(format!("{name} has {} {}", said(spec.name), spec.name)),
            None => Ok(()),
        }
    }
}

impl Message {
    pub fn field(&self, name: &str) -> Option<&'static FieldSpec> {
        self.fields.iter().find(|spec| spec.name == name)
    }
}

impl FieldSpec {
    const fn maybe(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }
}

impl Kind {
    pub const fn of(value: &Field) -> Self {
        match value {
            Field::Text(_) => Self::Text,
            Field::Number(_) => Self::Number,
            Field::Flag(_) => Self::Flag,
        }
    }
}

/// True if one of the elements has such a message.
pub fn is_known(name: &str) -> bool {
    SINK.find(name).is_some() || SOURCE.find(name).is_some()
}

const fn text(name: &'static str) -> FieldSpec {
    field(name, Kind::Text)
}

const fn number(name: &'static str) -> FieldSpec {
    field(name, Kind::Number)
}

const fn flag(name: &'static str) -> FieldSpec {
    field(name, Kind::Flag)
}

const fn field(name: &'static str, kind: Kind) -> FieldSpec {
    FieldSpec {
        name,
        kind,
        optional: false,
    }
}

const BACKUP: Message = Message {
    name: "backup",
    fields: &[text("seed"), text("data-dir")],
    when: "once, with a WARNING: the keys to real money were made in the file `seed`, and need a copy",
};

const STORE_FAILED: Message = Message {
    name: "store-failed",
    fields: &[],
    when: "the store can't be read or written; where payments can't be recorded, all media stops, as an ERROR",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_as_documented_or_refused() {
        let payment = || {
            Report::new("payment")
                .text_field("session", "s")
                .text_field("outpoint", "o:0")
        };
        let whole = payment().number("balance-sat", 2).number("added-sat", 1);
        assert_eq!(SINK.check(&whole), Ok(()));
        let refused = [
            payment().number("balance-sat", 2),
            whole.clone().number("added-sat", 1),
            whole.clone().number("fee-sat", 1),
            payment().text_field("balance-sat", 2).number("added-sat", 1),
        ];
        for report in refused {
            assert!(SINK.check(&report).is_err(), "{report:?}");
        }
        assert!(SOURCE.check(&whole).is_err(), "another element's");
        let channel = |capacity: Option<u64>| {
            let report = Report::new("channel")
                .text_field("outpoint", "o:0")
                .number("confirmations", 1);
            match capacity {
                Some(sat) => report.number("capacity-sat", sat),
                None => report,
            }
        };
        assert_eq!(SOURCE.check(&channel(None)), Ok(()));
        assert_eq!(SOURCE.check(&channel(Some(1))), Ok(()));
    }
}
