//! The cooperative close, before and after the commitment's first confirmation.

use crate::common::{p2tr, sat};
use crate::harness::*;
use streamium_channel::bitcoin::{Amount, FeeRate, ScriptBuf, Transaction};
use streamium_channel::cooperative::Closing;

const FEE: Amount = Amount::from_sat(500);

fn close(open: &Open, balance: u64, payout: &ScriptBuf) -> Transaction {
    let closing = Closing {
        channel: &open.channel,
        balance: sat(balance),
        payout,
        fee: FEE,
    };
    let offer = closing.offer(&open.parties.consumer).unwrap();
    closing
        .complete(&offer, sat(balance), &open.parties.provider)
        .unwrap()
}

#[test]
fn a_cooperative_close_gives_each_its_part() {
    let node = node();
    for (balance, vsize) in [(0, 161), (1_000, 204)] {
        let open = open(&node);
        let tx = close(&open, balance, &p2tr(PAYOUT));
        assert_eq!(node.measured_vsize(&tx), vsize);

        let txid = node.broadcast(&tx).unwrap();
        assert_eq!(node.mempool_fee(txid), FEE);
        node.mine(1);
        assert_eq!(node.on_chain(txid, 0), sat(CAPACITY - balance) - FEE);
        if balance > 0 {
            assert_eq!(node.on_chain(txid, 1), sat(balance));
        }
    }
}

#[test]
fn a_cooperative_close_does_not_wait_for_the_commitment() {
    let node = node();
    for balance in [0, 1_000] {
        let open = unconfirmed(&node);
        let tx = close(&open, balance, &p2tr(PAYOUT));
        // Version 2, like the commitment: only a version-3 child would have to wait.
        let txid = node.broadcast(&tx).unwrap();
        node.mine(1);
        assert_eq!(node.confirmations(txid), 1);
    }
}

#[test]
fn a_cooperative_close_can_replace_a_settlement_that_waits() {
    let node = node();
    let open = open(&node);
    let settled = open.settle(&open.pay(1_000), FeeRate::BROADCAST_MIN);
    node.broadcast(&settled.transaction).unwrap();
    assert_eq!(node.accept(&close(&open, 1_000, &p2tr(PAYOUT))), Ok(()));
}

#[test]
fn a_closing_transaction_needs_both_signatures_for_exactly_itself() {
    let node = node();
    let open = open(&node);
    let tx = close(&open, 1_000, &p2tr(PAYOUT));
    assert_eq!(node.accept(&tx), Ok(()));
    let leaf = open.channel.script().payment();

    let mut shifted = tx.clone();
    shifted.output[0].value -= sat(1);
    shifted.output[1].value += sat(1);
    node.assert_invalid("a satoshi shifted", &shifted, INVALID_SIGNATURE);
    let consumer = tx.input[0].witness.nth(1).unwrap();
    let resigned = open.complete(shifted, consumer);
    node.assert_invalid("signed anew by the provider", &resigned, INVALID_SIGNATURE);
    let mut alone = tx.clone();
    alone.input[0].witness = leaf_witness(leaf, &[&[], consumer]);
    node.assert_invalid("by the consumer alone", &alone, FALSE_AT_END);
}
