//! The types of proxied properties: how ours are declared, and how values go in and out.
//!
//! Where the inner element would panic over a value, or silently do without it, the value is refused here.

use gst::glib;
use gst::prelude::*;
use url::Url;

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
    /// A string that is always there, be it empty.
    Text(&'static str),
    /// An address with one of these schemes.
    Url {
        default: &'static str,
        schemes: &'static [&'static str],
        /// Whether `none` will do.
        optional: bool,
    },
    Caps,
    Structure,
    /// An array of strings.
    Strings,
    /// An enum of the inner element's, by nick: its type is not ours to register.
    Nick {
        nicks: &'static [&'static str],
        default: &'static str,
    },
    /// Flags of the inner element's, by nicks with a `+` between them.
    Nicks {
        nicks: &'static [&'static str],
        default: &'static str,
    },
    /// The policy for ICE, whose type is GStreamer's own.
    IcePolicy,
    /// An object of a type of the inner element's. To be read only: what a connection is watched by is bound to it.
    Object,
}

/// What our property is called and how it may be used.
pub(super) struct Label<'a> {
    pub name: &'a str,
    pub nick: &'a str,
    pub blurb: &'a str,
    pub flags: glib::ParamFlags,
}

macro_rules! build {
    ($builder:expr, $label:expr) => {
        $builder
            .nick($label.nick)
            .blurb($label.blurb)
            .flags($label.flags)
            .build()
    };
}

impl Kind {
    pub(super) fn spec(&self, label: &Label<'_>) -> glib::ParamSpec {
        let name = label.name;
        match *self {
            Self::Bool(default) => {
                build!(
                    glib::ParamSpecBoolean::builder(name).default_value(default),
                    label
                )
            }
            Self::UInt { min, max, default } => build!(
                glib::ParamSpecUInt::builder(name)
                    .minimum(min)
                    .maximum(max)
                    .default_value(default),
                label
            ),
            Self::Str(default) => build!(glib::ParamSpecString::builder(name).default_value(default), label),
            Self::Text(default)
            | Self::Url { default, .. }
            | Self::Nick { default, .. }
            | Self::Nicks { default, .. } => build!(
                glib::ParamSpecString::builder(name).default_value(Some(default)),
                label
            ),
            Self::Caps => build!(glib::ParamSpecBoxed::builder::<gst::Caps>(name), label),
            Self::Structure => build!(glib::ParamSpecBoxed::builder::<gst::Structure>(name), label),
            Self::Strings => {
                let entry = glib::ParamSpecString::builder("entry").build();
                build!(gst::ParamSpecArray::builder(name).element_spec(&entry), label)
            }
            Self::IcePolicy => {
                let default = gst_webrtc::WebRTCICETransportPolicy::All;
                build!(glib::ParamSpecEnum::builder_with_default(name, default), label)
            }
            Self::Object => build!(glib::ParamSpecObject::builder::<glib::Object>(name), label),
        }
    }

    /// What the inner property is to be set to, or what is wrong with a value.
    pub(super) fn inwards(
        &self,
        theirs: &glib::ParamSpec,
        value: &glib::Value,
    ) -> Result<glib::Value, String> {
        match *self {
            Self::Str(_) => Ok(text(value).to_value()),
            Self::Text(_) => match value.get::<Option<String>>() {
                Ok(Some(text)) => Ok(text.to_value()),
                _ => Err("can't be NULL".to_owned()),
            },
            Self::Url {
                schemes, optional, ..
            } => url(text(value), schemes, optional),
            Self::Caps => match value.get::<Option<gst::Caps>>() {
                Ok(Some(_)) => Ok(value.clone()),
                _ => Err("can't be empty".to_owned()),
            },
            Self::Strings if strings(value).is_none() => Err("can't have NULL in it".to_owned()),
            Self::Nick { nicks, default } => {
                let nick = text(value).unwrap_or_else(|| default.to_owned());
                glib::EnumClass::with_type(theirs.value_type())
                    .filter(|_| nicks.contains(&nick.as_str()))
                    .and_then(|class| class.to_value_by_nick(&nick))
                    .ok_or_else(|| format!("can't be \"{nick}\": it is one of {}", nicks.join(", ")))
            }
            Self::Nicks { nicks, default } => {
                let given = value.get::<Option<String>>().ok().flatten();
                let given = given.unwrap_or_else(|| default.to_owned());
                flags(theirs, &given, nicks).ok_or_else(|| {
                    format!("can't be \"{given}\": it is {}, with + between", nicks.join(", "))
                })
            }
            _ => Ok(value.clone()),
        }
    }

    /// The inner property's value as ours.
    pub(super) fn outwards(&self, value: glib::Value) -> glib::Value {
        match self {
            Self::Nick { .. } => glib::EnumValue::from_value(&value)
                .map(|(_, value)| value.nick().to_owned())
                .to_value(),
            Self::Nicks { .. } => glib::FlagsValue::from_value(&value)
                .map(|(_, values)| {
                    let nicks: Vec<_> = values.iter().map(|value| value.nick()).collect();
                    if nicks.is_empty() {
                        NO_FLAGS.to_owned()
                    } else {
                        nicks.join("+")
                    }
                })
                .to_value(),
            _ => value,
        }
    }
}

/// How gst-launch writes that no flag is set.
const NO_FLAGS: &str = "none";

fn text(value: &glib::Value) -> Option<String> {
    let text = value.get::<Option<String>>().ok().flatten();
    text.filter(|text| !matches!(text.as_str(), "" | "none"))
}

/// After an empty value gst-launch takes the next property for the value: say so, rather than never connect.
fn url(text: Option<String>, schemes: &[&str], optional: bool) -> Result<glib::Value, String> {
    let or_none = if optional { ", or none" } else { "" };
    let wrong = |text: &str| {
        let forms: Vec<_> = schemes
            .iter()
            .map(|scheme| format!("{scheme}://host:port"))
            .collect();
        Err(format!(
            "can't be \"{text}\": it is {}{or_none}",
            forms.join(" or ")
        ))
    };
    let Some(text) = text else {
        return if optional {
            Ok(None::<String>.to_value())
        } else {
            wrong("none")
        };
    };
    let parsed = Url::parse(&text)
        .ok()
        .filter(|url| schemes.contains(&url.scheme()) && url.has_host());
    if parsed.is_some() {
        Ok(text.to_value())
    } else {
        wrong(&text)
    }
}

fn flags(theirs: &glib::ParamSpec, given: &str, nicks: &[&str]) -> Option<glib::Value> {
    let class = glib::FlagsClass::with_type(theirs.value_type())?;
    let mut builder = class.builder();
    for nick in given.split(['+', '|']).map(str::trim) {
        if !matches!(nick, "" | NO_FLAGS) {
            nicks.contains(&nick).then_some(())?;
            builder = builder.set_by_nick(nick);
        }
    }
    builder.build()
}

/// The strings of an array, if they all are there.
pub(super) fn strings(value: &glib::Value) -> Option<Vec<String>> {
    let array = value.get::<gst::ArrayRef<'_>>().ok()?;
    array
        .iter()
        .map(|entry| entry.get::<Option<String>>().ok().flatten())
        .collect()
}
