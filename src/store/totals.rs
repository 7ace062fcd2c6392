//! What all channels of a provider add up to, for statistics.

use bitcoin::Amount;
use rusqlite::Connection;

use super::{Store, StoreError};

/// How many channels are how far, and what they are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProviderTotals {
    /// A session pays through them, or may resume them.
    pub open: u64,
    /// Paid, and not settled for good.
    pub to_settle: u64,
    pub to_settle_amount: Amount,
    /// Settled, and the settlement is buried.
    pub settled: u64,
    pub settled_amount: Amount,
    /// What the settlements of the last two cost; of several for one channel the one that counts.
    pub fees: Amount,
}

impl Store {
    /// Adds up what has moved since the last time.
    pub fn provider_totals(&mut self) -> Result<ProviderTotals, StoreError> {
        let totals = match self.totals {
            Some(totals) => totals,
            None => add_up(&self.db)?,
        };
        self.totals = Some(totals);
        Ok(totals)
    }
}

fn add_up(db: &Connection) -> Result<ProviderTotals, StoreError> {
    let (open, _) = count(db, "'open'")?;
    let (to_settle, to_settle_amount) = count(db, "'due', 'settling'")?;
    let (settled, settled_amount) = count(db, "'settled'")?;
    let fees = "SELECT coalesce(sum(fee_sat), 0) FROM earnings WHERE state IN ('settling', 'settled')";
    Ok(ProviderTotals {
        open,
        to_settle,
        to_settle_amount,
        settled,
        settled_amount,
        fees: Amount::from_sat(unsigned(db.query_row(fees, [], |row| row.get(0))?)?),
    })
}

fn count(db: &Connection, states: &str) -> Result<(u64, Amount), StoreError> {
    let query = format!(
        "SELECT count(*), coalesce(sum(balance_sat), 0) FROM provider_channel WHERE state IN ({states})"
    );
    let (count, sat) = db.query_row(&query, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok((unsigned(count)?, Amount::from_sat(unsigned(sat)?)))
}

fn unsigned(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Range)
}
