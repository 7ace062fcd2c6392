//! The consumer's channels, and the transactions it makes for them.

use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, Txid};
use rusqlite::types::Type;
use rusqlite::{Connection, Row, named_params, params};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::ConsumerRecord;

use super::crash::around;
use super::rows::{
    amount, hex, integer, json, read_amount, read_contract, read_index, read_json, read_script, read_text,
    read_transaction, read_u64,
};
use super::{Role, Store, StoreError};

/// How far a channel is with its consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerChannelState {
    /// Being recorded: no byte of its commitment has been sent yet.
    Opening,
    /// It could not be recorded whole, so its commitment was never sent.
    Abandoned,
    /// Its output is not spent for good, as far as is known.
    Open,
    /// A refund has been made and is handed out again until something is buried.
    Refunding,
    /// A spend of it is buried.
    Spent,
    /// Its commitment can't confirm any more: a conflict is buried.
    Void,
}

impl ConsumerChannelState {
    const fn name(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Abandoned => "abandoned",
            Self::Open => "open",
            Self::Refunding => "refunding",
            Self::Spent => "spent",
            Self::Void => "void",
        }
    }
}

/// What a transaction of the consumer's is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MadeFor {
    /// Takes the channel back.
    Refund,
    /// Spends the commitment's change, so that miners take both.
    Child,
}

impl MadeFor {
    const fn name(self) -> &'static str {
        match self {
            Self::Refund => "refund",
            Self::Child => "child",
        }
    }
}

/// A transaction of the consumer's, on record before it was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub tx: Transaction,
    pub fee: Amount,
    /// The tip's height when it was made.
    pub height: u32,
}

/// A channel that may still hold money of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredConsumerChannel {
    pub record: ConsumerRecord,
    /// Where its refunds go, once that has been reserved.
    pub refund_script: Option<ScriptBuf>,
    /// The tip's height when its commitment was first handed out.
    pub committed_height: Option<u32>,
    /// Every refund that was made, the newest last.
    pub refunds: Vec<Made>,
    /// Every child of the commitment that was made, the newest last.
    pub children: Vec<Made>,
}

impl Store {
    /// Records a new channel as [`ConsumerChannelState::Opening`]. Only once it is [`ConsumerChannelState::Open`]
    /// may its commitment be sent to anybody.
    pub fn insert_consumer_channel(
        &mut self,
        record: &ConsumerRecord,
        descriptor: &str,
    ) -> Result<(), StoreError> {
        let _point = around("consumer/insert-channel");
        insert(&self.db, record, descriptor, ConsumerChannelState::Opening)
    }

    /// Records channels from backups, all or none, and never gives out their key indices again.
    ///
    /// # Errors
    /// Also when one of them is on record already.
    pub fn restore_consumer_channels(
        &mut self,
        restored: &[(ConsumerRecord, String)],
    ) -> Result<(), StoreError> {
        let transaction = self.db.transaction()?;
        for (record, descriptor) in restored {
            insert(&transaction, record, descriptor, ConsumerChannelState::Open)?;
            transaction.execute(
                "INSERT INTO key_index (role, next) VALUES (?1, ?2)
                 ON CONFLICT (role) DO UPDATE SET next = max(next, excluded.next)",
                params![Role::Consumer.name(), i64::from(record.key_index) + 1],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// True for a channel on record, whatever its state.
    pub fn has_consumer_channel(&self, outpoint: OutPoint) -> Result<bool, StoreError> {
        let mut statement = self
            .db
            .prepare("SELECT 1 FROM consumer_channel WHERE outpoint = ?1")?;
        Ok(statement.exists([outpoint.to_string()])?)
    }

    /// True when a channel of this commitment is on record and was not abandoned.
    pub fn has_commitment(&self, txid: Txid) -> Result<bool, StoreError> {
        let mut statement = self.db.prepare(
            "SELECT 1 FROM consumer_channel WHERE substr(outpoint, 1, 65) = ?1 AND state != 'abandoned'",
        )?;
        Ok(statement.exists([format!("{txid}:")])?)
    }

    /// Records what has been signed, and the account; what is lower than on record changes nothing.
    pub fn save_paid(
        &mut self,
        outpoint: OutPoint,
        paid: Amount,
        carried: Amount,
        consumed: Msat,
        rate: Rate,
    ) -> Result<(), StoreError> {
        let _point = around("consumer/save-paid");
        let known = self.db.execute(
            // Less carried: the account begins anew with this channel (protocol.md section 4), and so does its count.
            "UPDATE consumer_channel SET paid_sat = max(paid_sat, ?2), carried_sat = ?3,
                consumed_msat = CASE WHEN ?3 < carried_sat THEN ?4 ELSE max(consumed_msat, ?4) END,
                rate_msat_per_s = max(rate_msat_per_s, ?5)
             WHERE outpoint = ?1",
            params![
                outpoint.to_string(),
                amount(paid)?,
                amount(carried)?,
                integer(consumed.to_msat())?,
                integer(rate.msat_per_s())?
            ],
        )?;
        known_or(known, outpoint)
    }

    /// Reserves where a channel's refunds go. The first script stays.
    pub fn save_refund_script(&mut self, outpoint: OutPoint, script: &ScriptBuf) -> Result<(), StoreError> {
        let _point = around("consumer/save-refund-script");
        let known = self.db.execute(
            "UPDATE consumer_channel SET refund_script = coalesce(refund_script, ?2) WHERE outpoint = ?1",
            params![outpoint.to_string(), script.to_hex_string()],
        )?;
        known_or(known, outpoint)
    }

    /// Records since when the commitment may confirm. The first height stays.
    pub fn save_committed_height(&mut self, outpoint: OutPoint, height: u32) -> Result<(), StoreError> {
        let _point = around("consumer/save-committed-height");
        let known = self.db.execute(
            "UPDATE consumer_channel SET committed_height = coalesce(committed_height, ?2) WHERE outpoint = ?1",
            params![outpoint.to_string(), height],
        )?;
        known_or(known, outpoint)
    }

    /// Records a transaction before it is broadcast. All are kept: any of them may be the one that confirms.
    pub fn insert_consumer_transaction(
        &mut self,
        outpoint: OutPoint,
        made_for: MadeFor,
        made: &Made,
    ) -> Result<(), StoreError> {
        let _point = around("consumer/insert-transaction");
        let transaction = self.db.transaction()?;
        transaction.execute(
            "INSERT OR IGNORE INTO consumer_transaction (txid, outpoint, made_height, kind, fee_sat, tx)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![
                made.tx.compute_txid().to_string(),
                outpoint.to_string(),
                made.height,
                made_for.name(),
                amount(made.fee)?,
                hex(&made.tx)
            ],
        )?;
        if made_for == MadeFor::Refund {
            transaction.execute(
                "UPDATE consumer_channel SET state = 'refunding' WHERE outpoint = ?1",
                [outpoint.to_string()],
            )?;
        }
        Ok(transaction.commit()?)
    }

    /// Records how far a channel is, and what spent it.
    pub fn set_consumer_state(
        &mut self,
        outpoint: OutPoint,
        state: ConsumerChannelState,
        spent_by: Option<Txid>,
    ) -> Result<(), StoreError> {
        let _point = around("consumer/set-state");
        let known = self.db.execute(
            "UPDATE consumer_channel SET state = ?2, spent_by = coalesce(?3, spent_by) WHERE outpoint = ?1",
            params![
                outpoint.to_string(),
                state.name(),
                spent_by.map(|txid| txid.to_string())
            ],
        )?;
        known_or(known, outpoint)
    }

    /// All channels that may still hold our money, and the outpoints of rows that can't be read.
    pub fn unspent(&self) -> Result<(Vec<StoredConsumerChannel>, Vec<String>), StoreError> {
        self.channels_where("state IN ('open', 'refunding') ORDER BY opened_at")
    }

    /// The channels whose recording was cut off: their commitments were never sent.
    pub fn cut_off(&self) -> Result<(Vec<StoredConsumerChannel>, Vec<String>), StoreError> {
        self.channels_where("state = 'opening'")
    }

    /// One channel, whatever its state.
    pub fn consumer_channel(&self, outpoint: OutPoint) -> Result<StoredConsumerChannel, StoreError> {
        let mut statement = self
            .db
            .prepare("SELECT * FROM consumer_channel WHERE outpoint = ?1")?;
        let mut rows = statement.query([outpoint.to_string()])?;
        let row = rows.next()?.ok_or(StoreError::Unknown(outpoint))?;
        Ok(self.read_consumer_channel(row)?)
    }

    fn channels_where(
        &self,
        condition: &str,
    ) -> Result<(Vec<StoredConsumerChannel>, Vec<String>), StoreError> {
        let mut statement = self
            .db
            .prepare(&format!("SELECT * FROM consumer_channel WHERE {condition}"))?;
        let mut rows = statement.query([])?;
        let (mut channels, mut damaged) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            match self.read_consumer_channel(row) {
                Ok(channel) => channels.push(channel),
                Err(_) => damaged.push(row.get("outpoint").unwrap_or_default()),
            }
        }
        Ok((channels, damaged))
    }

    fn read_consumer_channel(&self, row: &Row<'_>) -> rusqlite::Result<StoredConsumerChannel> {
        let record = ConsumerRecord {
            contract: read_contract(row)?,
            outpoint: read_text(row, "outpoint")?,
            key_index: read_index(row)?,
            link: row.get("link")?,
            commitment: read_transaction(row, "commitment")?,
            paid: read_amount(row, "paid_sat")?,
            carried: read_amount(row, "carried_sat")?,
            consumed: Msat::new(read_u64(row, "consumed_msat")?),
            rate: Rate::new(read_u64(row, "rate_msat_per_s")?),
            agreed: read_json(row, "agreed")?,
        };
        let mut refunds = first_refund(row, &record)?;
        refunds.extend(self.made(record.outpoint, MadeFor::Refund)?);
        Ok(StoredConsumerChannel {
            refund_script: read_script(row, "refund_script")?,
            committed_height: row.get("committed_height")?,
            children: self.made(record.outpoint, MadeFor::Child)?,
            refunds,
            record,
        })
    }

    fn made(&self, outpoint: OutPoint, made_for: MadeFor) -> rusqlite::Result<Vec<Made>> {
        let mut statement = self
            .db
            .prepare("SELECT * FROM consumer_transaction WHERE outpoint = ?1 AND kind = ?2 ORDER BY rowid")?;
        let rows = statement.query_map(params![outpoint.to_string(), made_for.name()], |row| {
            Ok(Made {
                tx: read_transaction(row, "tx")?,
                fee: read_amount(row, "fee_sat")?,
                height: row.get("made_height")?,
            })
        })?;
        rows.collect()
    }
}

/// Up to the second version of the file there was one refund, in the channel's row.
fn first_refund(row: &Row<'_>, record: &ConsumerRecord) -> rusqlite::Result<Vec<Made>> {
    if row.get::<_, Option<String>>("refund")?.is_none() {
        return Ok(Vec::new());
    }
    let tx = read_transaction(row, "refund")?;
    let paid = tx.output.iter().map(|output| output.value).sum();
    let fee = record.contract.capacity().checked_sub(paid);
    let fee = fee.ok_or_else(|| rusqlite::Error::InvalidColumnType(0, "refund".into(), Type::Text))?;
    Ok(vec![Made { tx, fee, height: 0 }])
}

fn insert(
    db: &Connection,
    record: &ConsumerRecord,
    descriptor: &str,
    state: ConsumerChannelState,
) -> Result<(), StoreError> {
    let contract = &record.contract;
    db.execute(
        "INSERT INTO consumer_channel (outpoint, link, consumer_key, provider_key, key_index,
            refund_delay_blocks, capacity_sat, change_script, descriptor, commitment, state, rate_msat_per_s, agreed)
         VALUES (:outpoint, :link, :consumer_key, :provider_key, :key_index, :delay, :capacity, :change,
            :descriptor, :commitment, :state, :rate, :agreed)",
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
            ":state": state.name(),
            ":rate": integer(record.rate.msat_per_s())?,
            ":agreed": record.agreed.as_ref().map(json).transpose()?,
        },
    )?;
    Ok(())
}

fn known_or(known: usize, outpoint: OutPoint) -> Result<(), StoreError> {
    if known == 0 {
        Err(StoreError::Unknown(outpoint))
    } else {
        Ok(())
    }
}
