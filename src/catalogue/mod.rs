//! All element messages: what each is called, what it carries, and when it comes. The tables of docs/elements.md are
//! these, and a message that is not here does not pass a debug build.

mod sink;
mod source;

pub use sink::SINK;
pub use source::SOURCE;

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
