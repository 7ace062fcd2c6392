//! The tables, and how a file of an earlier version gets them.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// What each version added. A file is brought up to date step by step, all or nothing; a step that has been
/// released is never changed.
const VERSIONS: [&str; 6] = [V1, V2_PROVIDER, V3_CONSUMER, V4_RATES, V5_AGREED, V6_ACCOUNTS];

const V1: &str = "
    CREATE TABLE key_index (
        role TEXT PRIMARY KEY NOT NULL,       -- provider, consumer
        next INTEGER NOT NULL                 -- the first index never given out
    ) STRICT;
    CREATE TABLE provider_channel (
        outpoint TEXT PRIMARY KEY NOT NULL,   -- txid:vout of the commitment's output
        opened_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        stream TEXT NOT NULL,
        rate_msat_per_s INTEGER NOT NULL,
        consumer_key TEXT NOT NULL,
        provider_key TEXT NOT NULL,
        key_index INTEGER NOT NULL,
        refund_delay_blocks INTEGER NOT NULL,
        capacity_sat INTEGER NOT NULL,
        change_script TEXT NOT NULL,
        commitment TEXT NOT NULL,             -- the transaction in hexadecimal
        balance_sat INTEGER NOT NULL DEFAULT 0,
        signature TEXT,                       -- of the best payment
        consumed_msat INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'open',   -- open, due, settling, settled, unpaid, lost
        spent_by TEXT                         -- txid of what spent it on the chain
    ) STRICT;
    CREATE TABLE settlement (
        txid TEXT PRIMARY KEY NOT NULL,
        outpoint TEXT NOT NULL REFERENCES provider_channel (outpoint),
        made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        kind TEXT NOT NULL,                   -- settlement, cooperative
        payout_sat INTEGER NOT NULL,
        fee_sat INTEGER NOT NULL,
        tx TEXT NOT NULL                      -- in hexadecimal
    ) STRICT;
    CREATE TABLE consumer_channel (
        outpoint TEXT PRIMARY KEY NOT NULL,
        opened_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        link TEXT NOT NULL,
        consumer_key TEXT NOT NULL,
        provider_key TEXT NOT NULL,
        key_index INTEGER NOT NULL,
        refund_delay_blocks INTEGER NOT NULL,
        capacity_sat INTEGER NOT NULL,
        change_script TEXT NOT NULL,
        descriptor TEXT NOT NULL,             -- for import in any descriptor wallet
        commitment TEXT NOT NULL,
        paid_sat INTEGER NOT NULL DEFAULT 0,
        state TEXT NOT NULL DEFAULT 'open',   -- open, refunding, spent
        refund TEXT,                          -- the refund transaction in hexadecimal
        spent_by TEXT
    ) STRICT;";

/// `carried_sat`: what the earlier channels of the same session have paid; `consumed_msat` counts from the first.
/// Settlements of several channels, payouts to a descriptor, and a view that says what was earned.
const V2_PROVIDER: &str = "
    ALTER TABLE provider_channel ADD COLUMN carried_sat INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE settlement RENAME TO settlement_v1;
    CREATE TABLE settlement (                 -- every transaction ever made, also those that were replaced
        txid TEXT PRIMARY KEY NOT NULL,
        made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        made_height INTEGER NOT NULL DEFAULT 0,   -- of the best block then
        kind TEXT NOT NULL,                   -- settlement, cooperative
        payout_sat INTEGER NOT NULL,
        fee_sat INTEGER NOT NULL,
        payout_address TEXT,
        payout_index INTEGER,                 -- of the descriptor, where the payout is one
        tx TEXT NOT NULL                      -- in hexadecimal
    ) STRICT;
    CREATE TABLE settlement_input (           -- which channels a settlement spends
        txid TEXT NOT NULL REFERENCES settlement (txid),
        outpoint TEXT NOT NULL REFERENCES provider_channel (outpoint),
        fee_share_sat INTEGER NOT NULL,
        PRIMARY KEY (txid, outpoint)
    ) STRICT;
    CREATE INDEX settlement_of_channel ON settlement_input (outpoint);
    INSERT INTO settlement (txid, made_at, kind, payout_sat, fee_sat, tx)
        SELECT txid, made_at, kind, payout_sat, fee_sat, tx FROM settlement_v1 ORDER BY made_at, rowid;
    INSERT INTO settlement_input (txid, outpoint, fee_share_sat)
        SELECT txid, outpoint, fee_sat FROM settlement_v1;
    DROP TABLE settlement_v1;
    CREATE TABLE payout_index (
        descriptor TEXT PRIMARY KEY NOT NULL,
        next INTEGER NOT NULL                 -- the first index never given out
    ) STRICT;
    CREATE VIEW earnings AS                   -- what was earned, from whom, settled where: a line for each channel
        SELECT channel.stream, channel.consumer_key, channel.outpoint, channel.opened_at,
            CASE WHEN channel.state IN ('lost', 'left') THEN 0 ELSE channel.balance_sat END AS earned_sat,
            channel.state, settlement.txid AS settled_in, input.fee_share_sat AS fee_sat,
            settlement.payout_address AS payout
        FROM provider_channel AS channel
        LEFT JOIN settlement_input AS input ON input.outpoint = channel.outpoint
            AND input.txid = coalesce(channel.spent_by, (
                SELECT newest.txid FROM settlement_input AS newest JOIN settlement AS made USING (txid)
                WHERE newest.outpoint = channel.outpoint ORDER BY made.rowid DESC LIMIT 1))
        LEFT JOIN settlement ON settlement.txid = input.txid
        ORDER BY channel.opened_at, channel.outpoint;";

/// `carried_sat`, `consumed_msat` as on the provider's side; what else a refund and a stuck commitment need.
const V3_CONSUMER: &str = "
    ALTER TABLE consumer_channel ADD COLUMN carried_sat INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE consumer_channel ADD COLUMN consumed_msat INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE consumer_channel ADD COLUMN refund_script TEXT;       -- where all its refunds go
    ALTER TABLE consumer_channel ADD COLUMN committed_height INTEGER; -- the tip when it was first handed out
    CREATE TABLE consumer_transaction (
        txid TEXT PRIMARY KEY NOT NULL,
        outpoint TEXT NOT NULL REFERENCES consumer_channel (outpoint),
        made_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
        made_height INTEGER NOT NULL,         -- the tip when it was made
        kind TEXT NOT NULL,                   -- refund, child (lifts a commitment that does not confirm)
        fee_sat INTEGER NOT NULL,
        tx TEXT NOT NULL                      -- in hexadecimal
    ) STRICT;";

/// The highest rate at which a channel's account was counted.
const V4_RATES: &str = "
    ALTER TABLE consumer_channel ADD COLUMN rate_msat_per_s INTEGER NOT NULL DEFAULT 0;";

/// The terms that a consumer's channel was opened under, as JSON; none where it was opened before this version.
const V5_AGREED: &str = "
    ALTER TABLE consumer_channel ADD COLUMN agreed TEXT;";

/// Which channel's account went on with which.
///
/// A channel that was due when the file was of an earlier version may be used up, which was not on record: none of them
/// goes on. One that held a payment while it was said to be unpaid is due.
const V6_ACCOUNTS: &str = "
    ALTER TABLE provider_channel ADD COLUMN follows TEXT;      -- the channel whose account it was opened to take over
    ALTER TABLE provider_channel ADD COLUMN went_on_to TEXT;   -- the channel that its account went on with
    UPDATE provider_channel SET state = 'due' WHERE state = 'unpaid' AND signature IS NOT NULL;
    UPDATE provider_channel SET went_on_to = outpoint WHERE state = 'due';";

/// Brings a file to the newest version.
pub(super) fn migrate(db: &mut Connection) -> Result<(), StoreError> {
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let newest = i64::try_from(VERSIONS.len()).map_err(|_| StoreError::Range)?;
    let done = usize::try_from(found).ok().filter(|_| found <= newest);
    let done = done.ok_or(StoreError::Newer { found, newest })?;
    for step in VERSIONS.iter().skip(done) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", newest)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_the_first_version_is_brought_up_to_date_and_keeps_its_rows() {
        let mut db = Connection::open_in_memory().unwrap();
        db.execute_batch(V1).unwrap();
        db.pragma_update(None, "user_version", 1).unwrap();
        db.execute("INSERT INTO key_index (role, next) VALUES ('provider', 7)", [])
            .unwrap();
        db.execute_batch(
            "INSERT INTO provider_channel (outpoint, stream, rate_msat_per_s, consumer_key, provider_key, key_index,
                refund_delay_blocks, capacity_sat, change_script, commitment)
             VALUES ('o:0', 's', 1, 'c', 'p', 1, 144, 10000, '', '');
             INSERT INTO settlement (txid, outpoint, kind, payout_sat, fee_sat, tx)
             VALUES ('t', 'o:0', 'settlement', 100, 37, '');",
        )
        .unwrap();
        migrate(&mut db).unwrap();
        migrate(&mut db).unwrap();
        let next: i64 = db
            .query_row("SELECT next FROM key_index", [], |row| row.get(0))
            .unwrap();
        assert_eq!(next, 7);
        let settled = db.query_row(
            "SELECT outpoint || settled_in || fee_sat FROM earnings",
            [],
            |row| row.get::<_, String>(0),
        );
        assert_eq!(settled.unwrap(), "o:0t37");
        db.prepare("SELECT agreed FROM consumer_channel").unwrap();
        let carried = db.query_row("SELECT count(carried_sat) FROM provider_channel", [], |row| {
            row.get::<_, i64>(0)
        });
        assert_eq!(carried.unwrap(), 1);
    }

    #[test]
    fn a_file_of_a_later_version_is_left_alone() {
        let mut db = Connection::open_in_memory().unwrap();
        db.pragma_update(None, "user_version", 99).unwrap();
        assert!(matches!(
            migrate(&mut db),
            Err(StoreError::Newer { found: 99, .. })
        ));
    }
}
