//! Transactions in messages: hexadecimal. Not `bitcoin::consensus::serde::With`, whose reader panics at a
//! transaction that ends too early.

use bitcoin::Transaction;
use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(transaction: &Transaction, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&serialize_hex(transaction))
}

/// The whole text is one transaction, or it is an error.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Transaction, D::Error> {
    deserialize_hex(&String::deserialize(from)?).map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use crate::message::{ConsumerMessage, decode};

    #[test]
    fn a_transaction_that_is_cut_off_anywhere_is_an_error() {
        let whole = "02000000000101090909090909090909090909090909090909090909090909090909090909090901000000\
                     00fdffffff011027000000000000225120f26877373a6b3125fd8877251290c3c9fb5dfa19fc45718dba8b5375c2cc4317\
                     0102abcd00000000";
        let message = |hex: &str| format!(r#"{{"type":"commitment","output":0,"transaction":"{hex}"}}"#);
        assert!(decode::<ConsumerMessage>(&message(whole)).is_ok());
        for length in 0..whole.len() {
            assert!(
                decode::<ConsumerMessage>(&message(&whole[..length])).is_err(),
                "{length}"
            );
        }
        assert!(decode::<ConsumerMessage>(&message(&format!("{whole}00"))).is_err());
    }
}
