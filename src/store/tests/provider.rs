//! The provider's channels, accounts and settlements.

use super::*;

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
