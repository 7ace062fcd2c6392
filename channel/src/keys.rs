//! The two keys of a channel.

use bitcoin::XOnlyPublicKey;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The consumer's and the provider's channel key: valid x-only points, and not the same one.
///
/// A key is 32 bytes and a point on the curve by its type: under BIP342 a key of any other length is of an
/// unknown type, whose signature check always passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "UncheckedKeys")]
pub struct ChannelKeys {
    consumer: XOnlyPublicKey,
    provider: XOnlyPublicKey,
}

#[derive(Deserialize)]
struct UncheckedKeys {
    consumer: XOnlyPublicKey,
    provider: XOnlyPublicKey,
}

/// Why two keys make no channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum KeysError {
    /// One party would hold both keys.
    #[error("consumer and provider key are the same")]
    Equal,
}

impl ChannelKeys {
    /// Pairs the keys.
    ///
    /// # Errors
    /// When they are equal.
    pub fn new(consumer: XOnlyPublicKey, provider: XOnlyPublicKey) -> Result<Self, KeysError> {
        if consumer == provider {
            return Err(KeysError::Equal);
        }
        Ok(Self { consumer, provider })
    }

    /// The consumer's key.
    pub const fn consumer(&self) -> XOnlyPublicKey {
        self.consumer
    }

    /// The provider's key.
    pub const fn provider(&self) -> XOnlyPublicKey {
        self.provider
    }
}

impl TryFrom<UncheckedKeys> for ChannelKeys {
    type Error = KeysError;

    fn try_from(keys: UncheckedKeys) -> Result<Self, KeysError> {
        Self::new(keys.consumer, keys.provider)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_are_refused() {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
            .parse()
            .unwrap();
        assert_eq!(ChannelKeys::new(key, key), Err(KeysError::Equal));
        let json = format!(r#"{{"consumer":"{key}","provider":"{key}"}}"#);
        assert!(serde_json::from_str::<ChannelKeys>(&json).is_err());
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        for bad in ["", "00", &"00".repeat(32), &"ff".repeat(32), &"79".repeat(33)] {
            assert!(bad.parse::<XOnlyPublicKey>().is_err(), "{bad}");
        }
    }
}
