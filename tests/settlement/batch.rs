//! Many channels in one transaction.

use gststreamiumpay::store::ProviderChannelState;

use crate::common::regtest::{Regtest, TxStatus};
use crate::folder::*;

#[test]
fn fifty_channels_settle_in_one_transaction_that_is_bumped_twice() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let balances: Vec<u64> = (0..50).map(|index| 2_000 + 10 * index).collect();
    let channels = folder.channels(regtest, &balances, 1_008, 6);
    let mut engine = folder.engine(regtest);

    let mut variants = vec![engine.settling(regtest)];
    assert_eq!(inputs(&variants[0]), outpoints(&channels));
    for _ in 0..2 {
        mine_empty(regtest, 36);
        let bumped = engine.settling(regtest);
        assert_eq!(inputs(&bumped), outpoints(&channels), "bumped whole");
        let old = variants.last().unwrap();
        assert!(fee(&bumped) >= fee(old) + bumped.vsize() as u64);
        assert_eq!(
            regtest.tx_status(old.compute_txid()),
            TxStatus::Unknown,
            "replaced"
        );
        variants.push(bumped);
    }
    for tx in &variants {
        let (vsize, channels) = (tx.vsize(), tx.input.len());
        println!(
            "{channels} channels in {vsize} vB, {:.1} vB a channel; fee {} sat, {:.2} sat/vB",
            vsize as f64 / channels as f64,
            fee(tx),
            fee(tx) as f64 / vsize as f64
        );
    }
    regtest.mine(1);
    engine.wait("confirmed");
    regtest.mine(5);
    for _ in &channels {
        engine.wait("settled");
    }
    engine.stop();

    let mined = variants[2].compute_txid();
    for channel in &channels {
        let stored = folder.store().provider_channel(channel.outpoint()).unwrap();
        assert_eq!(stored.state, ProviderChannelState::Settled);
        let made: Vec<_> = stored
            .settlements
            .into_iter()
            .map(|made| made.transaction)
            .collect();
        assert_eq!(made, variants, "every variant is on record");
    }
    let earned: u64 = balances.iter().sum();
    let payout = variants[2].output[50].value.to_sat();
    assert_eq!(payout + fee(&variants[2]), earned);
    let db = rusqlite::Connection::open(folder.path().join("channels.sqlite")).unwrap();
    let sums = db.query_row(
        "SELECT count(*), sum(earned_sat), sum(fee_sat), min(settled_in), max(settled_in), max(payout) FROM earnings
         WHERE state = 'settled'",
        [],
        |row| {
            Ok((
                row.get::<_, u64>(0)?,
                row.get::<_, u64>(1)?,
                row.get::<_, u64>(2)?,
                [row.get::<_, String>(3)?, row.get::<_, String>(4)?],
                row.get::<_, String>(5)?,
            ))
        },
    );
    let in_one = [mined.to_string(), mined.to_string()];
    assert_eq!(
        sums.unwrap(),
        (
            50,
            earned,
            fee(&variants[2]),
            in_one,
            crate::folder::payout().to_string()
        )
    );
}

#[test]
fn near_its_deadline_a_channel_settles_alone_at_a_rising_rate() {
    let regtest = &Regtest::start();
    let folder = Folder::new();
    let far = folder.channels(regtest, &[5_000], 1_008, 6);
    let near = folder.channels(regtest, &[40_000], 144, 106);
    let mut engine = folder.engine(regtest);
    let first = engine.settling(regtest);
    let second = engine.settling(regtest);
    let (mut alone, other) = match inputs(&first) == outpoints(&near) {
        true => (first, second),
        false => (second, first),
    };
    assert_eq!(inputs(&alone), outpoints(&near));
    assert_eq!(inputs(&other), outpoints(&far));
    let mut rates = vec![fee(&alone) as f64 / alone.vsize() as f64];
    // 38 blocks are left; none of them takes it.
    for blocks in [3, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1] {
        mine_empty(regtest, blocks);
        let bumped = loop {
            let settling = engine.settling(regtest);
            if inputs(&settling) == outpoints(&near) {
                break settling;
            }
        };
        assert!(fee(&bumped) > fee(&alone));
        alone = bumped;
        rates.push(fee(&alone) as f64 / alone.vsize() as f64);
    }
    println!("rates in sat/vB: {rates:.1?}");
    regtest.mine(6);
    engine.wait_for("settled", |report| outpoint_of(report) == near[0].outpoint());
    assert_eq!(folder.state(near[0].outpoint()), ProviderChannelState::Settled);
    assert_eq!(folder.variants(near[0].outpoint()).len(), rates.len());
}
