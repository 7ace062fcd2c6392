//! Both drivers against each other on a real chain, over a connection in memory: what a session does with money,
//! without the time that WebRTC takes. The whole, with WebRTC, is in `payment.rs`.

mod common;

use bitcoin::Txid;
use common::coins::{paid_to, sat, wait_for_mempool};
use common::driver::*;
use common::reports::{number, outpoint_of, text};
use common::wait::PATIENCE;
use common::wire::Wire;

#[test]
fn a_session_from_funding_to_settlement_on_chain() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (provider, mut provided) = stage.provider();
    let (consumer, mut consumed) = stage.consumer(provider.public_key(), 20_000);
    let wire = Wire::connect(&provider.inputs(), &consumer.inputs());

    fund(regtest, &mut consumed);
    provided.wait_for("gate", |report| text(report, "state") == "open");
    assert!(wire.is_open());
    confirm(regtest, &provided);
    provided.wait_for("channel", |report| number(report, "confirmations") == 1);
    let paid = provided.wait_for("payment", |report| number(report, "balance-sat") > 3_000);
    let outpoint = outpoint_of(&paid);

    consumer.stop(PATIENCE);
    let settling = provided.wait("settling");
    let balance = number(
        &provided
            .seen
            .iter()
            .rfind(|r| r.name == "payment")
            .unwrap()
            .clone(),
        "balance-sat",
    );
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    let (payout_sat, fee) = (number(&settling, "payout-sat"), number(&settling, "fee-sat"));
    assert_eq!(payout_sat + fee, balance);
    let told: Txid = text(&consumed.wait_for("settled", |_| true), "txid")
        .parse()
        .unwrap();
    assert_eq!(told, txid, "the consumer was told");

    // It is in the mempool by the time the provider says that it has stopped.
    provider.stop(PATIENCE);
    let tx = regtest.raw_tx(txid);
    assert_eq!(tx.input[0].previous_output, outpoint);
    assert_eq!(
        tx.output[0].value,
        sat(40_000 - balance),
        "change is capacity less balance"
    );
    assert_eq!(paid_to(regtest, txid, &stage.payout), sat(payout_sat));
    regtest.mine(1);
}

#[test]
fn what_was_due_when_the_provider_died_is_settled_at_its_next_start() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (first, mut provided) = stage.provider();
    let (consumer, mut consumed) = stage.consumer(first.public_key(), 20_000);
    let wire = Wire::connect(&first.inputs(), &consumer.inputs());
    fund(regtest, &mut consumed);
    let paid = provided.wait("payment");
    let outpoint = outpoint_of(&paid);

    // The commitment is not confirmed, so nothing can be settled when the provider stops.
    first.stop(PATIENCE);
    wire.cut();
    consumer.stop(PATIENCE);
    assert!(!provided.seen.iter().any(|report| report.name == "settling"));

    let (second, mut provided) = stage.provider();
    provided.wait("waiting");
    confirm_txid(regtest, outpoint.txid);
    let settling = provided.wait("settling");
    assert_eq!(outpoint_of(&settling), outpoint);
    second.stop(PATIENCE);
    let txid: Txid = text(&settling, "txid").parse().unwrap();
    assert_eq!(
        paid_to(regtest, txid, &stage.payout),
        sat(number(&settling, "payout-sat"))
    );
    regtest.mine(6);

    let (third, mut provided) = stage.provider();
    assert_eq!(
        text(&provided.wait("settled"), "txid").parse::<Txid>().unwrap(),
        txid
    );
    third.stop(PATIENCE);
}

#[test]
fn what_a_vanished_provider_never_settled_comes_back_in_full() {
    let stage = Stage::new();
    let regtest = &stage.regtest;
    let (gone, _provided) = stage.provider();
    let key = gone.public_key();
    let (first, mut consumed) = stage.consumer(key, 20_000);
    let wire = Wire::connect(&gone.inputs(), &first.inputs());
    fund(regtest, &mut consumed);
    let channel = consumed.wait("payment");
    let outpoint = outpoint_of(&channel);
    wait_for_mempool(regtest, outpoint.txid);
    gone.stop(PATIENCE);
    wire.cut();
    consumed.wait("ended");
    first.stop(PATIENCE);

    confirm_txid(regtest, outpoint.txid);
    regtest.mine(142);
    let (second, mut consumed) = stage.consumer(key, 20_000);
    regtest.mine(1);
    let refund = consumed.wait("refund");
    assert_eq!(outpoint_of(&refund), outpoint);
    let txid: Txid = text(&refund, "txid").parse().unwrap();
    wait_for_mempool(regtest, txid);
    let tx = regtest.raw_tx(txid);
    assert_eq!(tx.output[0].value, sat(number(&refund, "amount-sat")));
    assert!(tx.output[0].value > sat(39_000));
    regtest.mine(1);
    second.stop(PATIENCE);
}

#[test]
fn terms_beyond_the_budget_lock_nothing() {
    let stage = Stage::new();
    let (provider, mut provided) = stage.provider();
    // A budget below the opening payment is refused before anything is locked.
    let (consumer, mut consumed) = stage.consumer(provider.public_key(), 500);
    Wire::connect(&provider.inputs(), &consumer.inputs());
    let ended = consumed.wait("ended");
    assert!(text(&ended, "reason").contains("above the budget"), "{ended:?}");
    provided.wait("ended");
    consumer.stop(PATIENCE);
    provider.stop(PATIENCE);
}
