//! The provider's accounts: payments, and what they carry from one channel to the next.

use bitcoin::OutPoint;
use rusqlite::{Transaction, params};
use streamium_channel::provider::AccountRecord;

use super::crash::around;
use super::rows::{amount, integer};
use super::{Store, StoreError};

impl Store {
    /// Records payments and accounts, all or none. A balance or a count that is lower than what is on record
    /// changes nothing: neither ever goes back.
    pub fn save_accounts(&mut self, accounts: &[AccountRecord]) -> Result<(), StoreError> {
        let _point = around("provider/save-accounts");
        let transaction = self.db.transaction()?;
        for account in accounts {
            save(&transaction, account)?;
        }
        Ok(transaction.commit()?)
    }

    /// Records that an account goes on with another channel: both accounts, that the old channel has gone on and, where
    /// it was open, that it is due. All or none, so that no crash leaves its credit with both.
    pub fn switch_account(&mut self, from: &AccountRecord, to: &AccountRecord) -> Result<(), StoreError> {
        let _point = around("provider/switch-account");
        self.totals = None;
        let transaction = self.db.transaction()?;
        save(&transaction, from)?;
        save(&transaction, to)?;
        let known = transaction.execute(
            "UPDATE provider_channel SET went_on_to = ?2,
                state = CASE WHEN state = 'open' THEN 'due' ELSE state END
             WHERE outpoint = ?1",
            [from.outpoint.to_string(), to.outpoint.to_string()],
        )?;
        found(known, from.outpoint)?;
        Ok(transaction.commit()?)
    }
}

fn save(transaction: &Transaction<'_>, account: &AccountRecord) -> Result<(), StoreError> {
    let outpoint = account.outpoint.to_string();
    let known = transaction.execute(
        "UPDATE provider_channel SET consumed_msat = max(consumed_msat, ?2), carried_sat = max(carried_sat, ?3)
         WHERE outpoint = ?1",
        params![
            outpoint,
            integer(account.consumed.to_msat())?,
            amount(account.carried)?
        ],
    )?;
    found(known, account.outpoint)?;
    if let Some(best) = account.best {
        transaction.execute(
            "UPDATE provider_channel SET balance_sat = ?2, signature = ?3,
                state = CASE WHEN state = 'unpaid' THEN 'open' ELSE state END
             WHERE outpoint = ?1 AND balance_sat < ?2",
            params![outpoint, amount(best.cumulative)?, best.signature.to_string()],
        )?;
    }
    Ok(())
}

fn found(rows: usize, outpoint: OutPoint) -> Result<(), StoreError> {
    match rows {
        0 => Err(StoreError::Unknown(outpoint)),
        _ => Ok(()),
    }
}
