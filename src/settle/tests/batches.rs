//! Which channels settle together, and when.

use super::*;
use streamium_channel::settlement::MAX_SETTLEMENT_CHANNELS;

#[test]
fn deep_channels_wait_for_each_other_from_the_first_that_became_due() {
    let mut world = World::new();
    let first = world.due(10_000, 6);
    world.pass(BATCH_DELAY / 2);
    let second = world.due(20_000, 60);
    world.pass(BATCH_DELAY / 2 - Duration::from_secs(1));
    assert!(world.mempool().is_empty());
    world.pass(Duration::from_secs(1));
    let tx = world.only();
    assert_eq!(inputs(&tx), sorted([first, second]));
    assert_eq!(tx.vsize(), 355, "one channel is 205 vB");
    assert_eq!(world.said("waiting").len(), 2, "each was told once");
    assert_eq!(number(world.said("settling")[0], "channels"), 2);
    assert_eq!(world.told.len(), 2, "both consumers hear of it");
}

#[test]
fn a_channel_that_can_t_become_deep_in_time_settles_alone_at_once() {
    let mut world = World::new();
    let four = world.due(10_000, 4);
    assert_eq!(
        inputs(&world.only()),
        [four],
        "two blocks take longer than the delay"
    );
    world.forget(world.only().compute_txid());
    let five = world.due(10_000, 5);
    assert!(world.variants(five).is_empty(), "one block does not");
    let six = world.due(10_000, 6);
    world.blocks(1);
    assert_eq!(world.variants(five), world.variants(six));
    assert_eq!(world.variants(six).len(), 1);
}

#[test]
fn a_channel_that_hoped_in_vain_for_a_block_settles_alone() {
    let mut world = World::new();
    let five = world.due(10_000, 5);
    world.pass(MINUTE);
    assert_eq!(inputs(&world.only()), [five]);
}

#[test]
fn a_full_settlement_does_not_wait() {
    let mut world = World::new();
    let outpoints: Vec<_> = (0..=MAX_SETTLEMENT_CHANNELS)
        .map(|_| world.open(10_000, 10))
        .collect();
    for outpoint in &outpoints[..MAX_SETTLEMENT_CHANNELS - 1] {
        world.release(*outpoint, Release::Now);
    }
    assert!(world.mempool().is_empty());
    world.release(outpoints[MAX_SETTLEMENT_CHANNELS - 1], Release::Now);
    let tx = world.only();
    assert_eq!(tx.input.len(), MAX_SETTLEMENT_CHANNELS);
    assert!(tx.vsize() <= 10_000, "{}", tx.vsize());
    world.release(outpoints[MAX_SETTLEMENT_CHANNELS], Release::Now);
    assert_eq!(world.mempool().len(), 1, "one more waits again");
}

#[test]
fn near_its_deadline_a_channel_settles_alone_at_once() {
    let mut world = World::new();
    let near = world.open_with(10_000, 1_008 - 71, 1_008);
    let far = world.open_with(10_000, 1_008 - 72, 1_008);
    world.release(far, Release::Now);
    world.release(near, Release::Now);
    assert_eq!(inputs(&world.only()), [near]);
    world.pass(BATCH_DELAY);
    assert_eq!(world.variants(far).len(), 1);
    assert_ne!(world.variants(far), world.variants(near));
}

#[test]
fn a_deadline_goes_by_the_clock_where_servers_hide_blocks() {
    let mut world = World::new();
    let outpoint = world.due(10_000, 900);
    world.wall += Tip::BLOCK_INTERVAL * 37;
    world.pass(MINUTE);
    assert_eq!(
        inputs(&world.only()),
        [outpoint],
        "71 blocks are left by the clock"
    );
}

#[test]
fn channels_taken_up_together_settle_together() {
    let mut world = World::new();
    let all = [
        world.due(10_000, 10),
        world.due(10_000, 11),
        world.due(10_000, 12),
    ];
    world.restart();
    world.pass(BATCH_DELAY);
    assert!(world.mempool().is_empty(), "servers have said nothing");
    world.news(all[0]);
    world.news(all[1]);
    assert!(world.mempool().is_empty(), "one answer is missing");
    world.news(all[2]);
    world.pass(BATCH_DELAY);
    assert_eq!(inputs(&world.only()), sorted(all));
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let mut world = World::new();
    let heard = world.due(10_000, 10);
    let silent = world.due(10_000, 10);
    world.restart();
    world.with(|engine, out| engine.stop(out));
    world.news(heard);
    assert!(world.mempool().is_empty());
    world.pass(Duration::from_secs(2));
    assert_eq!(inputs(&world.only()), [heard]);
    assert!(world.variants(silent).is_empty());
}

#[test]
fn company_can_make_a_channel_worth_its_settlement() {
    let mut world = World::new();
    // Half of it is more than its part of 151 vB, and less than the 205 vB of a settlement.
    let first = world.due(350, 10);
    world.pass(BATCH_DELAY);
    assert!(world.mempool().is_empty());
    assert_eq!(number(world.said("unsettleable")[0], "fee-sat"), 205);
    let second = world.due(100_000, 10);
    assert_eq!(inputs(&world.only()), sorted([first, second]));
}

#[test]
fn a_channel_that_is_not_worth_its_part_stays_out_of_the_batch() {
    let mut world = World::new();
    let tiny = world.due(301, 10);
    let other = world.due(10_000, 10);
    world.pass(BATCH_DELAY);
    assert_eq!(inputs(&world.only()), [other]);
    assert!(world.variants(tiny).is_empty());
}

#[test]
fn an_opening_payment_alone_is_settled() {
    let mut world = World::new();
    // Dust, and twice a settlement at 1 sat/vB: what an opening payment is at least.
    let outpoint = world.due(740, 1);
    let tx = world.only();
    assert_eq!(world.fee_of(&tx).0, 205);
    assert_eq!(tx.output[1].value, sat(535));
    assert_eq!(inputs(&tx), [outpoint]);
}

#[test]
fn a_fee_spike_is_waited_out_by_those_that_are_not_worth_it() {
    let mut world = World::new();
    world.set_fee(500);
    let small = world.due(150_000, 1);
    let large = world.due(300_000, 1);
    assert_eq!(inputs(&world.only()), [large]);
    assert_eq!(world.fee_of(&world.only()).0, 102_500);
    let said = world.said("unsettleable");
    assert_eq!(said.len(), 1);
    assert_eq!(number(said[0], "fee-sat"), 102_500);
    assert_eq!(number(said[0], "balance-sat"), 150_000);
    assert_eq!(number(said[0], "blocks-left"), 1_007);
    world.blocks(3);
    assert_eq!(world.said("unsettleable").len(), 1, "said once");
    world.set_fee(365);
    let waiting = world.variants(small);
    assert_eq!(waiting.len(), 1, "cheap enough");
}

#[test]
fn fees_above_the_ceiling_are_waited_out_until_the_deadline_presses() {
    let mut world = World::new();
    world.set_fee(501);
    let outpoint = world.open_with(900_000, 100, 144);
    world.release(outpoint, Release::Now);
    assert!(world.mempool().is_empty());
    assert_eq!(world.said("unsettleable").len(), 1);
    world.blocks(8);
    assert!(world.mempool().is_empty(), "36 blocks are left");
    world.blocks(1);
    assert_eq!(world.fee_of(&world.only()).0, 102_500, "500 sat/vB and no more");
}

#[test]
fn the_estimate_is_the_one_for_the_time_that_is_left() {
    let rates = [(1_007, 3), (287, 5), (71, 7), (35, 11)];
    for (left, rate) in rates {
        let mut world = World::new();
        world.fee(|target| {
            Some(vb(match target {
                144 => 3,
                24 => 5,
                6 => 7,
                2 => 11,
                other => panic!("{other}"),
            }))
        });
        let outpoint = world.open_with(100_000, 1_008 - left, 1_008);
        world.release(outpoint, Release::Now);
        world.pass(BATCH_DELAY);
        let found = world.fee_of(&world.only()).1 / 250;
        assert_eq!(found, rate, "{left}");
    }
}
