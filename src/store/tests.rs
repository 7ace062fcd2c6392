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
fn a_channel_comes_back_as_it_was_with_its_best_payment() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.insert_provider_channel(&provider_record(1)).unwrap();
    store.save_accounts(&[update(1, 1_000, 500)]).unwrap();
    store.save_accounts(&[update(1, 900, 400)]).unwrap();
    store
        .set_provider_state(outpoint(1), ProviderChannelState::Due, None)
        .unwrap();
    drop(store);

    let store = Store::open(dir.path()).unwrap();
    let (channels, damaged) = store.unsettled().unwrap();
    assert!(damaged.is_empty());
    let expected = ProviderRecord {
        best: Some(payment(1, 1_000)),
        consumed: Msat::new(500),
        ..provider_record(1)
    };
    assert_eq!(
        channels,
        [StoredProviderChannel {
            record: expected.clone(),
            state: ProviderChannelState::Due,
            settlements: vec![]
        }]
    );
    assert!(expected.restore().unwrap().1.is_some());
    assert_eq!(store.earned().unwrap(), Amount::from_sat(1_000));
}

#[test]
fn a_group_of_payments_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.insert_provider_channel(&provider_record(1)).unwrap();
    let error = store
        .save_accounts(&[update(1, 1_000, 500), update(2, 1_000, 500)])
        .unwrap_err();
    assert!(matches!(error, StoreError::Unknown(unknown) if unknown == outpoint(2)));
    assert_eq!(store.unsettled().unwrap().0[0].record.best, None);
}

fn insert(store: &mut Store, tx: &Transaction, channels: &[OutPoint]) -> Result<(), StoreError> {
    store.insert_settlement(&NewSettlement {
        kind: SettlementKind::Settlement,
        transaction: tx,
        channels,
        payout: Amount::from_sat(700),
        fee: Amount::from_sat(301),
        payout_address: Some("bcrt1payout"),
        payout_index: Some(4),
        made_height: 120,
    })
}

fn transactions(store: &Store, byte: u8) -> Vec<Transaction> {
    let stored = store.provider_channel(outpoint(byte)).unwrap();
    stored
        .settlements
        .into_iter()
        .map(|made| made.transaction)
        .collect()
}

#[test]
fn an_account_goes_on_with_another_channel_in_one_step() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for byte in [1, 2] {
        store.insert_provider_channel(&provider_record(byte)).unwrap();
    }
    let carried = Amount::from_sat(1_000);
    let to = AccountRecord {
        carried,
        ..update(2, 300, 700)
    };
    let unknown = update(9, 300, 700);
    assert!(store.switch_account(&update(1, 1_000, 600), &unknown).is_err());
    let (channels, _) = store.unsettled().unwrap();
    assert!(
        channels
            .iter()
            .all(|stored| stored.state == ProviderChannelState::Open && stored.record.best.is_none())
    );

    store.switch_account(&update(1, 1_000, 600), &to).unwrap();
    let (channels, _) = store.unsettled().unwrap();
    let [old, new] = &channels[..] else {
        panic!("{channels:?}")
    };
    assert_eq!(
        (old.state, new.state),
        (ProviderChannelState::Due, ProviderChannelState::Open)
    );
    assert_eq!(old.record.best, Some(payment(1, 1_000)));
    assert_eq!(
        (new.record.best, new.record.carried),
        (Some(payment(2, 300)), carried)
    );
    assert_eq!(new.record.consumed, Msat::new(700));
}

#[test]
fn every_settlement_made_is_kept_in_order_for_each_channel_that_it_spends() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for byte in [1, 2] {
        store.insert_provider_channel(&provider_record(byte)).unwrap();
    }
    insert(&mut store, &transaction(3), &[outpoint(1)]).unwrap();
    for value in [4, 3, 5] {
        insert(&mut store, &transaction(value), &[outpoint(1), outpoint(2)]).unwrap();
    }
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    assert_eq!(transactions(&store, 1), [3, 4, 5].map(transaction));
    assert_eq!(transactions(&store, 2), [3, 4, 5].map(transaction));
    let made = &store.provider_channel(outpoint(1)).unwrap().settlements[1];
    assert_eq!(
        (made.fee, made.payout, made.payout_index, made.made_height),
        (Amount::from_sat(301), Amount::from_sat(700), Some(4), 120)
    );
    let txid = transaction(3).compute_txid();
    for byte in [1, 2] {
        assert_eq!(
            store.provider_channel(outpoint(byte)).unwrap().state,
            ProviderChannelState::Settling
        );
        store
            .set_provider_state(outpoint(byte), ProviderChannelState::Settled, Some(txid))
            .unwrap();
    }
    assert!(store.unsettled().unwrap().0.is_empty());
    assert!(insert(&mut store, &transaction(6), &[outpoint(1), outpoint(9)]).is_err());
    assert_eq!(transactions(&store, 1).len(), 3, "all or nothing");
}

#[test]
fn payout_indices_are_given_out_once_for_each_descriptor() {
    let dir = tempfile::tempdir().unwrap();
    let mut stores = [Store::open(dir.path()).unwrap(), Store::open(dir.path()).unwrap()];
    let given: Vec<u32> = (0..6)
        .map(|turn| stores[turn % 2].next_payout_index("tr(a)").unwrap())
        .collect();
    assert_eq!(given, (0..6).collect::<Vec<_>>());
    assert_eq!(stores[0].next_payout_index("tr(b)").unwrap(), 0);
}

/// One line of `SELECT * FROM earnings`, as `sqlite3` prints it.
fn earnings(store: &Store) -> Vec<String> {
    let mut statement = store.db.prepare("SELECT * FROM earnings").unwrap();
    let columns = statement.column_count();
    let line = statement.query_map([], |row| {
        let cells = (0..columns).map(|column| {
            Ok(match row.get_ref(column)? {
                rusqlite::types::ValueRef::Integer(number) => number.to_string(),
                rusqlite::types::ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                _ => String::new(),
            })
        });
        Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join("|"))
    });
    line.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_view_says_what_was_earned_from_whom_and_where_it_was_settled() {
    let mut store = Store::in_memory().unwrap();
    for byte in [1, 2, 3, 4] {
        store.insert_provider_channel(&provider_record(byte)).unwrap();
        store.save_accounts(&[update(byte, 1_000, 0)]).unwrap();
    }
    insert(&mut store, &transaction(3), &[outpoint(1), outpoint(2)]).unwrap();
    insert(&mut store, &transaction(4), &[outpoint(1), outpoint(2)]).unwrap();
    let [first, second] = [3, 4].map(|value| transaction(value).compute_txid());
    store
        .set_provider_state(outpoint(1), ProviderChannelState::Settled, Some(first))
        .unwrap();
    store
        .set_provider_state(outpoint(3), ProviderChannelState::Lost, Some(Txid::all_zeros()))
        .unwrap();
    let lines = earnings(&store);
    assert_eq!(lines.len(), 4, "a line for each channel");
    let consumer = key(1).x_only_public_key().0.to_string();
    let rest = |byte: u8| {
        let line = lines
            .iter()
            .find(|line| line.contains(&outpoint(byte).to_string()));
        let cells: Vec<_> = line.unwrap().split('|').collect();
        assert_eq!(cells[..2], ["cats", &consumer]);
        cells[4..].join("|")
    };
    assert_eq!(rest(1), format!("1000|settled|{first}|151|bcrt1payout"));
    assert_eq!(rest(2), format!("1000|settling|{second}|150|bcrt1payout"));
    assert_eq!(rest(3), "0|lost|||");
    assert_eq!(rest(4), "1000|open|||");
}

#[test]
fn totals_follow_the_channels() {
    let mut store = Store::in_memory().unwrap();
    assert_eq!(store.provider_totals().unwrap(), ProviderTotals::default());
    for byte in [1, 2, 3] {
        store.insert_provider_channel(&provider_record(byte)).unwrap();
        store.save_accounts(&[update(byte, 1_000, 0)]).unwrap();
    }
    assert_eq!(store.provider_totals().unwrap().open, 3);
    store
        .switch_account(&update(3, 1_000, 0), &update(2, 1_000, 0))
        .unwrap();
    let totals = store.provider_totals().unwrap();
    assert_eq!(
        (totals.open, totals.to_settle, totals.to_settle_amount),
        (2, 1, Amount::from_sat(1_000))
    );
    // A settlement and its replacement: only one of them costs.
    insert(&mut store, &transaction(3), &[outpoint(1), outpoint(3)]).unwrap();
    insert(&mut store, &transaction(4), &[outpoint(1), outpoint(3)]).unwrap();
    let totals = store.provider_totals().unwrap();
    assert_eq!(
        (totals.open, totals.to_settle, totals.fees),
        (1, 2, Amount::from_sat(301))
    );
    let [first, lost] = [transaction(3).compute_txid(), Txid::all_zeros()];
    for (byte, state, spender) in [
        (1, ProviderChannelState::Settled, first),
        (3, ProviderChannelState::Settled, first),
        (2, ProviderChannelState::Lost, lost),
    ] {
        store
            .set_provider_state(outpoint(byte), state, Some(spender))
            .unwrap();
    }
    let settled = ProviderTotals {
        settled: 2,
        settled_amount: Amount::from_sat(2_000),
        fees: Amount::from_sat(301),
        ..ProviderTotals::default()
    };
    assert_eq!(store.provider_totals().unwrap(), settled);
}

#[test]
fn a_consumers_channel_comes_back_until_its_spend_is_buried() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let record = ConsumerRecord {
        contract: contract(),
        outpoint: outpoint(1),
        key_index: 3,
        link: "streamium://…".into(),
        commitment: transaction(1),
        paid: Amount::ZERO,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
        rate: Rate::default(),
        agreed: None,
    };
    store.insert_consumer_channel(&record, "tr(…)").unwrap();
    assert!(store.unspent().unwrap().0.is_empty(), "not before it is open");
    assert_eq!(store.cut_off().unwrap().0.len(), 1);
    store
        .set_consumer_state(outpoint(1), ConsumerChannelState::Open, None)
        .unwrap();
    store
        .save_paid(
            outpoint(1),
            Amount::from_sat(20),
            Amount::ZERO,
            Msat::new(9),
            Rate::new(7),
        )
        .unwrap();
    store
        .save_paid(
            outpoint(1),
            Amount::from_sat(10),
            Amount::ZERO,
            Msat::new(8),
            Rate::new(3),
        )
        .unwrap();
    store.save_committed_height(outpoint(1), 7).unwrap();
    store.save_committed_height(outpoint(1), 9).unwrap();
    store.save_refund_script(outpoint(1), &p2tr()).unwrap();
    store.save_refund_script(outpoint(1), &ScriptBuf::new()).unwrap();
    let made = |value| Made {
        tx: transaction(value),
        fee: Amount::from_sat(value),
        height: 11,
    };
    for (made_for, value) in [
        (MadeFor::Child, 8),
        (MadeFor::Refund, 9),
        (MadeFor::Refund, 4),
        (MadeFor::Refund, 9),
    ] {
        store
            .insert_consumer_transaction(outpoint(1), made_for, &made(value))
            .unwrap();
    }
    let (channels, damaged) = store.unspent().unwrap();
    let record = ConsumerRecord {
        paid: Amount::from_sat(20),
        consumed: Msat::new(9),
        rate: Rate::new(7),
        ..record
    };
    assert_eq!(
        channels,
        [StoredConsumerChannel {
            record,
            refund_script: Some(p2tr()),
            committed_height: Some(7),
            refunds: vec![made(9), made(4)],
            children: vec![made(8)],
        }]
    );
    assert!(damaged.is_empty());
    store
        .set_consumer_state(outpoint(1), ConsumerChannelState::Spent, None)
        .unwrap();
    assert!(store.unspent().unwrap().0.is_empty());
    assert!(matches!(
        store.save_paid(
            outpoint(2),
            Amount::ZERO,
            Amount::ZERO,
            Msat::ZERO,
            Rate::default()
        ),
        Err(StoreError::Unknown(_))
    ));
}

#[test]
fn channels_are_restored_all_or_none_and_their_keys_are_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let record = |byte, key_index| ConsumerRecord {
        contract: contract(),
        outpoint: outpoint(byte),
        key_index,
        link: "streamium://…".into(),
        commitment: transaction(1),
        paid: Amount::ZERO,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
        rate: Rate::default(),
        agreed: None,
    };
    let (first, second) = ((record(1, 8), "tr(…)".into()), (record(2, 3), "tr(…)".into()));
    store
        .restore_consumer_channels(std::slice::from_ref(&first))
        .unwrap();
    assert!(store.restore_consumer_channels(&[second, first]).is_err());
    assert!(!store.has_consumer_channel(outpoint(2)).unwrap());
    assert_eq!(store.unspent().unwrap().0.len(), 1);
    assert_eq!(store.next_key_index(Role::Consumer).unwrap(), 9);
}

#[test]
fn a_refund_of_the_first_version_is_still_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let record = ConsumerRecord {
        contract: contract(),
        outpoint: outpoint(1),
        key_index: 8,
        link: "streamium://…".into(),
        commitment: transaction(1),
        paid: Amount::ZERO,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
        rate: Rate::default(),
        agreed: None,
    };
    store
        .restore_consumer_channels(&[(record, "tr(…)".into())])
        .unwrap();
    let refund = super::rows::hex(&transaction(49_000));
    let sql = "UPDATE consumer_channel SET refund = ?1, state = 'refunding'";
    store.db.execute(sql, [refund]).unwrap();
    let (channels, _) = store.unspent().unwrap();
    let fee = Amount::from_sat(1_000);
    let tx = transaction(49_000);
    assert_eq!(channels[0].refunds, [Made { tx, fee, height: 0 }]);
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

#[test]
fn key_indices_that_may_have_been_used_elsewhere_are_passed_over() {
    let mut store = Store::in_memory().unwrap();
    store.pass_key_indices(Role::Consumer, 0).unwrap();
    assert_eq!(store.next_key_index(Role::Consumer).unwrap(), 0);
    store.pass_key_indices(Role::Consumer, 500).unwrap();
    store.pass_key_indices(Role::Consumer, 7).unwrap();
    assert_eq!(store.next_key_index(Role::Consumer).unwrap(), 500);
    assert_eq!(store.next_key_index(Role::Provider).unwrap(), 0);
}

#[test]
fn what_was_agreed_comes_back_and_keeps_no_channel_from_its_refund() {
    let mut store = Store::in_memory().unwrap();
    let agreed = Agreement {
        rate: Rate::new(500),
        opening: Amount::from_sat(700),
        window_ms: 5_000,
        tracks: Vec::new(),
        commitment_fee_rate_sat_per_kvb: 1_000,
        min_confirmations: 1,
        unconfirmed_limit: Amount::from_sat(1_000),
        settle_delay_ms: 60_000,
    };
    let record = ConsumerRecord {
        contract: contract(),
        outpoint: outpoint(1),
        key_index: 3,
        link: "streamium://…".into(),
        commitment: transaction(1),
        paid: Amount::ZERO,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
        rate: Rate::new(500),
        agreed: Some(agreed),
    };
    store.insert_consumer_channel(&record, "tr(…)").unwrap();
    let read = |store: &Store| store.consumer_channel(outpoint(1)).unwrap().record;
    assert_eq!(read(&store), record);
    // Files of earlier versions have none, and a damaged one is as good as none.
    for agreed in ["NULL", "'{'"] {
        let change = format!("UPDATE consumer_channel SET agreed = {agreed}");
        store.db.execute(&change, []).unwrap();
        assert_eq!(read(&store).agreed, None);
    }
}

#[test]
fn an_account_that_went_on_is_on_record_in_the_same_step_and_a_closed_channel_stays_closed() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    for byte in [1, 2] {
        store.insert_provider_channel(&provider_record(byte)).unwrap();
    }
    store
        .switch_account(&update(1, 1_000, 500), &update(2, 1_000, 500))
        .unwrap();
    drop(store);
    let mut store = Store::open(dir.path()).unwrap();
    let stored = store.provider_channel(outpoint(1)).unwrap();
    assert_eq!(stored.record.went_on_to, Some(outpoint(2)));
    assert_eq!(stored.state, ProviderChannelState::Due);
    let settled = ProviderChannelState::Settled;
    store.set_provider_state(outpoint(1), settled, None).unwrap();
    store
        .switch_account(&update(1, 1_000, 500), &update(2, 1_000, 500))
        .unwrap();
    assert_eq!(store.provider_channel(outpoint(1)).unwrap().state, settled);
}

#[test]
fn what_holds_a_payment_is_unsettled_whatever_is_said_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    store.insert_provider_channel(&provider_record(1)).unwrap();
    let unpaid = ProviderChannelState::Unpaid;
    store.set_provider_state(outpoint(1), unpaid, None).unwrap();
    assert!(store.unsettled().unwrap().0.is_empty(), "nothing was paid");
    store.save_accounts(&[update(1, 1_000, 500)]).unwrap();
    assert_eq!(
        store.provider_channel(outpoint(1)).unwrap().state,
        ProviderChannelState::Open
    );
    // Even if the word were wrong.
    store.set_provider_state(outpoint(1), unpaid, None).unwrap();
    assert_eq!(store.unsettled().unwrap().0.len(), 1);
}
