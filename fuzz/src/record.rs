//! Rows of the store with any values in them, as a damaged or altered file has: reading them gives an error, or a
//! record that makes sense. Nothing panics, and nothing that is read moves money without a valid signature.

use crate::common::pair::{Pair, provider_identity};
use crate::common::*;
use crate::store::{ConsumerChannelState, Made, MadeFor, NewSettlement, STORE_FILE, SettlementKind, Store};
use arbitrary::{Arbitrary, Unstructured};
use bitcoin::{Amount, FeeRate, OutPoint};
use rusqlite::types::Value;
use rusqlite::{Connection, params};
use std::cell::RefCell;
use std::path::Path;
use streamium_channel::contract::Channel;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::{ConsumerRecord, ProviderRecord};
use streamium_channel::settlement::{Claim, Settlement};

const TABLES: [&str; 3] = ["provider_channel", "consumer_channel", "settlement"];

/// A memory file system, where there is one: thousands of rows a second.
const FAST: &str = "/dev/shm";

/// One cell that is not what it was.
#[derive(Arbitrary, Debug)]
struct Damage {
    table: u8,
    column: u8,
    cell: Cell,
}

#[derive(Arbitrary, Debug)]
enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(Vec<u8>),
    Blob(Vec<u8>),
    /// One character of the text is another.
    Letter {
        at: u16,
        letter: char,
    },
    Cut(u16),
}

thread_local! {
    static FILE: RefCell<Option<File>> = const { RefCell::new(None) };
}

/// Damages the rows as the input says, reads all of them, and mends them.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut damages = Vec::new();
    while !input.is_empty() && damages.len() < 8 {
        let Ok(damage) = input.arbitrary::<Damage>() else {
            break;
        };
        damages.push(damage);
    }
    FILE.with_borrow_mut(|file| {
        let file = file.get_or_insert_with(File::new);
        file.damage(&damages);
        file.read();
        file.mend();
    });
}

/// A store with one row in each table, and a second connection that writes into it whatever it likes.
struct File {
    _dir: tempfile::TempDir,
    store: Store,
    raw: Connection,
    outpoint: OutPoint,
    /// Columns and values of each table's row.
    rows: [Vec<(String, Value)>; 3],
}

impl File {
    fn new() -> Self {
        let dir = if Path::new(FAST).is_dir() {
            tempfile::tempdir_in(FAST)
        } else {
            tempfile::tempdir()
        };
        let dir = dir.expect("a folder");
        let outpoint = fill(&mut Store::open(dir.path()).expect("a new store"));
        let raw = Connection::open(dir.path().join(STORE_FILE)).expect("it is there");
        // A damaged file has values of any type anywhere.
        raw.execute_batch(
            "PRAGMA synchronous=OFF; PRAGMA foreign_keys=OFF; PRAGMA writable_schema=ON;
             UPDATE sqlite_schema SET sql = replace(replace(sql, 'STRICT', ''), 'NOT NULL', '') WHERE type = 'table';
             PRAGMA writable_schema=RESET;",
        )
        .expect("the schema can be changed");
        let rows = TABLES.map(|table| row(&raw, table));
        let store = Store::open(dir.path()).expect("it opens again");
        Self {
            _dir: dir,
            store,
            raw,
            outpoint,
            rows,
        }
    }

    fn damage(&self, damages: &[Damage]) {
        for damage in damages {
            let at = usize::from(damage.table) % TABLES.len();
            let (table, row) = (TABLES[at], &self.rows[at]);
            let (column, value) = &row[usize::from(damage.column) % row.len()];
            self.write(table, column, &damage.cell.value(value));
        }
    }

    fn mend(&self) {
        for (table, row) in TABLES.iter().zip(&self.rows) {
            for (column, value) in row {
                self.write(table, column, value);
            }
        }
    }

    fn write(&self, table: &str, column: &str, value: &Value) {
        let sql = format!("UPDATE {table} SET {column} = ?1");
        self.raw
            .prepare_cached(&sql)
            .and_then(|mut set| set.execute(params![value]))
            .expect("it is written");
    }

    /// As the drivers do at a start.
    fn read(&self) {
        if let Ok((channels, damaged)) = self.store.unsettled() {
            assert!(channels.len() + damaged.len() <= 1);
            channels.iter().for_each(|stored| check_provider(&stored.record));
        }
        if let Ok(stored) = self.store.provider_channel(self.outpoint) {
            check_provider(&stored.record);
        }
        if let Ok((channels, damaged)) = self.store.unspent() {
            assert!(channels.len() + damaged.len() <= 1);
            channels.iter().for_each(|stored| check_consumer(&stored.record));
        }
        let _ = self.store.earned();
    }
}

impl Cell {
    fn value(&self, old: &Value) -> Value {
        let text = match old {
            Value::Text(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            _ => String::new(),
        };
        match self {
            Cell::Null => Value::Null,
            Cell::Integer(number) => Value::Integer(*number),
            Cell::Real(number) => Value::Real(*number),
            Cell::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
            Cell::Blob(bytes) => Value::Blob(bytes.clone()),
            Cell::Letter { at, letter } => {
                let mut letters: Vec<char> = text.chars().collect();
                let at = usize::from(*at) % letters.len().max(1);
                if let Some(old) = letters.get_mut(at) {
                    *old = *letter;
                }
                Value::Text(letters.into_iter().collect())
            }
            Cell::Cut(at) => Value::Text(text.chars().take(usize::from(*at)).collect()),
        }
    }
}

/// What a session of the simulated pair leaves on record.
fn fill(store: &mut Store) -> OutPoint {
    let mut pair = Pair::new();
    pair.until_playing();
    pair.run(seconds(5));
    let record = pair.provider_record.expect("a channel");
    let outpoint = record.outpoint;
    store.insert_provider_channel(&record).expect("a new record");
    let paid = &pair.provider_records[&outpoint];
    let account = AccountRecord {
        outpoint,
        best: paid.best,
        carried: paid.carried,
        consumed: paid.consumed,
    };
    store.save_accounts(&[account]).expect("an account");
    let (payout, fee) = (sat(700), sat(300));
    let settlement = NewSettlement {
        kind: SettlementKind::Settlement,
        transaction: &record.commitment,
        channels: &[outpoint],
        payout,
        fee,
        payout_address: None,
        payout_index: Some(3),
        made_height: 120,
    };
    store.insert_settlement(&settlement).expect("a settlement");
    let record = pair.consumer_record.expect("a channel");
    store
        .insert_consumer_channel(&record, "tr(…)")
        .expect("a new record");
    let open = ConsumerChannelState::Open;
    store.set_consumer_state(outpoint, open, None).expect("a state");
    let (carried, consumed) = (Amount::ZERO, record.consumed);
    store
        .save_paid(outpoint, pair.paid, carried, consumed, record.rate)
        .expect("a payment");
    let refund = Made {
        tx: record.commitment.clone(),
        fee,
        height: 400,
    };
    store
        .insert_consumer_transaction(outpoint, MadeFor::Refund, &refund)
        .expect("a refund");
    outpoint
}

fn row(raw: &Connection, table: &str) -> Vec<(String, Value)> {
    let mut select = raw.prepare(&format!("SELECT * FROM {table}")).expect("a table");
    let names: Vec<String> = select
        .column_names()
        .iter()
        .map(|name| (*name).to_owned())
        .collect();
    let values = |row: &rusqlite::Row<'_>| {
        (0..names.len())
            .map(|at| row.get(at))
            .collect::<Result<Vec<Value>, _>>()
    };
    let values = select.query_row([], values).expect("one row");
    names.iter().cloned().zip(values).collect()
}

fn check_provider(record: &ProviderRecord) {
    let Ok((channel, Some(payment))) = record.restore() else {
        return;
    };
    assert!(payment.cumulative() <= record.contract.payable());
    let key = provider_identity().channel_key.key;
    let claim = Claim {
        channel: &channel,
        payment: &payment,
        key: &key,
    };
    if let Ok(made) = Settlement::new(&[claim], &p2tr(0x77), FeeRate::from_sat_per_vb_u32(1)) {
        assert_eq!(made.payout + made.fee, payment.cumulative());
    }
}

fn check_consumer(record: &ConsumerRecord) {
    assert!(record.contract.payable() < Amount::MAX_MONEY);
    let channel = Channel::new(record.contract.clone(), record.outpoint).expect("valid keys make a script");
    assert!(!channel.script().descriptor().is_empty());
}
