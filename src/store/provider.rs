//! The provider's channels.

use bitcoin::{Amount, OutPoint, Txid};
use rusqlite::types::Type;
use rusqlite::{Row, named_params, params};
use streamium_channel::money::{Msat, Rate};
use streamium_channel::record::{PaymentRecord, ProviderRecord};

use super::crash::around;
use super::rows::{
    amount, damaged, hex, integer, read_amount, read_contract, read_index, read_optional, read_text,
    read_transaction, read_u64,
};
use super::settlement::StoredSettlement;
use super::{Store, StoreError};

/// How far a channel is with its provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderChannelState {
    /// A session pays through it, or may resume it.
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
    /// Its refund leaf is open, and it was never worth its settlement.
    Left,
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
            Self::Left => "left",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::Open,
            Self::Due,
            Self::Settling,
            Self::Settled,
            Self::Unpaid,
            Self::Lost,
            Self::Left,
        ];
        all.into_iter().find(|state| state.name() == name)
    }
}

/// A word in the column `state` that is none of its words.
#[derive(Debug, thiserror::Error)]
#[error("\"{0}\" is no state of a channel")]
struct UnknownState(String);

/// A channel with the transactions made to spend it, the newest last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredProviderChannel {
    pub record: ProviderRecord,
    pub state: ProviderChannelState,
    pub settlements: Vec<StoredSettlement>,
}

impl Store {
    /// Records a new channel.
    pub fn insert_provider_channel(&mut self, record: &ProviderRecord) -> Result<(), StoreError> {
        let _point = around("provider/insert-channel");
        self.totals = None;
        let contract = &record.contract;
        self.db.execute(
            "INSERT INTO provider_channel (outpoint, stream, rate_msat_per_s, consumer_key, provider_key,
                key_index, refund_delay_blocks, capacity_sat, change_script, commitment, follows, went_on_to)
             VALUES (:outpoint, :stream, :rate, :consumer_key, :provider_key, :key_index, :delay, :capacity,
                :change, :commitment, :follows, :went_on_to)",
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
                ":follows": record.follows.map(|outpoint| outpoint.to_string()),
                ":went_on_to": record.went_on_to.map(|outpoint| outpoint.to_string()),
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
        self.totals = None;
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

    /// One channel, whatever its state.
    pub fn provider_channel(&self, outpoint: OutPoint) -> Result<StoredProviderChannel, StoreError> {
        let mut statement = self
            .db
            .prepare("SELECT * FROM provider_channel WHERE outpoint = ?1")?;
        let mut rows = statement.query([outpoint.to_string()])?;
        let row = rows.next()?.ok_or(StoreError::Unknown(outpoint))?;
        Ok(self.read_provider_channel(row)?)
    }

    /// All channels that may still move money, and the outpoints of rows that can't be read. What holds a payment is one
    /// of them unless its end is on record, whatever else is said of it.
    pub fn unsettled(&self) -> Result<(Vec<StoredProviderChannel>, Vec<String>), StoreError> {
        let mut statement = self.db.prepare(
            "SELECT * FROM provider_channel WHERE state IN ('open', 'due', 'settling')
                OR (state NOT IN ('settled', 'lost', 'left') AND signature IS NOT NULL)
             ORDER BY opened_at",
        )?;
        let mut rows = statement.query([])?;
        let (mut channels, mut damaged) = (Vec::new(), Vec::new());
        while let Some(row) = rows.next()? {
            match self.read_provider_channel(row) {
                Ok(channel) => channels.push(channel),
                Err(_) => damaged.push(row.get("outpoint").unwrap_or_default()),
            }
        }
        Ok((channels, damaged))
    }

    /// All that was ever paid to this provider, fees not deducted.
    pub fn earned(&self) -> Result<Amount, StoreError> {
        let sum = self.db.query_row(
            "SELECT coalesce(sum(balance_sat), 0) FROM provider_channel WHERE state NOT IN ('lost', 'left')",
            [],
            |row| row.get::<_, i64>(0),
        )?;
        u64::try_from(sum)
            .map(Amount::from_sat)
            .map_err(|_| StoreError::Range)
    }

    fn read_provider_channel(&self, row: &Row<'_>) -> rusqlite::Result<StoredProviderChannel> {
        let record = read_record(row)?;
        Ok(StoredProviderChannel {
            state: read_state(row)?,
            settlements: self.settlements(record.outpoint)?,
            record,
        })
    }
}

fn read_state(row: &Row<'_>) -> rusqlite::Result<ProviderChannelState> {
    let name: String = row.get("state")?;
    ProviderChannelState::from_name(&name).ok_or_else(|| damaged(Type::Text)(UnknownState(name)))
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
        follows: read_optional(row, "follows")?,
        went_on_to: read_optional(row, "went_on_to")?,
        best,
        carried: read_amount(row, "carried_sat")?,
        consumed: Msat::new(read_u64(row, "consumed_msat")?),
    })
}
