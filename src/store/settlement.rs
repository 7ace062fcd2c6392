//! Settlements, whole batches of them, and the payout indices they take.

use bitcoin::{Amount, OutPoint, Transaction};
use rusqlite::types::Type;
use rusqlite::{Row, TransactionBehavior, params};

use super::crash::around;
use super::rows::{amount, damaged, hex, integer, read_amount, read_transaction, read_u64};
use super::{Store, StoreError};

/// What kind of spend a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettlementKind {
    /// The provider cashes payments.
    Settlement,
    /// Both sides closed the channel.
    Cooperative,
}

impl SettlementKind {
    const fn name(self) -> &'static str {
        match self {
            Self::Settlement => "settlement",
            Self::Cooperative => "cooperative",
        }
    }
}

/// A transaction to be recorded before it is broadcast.
#[derive(Clone, Copy, Debug)]
pub struct NewSettlement<'a> {
    pub kind: SettlementKind,
    pub transaction: &'a Transaction,
    /// The channels it spends.
    pub channels: &'a [OutPoint],
    pub payout: Amount,
    pub fee: Amount,
    pub payout_address: Option<&'a str>,
    pub payout_index: Option<u32>,
    /// The height of the best block.
    pub made_height: u32,
}

/// A transaction on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSettlement {
    pub kind: SettlementKind,
    pub transaction: Transaction,
    /// What the provider gets.
    pub payout: Amount,
    pub fee: Amount,
    pub payout_index: Option<u32>,
    pub made_height: u32,
    /// In which order the transactions of a store were made.
    pub order: i64,
}

impl Store {
    /// Records a settlement or a cooperative close before it is broadcast, with all channels that it spends; from then
    /// on they are settling. Every variant is kept. Recording one again changes nothing.
    pub fn insert_settlement(&mut self, new: &NewSettlement<'_>) -> Result<(), StoreError> {
        let _point = around("provider/insert-settlement");
        self.totals = None;
        let txid = new.transaction.compute_txid().to_string();
        let transaction = self.db.transaction()?;
        transaction.execute(
            "INSERT OR IGNORE INTO settlement
                (txid, made_height, kind, payout_sat, fee_sat, payout_address, payout_index, tx)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                txid,
                new.made_height,
                new.kind.name(),
                amount(new.payout)?,
                amount(new.fee)?,
                new.payout_address,
                new.payout_index,
                hex(new.transaction)
            ],
        )?;
        for (outpoint, share) in new.channels.iter().zip(shares(new.fee, new.channels.len())) {
            transaction.execute(
                "INSERT OR IGNORE INTO settlement_input (txid, outpoint, fee_share_sat) VALUES (?1, ?2, ?3)",
                params![txid, outpoint.to_string(), integer(share)?],
            )?;
            let known = transaction.execute(
                "UPDATE provider_channel SET state = 'settling' WHERE outpoint = ?1",
                [outpoint.to_string()],
            )?;
            if known == 0 {
                return Err(StoreError::Unknown(*outpoint));
            }
        }
        Ok(transaction.commit()?)
    }

    /// Reserves the next index of a payout descriptor for ever, also against other processes.
    pub fn next_payout_index(&mut self, descriptor: &str) -> Result<u32, StoreError> {
        let _point = around("provider/next-payout-index");
        let transaction = self
            .db
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        transaction.execute(
            "INSERT OR IGNORE INTO payout_index (descriptor, next) VALUES (?1, 0)",
            [descriptor],
        )?;
        let next: i64 = transaction.query_row(
            "SELECT next FROM payout_index WHERE descriptor = ?1",
            [descriptor],
            |row| row.get(0),
        )?;
        // BIP32: indices that are not hardened are below 2^31.
        let index = u32::try_from(next).ok().filter(|index| *index < 1 << 31);
        let index = index.ok_or(StoreError::KeysUsedUp)?;
        transaction.execute(
            "UPDATE payout_index SET next = ?2 WHERE descriptor = ?1",
            params![descriptor, i64::from(index) + 1],
        )?;
        transaction.commit()?;
        Ok(index)
    }

    /// All that was made to spend a channel, the newest last.
    pub(super) fn settlements(&self, outpoint: OutPoint) -> rusqlite::Result<Vec<StoredSettlement>> {
        let mut statement = self.db.prepare_cached(
            "SELECT settlement.rowid AS made_order, settlement.*
             FROM settlement JOIN settlement_input USING (txid) WHERE outpoint = ?1 ORDER BY made_order",
        )?;
        statement
            .query_map([outpoint.to_string()], read_settlement)?
            .collect()
    }
}

/// A fee in equal shares, as each channel weighs the same; the first ones carry what does not divide.
fn shares(fee: Amount, channels: usize) -> impl Iterator<Item = u64> {
    let count = u64::try_from(channels).unwrap_or(u64::MAX).max(1);
    let (each, rest) = (fee.to_sat() / count, fee.to_sat() % count);
    (0..count).map(move |index| each + u64::from(index < rest))
}

fn read_settlement(row: &Row<'_>) -> rusqlite::Result<StoredSettlement> {
    let kind = match row.get::<_, String>("kind")?.as_str() {
        "cooperative" => SettlementKind::Cooperative,
        _ => SettlementKind::Settlement,
    };
    let index = row.get::<_, Option<i64>>("payout_index")?;
    let index = index.map(u32::try_from).transpose();
    Ok(StoredSettlement {
        kind,
        transaction: read_transaction(row, "tx")?,
        payout: read_amount(row, "payout_sat")?,
        fee: read_amount(row, "fee_sat")?,
        payout_index: index.map_err(damaged(Type::Integer))?,
        made_height: u32::try_from(read_u64(row, "made_height")?).map_err(damaged(Type::Integer))?,
        order: row.get("made_order")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_of_a_fee_are_the_fee() {
        for (fee, channels) in [(205, 1), (7_605, 50), (10, 3), (0, 2), (2, 5)] {
            let found: Vec<_> = shares(Amount::from_sat(fee), channels).collect();
            assert_eq!((found.iter().sum::<u64>(), found.len()), (fee, channels));
            assert!(found.iter().max().unwrap() - found.iter().min().unwrap() <= 1);
        }
    }
}
