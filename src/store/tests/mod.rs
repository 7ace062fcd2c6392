use std::os::unix::fs::PermissionsExt;

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{Amount, OutPoint, ScriptBuf, Transaction, TxOut, Txid, absolute};
use streamium_channel::agreement::Agreement;
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::keys::ChannelKeys;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::payment::Payment;
use streamium_channel::provider::AccountRecord;
use streamium_channel::record::{ConsumerRecord, PaymentRecord, ProviderRecord};
use streamium_channel::script::ChangeScript;

use super::*;

mod consumer;
mod provider;

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap()
}

fn p2tr() -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &key(5).x_only_public_key().0.serialize()].concat())
}

fn contract() -> Contract {
    let keys = ChannelKeys::new(key(1).x_only_public_key().0, key(2).x_only_public_key().0).unwrap();
    let delay = RefundDelay::new(288).unwrap();
    Contract::new(
        keys,
        delay,
        Amount::from_sat(50_000),
        ChangeScript::new(p2tr()).unwrap(),
    )
    .unwrap()
}

fn outpoint(byte: u8) -> OutPoint {
    OutPoint {
        txid: Txid::from_byte_array([byte; 32]),
        vout: 1,
    }
}

fn transaction(value: u64) -> Transaction {
    let output = vec![TxOut {
        value: Amount::from_sat(value),
        script_pubkey: p2tr(),
    }];
    Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![],
        output,
    }
}

fn provider_record(byte: u8) -> ProviderRecord {
    ProviderRecord {
        contract: contract(),
        outpoint: outpoint(byte),
        key_index: 7,
        stream: "cats".into(),
        rate: Rate::new(1_000),
        commitment: transaction(1),
        follows: None,
        went_on_to: None,
        best: None,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
    }
}

fn payment(byte: u8, sat: u64) -> PaymentRecord {
    let channel = Channel::new(contract(), outpoint(byte)).unwrap();
    Payment::sign(&channel, &key(1), Amount::from_sat(sat))
        .unwrap()
        .into()
}

fn update(byte: u8, sat: u64, msat: u64) -> AccountRecord {
    AccountRecord {
        outpoint: outpoint(byte),
        best: Some(payment(byte, sat)),
        carried: Amount::ZERO,
        consumed: Msat::new(msat),
    }
}

#[test]
fn key_indices_are_given_out_once_by_all_who_have_the_file_open() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = [Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap()];
    let mut given: Vec<u32> = (0..10)
        .map(|turn| stores[turn % 2].next_key_index(Role::Provider).unwrap())
        .collect();
    assert_eq!(stores[0].next_key_index(Role::Consumer).unwrap(), 0);
    given.sort_unstable();
    assert_eq!(given, (0..10).collect::<Vec<_>>());
    stores[0]
        .db
        .execute("UPDATE key_index SET next = 2147483648", [])
        .unwrap();
    assert!(matches!(
        stores[1].next_key_index(Role::Provider),
        Err(StoreError::KeysUsedUp)
    ));
}

#[test]
fn a_damaged_row_is_reported_and_keeps_nothing_else_back() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for column in [
        "signature = 'zz'",
        "consumer_key = provider_key",
        "capacity_sat = -1",
        "refund_delay_blocks = 3",
    ] {
        let byte = column.len() as u8;
        store.insert_provider_channel(&provider_record(byte)).unwrap();
        let sql = format!(
            "UPDATE provider_channel SET {column} WHERE outpoint = '{}'",
            outpoint(byte)
        );
        store.db.execute(&sql, []).unwrap();
    }
    store.insert_provider_channel(&provider_record(200)).unwrap();
    let (channels, damaged) = store.unsettled().unwrap();
    assert_eq!((channels.len(), damaged.len()), (1, 4));
    assert_eq!(channels[0].record.outpoint, outpoint(200));
}

#[test]
fn the_files_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("a/b");
    let mut store = Store::open(&folder).unwrap();
    store.insert_provider_channel(&provider_record(1)).unwrap();
    let _lease = Lease::take(&folder, Role::Provider).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[test]
fn a_folder_has_one_provider_and_one_consumer() {
    let dir = tempfile::tempdir().unwrap();
    let lease = Lease::take(dir.path(), Role::Provider).unwrap();
    let _consumer = Lease::take(dir.path(), Role::Consumer).unwrap();
    let error = Lease::take(dir.path(), Role::Provider).unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("is in use by another provider: give each its own data-dir"),
        "{error}"
    );
    drop(lease);
    Lease::take(dir.path(), Role::Provider).unwrap();
}

#[test]
fn what_is_no_store_is_refused_and_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(STORE_FILE);
    std::fs::write(&path, "this is no database, whatever it looks like").unwrap();
    assert!(matches!(Store::open(dir.path()), Err(StoreError::Database(_))));
    assert!(
        std::fs::read_to_string(&path)
            .unwrap()
            .starts_with("this is no database")
    );

    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    store.db.pragma_update(None, "user_version", 99).unwrap();
    drop(store);
    assert!(matches!(
        Store::open(dir.path()),
        Err(StoreError::Newer { found: 99, .. })
    ));

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    assert!(matches!(
        Store::open(&file.join("folder")),
        Err(StoreError::Io { .. })
    ));
}
