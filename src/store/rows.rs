//! Columns from and to typed values.

use std::str::FromStr;

use bitcoin::consensus::encode::{deserialize_hex, serialize_hex};
use bitcoin::{Amount, ScriptBuf, Transaction};
use rusqlite::Row;
use rusqlite::types::Type;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::Contract;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::script::ChangeScript;

use super::StoreError;

type Result<T> = rusqlite::Result<T>;

/// SQLite's integers are signed.
pub(super) fn integer(value: u64) -> std::result::Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Range)
}

pub(super) fn amount(value: Amount) -> std::result::Result<i64, StoreError> {
    integer(value.to_sat())
}

pub(super) fn hex(transaction: &Transaction) -> String {
    serialize_hex(transaction)
}

/// A value that does not parse: the row is damaged.
pub(super) fn damaged<E: std::error::Error + Send + Sync + 'static>(
    kind: Type,
) -> impl FnOnce(E) -> rusqlite::Error {
    move |error| rusqlite::Error::FromSqlConversionFailure(0, kind, Box::new(error))
}

pub(super) fn read_u64(row: &Row<'_>, column: &str) -> Result<u64> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(damaged(Type::Integer))
}

pub(super) fn read_amount(row: &Row<'_>, column: &str) -> Result<Amount> {
    read_u64(row, column).map(Amount::from_sat)
}

pub(super) fn read_index(row: &Row<'_>) -> Result<u32> {
    u32::try_from(row.get::<_, i64>("key_index")?).map_err(damaged(Type::Integer))
}

pub(super) fn read_text<T>(row: &Row<'_>, column: &str) -> Result<T>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    row.get::<_, String>(column)?.parse().map_err(damaged(Type::Text))
}

pub(super) fn read_optional<T>(row: &Row<'_>, column: &str) -> Result<Option<T>>
where
    T: FromStr,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let text = row.get::<_, Option<String>>(column)?;
    text.map(|text| text.parse().map_err(damaged(Type::Text)))
        .transpose()
}

pub(super) fn read_transaction(row: &Row<'_>, column: &str) -> Result<Transaction> {
    deserialize_hex(&row.get::<_, String>(column)?).map_err(damaged(Type::Text))
}

/// A script in hexadecimal, where there is one.
pub(super) fn read_script(row: &Row<'_>, column: &str) -> Result<Option<ScriptBuf>> {
    let text = row.get::<_, Option<String>>(column)?;
    text.map(|text| ScriptBuf::from_hex(&text).map_err(damaged(Type::Text)))
        .transpose()
}

/// A value that is kept as JSON.
pub(super) fn json<T: serde::Serialize>(value: &T) -> std::result::Result<String, StoreError> {
    serde_json::to_string(value).map_err(|_| StoreError::Range)
}

/// One that is kept as JSON. What can't be read counts as not there: it must keep no channel from its refund.
pub(super) fn read_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: &str) -> Result<Option<T>> {
    let text = row.get::<_, Option<String>>(column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
}

/// The agreed parts, checked as if a peer had sent them.
pub(super) fn read_contract(row: &Row<'_>) -> Result<Contract> {
    let keys = ChannelKeys::new(read_text(row, "consumer_key")?, read_text(row, "provider_key")?)
        .map_err(damaged(Type::Text))?;
    let delay = u16::try_from(row.get::<_, i64>("refund_delay_blocks")?).map_err(damaged(Type::Integer))?;
    let delay = RefundDelay::new(delay).map_err(damaged(Type::Integer))?;
    let change = ScriptBuf::from_hex(&row.get::<_, String>("change_script")?).map_err(damaged(Type::Text))?;
    let change = ChangeScript::new(change).map_err(damaged(Type::Text))?;
    Contract::new(keys, delay, read_amount(row, "capacity_sat")?, change).map_err(damaged(Type::Integer))
}
