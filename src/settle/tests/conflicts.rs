//! Somebody else spends a channel, or a part of a batch.

use super::*;
use crate::store::ProviderChannelState::{Lost, Settled};

fn batch(world: &mut World) -> [OutPoint; 3] {
    let outpoints = [
        world.due(50_000, 10),
        world.due(50_000, 20),
        world.due(50_000, 30),
    ];
    world.pass(BATCH_DELAY);
    assert_eq!(inputs(&world.only()), sorted(outpoints));
    outpoints
}

#[test]
fn a_batch_without_the_input_that_was_refunded_is_made_anew() {
    let mut world = World::new();
    let [gone, a, b] = batch(&mut world);
    world.forget(world.only().compute_txid());
    let refund = foreign_spend(gone, 500);
    world.put(refund.clone(), None);
    world.block(&[refund.compute_txid()]);
    let anew = world.only();
    assert_eq!(inputs(&anew), sorted([a, b]));
    world.block(&[anew.compute_txid()]);
    world.blocks(5);
    assert_eq!(world.state(gone), Lost);
    assert_eq!([world.state(a), world.state(b)], [Settled, Settled]);
    assert_eq!(world.variants(gone).len(), 1);
}

/// A batch of three whose first channel's refund leaf is open, and which that channel could not out-bid alone. The node
/// has lost it.
fn late_batch(world: &mut World, balance: u64) -> [OutPoint; 3] {
    let raced = world.open_with(balance, 1_008 - 72, 1_008);
    let others = [world.open(900_000, 10), world.open(900_000, 10)];
    for outpoint in [raced, others[0], others[1]] {
        world.release(outpoint, Release::Now);
    }
    world.pass(BATCH_DELAY);
    world.blocks(72);
    let batch = world.only();
    assert_eq!(batch.input.len(), 3);
    assert!(world.fee_of(&batch).0 > balance);
    world.forget(batch.compute_txid());
    [raced, others[0], others[1]]
}

#[test]
fn a_refund_on_its_way_is_out_bid_by_the_channel_alone_and_the_rest_settles_anew() {
    let mut world = World::new();
    let [raced, a, b] = late_batch(&mut world, 5_000);
    world.put(foreign_spend(raced, 1_500), None);
    world.news(raced);
    let mempool = world.mempool();
    let alone = mempool.iter().find(|tx| inputs(tx) == [raced]).unwrap();
    assert!(
        world.fee_of(alone).0 >= 1_500 + 205,
        "more than the refund and its relay"
    );
    let refund = foreign_spend(raced, 1_500);
    assert!(
        world.fee_of(alone).1 > world.fee_of(&refund).1,
        "and more for each vB"
    );
    assert!(mempool.iter().any(|tx| inputs(tx) == sorted([a, b])));
    assert_eq!(world.said("conflict").len(), 1);
}

#[test]
fn a_refund_that_pays_more_than_the_balance_is_not_out_bid_and_the_rest_settles_without_it() {
    let mut world = World::new();
    let [raced, a, b] = late_batch(&mut world, 5_000);
    let made = world.variants(raced);
    world.put(foreign_spend(raced, 6_000), None);
    world.news(raced);
    world.blocks(2);
    assert_eq!(world.variants(raced), made, "there is nothing to win");
    let mempool = world.mempool();
    assert!(
        mempool.iter().any(|tx| inputs(tx) == sorted([a, b])),
        "{mempool:#?}"
    );
}

#[test]
fn a_lone_settlement_out_bids_a_refund_once_a_block() {
    let mut world = World::new();
    let outpoint = world.open_with(100_000, 1_008 - 1, 1_008);
    world.release(outpoint, Release::Now);
    world.blocks(1);
    world.forget(world.only().compute_txid());
    world.put(foreign_spend(outpoint, 3_000), None);
    let made = world.variants(outpoint).len();
    world.news(outpoint);
    assert_eq!(world.variants(outpoint).len(), made);
    world.blocks(1);
    assert!(world.fee_of(&world.only()).0 >= 3_205);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_spend_that_can_t_be_true_drives_no_fee() {
    let mut world = World::new();
    let outpoint = world.due(100_000, 1);
    let made = world.only();
    world.forget(made.compute_txid());
    // The refund leaf is closed for 1,000 blocks more, and the signature is not looked at.
    world.put(foreign_spend(outpoint, 1_000), None);
    world.news(outpoint);
    world.blocks(2);
    assert_eq!(world.variants(outpoint), [made.compute_txid()]);
    assert_eq!(world.said("conflict").len(), 1, "it is said");
}

#[test]
fn a_refund_that_a_reorganisation_takes_out_is_settled_against_again() {
    let mut world = World::new();
    let outpoint = world.due(50_000, 10);
    let refund = foreign_spend(outpoint, 500);
    world.put(refund.clone(), None);
    world.block(&[refund.compute_txid()]);
    world.pass(BATCH_DELAY);
    assert!(world.variants(outpoint).is_empty());
    world.reorganise(1);
    world.forget(refund.compute_txid());
    world.blocks(1);
    assert_eq!(inputs(&world.only()), [outpoint]);
}
