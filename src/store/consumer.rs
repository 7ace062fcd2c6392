//! The consumer's channels and refunds.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use rusqlite::{Row, named_params, params};
use streamium_channel::money::Msat;
use streamium_channel::record::ConsumerRecord;

use super::rows::{
    amount, hex, integer, read_amount, read_contract, read_index, read_text, read_transaction, read_u64,
};
use super::{Store, StoreError};

/// How far a channel is with its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerChannelState {
    /// Its output is not spent, as far as is known.
    Open,
    /// A refund has been made and is handed out again until something is buried.
    Refunding,
    /// A spend of it is buried.
    Spent,
}

impl ConsumerChannelState {
    const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Refunding => "refunding",
            Self::Spent => "spent",
        }
    }
}

/// A channel that may still hold money of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConsumerChannel {
    pub record: ConsumerRecord,
    /// The refund, once it has been made.
    pub refund: Option<Transaction>,
}

impl Store {
    /// Records a new channel, before its commitment is sent to anybody.
    pub fn insert_consumer_channel(
        &mut self,
        record: &ConsumerRecord,
        descriptor: &str,
    ) -> Result<(), StoreError> {
        let contract = &record.contract;
        self.db.execute(
            "INSERT INTO consumer_channel (outpoint, link, consumer_key, provider_key, key_index,
                refund_delay_blocks, capacity_sat, change_script, descriptor, commitment)
             VALUES (:outpoint, :link, :consumer_key, :provider_key, :key_index, :delay, :capacity, :change,
                :descriptor, :commitment)",
            named_params! {
                ":outpoint": record.outpoint.to_string(),
                ":link": record.link,
                ":consumer_key": contract.keys().consumer().to_string(),
                ":provider_key": contract.keys().provider().to_string(),
                ":key_index": record.key_index,
                ":delay": contract.delay().blocks(),
                ":capacity": amount(contract.capacity())?,
                ":change": contract.change().script().to_hex_string(),
                ":descriptor": descriptor,
                ":commitment": hex(&record.commitment),
            },
        )?;
        Ok(())
    }

    /// Records what has been signed, and the account; what is lower than on record changes nothing.
    pub fn save_paid(
        &mut self,
        outpoint: OutPoint,
        paid: Amount,
        carried: Amount,
        consumed: Msat,
    ) -> Result<(), StoreError> {
        let known = self.db.execute(
            // Less carried: the account begins anew with this channel (protocol.md section 4), and so does its count.
            "UPDATE consumer_channel SET paid_sat = max(paid_sat, ?2), carried_sat = ?3,
                consumed_msat = CASE WHEN ?3 < carried_sat THEN ?4 ELSE max(consumed_msat, ?4) END
             WHERE outpoint = ?1",
            params![
                outpoint.to_string(),
                amount(paid)?,
                amount(carried)?,
                integer(consumed.to_msat())?
            ],
        )?;
        if known == 0 {
            Err(StoreError::Unknown(outpoint))
        } else {
            Ok(())
        }
    }

    /// Records a refund before it is broadcast.
    pub fn save_refund(&mut self, outpoint: OutPoint, refund: &Transaction) -> Result<(), StoreError> {
        let known = self.db.execute(
            "UPDATE consumer_channel SET refund = ?2, state = 'refunding' WHERE outpoint = ?1",
            params![outpoint.to_string(), hex(refund)],
        )?;
        if known == 0 {
            Err(StoreError::Unknown(outpoint))
        } else {
            Ok(())
        }
    }

    /// Records how far a channel is, and what spent it.
    pub fn set_consumer_state(
        &mut self,
        outpoint: OutPoint,
        state: ConsumerChannelState,
        spent_by: Option<Txid>,
    ) -> Result<(), StoreError> {
        let known = self.db.execute(
            "UPDATE consumer_channel SET state = ?2, spent_by = coalesce(?3, spent_by) WHERE outpoint = ?1",
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

    /// All channels that may still hold our money, and the outpoints of rows that can't be read.
    pub fn unspent(&self) -> Result<(Vec<StoredConsumerChannel>, Vec<String>), StoreError> {
        let mut statement = self
            .db
            .prepare("SELECT * FROM consumer_channel WHERE state != 'spent' ORDER BY opened_at")?;
        let mut rows = statement.query([])?;
        let (mut channels, mut damaged) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            match read_channel(row) {
                Ok(channel) => channels.push(channel),
                Err(_) => damaged.push(row.get("outpoint").unwrap_or_default()),
            }
        }
        Ok((channels, damaged))
    }
}

fn read_channel(row: &Row<'_>) -> rusqlite::Result<StoredConsumerChannel> {
    let refund = match row.get::<_, Option<String>>("refund")? {
        None => None,
        Some(_) => Some(read_transaction(row, "refund")?),
    };
    let record = ConsumerRecord {
        contract: read_contract(row)?,
        outpoint: read_text(row, "outpoint")?,
        key_index: read_index(row)?,
        link: row.get("link")?,
        commitment: read_transaction(row, "commitment")?,
        paid: read_amount(row, "paid_sat")?,
        carried: read_amount(row, "carried_sat")?,
        consumed: Msat::new(read_u64(row, "consumed_msat")?),
    };
    Ok(StoredConsumerChannel { record, refund })
}
