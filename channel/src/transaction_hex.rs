//! A transaction as hexadecimal text in a message.
//!
//! Not `bitcoin::consensus::serde`: that panics on bytes that end too early, and a peer sends what it likes.

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(transaction: &Transaction, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&serialize_hex(transaction))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Transaction, D::Error> {
    let hex = String::deserialize(deserializer)?;
    deserialize_hex(&hex).map_err(serde::de::Error::custom)
}
