//! The consumer's channels.

use super::*;

/// A channel of this outpoint and key, through which nothing has been paid.
fn consumer_record(outpoint: OutPoint, key_index: u32) -> ConsumerRecord {
    ConsumerRecord {
        contract: contract(),
        outpoint,
        key_index,
        link: "streamium://…".into(),
        commitment: transaction(1),
        paid: Amount::ZERO,
        carried: Amount::ZERO,
        consumed: Msat::ZERO,
        rate: Rate::default(),
        agreed: None,
    }
}

#[test]
fn a_consumers_channel_comes_back_until_its_spend_is_buried() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).unwrap();
    let record = consumer_record(outpoint(1), 3);
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
    let record = |byte, key_index| consumer_record(outpoint(byte), key_index);
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
    let record = consumer_record(outpoint(1), 8);
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
        rate: Rate::new(500),
        agreed: Some(agreed),
        ..consumer_record(outpoint(1), 3)
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
