//! Tolerance for later versions: fields that are not known are ignored, whatever JSON is in them.
//!
//! serde_json reads a value before it is known whether anybody wants it, and fails at numbers beyond its types, at text
//! that is no Unicode, and at deep nesting.

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::fmt;

/// Deeper than any field of this version lies.
const DEPTH: u32 = 8;

/// No message is nested deeper, whatever is in its unknown fields: many JSON parsers go no further than this.
const MAX_NESTING: usize = 127;

/// Stands for a value that can't be read. No field of this version takes it, so a known one is refused with it.
const UNREADABLE: &str = "{}";

/// Returns the JSON with `{}` in the place of each value that can't be read.
///
/// # Errors
/// When the text is not JSON at all, or nested deeper than [`MAX_NESTING`].
pub(super) fn readable(text: &str) -> Result<String, serde_json::Error> {
    if nesting(text) > MAX_NESTING {
        return Err(serde_json::Error::custom("nested too deeply"));
    }
    let mut out = String::with_capacity(text.len());
    copy(text.trim(), DEPTH, &mut out)?;
    Ok(out)
}

/// Returns how deep lists and objects lie in each other; brackets within text do not count.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_text, mut escaped) = (false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_text,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => depth = depth.saturating_add(1),
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => (),
        }
        deepest = deepest.max(depth);
    }
    deepest
}

fn copy(value: &str, depth: u32, out: &mut String) -> Result<(), serde_json::Error> {
    let deeper = depth.checked_sub(1);
    match (value.as_bytes().first(), deeper) {
        (Some(b'{'), Some(deeper)) => {
            let Members(members) = serde_json::from_str(value)?;
            let names = members.into_iter().filter(|(name, _)| is_readable(name.get()));
            list('{', '}', names, out, |(name, value), out| {
                out.push_str(name.get());
                out.push(':');
                copy(value.get(), deeper, out)
            })
        }
        (Some(b'['), Some(deeper)) => {
            let values: Vec<&RawValue> = serde_json::from_str(value)?;
            list('[', ']', values, out, |value, out| copy(value.get(), deeper, out))
        }
        (Some(b'{' | b'['), None) => {
            out.push_str(UNREADABLE);
            Ok(())
        }
        _ => {
            let _: &RawValue = serde_json::from_str(value)?;
            out.push_str(if is_readable(value) { value } else { UNREADABLE });
            Ok(())
        }
    }
}

fn is_readable(scalar: &str) -> bool {
    serde_json::from_str::<Value>(scalar).is_ok()
}

fn list<T>(
    open: char,
    close: char,
    parts: impl IntoIterator<Item = T>,
    out: &mut String,
    mut copy: impl FnMut(T, &mut String) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    out.push(open);
    for (index, part) in parts.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        copy(part, out)?;
    }
    out.push(close);
    Ok(())
}

/// An object's names and values as they are written. A name that stands twice is there twice.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Vec<(&'de RawValue, &'de RawValue)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(members)
            }
        }

        from.deserialize_map(Object).map(Members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_cannot_be_read_is_replaced() {
        let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
        for (text, read) in [
            (
                r#" {"a":1, "b":[true,null,"x"]} "#,
                r#"{"a":1,"b":[true,null,"x"]}"#,
            ),
            (r#"{"a":1e400,"a":-1e999}"#, r#"{"a":{},"a":{}}"#),
            (
                r#"{"a":{"b":["\ud800","\ud83d\ude00"]}}"#,
                r#"{"a":{"b":[{},"\ud83d\ude00"]}}"#,
            ),
            (r#"{"\udfff":1,"b":2}"#, r#"{"b":2}"#),
            (&deep, "[[[[[[[[{}]]]]]]]]"),
        ] {
            assert_eq!(readable(text).unwrap(), read);
            assert!(serde_json::from_str::<Value>(read).is_ok());
        }
    }

    #[test]
    fn what_is_not_json_stays_an_error() {
        for text in [
            "",
            "{",
            "nul",
            r#"{"a":01}"#,
            r#"{"a":1}{}"#,
            r#"{"a":1e}"#,
            r#"{"a":NaN}"#,
        ] {
            assert!(readable(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_an_error() {
        let nested = |levels| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(readable(&nested(MAX_NESTING)).is_ok());
        assert!(readable(&nested(MAX_NESTING + 1)).is_err());
        let brackets_in_text = format!(r#"{{"a":"\"{}","b":1e400}}"#, "[".repeat(500));
        assert!(readable(&brackets_in_text).is_ok());
    }

    proptest! {
        #[test]
        fn what_can_be_read_reads_the_same(text in "[{}\\[\\]\":,a-z0-9e.\\\\-]{0,60}") {
            if let Ok(value) = serde_json::from_str::<Value>(&text) {
                prop_assert_eq!(serde_json::from_str::<Value>(&readable(&text).unwrap()).unwrap(), value);
            }
        }
    }
}
