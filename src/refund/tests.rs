//! Each decision by itself, at simulated heights. `tests/refund.rs` has a real chain.

use bitcoin::hashes::Hash;
use bitcoin::key::{Keypair, Secp256k1};
use bitcoin::transaction::Version;
use bitcoin::{Amount, FeeRate, OutPoint, ScriptBuf, TxOut, absolute};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::contract::Contract;
use streamium_channel::keys::ChannelKeys;
use streamium_channel::refund::refund;
use streamium_channel::script::ChangeScript;

use super::*;
use crate::chain::Spend;

const DELAY: u32 = 144;

fn key(byte: u8) -> Keypair {
    Keypair::from_seckey_slice(&Secp256k1::new(), &[byte; 32]).unwrap()
}

fn script(byte: u8) -> ScriptBuf {
    ScriptBuf::from_bytes([&[0x51, 0x20][..], &key(byte).x_only_public_key().0.serialize()].concat())
}

fn held(refunds: &[(u32, u32)]) -> HeldChannel {
    let keys = ChannelKeys::new(key(1).x_only_public_key().0, key(2).x_only_public_key().0).unwrap();
    let delay = RefundDelay::new(144).unwrap();
    let capacity = Amount::from_sat(50_000);
    let contract = Contract::new(keys, delay, capacity, ChangeScript::new(script(5)).unwrap()).unwrap();
    let output = vec![TxOut {
        value: capacity,
        script_pubkey: contract.script().unwrap().script_pubkey().clone(),
    }];
    let commitment = Transaction {
        version: Version::TWO,
        lock_time: absolute::LockTime::ZERO,
        input: vec![],
        output,
    };
    let outpoint = OutPoint::new(commitment.compute_txid(), 0);
    let channel = Channel::new(contract, outpoint).unwrap();
    let made = |(sat_per_vb, height): &(u32, u32)| {
        let rate = FeeRate::from_sat_per_vb_u32(*sat_per_vb);
        let tx = refund(&channel, &key(1), &script(6), rate).unwrap();
        let fee = capacity - tx.output[0].value;
        let height = *height;
        Made { tx, fee, height }
    };
    HeldChannel {
        refunds: refunds.iter().map(made).collect(),
        key: key(1),
        commitment,
        refund_script: None,
        committed_height: None,
        mined_height: None,
        spend_since: None,
        children: vec![],
        channel,
    }
}

fn at(height: u32) -> Market {
    Market {
        height,
        estimate: Some(FeeRate::from_sat_per_vb_u32(3)),
        max: FeeRate::from_sat_per_vb_u32(50),
    }
}

fn made(confirmations: u32) -> OutpointStatus {
    OutpointStatus {
        made: Some(confirmations),
        spend: None,
    }
}

fn spent(txid: Txid, confirmations: u32) -> OutpointStatus {
    let spend = Some(Spend { txid, confirmations });
    OutpointStatus {
        spend,
        ..made(DELAY + 9)
    }
}

fn refund_id(held: &HeldChannel, index: usize) -> Txid {
    held.refunds[index].tx.compute_txid()
}

#[test]
fn a_commitment_that_no_server_knows_is_handed_out_again() {
    assert_eq!(held(&[]).step(OutpointStatus::default(), &at(9)), Step::Recommit);
    // Even when a refund was made before a reorganisation took it away.
    assert_eq!(
        held(&[(3, 1)]).step(OutpointStatus::default(), &at(9)),
        Step::Recommit
    );
    assert_eq!(held(&[]).step(made(0), &at(9)), Step::Unconfirmed);
}

#[test]
fn a_refund_is_made_at_the_block_before_it_can_be_mined_and_no_earlier() {
    for (confirmations, blocks) in [(1, DELAY - 1), (DELAY - 1, 1)] {
        assert_eq!(
            held(&[]).step(made(confirmations), &at(900)),
            Step::Wait { blocks }
        );
    }
    let fee_rate = FeeRate::from_sat_per_vb_u32(3);
    for confirmations in [DELAY, DELAY + 500] {
        assert_eq!(
            held(&[]).step(made(confirmations), &at(900)),
            Step::Refund { fee_rate }
        );
    }
    // A reorganisation made the commitment younger: what was made waits.
    assert_eq!(
        held(&[(3, 1)]).step(made(DELAY - 1), &at(900)),
        Step::Wait { blocks: 1 }
    );
}

#[test]
fn a_refund_that_is_forgotten_is_handed_out_again_and_one_that_is_stuck_pays_more() {
    let held = held(&[(3, 900)]);
    let newest = held.refunds[0].tx.clone();
    assert_eq!(held.step(made(DELAY), &at(905)), Step::HandOut(newest.clone()));
    let waiting = Step::Closing {
        txid: newest.compute_txid(),
        confirmations: 0,
        ours: true,
    };
    assert_eq!(held.step(spent(newest.compute_txid(), 0), &at(905)), waiting);
    let Step::Refund { fee_rate } = held.step(spent(newest.compute_txid(), 0), &at(906)) else {
        panic!("six blocks without a confirmation")
    };
    let sat_per_vb = fee_rate.to_sat_per_kwu() as f64 / 250.0;
    assert!(
        (4.4..4.6).contains(&sat_per_vb),
        "half as much again: {sat_per_vb}"
    );
    assert!(matches!(held.step(made(DELAY), &at(906)), Step::Refund { .. }));
}

#[test]
fn a_refund_that_comes_back_out_of_a_block_is_not_stuck_yet() {
    let mut held = held(&[(3, 900)]);
    held.mined_height = Some(904);
    let txid = refund_id(&held, 0);
    assert!(matches!(
        held.step(spent(txid, 0), &at(909)),
        Step::Closing { .. }
    ));
    assert!(matches!(held.step(spent(txid, 0), &at(910)), Step::Refund { .. }));
}

#[test]
fn the_newest_refund_is_handed_out_while_an_older_one_is_known() {
    let held = held(&[(2, 890), (3, 900)]);
    let newest = held.refunds[1].tx.clone();
    assert_eq!(
        held.step(spent(refund_id(&held, 0), 0), &at(901)),
        Step::HandOut(newest)
    );
}

#[test]
fn any_of_the_refunds_may_be_the_one_that_confirms() {
    let held = held(&[(2, 890), (3, 900)]);
    for index in [0, 1] {
        let txid = refund_id(&held, index);
        let closing = |confirmations| Step::Closing {
            txid,
            confirmations,
            ours: true,
        };
        // Once in a block nothing is bumped any more, however old.
        assert_eq!(held.step(spent(txid, 1), &at(990)), closing(1));
        assert_eq!(held.step(spent(txid, 11), &at(990)), closing(11));
        assert_eq!(
            held.step(spent(txid, 12), &at(990)),
            Step::Closed { txid, ours: true }
        );
    }
}

#[test]
fn a_providers_spend_is_accepted_as_soon_as_it_is_known() {
    let settlement = Txid::all_zeros();
    for refunds in [&[][..], &[(3, 900)]] {
        let held = held(refunds);
        for confirmations in [0, 1, 11] {
            let closing = Step::Closing {
                txid: settlement,
                confirmations,
                ours: false,
            };
            assert_eq!(held.step(spent(settlement, confirmations), &at(990)), closing);
        }
        let closed = Step::Closed {
            txid: settlement,
            ours: false,
        };
        assert_eq!(held.step(spent(settlement, 12), &at(990)), closed);
    }
}

#[test]
fn a_spend_that_never_confirms_keeps_the_refund_back_for_a_stated_time_only() {
    let settlement = Txid::all_zeros();
    let closing = Step::Closing {
        txid: settlement,
        confirmations: 0,
        ours: false,
    };
    let mut held = held(&[]);
    let at_depth = |depth| OutpointStatus {
        made: Some(depth),
        ..spent(settlement, 0)
    };
    // Before the refund could be mined no time counts.
    held.note_spend(at_depth(DELAY - 1), 899);
    assert_eq!(held.step(at_depth(DELAY - 1), &at(899)), closing);
    for passed in 0..PATIENCE_BLOCKS {
        let (status, height) = (at_depth(DELAY + passed), 900 + passed);
        held.note_spend(status, height);
        assert_eq!(held.step(status, &at(height)), closing, "{passed} blocks");
    }
    let (status, height) = (at_depth(DELAY + PATIENCE_BLOCKS), 900 + PATIENCE_BLOCKS);
    held.note_spend(status, height);
    assert!(matches!(held.step(status, &at(height)), Step::Refund { .. }));
    // One that comes back from a block has its time anew.
    held.note_spend(spent(settlement, 1), height);
    held.note_spend(status, height);
    assert_eq!(held.step(status, &at(height)), closing);
}

#[test]
fn a_program_that_starts_anew_does_not_wait_anew() {
    let settlement = Txid::all_zeros();
    let mut held = held(&[]);
    let late = OutpointStatus {
        made: Some(DELAY + LATEST_BLOCKS),
        ..spent(settlement, 0)
    };
    held.note_spend(late, 990);
    assert!(matches!(held.step(late, &at(990)), Step::Refund { .. }));
}
