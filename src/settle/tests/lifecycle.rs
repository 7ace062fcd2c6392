//! From the end of a session to a buried settlement, through restarts and reorganisations.

use super::*;
use crate::store::ProviderChannelState::{Due, Left, Lost, Settled, Settling, Unpaid};

#[test]
fn a_young_channel_settles_alone_at_once_and_is_closed_when_buried() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 1);
    let tx = world.only();
    assert_eq!(inputs(&tx), [outpoint]);
    assert_eq!(world.fee_of(&tx).0, 205);
    assert_eq!(world.told, [(outpoint, tx.compute_txid())]);
    assert!(world.engine.is_idle(world.now), "the node has answered");
    world.block(&[tx.compute_txid()]);
    world.blocks(4);
    assert_eq!(world.state(outpoint), Settling, "five deep");
    world.blocks(1);
    assert_eq!(world.state(outpoint), Settled);
    assert_eq!(world.said("settled").len(), 1);
    assert!(!world.engine.holds(outpoint));
}

#[test]
fn nothing_is_settled_before_the_commitments_first_confirmation() {
    let mut world = World::new();
    let outpoint = world.record(10_000);
    world.put(world.commitment(outpoint), None);
    world.release(outpoint, Release::Now);
    world.blocks(3);
    assert_eq!(world.state(outpoint), Due);
    assert!(world.variants(outpoint).is_empty());
    assert_eq!(world.said("waiting").len(), 1, "said once");
    world.block(&[outpoint.txid]);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_commitment_that_no_server_knows_is_handed_out_again_with_each_block() {
    let mut world = World::new();
    world.answer = Err(BroadcastError::Unreachable);
    let outpoint = world.record(10_000);
    world.release(outpoint, Release::Now);
    assert!(world.mempool().is_empty());
    world.news(outpoint);
    world.answer = Ok(());
    world.news(outpoint);
    assert!(world.mempool().is_empty(), "not before the next block");
    world.blocks(1);
    assert_eq!(world.only(), world.commitment(outpoint));
}

#[test]
fn a_session_that_paid_nothing_leaves_nothing_to_settle() {
    let mut world = World::new();
    let outpoint = world.due(0, 1);
    assert_eq!(world.state(outpoint), Unpaid);
    assert!(!world.engine.holds(outpoint));
}

#[test]
fn a_restart_between_record_and_hand_out_hands_the_same_out() {
    let mut world = World::new();
    let outpoints = [world.due(10_000, 10), world.due(10_000, 10)];
    world.set_reachable(true);
    world.answer = Err(BroadcastError::Unreachable);
    world.pass(BATCH_DELAY);
    let made = world.variants(outpoints[0]);
    assert_eq!(made.len(), 1);
    assert!(world.mempool().is_empty(), "it was recorded, and nobody has it");
    world.answer = Ok(());
    world.restart();
    world.news(outpoints[0]);
    assert!(world.mempool().is_empty(), "nothing is known of the other yet");
    world.news(outpoints[1]);
    assert_eq!(world.only().compute_txid(), made[0]);
    for outpoint in outpoints {
        assert_eq!(world.variants(outpoint), made, "and no other is made");
    }
}

#[test]
fn what_no_server_took_is_handed_out_again_when_one_answers() {
    let mut world = World::new();
    world.answer = Err(BroadcastError::Unreachable);
    let outpoint = world.due(10_000, 1);
    assert!(world.mempool().is_empty());
    world.answer = Ok(());
    world.pass(MINUTE);
    assert!(world.mempool().is_empty());
    let server = crate::chain::parse_servers("tcp://a:1").unwrap().remove(0);
    world.event(&ChainEvent::Reachable { server });
    assert_eq!(world.variants(outpoint), [world.only().compute_txid()]);
}

#[test]
fn a_settlement_that_a_reorganisation_takes_out_is_said_and_handed_out_again() {
    for depth in 1..=5 {
        let mut world = World::new();
        let outpoint = world.due(10_000, 100);
        world.pass(BATCH_DELAY);
        let txid = world.only().compute_txid();
        world.block(&[txid]);
        world.blocks(depth - 1);
        world.reorganise(depth);
        assert_eq!(world.said("reorganised").len(), 1, "{depth}");
        world.forget(txid);
        world.blocks(1);
        let again = world.only().compute_txid();
        assert_eq!(world.variants(outpoint).last(), Some(&again));
        world.block(&[again]);
        world.blocks(5);
        assert_eq!(world.state(outpoint), Settled);
    }
}

#[test]
fn a_commitment_that_a_reorganisation_takes_out_is_confirmed_again_first() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 1);
    let settlement = world.only();
    world.reorganise(1);
    world.forget(settlement.compute_txid());
    world.forget(outpoint.txid);
    world.blocks(1);
    assert_eq!(world.only(), world.commitment(outpoint), "the commitment alone");
    world.blocks(1);
    world.block(&[outpoint.txid]);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_channel_that_is_never_worth_it_is_left_when_its_refund_opens() {
    let mut world = World::new();
    // Dust and less than the cheapest fee.
    let outpoint = world.due(500, 900);
    world.blocks(107);
    assert_eq!(world.state(outpoint), Due);
    assert_eq!(world.said("unsettleable").len(), 1, "said once");
    world.blocks(1);
    assert_eq!(world.state(outpoint), Left);
    assert_eq!(number(world.said("left")[0], "balance-sat"), 500);
    assert_eq!(world.store.earned().unwrap(), sat(0));
    assert!(world.variants(outpoint).is_empty());
}

#[test]
fn a_cooperative_close_is_recorded_handed_out_and_buried() {
    let mut world = World::new();
    let outpoint = world.record(0);
    world.put(world.commitment(outpoint), None);
    let closing = foreign_spend(outpoint, 300);
    world
        .with(|engine, out| engine.close_cooperatively(outpoint, &closing, sat(0), out))
        .unwrap();
    world.blocks(1);
    assert_eq!(world.state(outpoint), Settling);
    let in_mempool = world.mempool();
    assert!(in_mempool.contains(&closing), "also while unconfirmed");
    world.block(&[outpoint.txid, closing.compute_txid()]);
    world.blocks(5);
    assert_eq!(world.state(outpoint), Settled);
}

#[test]
fn what_somebody_else_spent_is_lost_once_that_is_buried() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 100);
    let refund = foreign_spend(outpoint, 500);
    world.put(refund.clone(), None);
    world.block(&[refund.compute_txid()]);
    assert_eq!(world.said("conflict").len(), 1);
    world.blocks(4);
    assert_ne!(world.state(outpoint), Lost);
    world.blocks(1);
    assert_eq!(world.state(outpoint), Lost);
    assert!(world.variants(outpoint).is_empty(), "nothing is made for it");
}

#[test]
fn a_key_of_another_seed_is_refused_and_spoils_no_batch() {
    let mut world = World::new();
    let good = world.open(10_000, 10);
    let other = World::new();
    let stranger = world.open(10_000, 10);
    world.seed = other.seed.clone();
    world.restart();
    assert_eq!(world.said("store-failed").len(), 2);
    assert!(!world.engine.holds(good) && !world.engine.holds(stranger));
}

#[test]
fn nothing_is_closed_by_a_tip_whose_branch_may_not_hold_the_spend() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 100);
    world.pass(BATCH_DELAY);
    let txid = world.only().compute_txid();
    world.block(&[txid]);
    world.blocks(4);
    // Five blocks are gone and six new ones there: the tip is known first.
    world.reorganise_before_news(5);
    assert_eq!(
        world.state(outpoint),
        Settling,
        "six deep, going by what was known"
    );
    world.all_news();
    world.pass(QUIET);
    assert_eq!(world.state(outpoint), Settling);
    assert_eq!(world.said("reorganised").len(), 1);
}
