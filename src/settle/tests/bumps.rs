//! When a settlement is replaced, and by what.

use super::*;
use crate::store::ProviderChannelState::Settled;

/// A settlement of one channel with so many blocks left.
fn settled(world: &mut World, balance: u64, left: u32) -> OutPoint {
    let outpoint = world.open_with(balance, 1_008 - left, 1_008);
    world.release(outpoint, Release::Now);
    world.pass(BATCH_DELAY);
    assert_eq!(world.variants(outpoint).len(), 1);
    outpoint
}

/// BIP125's rules 3, 4 and 6, as far as they bind ours.
fn check_replacement(world: &World, old: &Transaction, new: &Transaction) {
    let ((old_fee, old_rate), (new_fee, new_rate)) = (world.fee_of(old), world.fee_of(new));
    assert!(new_fee >= old_fee + new.vsize() as u64, "{old_fee} {new_fee}");
    assert!(new_rate > old_rate, "{old_rate} {new_rate}");
    let (old, new) = (inputs(old), inputs(new));
    assert!(old.iter().all(|input| new.contains(input)), "whole, or with more");
}

#[test]
fn what_does_not_confirm_in_time_is_bumped() {
    for (left, patience) in [(900, 36), (250, 8), (71, 3)] {
        let mut world = World::new();
        world.set_fee(10);
        let outpoint = settled(&mut world, 100_000, left);
        let old = world.only();
        world.blocks(patience - 1);
        assert_eq!(world.variants(outpoint).len(), 1, "{left}");
        world.blocks(1);
        assert_eq!(world.variants(outpoint).len(), 2, "{left}");
        let new = world.only();
        check_replacement(&world, &old, &new);
        assert_eq!(world.fee_of(&new).0, 2_563, "a quarter more than 2,050");
        let bump = world.said("settling")[1];
        assert!(
            bump.text
                .as_ref()
                .unwrap()
                .contains("since it was not confirmed in time")
        );
        assert_eq!(world.told.len(), 1, "the consumer hears of the first one");
    }
}

#[test]
fn a_bump_of_a_low_rate_pays_for_its_relay() {
    let mut world = World::new();
    let outpoint = settled(&mut world, 10_000, 900);
    let old = world.only();
    world.blocks(36);
    check_replacement(&world, &old, &world.only());
    assert_eq!(
        world.fee_of(&world.only()).0,
        410,
        "twice 205, not a quarter more"
    );
    assert_eq!(world.variants(outpoint).len(), 2);
}

#[test]
fn it_is_bumped_when_fees_have_risen_by_a_quarter_but_once_a_block() {
    let mut world = World::new();
    world.set_fee(100);
    let outpoint = settled(&mut world, 1_000_000 - 330, 900);
    world.set_fee(124);
    world.blocks(1);
    assert_eq!(world.variants(outpoint).len(), 1);
    world.set_fee(125);
    assert_eq!(world.variants(outpoint).len(), 2);
    world.set_fee(200);
    assert_eq!(world.variants(outpoint).len(), 2, "not twice with one tip");
    world.blocks(1);
    assert_eq!(world.variants(outpoint).len(), 3);
    assert_eq!(world.fee_of(&world.only()).1, 50_000);
}

#[test]
fn a_bump_waits_while_it_would_cost_more_than_half_of_the_balance() {
    let mut world = World::new();
    world.set_fee(20);
    let outpoint = settled(&mut world, 9_000, 900);
    assert_eq!(world.fee_of(&world.only()).0, 4_100);
    world.blocks(100);
    assert_eq!(world.variants(outpoint).len(), 1, "5,125 is more than 4,500");
}

#[test]
fn near_the_deadline_it_is_bumped_ever_more_often_up_to_the_ceiling() {
    let mut world = World::new();
    world.set_fee(10);
    let outpoint = settled(&mut world, 900_000, 36);
    let mut rates = vec![world.fee_of(&world.only()).1];
    for _ in 0..36 {
        let old = world.only();
        world.blocks(1);
        if world.only() != old {
            check_replacement(&world, &old, &world.only());
            rates.push(world.fee_of(&world.only()).1);
        }
    }
    assert_eq!(rates[0], 2_500);
    assert_eq!(rates.last(), Some(&125_000), "500 sat/vB: {rates:?}");
    // At least a quarter each time: the last step ends at the ceiling.
    let steps: Vec<_> = rates.windows(2).map(|pair| pair[1] * 100 / pair[0]).collect();
    assert!(
        steps[..steps.len() - 1].iter().all(|step| *step >= 124),
        "{steps:?}"
    );
    assert_eq!(world.variants(outpoint).len(), rates.len(), "all are on record");
    assert!(
        rates.len() > 17,
        "every second block, then every block: {rates:?}"
    );
}

#[test]
fn near_the_deadline_a_fee_may_take_all_but_dust_once_lower_bids_were_in_vain() {
    let mut world = World::new();
    world.set_fee(40);
    let outpoint = world.open_with(4_000, 1_008 - 36, 1_008);
    world.release(outpoint, Release::Now);
    assert!(world.mempool().is_empty(), "8,200 sat of fee for 4,000");
    let mut payouts = Vec::new();
    for _ in 0..36 {
        world.blocks(1);
        payouts.push(world.only().output[1].value.to_sat());
    }
    assert!((2_000..2_010).contains(&payouts[0]), "half at first: {payouts:?}");
    assert!(payouts[..16].iter().all(|payout| *payout >= 1_000), "{payouts:?}");
    assert!((330..340).contains(&payouts[35]), "{payouts:?}");
    assert_eq!(world.variants(outpoint).len(), 3, "{payouts:?}");
}

#[test]
fn one_lying_estimate_takes_no_more_than_half_at_the_deadline() {
    let mut world = World::new();
    let outpoint = world.open_with(40_000, 1_008 - 10, 1_008);
    world.fee(|_| Some(vb(500)));
    world.release(outpoint, Release::Now);
    let settlement = world.only();
    let (fee, _) = world.fee_of(&settlement);
    assert!(fee <= 20_000, "{fee} of 40,000 sat");
    // An honest network has it in the next block.
    world.block(&[settlement.compute_txid()]);
    world.blocks(5);
    assert_eq!(world.state(outpoint), Settled);
}

#[test]
fn a_batch_is_bumped_whole_and_takes_along_what_waits() {
    let mut world = World::new();
    world.set_fee(10);
    let first = [world.due(50_000, 10), world.due(50_000, 20)];
    world.pass(BATCH_DELAY);
    let old = world.only();
    world.blocks(35);
    let late = world.due(50_000, 10);
    let young = world.open(50_000, 5);
    world.block(&[]);
    let new = world.only();
    check_replacement(&world, &old, &new);
    assert_eq!(inputs(&new), sorted([first[0], first[1], late]));
    assert!(world.variants(young).is_empty());
    assert_eq!(world.told.len(), 3);
}

#[test]
fn what_waits_does_not_keep_a_bump_from_being_affordable() {
    let mut world = World::new();
    world.set_fee(10);
    let rich = settled(&mut world, 500_000, 900);
    let poor = world.due(301, 10);
    world.blocks(36);
    assert_eq!(world.variants(rich).len(), 2);
    assert!(world.variants(poor).is_empty());
}

#[test]
fn a_refusal_for_its_fee_bumps_it_with_the_next_block_and_not_before() {
    let mut world = World::new();
    world.answer = Err(BroadcastError::FeeTooLow {
        words: "min relay fee not met".into(),
    });
    let outpoint = settled(&mut world, 100_000, 900);
    world.set_fee(1);
    assert_eq!(world.variants(outpoint).len(), 1);
    assert_eq!(world.said("unsettleable").len(), 1);
    world.answer = Ok(());
    world.blocks(1);
    assert_eq!(world.variants(outpoint).len(), 2);
}

#[test]
fn near_its_deadline_a_channel_leaves_its_batch_and_the_rest_settles_anew() {
    let mut world = World::new();
    let near = world.open_with(500_000, 1_008 - 72, 1_008);
    let far = [world.open(100_000, 10), world.open(100_000, 10)];
    for outpoint in [near, far[0], far[1]] {
        world.release(outpoint, Release::Now);
    }
    world.pass(BATCH_DELAY);
    let batch = world.only();
    assert_eq!(batch.input.len(), 3);
    world.blocks(53);
    assert_eq!(world.only().input.len(), 3, "19 blocks are left: bumped whole");
    let last = world.only();
    world.blocks(1);
    let mempool = world.mempool();
    let alone = mempool.iter().find(|tx| inputs(tx) == [near]).unwrap();
    assert!(
        world.fee_of(alone).0 > world.fee_of(&last).0 + 204,
        "out-bids the whole batch"
    );
    let rest = mempool.iter().find(|tx| inputs(tx) == sorted(far));
    assert!(rest.is_some(), "{mempool:#?}");
}

#[test]
fn a_batch_that_one_channel_can_t_out_bid_is_bumped_whole_to_the_end() {
    let mut world = World::new();
    let near = world.open_with(400, 1_008 - 72, 1_008);
    let far = world.open(1_000_000 - 330, 10);
    world.release(near, Release::Now);
    world.release(far, Release::Now);
    world.pass(BATCH_DELAY);
    assert_eq!(inputs(&world.only()), sorted([near, far]));
    world.blocks(70);
    assert_eq!(inputs(&world.only()), sorted([near, far]));
}

#[test]
fn whichever_variant_is_mined_settles_all_its_channels() {
    let mut world = World::new();
    world.set_fee(10);
    let outpoints = [world.due(50_000, 10), world.due(50_000, 20)];
    world.pass(BATCH_DELAY);
    let first = world.only();
    world.blocks(72);
    assert_eq!(world.variants(outpoints[0]).len(), 3);
    let newest = world.only().compute_txid();
    world.forget(newest);
    world.put(first.clone(), None);
    world.block(&[first.compute_txid()]);
    world.blocks(5);
    for outpoint in outpoints {
        assert_eq!(world.state(outpoint), Settled);
        assert_eq!(world.variants(outpoint).len(), 3, "all stay on record");
    }
}

#[test]
fn nothing_is_replaced_before_servers_have_said_what_the_last_block_holds() {
    let mut world = World::new();
    let outpoint = settled(&mut world, 100_000, 900);
    let txid = world.only().compute_txid();
    world.blocks(35);
    // The tip comes first.
    world.tip_before_news(&[txid]);
    world.pass(Duration::from_secs(1));
    world.news(outpoint);
    world.pass(QUIET);
    assert_eq!(world.variants(outpoint), [txid], "it is in the block");
}
