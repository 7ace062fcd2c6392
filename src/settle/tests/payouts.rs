//! Where settlements pay.

use super::*;
use bitcoin::Network;

const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";

#[test]
fn each_settlement_takes_the_next_script_of_a_descriptor_and_a_bump_keeps_its() {
    let payout = Payout::parse(&format!("wpkh({TPUB}/0/*)"), Network::Regtest).unwrap();
    let script = |index| payout.address(index).unwrap().script_pubkey();
    let paid = |tx: &bitcoin::Transaction| tx.output.last().unwrap().script_pubkey.clone();
    let mut world = World::with_payout(payout.clone());

    let first = world.due(100_000, 1);
    let made = world.only();
    assert_eq!(paid(&made), script(0));
    world.blocks(36);
    assert_eq!(world.variants(first).len(), 2);
    assert_eq!(paid(&world.only()), script(0), "a bump");
    let txid = world.only().compute_txid();
    world.block(&[txid]);

    world.due(100_000, 1);
    assert_eq!(paid(&world.only()), script(1));
    let txid = world.only().compute_txid();
    world.block(&[txid]);

    // Not even a restart uses one twice.
    world.restart();
    world.all_news();
    world.due(100_000, 1);
    assert_eq!(paid(&world.only()), script(2));
}

#[test]
fn what_is_not_settled_uses_up_no_index() {
    let payout = Payout::parse(&format!("wpkh({TPUB}/0/*)"), Network::Regtest).unwrap();
    let mut world = World::with_payout(payout.clone());
    world.due(300, 1);
    world.blocks(3);
    assert_eq!(
        world
            .store
            .next_payout_index(&payout.descriptor().unwrap())
            .unwrap(),
        0
    );
}

#[test]
fn one_address_is_paid_each_time() {
    let mut world = World::new();
    for _ in 0..2 {
        world.due(100_000, 1);
        let tx = world.only();
        assert_eq!(tx.output.last().unwrap().script_pubkey, address().script_pubkey());
        world.block(&[tx.compute_txid()]);
    }
}
