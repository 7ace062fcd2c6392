//! The provider's channels and settlements.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use rusqlite::{Row, named_params, params};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::{PaymentRecord, ProviderRecord};

use super::crash::around;
use super::rows::{
    amount, hex, integer, read_amount, read_contract, read_index, read_optional, read_text, read_transaction,
    read_u64,
};
use super::{Store, StoreError};

/// How far a channel is with its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderChannelState {
    /// A session pays through it, or did when the process died: then it is due as well.
    Open,
    /// To be settled.
    Due,
    /// A settlement has been made and is handed out again until it is buried.
    Settling,
    /// The settlement is buried.
    Settled,
    /// Nothing was ever paid: there is nothing to settle.
    Unpaid,
    /// Something else spent it, buried: a refund, or a commitment that never was.
    Lost,
}

impl ProviderChannelState {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Due => "due",
            Self::Settling => "settling",
            Self::Settled => "settled",
            Self::Unpaid => "unpaid",
            Self::Lost => "lost",
        }
    }
}

/// A channel that may still move money, with the settlements made for it, the newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProviderChannel {
    pub record: ProviderRecord,
    /// A session pays through it, or did until its connection was lost.
    pub is_open: bool,
    pub settlements: Vec<Transaction>,
}

impl Store {
    /// Records a new channel.
    pub fn insert_provider_channel(&mut self, record: &ProviderRecord) -> Result<(), StoreError> {
        let _point = around("provider/insert-channel");
        let contract = &record.contract;
        self.db.execute(
            "INSERT INTO provider_channel (outpoint, stream, rate_msat_per_s, consumer_key, provider_key,
                key_index, refund_delay_blocks, capacity_sat, change_script, commitment)
             VALUES (:outpoint, :stream, :rate, :consumer_key, :provider_key, :key_index, :delay, :capacity,
                :change, :commitment)",
            named_params! {
                ":outpoint": record.outpoint.to_string(),
                ":stream": record.stream,
                ":rate": integer(record.rate.msat_per_s())?,
                ":consumer_key": contract.keys().consumer().to_string(),
                ":provider_key": contract.keys().provider().to_string(),
                ":key_index": record.key_index,
                ":delay": contract.delay().blocks(),
                ":capacity": amount(contract.capacity())?,
                ":change": contract.change().script().to_hex_string(),
                ":commitment": hex(&record.commitment),
            },
        )?;
        Ok(())
    }

    /// Records how far a channel is, and what spent it.
    pub fn set_provider_state(
        &mut self,
        outpoint: OutPoint,
        state: ProviderChannelState,
        spent_by: Option<Txid>,
    ) -> Result<(), StoreError> {
        let _point = around("provider/set-state");
        let known = self.db.execute(
            "UPDATE provider_channel SET state = ?2, spent_by = coalesce(?3, spent_by) WHERE outpoint = ?1",
            params![
                outpoint.to_string(),
                state.name(),
                spent_by.map(|txid| txid.to_string())
            ],
        )?;
        if known == 0 {
            Err(StoreError::Unknown(outpoint))
        } else {
            Ok(())
        }
    }

    /// Records a settlement or a cooperative close before it is broadcast. Every variant is kept.
    pub fn insert_settlement(
        &mut self,
        outpoint: OutPoint,
        kind: &'static str,
        tx: &Transaction,
        payout: Amount,
        fee: Amount,
    ) -> Result<(), StoreError> {
        let _point = around("provider/insert-settlement");
        let transaction = self.db.transaction()?;
        transaction.execute(
            "INSERT OR IGNORE INTO settlement (txid, outpoint, kind, payout_sat, fee_sat, tx)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                tx.compute_txid().to_string(),
                outpoint.to_string(),
                kind,
                amount(payout)?,
                amount(fee)?,
                hex(tx)
            ],
        )?;
        transaction.execute(
            "UPDATE provider_channel SET state = 'settling' WHERE outpoint = ?1",
            [outpoint.to_string()],
        )?;
        Ok(transaction.commit()?)
    }

    /// One channel, whatever its state.
    pub fn provider_channel(&self, outpoint: OutPoint) -> Result<StoredProviderChannel, StoreError> {
        let mut statement = self
            .db
            .prepare("SELECT * FROM provider_channel WHERE outpoint = ?1")?;
        let mut rows = statement.query([outpoint.to_string()])?;
        let row = rows.next()?.ok_or(StoreError::Unknown(outpoint))?;
        Ok(StoredProviderChannel {
            is_open: is_open(row)?,
            record: read_record(row)?,
            settlements: self.settlements(outpoint)?,
        })
    }

    /// All channels that may still move money, and the outpoints of rows that can't be read.
    pub fn unsettled(&self) -> Result<(Vec<StoredProviderChannel>, Vec<String>), StoreError> {
        let mut statement = self.db.prepare(
            "SELECT * FROM provider_channel WHERE state IN ('open', 'due', 'settling') ORDER BY opened_at",
        )?;
        let mut rows = statement.query([])?;
        let (mut channels, mut damaged) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            match read_record(row).and_then(|record| Ok((self.settlements(record.outpoint)?, record))) {
                Ok((settlements, record)) => channels.push(StoredProviderChannel {
                    is_open: is_open(row)?,
                    record,
                    settlements,
                }),
                Err(_) => damaged.push(row.get("outpoint").unwrap_or_default()),
            }
        }
        Ok((channels, damaged))
    }

    /// All that was ever paid to this provider, fees not deducted.
    pub fn earned(&self) -> Result<Amount, StoreError> {
        let sum = self.db.query_row(
            "SELECT coalesce(sum(balance_sat), 0) FROM provider_channel WHERE state != 'lost'",
            [],
            |row| row.get::<_, i64>(0),
        )?;
        u64::try_from(sum)
            .map(Amount::from_sat)
            .map_err(|_| StoreError::Range)
    }

    fn settlements(&self, outpoint: OutPoint) -> rusqlite::Result<Vec<Transaction>> {
        let mut statement = self
            .db
            .prepare("SELECT tx FROM settlement WHERE outpoint = ?1 ORDER BY made_at, rowid")?;
        statement
            .query_map([outpoint.to_string()], |row| read_transaction(row, "tx"))?
            .collect()
    }
}

fn is_open(row: &Row<'_>) -> rusqlite::Result<bool> {
    Ok(row.get::<_, String>("state")? == ProviderChannelState::Open.name())
}

fn read_record(row: &Row<'_>) -> rusqlite::Result<ProviderRecord> {
    let cumulative = read_amount(row, "balance_sat")?;
    let best = read_optional(row, "signature")?.map(|signature| PaymentRecord {
        cumulative,
        signature,
    });
    Ok(ProviderRecord {
        contract: read_contract(row)?,
        outpoint: read_text(row, "outpoint")?,
        key_index: read_index(row)?,
        stream: row.get("stream")?,
        rate: Rate::new(read_u64(row, "rate_msat_per_s")?),
        commitment: read_transaction(row, "commitment")?,
        best,
        carried: read_amount(row, "carried_sat")?,
        consumed: Msat::new(read_u64(row, "consumed_msat")?),
    })
}
