//! Properties that are the inner element's, under the same name on ours.
//!
//! They come from static tables and not from the inner class, since properties are asked for during
//! registration, where the inner types must not be touched. A test compares the tables with the live elements.

use std::sync::{Mutex, PoisonError};

use gst::glib;
use gst::prelude::*;

use super::CAT;

/// The type of a proxied property, with its default on our element.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Bool(bool),
    UInt {
        min: u32,
        max: u32,
        default: u32,
    },
    /// An unset string, an empty one and `none` are the same: gst-launch can't say NULL.
    Str(Option<&'static str>),
    Caps,
    /// An array of strings.
    Strings,
    /// An enum of the inner element's, by nick: its type is not ours to register.
    Nick {
        nicks: &'static [&'static str],
        default: &'static str,
    },
}

/// One row of a table.
#[derive(Debug, Clone, Copy)]
pub struct Proxied {
    pub name: &'static str,
    pub nick: &'static str,
    pub blurb: &'static str,
    pub kind: Kind,
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
pub struct Table(pub &'static [Proxied]);

impl Table {
    pub fn find(&self, name: &str) -> Option<&'static Proxied> {
        self.0.iter().find(|row| row.name == name)
    }

    pub fn param_specs(&self) -> impl Iterator<Item = glib::ParamSpec> {
        self.0.iter().map(Proxied::param_spec)
    }

    /// Sets on `to` what has been set on `from`, two inner elements of one kind.
    pub fn copy(&self, from: &gst::Element, to: &gst::Element) {
        for row in self.0 {
            if from.find_property(row.name).is_some() && to.find_property(row.name).is_some() {
                to.set_property_from_value(row.name, &from.property_value(row.name));
            }
        }
    }
}

impl Proxied {
    fn param_spec(&self) -> glib::ParamSpec {
        let flags = glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_READY;
        let Self {
            name,
            nick,
            blurb,
            kind,
        } = *self;
        match kind {
            Kind::Bool(default) => glib::ParamSpecBoolean::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default)
                .flags(flags)
                .build(),
            Kind::UInt { min, max, default } => glib::ParamSpecUInt::builder(name)
                .nick(nick)
                .blurb(blurb)
                .minimum(min)
                .maximum(max)
                .default_value(default)
                .flags(flags)
                .build(),
            Kind::Str(default) => glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(default)
                .flags(flags)
                .build(),
            Kind::Nick { default, .. } => glib::ParamSpecString::builder(name)
                .nick(nick)
                .blurb(blurb)
                .default_value(Some(default))
                .flags(flags)
                .build(),
            Kind::Caps => glib::ParamSpecBoxed::builder::<gst::Caps>(name)
                .nick(nick)
                .blurb(blurb)
                .flags(flags)
                .build(),
            Kind::Strings => gst::ParamSpecArray::builder(name)
                .nick(nick)
                .blurb(blurb)
                .element_spec(&glib::ParamSpecString::builder("entry").build())
                .flags(flags)
                .build(),
        }
    }

    /// Sets the property on the inner element. What it can't take is said and left as it was.
    pub fn set(&self, inner: &gst::Element, value: &glib::Value) -> Result<(), String> {
        let name = self.name;
        if inner.find_property(name).is_none() {
            return Err(format!("the installed {} has no property {name}", inner.name()));
        }
        match self.kind {
            Kind::Str(_) => {
                let text = value.get::<Option<String>>().ok().flatten();
                let text = text.filter(|text| !matches!(text.as_str(), "" | "none"));
                // After an empty value gst-launch takes the next property for the value: say so, rather than
                // never connect.
                if let Some(text) = text
                    .as_ref()
                    .filter(|text| name == "stun-server" && !text.starts_with("stun://"))
                {
                    return Err(format!(
                        "{name} can't be \"{text}\": it is stun://host:port, or none"
                    ));
                }
                inner.set_property(name, text);
            }
            Kind::Nick { nicks, default } => {
                let nick = value.get::<Option<String>>().ok().flatten();
                let nick = nick.as_deref().unwrap_or(default);
                if !nicks.contains(&nick) {
                    return Err(format!(
                        "{name} can't be \"{nick}\": it is one of {}",
                        nicks.join(", ")
                    ));
                }
                inner.set_property_from_str(name, nick);
            }
            Kind::Caps if matches!(value.get::<Option<gst::Caps>>(), Ok(None)) => {
                return Err(format!("{name} can't be empty"));
            }
            _ => inner.set_property_from_value(name, value),
        }
        Ok(())
    }

    /// The inner element's value, or the default where there is no inner element.
    pub fn get(&self, inner: Option<&gst::Element>) -> glib::Value {
        let Some(inner) = inner.filter(|inner| inner.find_property(self.name).is_some()) else {
            gst::debug!(CAT, "no inner element to ask for {}", self.name);
            return self.param_spec().default_value().to_owned();
        };
        let value = inner.property_value(self.name);
        match self.kind {
            Kind::Nick { .. } => glib::EnumValue::from_value(&value)
                .map(|(_, value)| value.nick().to_owned())
                .to_value(),
            _ => value,
        }
    }
}
