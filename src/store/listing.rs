//! All channels on record, of both sides, as they are shown to a person. Nothing is decided by it.

use bitcoin::Amount;

use super::rows::read_amount;
use super::{Role, Store, StoreError};

/// A channel as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Whose record it is.
    pub role: Role,
    /// As on record, also where it could not be read as an outpoint.
    pub outpoint: String,
    pub state: String,
    /// UTC.
    pub opened_at: String,
    pub capacity: Amount,
    /// The highest cumulative amount: paid by the consumer, or the provider's balance.
    pub paid: Amount,
    pub refund_delay_blocks: u32,
}

impl Store {
    /// Every channel that was ever opened, the consumer's first, the oldest first.
    pub fn list_channels(&self) -> Result<Vec<Listed>, StoreError> {
        let mut all = self.list(Role::Consumer, "SELECT *, paid_sat AS paid FROM consumer_channel")?;
        all.extend(self.list(
            Role::Provider,
            "SELECT *, balance_sat AS paid FROM provider_channel",
        )?);
        Ok(all)
    }

    fn list(&self, role: Role, select: &str) -> Result<Vec<Listed>, StoreError> {
        let mut statement = self.db.prepare(&format!("{select} ORDER BY opened_at, rowid"))?;
        let rows = statement.query_map([], |row| {
            Ok(Listed {
                role,
                outpoint: row.get("outpoint")?,
                state: row.get("state")?,
                opened_at: row.get("opened_at")?,
                capacity: read_amount(row, "capacity_sat")?,
                paid: read_amount(row, "paid")?,
                refund_delay_blocks: row.get("refund_delay_blocks")?,
            })
        })?;
        Ok(rows.collect::<rusqlite::Result<_>>()?)
    }
}
