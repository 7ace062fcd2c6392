//! Properties that are the inner element's, under the same name on ours.
//!
//! They come from static tables and not from the inner class, since properties are asked for during
//! registration, where the inner types must not be touched. A test compares the tables with the live elements.

use std::sync::{Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::kind::{Label, strings};
use super::{CAT, Kind, described};

/// When a property may be set, as the inner element declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It says nothing: it counts from the next start on.
    Unsaid,
    Ready,
    Playing,
    /// It is to be read only.
    Never,
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Proxied {
    pub name: &'static str,
    pub nick: &'static str,
    pub blurb: &'static str,
    pub kind: Kind,
    pub when: When,
}

/// What a proxied property could not take: it is said when the element starts, since setting can't fail.
#[derive(Debug, Default)]
pub struct Refused(Mutex<Option<(&'static str, String)>>);

impl Refused {
    /// Sets a row's property on the inner element, and remembers a refusal until the row takes something.
    pub fn set(&self, row: &Proxied, inner: &gst::Element, value: &glib::Value) {
        let refused = row.set(inner, value).err();
        if let Some(reason) = &refused {
            gst::warning!(CAT, obj = inner, "{reason}");
        }
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match refused {
            Some(reason) => *slot = Some((row.name, reason)),
            None if slot.as_ref().is_some_and(|(name, _)| *name == row.name) => *slot = None,
            None => (),
        }
    }

    /// What is wrong, in words.
    pub fn reason(&self) -> Option<String> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().map(|(_, reason)| reason.clone())
    }
}

/// A table of proxied properties, in the order in which they are shown.
pub struct Table(pub &'static [&'static [Proxied]]);

impl Table {
    pub fn rows(&self) -> impl Iterator<Item = &'static Proxied> + use<> {
        self.0.iter().copied().flatten()
    }

    pub fn find(&self, name: &str) -> Option<&'static Proxied> {
        self.rows().find(|row| row.name == name)
    }

    pub fn param_specs(&self) -> impl Iterator<Item = glib::ParamSpec> + use<> {
        self.rows().map(Proxied::param_spec)
    }

    /// Sets on `to` what has been set on `from`, two inner elements of one kind.
    pub fn copy(&self, from: &gst::Element, to: &gst::Element) {
        for row in self.rows().filter(|row| row.when != When::Never) {
            if from.find_property(row.name).is_some() && to.find_property(row.name).is_some() {
                to.set_property_from_value(row.name, &from.property_value(row.name));
            }
        }
    }
}

impl Proxied {
    /// A row that may be set in READY.
    pub const fn new(name: &'static str, nick: &'static str, blurb: &'static str, kind: Kind) -> Self {
        let when = When::Ready;
        Self {
            name,
            nick,
            blurb,
            kind,
            when,
        }
    }

    pub const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    fn param_spec(&self) -> glib::ParamSpec {
        let flags = match self.when {
            When::Never => glib::ParamFlags::READABLE,
            When::Unsaid => glib::ParamFlags::READWRITE,
            When::Ready => glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY,
            When::Playing => glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING,
        };
        self.kind.spec(&Label {
            name: self.name,
            nick: self.nick,
            blurb: self.blurb,
            flags,
        })
    }

    /// Sets the property on the inner element. What it can't take is said and left as it was.
    pub fn set(&self, inner: &gst::Element, value: &glib::Value) -> Result<(), String> {
        let name = self.name;
        let lacks = |what| {
            let whose = described(inner);
            format!(
                "{name} can't be set: {whose} has no such {what}. Update gst-plugins-rs, or leave {name} out"
            )
        };
        let theirs = inner
            .find_property(name)
            .filter(|theirs| theirs.flags().contains(glib::ParamFlags::WRITABLE))
            .ok_or_else(|| lacks("property"))?;
        let value = self
            .kind
            .inwards(&theirs, value)
            .map_err(|wrong| format!("{name} {wrong}"))?;
        if !value.type_().is_a(theirs.value_type()) {
            return Err(lacks("property of this type"));
        }
        let before = inner.property_value(name);
        inner.set_property_from_value(name, &value);
        let dropped = self.dropped(inner, &value);
        if !dropped.is_empty() {
            inner.set_property_from_value(name, &before);
            return Err(format!(
                "{name} can't have {}: it is not known",
                dropped.join(", ")
            ));
        }
        Ok(())
    }

    /// What the inner element has left out of an array and said nothing, as webrtcsrc does with unknown codecs.
    fn dropped(&self, inner: &gst::Element, value: &glib::Value) -> Vec<String> {
        if !matches!(self.kind, Kind::Strings) {
            return Vec::new();
        }
        let taken = strings(&inner.property_value(self.name)).unwrap_or_default();
        let mut given = strings(value).unwrap_or_default();
        given.retain(|one| !taken.contains(one));
        given
    }

    /// The inner element's value, or the default where there is no inner element, or it has no such property.
    pub fn get(&self, inner: Option<&gst::Element>) -> glib::Value {
        let ours = self.param_spec();
        let value = inner
            .filter(|inner| inner.find_property(self.name).is_some())
            .map(|inner| self.kind.outwards(inner.property_value(self.name)))
            .filter(|value| value.type_().is_a(ours.value_type()));
        value.unwrap_or_else(|| {
            gst::debug!(CAT, "no inner element to ask for {}", self.name);
            ours.default_value().to_owned()
        })
    }
}
