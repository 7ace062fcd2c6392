//! The list of producers of a signalling server, of which only those of one name are kept: anybody may register there,
//! with as much metadata as the server takes.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::NAME_FIELD;

/// So many of one name are kept of a list.
const MOST_PRODUCERS: usize = 64;
/// No id is longer.
const MAX_ID_LEN: usize = 256;

/// A message, as far as a listener needs it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub kind: String,
    pub peer_id: Option<String>,
    /// Its metadata has the name that was looked for.
    pub is_of_name: bool,
    pub is_producer: bool,
    /// The ids of a list's producers of that name, in the server's order.
    pub producers: Vec<String>,
}

/// Reads a message; `None` if it is none.
pub fn read(text: &str, name: &str) -> Option<Heard> {
    let wanted = Wanted {
        name,
        keep: MOST_PRODUCERS,
        is_wanted: |producer, name| producer.is_of(name),
    };
    read_as(text, &wanted)
}

/// Whether a list has the producer of this id; `None` if the message is no list.
pub fn has_producer(text: &str, id: &str) -> Option<bool> {
    let wanted = Wanted {
        name: id,
        keep: 1,
        is_wanted: |producer, id| producer.id.as_deref() == Some(id),
    };
    let heard = read_as(text, &wanted)?;
    (heard.kind == "list").then_some(!heard.producers.is_empty())
}

fn read_as(text: &str, wanted: &Wanted<'_>) -> Option<Heard> {
    let mut json = serde_json::Deserializer::from_str(text);
    let heard = Message(wanted).deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(heard)
}

struct Wanted<'a> {
    name: &'a str,
    keep: usize,
    is_wanted: fn(&Producer, &str) -> bool,
}

#[derive(Default)]
struct Producer {
    id: Option<String>,
    name: Option<String>,
}

impl Producer {
    fn is_of(&self, name: &str) -> bool {
        self.name.as_deref() == Some(name)
    }
}

/// Text that is kept, if it is text and short.
struct Short;

impl<'de> DeserializeSeed<'de> for Short {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// Answers what is of another kind than looked for, without keeping it.
macro_rules! others {
    ($de:lifetime, $value:expr; $($kind:ident),*) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a message")
        }
        others!(@each $de, $value; $($kind),*);
    };
    (@each $de:lifetime, $value:expr; ) => {};
    (@each $de:lifetime, $value:expr; scalar $(, $kind:ident)*) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> { Ok($value) }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> { Ok($value) }
        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> { Ok($value) }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> { Ok($value) }
        fn visit_unit<E>(self) -> Result<Self::Value, E> { Ok($value) }
        others!(@each $de, $value; $($kind),*);
    };
    (@each $de:lifetime, $value:expr; text $(, $kind:ident)*) => {
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> { Ok($value) }
        others!(@each $de, $value; $($kind),*);
    };
    (@each $de:lifetime, $value:expr; list $(, $kind:ident)*) => {
        fn visit_seq<A: SeqAccess<$de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok($value)
        }
        others!(@each $de, $value; $($kind),*);
    };
    (@each $de:lifetime, $value:expr; map $(, $kind:ident)*) => {
        fn visit_map<A: MapAccess<$de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            Ok($value)
        }
        others!(@each $de, $value; $($kind),*);
    };
}

impl<'de> Visitor<'de> for Short {
    type Value = Option<String>;
    others!('de, None; scalar, list, map);

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok((text.len() <= MAX_ID_LEN).then(|| text.to_owned()))
    }
}

/// The name in metadata.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Option<String>;
    others!('de, None; scalar, text, list);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut name = None;
        while let Some(key) = map.next_key_seed(Short)? {
            if key.as_deref() == Some(NAME_FIELD) {
                name = map.next_value_seed(Short)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(name)
    }
}

/// One of a list.
struct OfList;

impl<'de> DeserializeSeed<'de> for OfList {
    type Value = Producer;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for OfList {
    type Value = Producer;
    others!('de, Producer::default(); scalar, text, list);

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut producer = Producer::default();
        while let Some(key) = map.next_key_seed(Short)? {
            match key.as_deref() {
                Some("id") => producer.id = map.next_value_seed(Short)?,
                Some("meta") => producer.name = map.next_value_seed(Name)?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(producer)
    }
}

struct List<'a>(&'a Wanted<'a>);

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = Vec<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = Vec<String>;
    others!('de, Vec::new(); scalar, text, map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(producer) = list.next_element_seed(OfList)? {
            if kept.len() < self.0.keep && (self.0.is_wanted)(&producer, self.0.name) {
                kept.extend(producer.id);
            }
        }
        Ok(kept)
    }
}

/// Whether a list of roles has the producer's.
struct Roles;

impl<'de> DeserializeSeed<'de> for Roles {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Roles {
    type Value = bool;
    others!('de, false; scalar, text, map);

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = false;
        while let Some(role) = list.next_element_seed(Short)? {
            found |= role.as_deref() == Some("producer");
        }
        Ok(found)
    }
}

struct Message<'a>(&'a Wanted<'a>);

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = Heard;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = Heard;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut heard = Heard::default();
        while let Some(key) = map.next_key_seed(Short)? {
            match key.as_deref() {
                Some("type") => heard.kind = map.next_value_seed(Short)?.unwrap_or_default(),
                Some("peerId") => heard.peer_id = map.next_value_seed(Short)?,
                Some("meta") => {
                    let name = map.next_value_seed(Name)?;
                    heard.is_of_name = name.as_deref() == Some(self.0.name);
                }
                Some("roles") => heard.is_producer = map.next_value_seed(Roles)?,
                Some("producers") => heard.producers = map.next_value_seed(List(self.0))?,
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_those_of_the_name_are_kept() {
        let list = json!({ "type": "list", "producers": [
            { "id": "a", "meta": { "name": "cats", "more": [1, { "name": "cats" }] } },
            { "id": "b", "meta": { "name": "dogs" } },
            { "id": "c", "meta": null }, { "id": "d" }, 7, "x", [], null,
            { "id": 5, "meta": { "name": "cats" } },
            { "meta": { "name": "cats" }, "id": "e" },
        ]});
        let heard = read(&list.to_string(), "cats").unwrap();
        assert_eq!(
            (heard.kind.as_str(), &heard.producers[..]),
            ("list", &["a".to_owned(), "e".to_owned()][..])
        );
        assert_eq!(has_producer(&list.to_string(), "d"), Some(true));
        assert_eq!(has_producer(&list.to_string(), "f"), Some(false));
        let changed = json!({ "type": "peerStatusChanged", "roles": ["listener", "producer"], "peerId": "a",
            "meta": { "name": "cats" } });
        let heard = read(&changed.to_string(), "cats").unwrap();
        assert!(heard.is_producer && heard.is_of_name && heard.peer_id.as_deref() == Some("a"));
        assert_eq!(has_producer(&changed.to_string(), "a"), None);
        for nonsense in ["", "7", "[]", "{", "nonsense"] {
            assert_eq!(read(nonsense, "cats"), None, "{nonsense}");
        }
        assert_eq!(read("{}", "cats"), Some(Heard::default()));
    }

    #[test]
    fn a_long_list_leaves_little() {
        let stranger = json!({ "id": "x", "meta": { "name": "dogs", "bulk": "x".repeat(5 << 20) } });
        let squatter = json!({ "id": "y", "meta": { "name": "cats" } });
        let mut producers = vec![json!({ "id": "right", "meta": { "name": "cats" } }), stranger];
        producers.extend(std::iter::repeat_n(squatter, 10_000));
        let list = json!({ "type": "list", "producers": producers }).to_string();
        let heard = read(&list, "cats").unwrap();
        assert_eq!(heard.producers.len(), MOST_PRODUCERS);
        assert_eq!(heard.producers[0], "right");
        let deep = format!(
            r#"{{"type":"list","producers":{}{}}}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        let _ = read(&deep, "cats");
    }
}
