//! Cooperative closes that do not confirm: what was paid is settled all the same.

use super::*;
use crate::store::ProviderChannelState::{Settled, Settling};

/// A channel with a balance that is being closed cooperatively, at this fee of the consumer's.
fn closing(world: &mut World, balance: u64, left: u32, fee: u64) -> (OutPoint, Transaction) {
    let outpoint = world.open_with(balance, 1_008 - left, 1_008);
    world.release(outpoint, Release::After(MINUTE * 1_000));
    let close = foreign_spend(outpoint, fee);
    let payout = sat(balance);
    world
        .with(|engine, out| engine.close_cooperatively(outpoint, &close, payout, out))
        .unwrap();
    world.event(&ChainEvent::FeeRate(vb(1)));
    (outpoint, close)
}

#[test]
fn a_close_that_nobody_relays_does_not_keep_the_balance_from_being_settled() {
    let mut world = World::new();
    world.answer = Err(BroadcastError::Rejected {
        words: "max-fee-exceeded".into(),
    });
    let (outpoint, close) = closing(&mut world, 900_000, 500, 50_000);
    world.with(|engine, out| engine.tick(out));
    let result = world.answer.clone();
    world.event(&ChainEvent::Broadcast {
        txid: close.compute_txid(),
        result,
    });
    world.answer = Ok(());
    world.blocks(1);
    let settlement = world.only();
    assert_ne!(settlement, close);
    assert_eq!(world.fee_of(&settlement).0, 205, "there is nothing to replace");
    world.block(&[settlement.compute_txid()]);
    world.blocks(5);
    assert_eq!(world.state(outpoint), Settled);
}

#[test]
fn a_close_that_does_not_confirm_is_out_bid_long_before_the_deadline() {
    let mut world = World::new();
    let (outpoint, close) = closing(&mut world, 900_000, 500, 300);
    world.put(close.clone(), None);
    world.all_news();
    world.blocks(35);
    assert_eq!(world.variants(outpoint).len(), 1, "it is given its time");
    world.blocks(1);
    let settlement = world.only();
    assert_eq!(inputs(&settlement), [outpoint]);
    let (fee, rate) = world.fee_of(&settlement);
    let (old_fee, old_rate) = world.fee_of(&close);
    assert!(
        fee >= old_fee + settlement.vsize() as u64 && rate > old_rate,
        "{fee} {rate}"
    );
}

#[test]
fn a_close_of_a_small_balance_is_out_bid_at_the_latest_before_the_refund_leaf_opens() {
    let mut world = World::new();
    let (outpoint, close) = closing(&mut world, 1_000, 200, 300);
    world.put(close, None);
    world.all_news();
    world.blocks(199);
    let settlement = world.only();
    assert_eq!(
        world.variants(outpoint),
        [world.variants(outpoint)[0], settlement.compute_txid()]
    );
}

#[test]
fn one_close_a_channel_and_none_of_what_is_being_settled() {
    let mut world = World::new();
    let (outpoint, close) = closing(&mut world, 1_000, 500, 300);
    for fee in 301..320 {
        let again = foreign_spend(outpoint, fee);
        world
            .with(|engine, out| engine.close_cooperatively(outpoint, &again, sat(1_000), out))
            .unwrap();
    }
    assert_eq!(world.variants(outpoint), [close.compute_txid()]);
}

#[test]
fn a_close_is_handed_out_after_a_crash_and_again_after_a_reorganisation() {
    let mut world = World::new();
    let (outpoint, close) = closing(&mut world, 1_000, 500, 300);
    let txid = close.compute_txid();
    // The crash came between the record and the network.
    world.forget(txid);
    world.restart();
    world.all_news();
    world.pass(QUIET);
    assert_eq!(world.only(), close);
    world.block(&[txid]);
    world.reorganise(1);
    assert_eq!(world.state(outpoint), Settling);
    assert!(world.mempool().contains(&close), "it waits for another block");
    world.block(&[txid]);
    world.blocks(5);
    assert_eq!(world.state(outpoint), Settled);
}
