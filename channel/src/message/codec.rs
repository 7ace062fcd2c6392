//! Messages from text and to text, and what of a peer's words may be shown.

use super::tolerant::readable;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

/// The longest message, in bytes of UTF-8: what a data channel of GStreamer carries in one piece.
pub const MAX_MESSAGE: usize = 65_536;

/// The longest text that is repeated from a peer's message to a person, in characters.
pub const MAX_WORDS: usize = 200;

/// Why text is no message.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// More than [`MAX_MESSAGE`] bytes.
    #[error("the message has {0} bytes; it may have {MAX_MESSAGE}")]
    TooLong(usize),
    /// Not JSON of a known form.
    #[error("not a message: {0}")]
    Json(String),
}

/// Reads a message.
///
/// # Errors
/// See [`DecodeError`]. A type that is not known is no error but `Unknown`, and a field that is not known may hold
/// anything.
pub fn decode<M: DeserializeOwned>(text: &str) -> Result<M, DecodeError> {
    if text.len() > MAX_MESSAGE {
        return Err(DecodeError::TooLong(text.len()));
    }
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&readable(text)?))
        .map_err(|e| DecodeError::Json(words(&e.to_string())))
}

/// Writes a message.
///
/// # Errors
/// Never for messages of this crate; serde_json wants it said.
pub fn encode<M: Serialize>(message: &M) -> Result<String, DecodeError> {
    serde_json::to_string(message).map_err(|e| DecodeError::Json(e.to_string()))
}

/// A peer's words as they may be shown: no control characters, at most [`MAX_WORDS`] characters.
pub fn words(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{ConsumerMessage, ErrorCode, ProviderMessage};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn unknown_fields_are_ignored_and_unknown_types_known_as_such() {
        let ping = decode::<ConsumerMessage>(r#"{"type":"ping","later":[1,{"x":null}]}"#);
        assert_eq!(ping, Ok(ConsumerMessage::Ping));
        let later = decode::<ConsumerMessage>(r#"{"type":"teleport","to":7}"#);
        assert_eq!(later, Ok(ConsumerMessage::Unknown));
        let code = decode::<ProviderMessage>(r#"{"type":"error","code":"zap","words":"x"}"#);
        assert!(matches!(
            code,
            Ok(ProviderMessage::Error {
                code: ErrorCode::Other,
                ..
            })
        ));
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let long = format!(r#"{{"type":"ping","pad":"{}"}}"#, "x".repeat(MAX_MESSAGE));
        for text in ["", "null", "[]", "{}", "{\"type\":7}", "\"ping\"", &deep, &long] {
            assert!(decode::<ConsumerMessage>(text).is_err(), "{}", words(text));
            assert!(decode::<ProviderMessage>(text).is_err(), "{}", words(text));
        }
    }

    #[test]
    fn a_transaction_that_ends_too_early_is_an_error() {
        for hex in [
            "",
            "0",
            "zz",
            "02",
            "0200000000",
            "020000000001",
            &"00".repeat(64),
        ] {
            let text = format!(r#"{{"type":"commitment","transaction":"{hex}","output":0}}"#);
            assert!(decode::<ConsumerMessage>(&text).is_err(), "{hex}");
        }
    }

    const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn an_open_with_impossible_parts_is_refused_when_read() {
        let good = format!(
            r#"{{"type":"open","capacity_sat":50000,"consumer_key":"{}","change_script":"5120{}","refund_delay_blocks":288}}"#,
            KEY,
            "11".repeat(32)
        );
        assert!(decode::<ConsumerMessage>(&good).is_ok());
        for (from, to) in [
            ("288", "0"),
            ("288", "65536"),
            ("288", "4194592"),
            (KEY, &"ff".repeat(32)),
            ("5120", "0020"),
            ("5120", "5220"),
            ("50000", "-1"),
            ("50000", "0.5"),
        ] {
            assert!(
                decode::<ConsumerMessage>(&good.replacen(from, to, 1)).is_err(),
                "{from} -> {to}"
            );
        }
    }

    #[test]
    fn a_peers_words_are_tamed() {
        let tamed = words(&format!("a\u{1b}[31m\nb{}", "x".repeat(1_000)));
        assert!(tamed.starts_with("a[31mb") && tamed.chars().count() == MAX_WORDS);
    }

    proptest! {
        #[test]
        fn nothing_panics(text in "\\PC{0,200}", fields in "[{}\\[\\]\":,a-z0-9]{0,200}") {
            let _ = decode::<ConsumerMessage>(&text);
            let _ = decode::<ProviderMessage>(&fields);
            let _ = decode::<ConsumerMessage>(&format!("{{\"type\":\"payment\",{fields}}}"));
        }
    }
}
