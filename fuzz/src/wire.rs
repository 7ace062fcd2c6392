//! Messages of both directions, from any bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use streamium_channel::message::{
    ConsumerMessage, DecodeError, MAX_MESSAGE, ProviderMessage, decode, encode,
};

/// An error code that is not known is written as `other`, so a message may grow by this much.
const GROWTH: usize = "other".len();

/// What a provider's driver does with what a consumer sends.
pub fn consumer(data: &[u8]) {
    if let Some(message) = text(data) {
        unchanged::<ConsumerMessage>(&message, &ConsumerMessage::Unknown);
    }
}

/// What a consumer's driver does with what a provider sends.
pub fn provider(data: &[u8]) {
    let Some(message) = text(data) else { return };
    let Some(ProviderMessage::Terms { terms, .. }) =
        unchanged::<ProviderMessage>(&message, &ProviderMessage::Unknown)
    else {
        return;
    };
    // What is signed is what was read: the form names every field of it.
    assert!(!terms.canonical_form().is_empty());
    let again = decode::<ProviderMessage>(&message);
    let Ok(ProviderMessage::Terms { terms: twin, .. }) = again else {
        panic!("terms are terms: {again:?}");
    };
    assert_eq!(terms.canonical_form(), twin.canonical_form());
}

fn text(data: &[u8]) -> Option<String> {
    String::from_utf8(data.to_vec()).ok()
}

/// What decodes is the same once encoded and decoded again.
fn unchanged<M>(text: &str, unknown: &M) -> Option<M>
where
    M: Serialize + DeserializeOwned + PartialEq + Debug,
{
    let message = match decode::<M>(text) {
        Ok(message) => message,
        Err(DecodeError::TooLong(length)) => {
            assert!(length > MAX_MESSAGE);
            return None;
        }
        Err(DecodeError::Json(words)) => {
            assert!(!words.chars().any(char::is_control), "for people: {words:?}");
            return None;
        }
    };
    if message == *unknown {
        assert!(encode(&message).is_err(), "an unknown type is never sent");
        return None;
    }
    let encoded = encode(&message).expect("what was read can be written");
    assert!(encoded.len() <= MAX_MESSAGE + GROWTH, "{} bytes", encoded.len());
    if encoded.len() <= MAX_MESSAGE {
        let again = decode::<M>(&encoded).expect("what was written can be read");
        assert_eq!(again, message);
        assert_eq!(encode(&again).expect("again"), encoded);
    }
    Some(message)
}
