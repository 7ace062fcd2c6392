//! What both elements' property tables are made with. All own properties can be set in NULL and READY, unless their
//! doc block says otherwise.

use gst::glib;
use gst::prelude::*;

pub const WRITABLE: glib::ParamFlags = glib::ParamFlags::READWRITE.union(gst::PARAM_FLAG_MUTABLE_READY);

pub fn text(name: &str, nick: &str, blurb: &str, default: Option<&str>) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .flags(WRITABLE)
        .build()
}

pub fn uint(name: &str, nick: &str, blurb: &str, (min, max): (u32, u32), default: u32) -> glib::ParamSpec {
    glib::ParamSpecUInt::builder(name)
        .nick(nick)
        .blurb(blurb)
        .minimum(min)
        .maximum(max)
        .default_value(default)
        .flags(WRITABLE)
        .build()
}

pub fn flag(name: &str, nick: &str, blurb: &str, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .flags(WRITABLE)
        .build()
}

pub fn sat(name: &str, nick: &str, blurb: &str, default: u64) -> glib::ParamSpec {
    uint64(name, nick, blurb, bitcoin::Amount::MAX_MONEY.to_sat(), default)
}

pub fn uint64(name: &str, nick: &str, blurb: &str, max: u64, default: u64) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name)
        .nick(nick)
        .blurb(blurb)
        .maximum(max)
        .default_value(default)
        .flags(WRITABLE)
        .build()
}

/// An empty string is an unset one: gst-launch can't say NULL.
pub fn optional(value: &glib::Value) -> Option<String> {
    value
        .get::<Option<String>>()
        .ok()
        .flatten()
        .filter(|text| !text.is_empty())
}

/// A field of a structure as text, whatever its type is; `None` for what has no words.
pub fn text_of(field: &glib::Value) -> Option<String> {
    field.transform::<String>().ok()?.get().ok()
}

/// Takes a property's value. GObject has checked the type; what is of another is left as it was.
pub fn put<'v, T: glib::value::FromValue<'v>>(field: &mut T, value: &'v glib::Value) {
    if let Ok(value) = value.get() {
        *field = value;
    }
}
