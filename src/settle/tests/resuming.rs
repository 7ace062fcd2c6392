//! Who may come back, and until when.

use super::*;
use crate::store::ProviderChannelState::{Due, Open};
use streamium_channel::provider::NotResumable as Refusal;

#[test]
fn the_channels_of_a_crash_may_be_resumed_for_the_settle_delay() {
    let mut world = World::new();
    let outpoint = world.open(10_000, 3);
    world.restart();
    world.news(outpoint);
    world.pass(MINUTE - Duration::from_secs(1));
    assert_eq!(world.state(outpoint), Open);
    assert!(world.mempool().is_empty());
    world.pass(Duration::from_secs(1));
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn what_was_due_is_due_at_once_at_the_next_start() {
    let mut world = World::new();
    world.answer = Err(BroadcastError::Unreachable);
    let outpoint = world.record(10_000);
    world.release(outpoint, Release::Now);
    assert_eq!(world.state(outpoint), Due);
    world.answer = Ok(());
    world.put(world.commitment(outpoint), Some(world.height()));
    world.restart();
    world.news(outpoint);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_consumer_that_comes_back_in_time_gets_its_channel() {
    let mut world = World::new();
    let outpoint = world.open(10_000, 3);
    world.release(outpoint, Release::After(MINUTE));
    world.pass(MINUTE / 2);
    let taken = world.with(|engine, out| engine.take(outpoint, out)).unwrap();
    assert_eq!(taken.record.best.unwrap().cumulative, sat(10_000));
    assert!(!world.engine.holds(outpoint));
    world.pass(2 * MINUTE);
    assert!(world.mempool().is_empty(), "it is the session's");
    let again = world.with(|engine, out| engine.take(outpoint, out));
    assert!(matches!(again, Err(NotResumable::InUse(_))));
    // And goes back when that ends, too.
    world.release(outpoint, Release::After(MINUTE));
    world.pass(MINUTE);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_channel_that_waits_for_its_batch_may_still_be_resumed_and_is_open_again() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 10);
    assert_eq!(world.state(outpoint), Due);
    world.with(|engine, out| engine.take(outpoint, out)).unwrap();
    assert_eq!(world.state(outpoint), Open);
    world.pass(BATCH_DELAY);
    assert!(world.mempool().is_empty());
}

#[test]
fn what_is_settled_spent_unknown_or_too_old_is_not_resumed() {
    let mut world = World::new();
    let take = |world: &mut World, outpoint| {
        world
            .with(|engine, out| engine.take(outpoint, out))
            .map(drop)
            .unwrap_err()
    };
    let settling = world.due(10_000, 1);
    assert!(matches!(
        take(&mut world, settling),
        NotResumable::Refused(Refusal::Settling(_))
    ));
    let txid = world.only().compute_txid();
    world.block(&[txid]);
    world.blocks(5);
    assert!(matches!(take(&mut world, settling), NotResumable::Closed(..)));

    let spent = world.open(10_000, 10);
    world.put(foreign_spend(spent, 500), None);
    world.release(spent, Release::After(MINUTE));
    assert!(matches!(
        take(&mut world, spent),
        NotResumable::Refused(Refusal::Spent(..))
    ));

    let unknown = OutPoint::null();
    assert!(matches!(take(&mut world, unknown), NotResumable::Unknown(_)));

    let last = world.open_with(10_000, 108, 144);
    world.release(last, Release::After(MINUTE));
    assert!(world.with(|engine, out| engine.take(last, out)).is_ok());
    let late = world.due(10_000, 10);
    world.with(|engine, out| engine.take(late, out)).unwrap();
    world.release(late, Release::After(MINUTE * 600));
    // The servers say no more, but the time passes.
    world.wall += Tip::BLOCK_INTERVAL * 963;
    assert!(matches!(
        take(&mut world, late),
        NotResumable::Refused(Refusal::TooOld { .. })
    ));
}

#[test]
fn a_channel_near_its_refund_is_due_however_long_it_could_be_resumed() {
    let mut world = World::new();
    let outpoint = world.open_with(10_000, 108, 144);
    world.release(outpoint, Release::After(MINUTE * 6_000));
    assert_eq!(world.state(outpoint), Open);
    world.blocks(1);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_channel_whose_consumer_has_credit_waits_until_its_deadline() {
    let mut world = World::new();
    let outpoint = world.open_with(10_000, 100, 144);
    world.release(outpoint, Release::UntilDeadline);
    world.pass(MINUTE * 60 * 24);
    assert_eq!(world.state(outpoint), Open);
    let taken = world.with(|engine, out| engine.take(outpoint, out));
    assert_eq!(taken.unwrap().record.best.unwrap().cumulative, sat(10_000));
    world.release(outpoint, Release::UntilDeadline);
    world.blocks(9);
    assert_eq!(inputs(&world.only()), [outpoint]);
}

#[test]
fn a_stop_makes_all_due_and_waits_for_nobody() {
    let mut world = World::new();
    let idle = world.open(10_000, 10);
    world.release(idle, Release::After(MINUTE));
    let waits = world.due(10_000, 10);
    assert!(world.mempool().is_empty());
    world.with(|engine, out| engine.stop(out));
    world.pass(Duration::ZERO);
    assert_eq!(inputs(&world.only()), sorted([idle, waits]));
    assert!(world.engine.is_idle(world.now));
}

#[test]
fn a_stop_waits_for_answers_but_not_for_ever() {
    let mut world = World::new();
    let outpoint = world.open(10_000, 10);
    let release = |engine: &mut Engine, out: &mut Outside<'_>| engine.release(outpoint, Release::Now, out);
    world.with(release).unwrap();
    world.with(|engine, out| engine.stop(out));
    assert!(!world.engine.is_idle(world.now), "no server has said anything");
    world.pass(Duration::from_secs(2));
    assert!(world.engine.is_idle(world.now));
}

/// Two channels at a stop, of which servers say that they are in blocks.
fn two_to_be_proven(world: &mut World) -> [bitcoin::OutPoint; 2] {
    let channels = [world.open(10_000, 10), world.open(10_000, 10)];
    for outpoint in channels {
        let release =
            |engine: &mut Engine, out: &mut Outside<'_>| engine.release(outpoint, Release::Now, out);
        world.with(release).unwrap();
    }
    world.with(|engine, out| engine.stop(out));
    channels.iter().for_each(|outpoint| world.claim(*outpoint));
    channels
}

#[test]
fn a_stop_waits_for_proofs_so_that_channels_share_a_settlement() {
    let mut world = World::new();
    let channels = two_to_be_proven(&mut world);
    world.news(channels[0]);
    assert!(world.mempool().is_empty(), "the other is about to be proven");
    assert!(!world.engine.is_idle(world.now));
    world.news(channels[1]);
    assert_eq!(inputs(&world.only()), sorted(channels));
    assert!(world.engine.is_idle(world.now));
}

#[test]
fn a_stop_waits_for_proofs_but_not_for_ever() {
    let mut world = World::new();
    let channels = two_to_be_proven(&mut world);
    world.news(channels[0]);
    world.pass(Duration::from_secs(2));
    assert_eq!(inputs(&world.only()), [channels[0]]);
}

#[test]
fn a_used_up_channel_that_waits_for_its_batch_is_not_resumed_nor_after_a_restart() {
    let mut world = World::new();
    let (first, second) = (world.open(10_000, 10), world.open(0, 10));
    let account = |world: &World, outpoint| {
        let stored = world.store.provider_channel(outpoint).unwrap();
        stored.record.account()
    };
    let (from, to) = (account(&world, first), account(&world, second));
    world.store.switch_account(&from, &to).unwrap();
    world.release(first, Release::Now);
    for _ in 0..2 {
        assert_eq!(world.state(first), Due);
        let taken = world.with(|engine, out| engine.take(first, out));
        assert!(matches!(
            taken,
            Err(NotResumable::Refused(Refusal::GoneOn { .. }))
        ));
        world.restart();
        world.news(first);
    }
}

#[test]
fn a_channel_that_is_resumed_after_it_was_unpaid_is_open_on_record() {
    let mut world = World::new();
    let outpoint = world.open(0, 10);
    world.release(outpoint, Release::Now);
    assert_eq!(world.state(outpoint), crate::store::ProviderChannelState::Unpaid);
    world.with(|engine, out| engine.take(outpoint, out)).unwrap();
    assert_eq!(world.state(outpoint), Open);
}
