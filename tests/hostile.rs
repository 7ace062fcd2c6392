//! Hostile consumers against the real driver on a real chain. What needs neither is tried in
//! `channel/tests/hostile/`; docs/security.md has a row for each attempt.

mod common;
#[path = "hostile/stranger.rs"]
mod stranger;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bitcoin::{Address, Amount, Transaction};
use common::coins::{new_address, sat, wait_for_mempool};
use common::driver::*;
use common::regtest::{Regtest, TxStatus};
use common::reports::{Reports, number, text};
use common::wait::{PATIENCE, wait_until};
use gststreamiumpay::report::Report;
use gststreamiumpay::session::provider::ProviderHandle;
use serde_json::json;
use stranger::{Stranger, commitment, made};
use streamium_channel::contract::{Channel, Contract};
use streamium_channel::money::Rate;

/// Ten seconds at the provider's 200 sat a second.
const OPENING: u64 = 2_000;

static TURN: Mutex<()> = Mutex::new(());

/// The chain, for one test at a time: they mine, and look at what is in the mempool.
fn chain() -> (&'static Regtest, MutexGuard<'static, ()>) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (Regtest::shared(), turn)
}

struct Provider {
    handle: ProviderHandle,
    reports: Reports,
    payout: Address,
}

fn provider(
    regtest: &Regtest,
    dir: &Path,
    change: impl FnOnce(&mut gststreamiumpay::session::provider::PaidOptions),
) -> Provider {
    let payout = new_address(regtest);
    let mut options = provider_options(regtest, dir, &payout);
    change(options.paid.as_mut().unwrap());
    let (handle, reports) = start_provider(options);
    Provider {
        handle,
        reports,
        payout,
    }
}

impl Provider {
    fn stranger(&self, number: u32) -> Stranger {
        Stranger::new(&self.handle.inputs(), number)
    }

    /// So many that say hello, and then nothing.
    fn crowd(&self, from: u32, count: u32) -> Vec<Stranger> {
        let crowd = (from..from + count).map(|number| {
            let stranger = self.stranger(number);
            stranger.say_hello();
            stranger
        });
        crowd.collect()
    }

    fn gate(&mut self, session: &str, state: &str) -> Report {
        self.reports.wait_for("gate", |report| {
            text(report, "session") == session && text(report, "state") == state
        })
    }
}

/// Brings a stranger to an open channel, with a real commitment that only the provider broadcasts.
fn committed(regtest: &Regtest, stranger: &Stranger) -> (Channel, Transaction) {
    let contract = stranger.open(&stranger.hello());
    let tx = commitment(regtest, &[&contract]);
    let channel = stranger.send_commitment(&tx, &contract);
    stranger.wait(&["channel"]);
    (channel, tx)
}

#[test]
fn who_wants_to_pay_gets_in_past_hundreds_that_do_not() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |paid| paid.max_unpaid_consumers = 32);
    let mut crowd = provider.crowd(1_000, 100);
    let honest = provider.stranger(1);
    let terms = honest.hello();
    crowd.extend(provider.crowd(2_000, 30));
    // From now on it has more at stake than they: however many come, it is not the one that goes.
    let contract = honest.open(&terms);
    crowd.extend(provider.crowd(3_000, 100));
    let tx = commitment(regtest, &[&contract]);
    let channel = honest.send_commitment(&tx, &contract);
    honest.wait(&["channel"]);
    // It never broadcasts it: the provider does.
    wait_for_mempool(regtest, tx.compute_txid());
    crowd.extend(provider.crowd(4_000, 100));
    honest.pay(&channel, OPENING);
    provider.gate(&honest.id, "open");
    assert!(honest.is_open() && !honest.has_ended());

    let busy = || {
        crowd
            .iter()
            .filter(|one| one.was_told("busy") || one.has_ended())
            .count()
    };
    wait_until("the crowd to be let go", || busy() >= crowd.len() - 32);
    assert!(crowd.iter().all(|one| !one.is_open()), "none of them got media");
    println!("{} of {} were let go", busy(), crowd.len());
    provider.handle.stop(PATIENCE);
}

/// Proposals cost nothing: they do not leave newcomers one place, from which each sends away the last.
#[test]
fn proposals_leave_newcomers_half_of_the_room() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |paid| paid.max_unpaid_consumers = 32);
    let proposed: Vec<_> = (0..31)
        .map(|number| {
            let stranger = provider.stranger(100 + number);
            stranger.open(&stranger.hello());
            stranger
        })
        .collect();
    let honest = provider.stranger(1);
    let _crowd = provider.crowd(1_000, 15);
    let (channel, _) = committed(regtest, &honest);
    honest.pay(&channel, OPENING);
    provider.gate(&honest.id, "open");
    assert!(honest.is_open() && !honest.has_ended());
    let gone = proposed
        .iter()
        .filter(|one| one.was_told("busy") || one.has_ended());
    assert!(gone.count() >= 14);
    provider.handle.stop(PATIENCE);
}

#[test]
fn commitments_that_no_network_takes_keep_nobody_out() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |paid| paid.max_unpaid_consumers = 4);
    // Each proposes a channel, and commits coins that do not exist.
    let liars: Vec<_> = (0..4)
        .map(|number| {
            let liar = provider.stranger(100 + number);
            let contract = liar.open(&liar.hello());
            let mut tx = commitment(regtest, &[&contract]);
            tx.input[0].previous_output.vout = 7_000;
            let channel = liar.send_commitment(&tx, &contract);
            liar.pay(&channel, OPENING);
            liar
        })
        .collect();
    for number in 0..4 {
        provider.reports.wait_for("fault", |report| {
            text(report, "session") == format!("stranger-{}", 100 + number)
        });
    }
    // A payment through such a channel opens nothing, or no more than the limit before the network has answered.
    wait_until("the gates to be closed", || {
        liars.iter().all(|liar| !liar.is_open())
    });
    let honest = provider.stranger(1);
    let (channel, _) = committed(regtest, &honest);
    honest.pay(&channel, OPENING);
    provider.gate(&honest.id, "open");
    provider.handle.stop(PATIENCE);
}

#[test]
fn a_commitment_that_pays_no_fee_counts_nothing() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |_| ());
    let cheap = provider.stranger(1);
    let contract = cheap.open(&cheap.hello());
    let address = contract
        .script()
        .unwrap()
        .address(bitcoin::Network::Regtest)
        .unwrap();
    // All of a coin: the change takes what would be the fee. The wallet makes no such transaction, so by hand.
    let tx = without_fee(regtest, &address, &contract);
    let channel = cheap.send_commitment(&tx, &contract);
    cheap.wait(&["channel"]);
    let fault = provider.reports.wait("fault");
    println!("{}", text(&fault, "reason"));
    cheap.pay(&channel, OPENING);
    provider.gate(&cheap.id, "unconfirmed");
    wait_until("the gate to be closed", || !cheap.is_open());
    provider.handle.stop(PATIENCE);
}

/// A commitment that leaves its miner nothing.
fn without_fee(regtest: &Regtest, address: &Address, contract: &Contract) -> Transaction {
    let outputs = |fee: Amount, change: Amount| json!([{ address.to_string(): contract.capacity().to_btc() }, { new_address(regtest).to_string(): (change + fee).to_btc() }]);
    let coins: serde_json::Value =
        serde_json::from_str(&regtest.cli(&["-rpcwallet=miner", "listunspent"])).unwrap();
    let coin = coins
        .as_array()
        .unwrap()
        .iter()
        .find(|coin| coin["amount"].as_f64().unwrap() > 1.0)
        .unwrap();
    let value = Amount::from_btc(coin["amount"].as_f64().unwrap()).unwrap();
    let change = value - contract.capacity();
    let inputs = json!([{ "txid": coin["txid"], "vout": coin["vout"] }]);
    let raw = regtest.cli(&[
        "createrawtransaction",
        &inputs.to_string(),
        &outputs(Amount::ZERO, change).to_string(),
    ]);
    let signed: serde_json::Value =
        serde_json::from_str(&regtest.cli(&["-rpcwallet=miner", "signrawtransactionwithwallet", &raw]))
            .unwrap();
    bitcoin::consensus::encode::deserialize_hex(signed["hex"].as_str().unwrap()).unwrap()
}

/// The same coins, sent elsewhere for a higher fee: what a double spend is.
fn double_spend(regtest: &Regtest, tx: &Transaction) -> Transaction {
    let total: Amount = tx.output.iter().map(|output| output.value).sum();
    let part = total / 2;
    let outputs = json!([{ new_address(regtest).to_string(): part.to_btc() }]);
    let conflict = made(regtest, &outputs, 50, Some(tx));
    regtest.broadcast(&conflict).unwrap();
    conflict
}

#[test]
fn a_double_spent_commitment_closes_the_gate_at_once_and_costs_its_limit_at_most() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let limit = sat(10_000);
    let mut provider = provider(regtest, dirs.path(), |paid| paid.unconfirmed_limit = limit);
    let thief = provider.stranger(1);
    let (channel, tx) = committed(regtest, &thief);
    wait_for_mempool(regtest, tx.compute_txid());
    thief.pay(&channel, 19_000);
    provider.gate(&thief.id, "open");

    let conflict = double_spend(regtest, &tx);
    let spent = Instant::now();
    let closed = provider.gate(&thief.id, "unconfirmed");
    println!("closed {} ms after the double spend", spent.elapsed().as_millis());
    assert!(!thief.is_open());
    // At once if a server had known it; else as soon as one should have. The limit would last for fifty seconds.
    assert!(spent.elapsed() < Duration::from_secs(30), "{:?}", spent.elapsed());
    let consumed = number(&closed, "consumed-msat");
    assert!(consumed <= (limit.to_sat() + 100) * 1_000, "{consumed} msat");
    // It stays closed, whatever else is signed, and when the thief's own transaction is in the chain.
    thief.pay(&channel, 19_500);
    let credit = |balance: u64| loop {
        let credit = thief.wait(&["credit"]);
        if credit["balance_sat"] == balance {
            break credit;
        }
    };
    assert_eq!(credit(19_500)["gate"], "unconfirmed");
    regtest.mine(1);
    assert!(matches!(
        regtest.tx_status(conflict.compute_txid()),
        TxStatus::Confirmed { .. }
    ));
    assert!(!thief.is_open());
    provider.handle.stop(PATIENCE);
}

#[test]
fn fifty_sybils_get_no_more_than_what_may_be_unconfirmed_over_all() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let (limit, total) = (sat(1_000), sat(5_000));
    let mut provider = provider(regtest, dirs.path(), |paid| {
        // A thousand sat is used up within two seconds.
        paid.rate = Rate::new(500_000);
        paid.opening = Some(sat(1_000));
        paid.grace = Duration::from_millis(100);
        (paid.unconfirmed_limit, paid.unconfirmed_total) = (limit, total);
        paid.max_unpaid_consumers = 64;
    });
    let sybils: Vec<_> = (0..50).map(|number| provider.stranger(number)).collect();
    let contracts: Vec<_> = sybils.iter().map(|one| one.open(&one.hello())).collect();
    // One transaction commits for all of them, and one will take it back.
    let tx = commitment(regtest, &contracts.iter().collect::<Vec<_>>());
    let channels: Vec<_> = sybils
        .iter()
        .zip(&contracts)
        .map(|(one, contract)| one.send_commitment(&tx, contract))
        .collect();
    for (one, channel) in sybils.iter().zip(&channels) {
        one.pay(channel, 5_000);
    }
    // Each gate stays closed, or closes again, for the same reason; what it says last counts.
    let mut consumed = HashMap::new();
    while consumed.len() < sybils.len() {
        let report = provider
            .reports
            .wait_for("gate", |report| text(report, "state") == "unconfirmed");
        consumed.insert(text(&report, "session"), number(&report, "consumed-msat"));
    }
    wait_until("all gates to be closed", || {
        sybils.iter().all(|one| !one.is_open())
    });
    let media = consumed.values().filter(|msat| **msat > 0).count();
    let consumed: u64 = consumed.values().sum();
    println!("50 sybils: {media} got media, for {consumed} msat in all");
    // Beside the grace there is what a busy machine is late by: a quarter is more than either.
    assert!(media <= 5 && consumed > 0, "{media}");
    assert!(consumed <= total.to_sat() * 1_250, "{consumed} msat");
    double_spend(regtest, &tx);
    regtest.mine(1);
    assert!(sybils.iter().all(|one| !one.is_open()));
    provider.handle.stop(PATIENCE);
}

#[test]
fn a_close_that_nobody_would_mine_does_not_keep_the_provider_from_settling() {
    settles_in_spite_of_a_close(0);
}

#[test]
fn a_close_of_a_balance_worth_settling_does_not_keep_the_provider_from_settling() {
    // Any miner would take it; pinned through its change it would wait for the refund leaf.
    settles_in_spite_of_a_close(300);
}

/// A viewer that paid 5,000 sat closes cooperatively: it pays the provider in full, and a miner this much.
fn settles_in_spite_of_a_close(fee: u64) {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |_| ());
    let thief = provider.stranger(1);
    let (channel, tx) = committed(regtest, &thief);
    thief.pay(&channel, 5_000);
    provider.gate(&thief.id, "open");
    confirm_txid(regtest, tx.compute_txid());
    provider
        .reports
        .wait_for("channel", |report| number(report, "confirmations") == 1);
    thief.close(&channel, &provider.payout.script_pubkey(), 5_000, fee);
    provider.handle.stop(PATIENCE);
    wait_until("a settlement in the mempool", || {
        spend(regtest, &channel).is_some()
    });
    let settled = spend(regtest, &channel).unwrap();
    let paid = settled
        .output
        .iter()
        .find(|output| output.script_pubkey == provider.payout.script_pubkey());
    let paid = paid.expect("it pays the provider").value;
    assert!(paid > sat(4_000) && paid < sat(5_000), "{paid}");
}

/// What in the mempool spends a channel.
fn spend(regtest: &Regtest, channel: &Channel) -> Option<Transaction> {
    let mempool: Vec<bitcoin::Txid> = serde_json::from_str(&regtest.cli(&["getrawmempool"])).unwrap();
    let mut transactions = mempool.into_iter().map(|txid| regtest.raw_tx(txid));
    transactions.find(|tx| {
        tx.input
            .iter()
            .any(|input| input.previous_output == channel.outpoint())
    })
}

#[test]
fn what_one_consumer_garbles_reaches_no_other() {
    let (regtest, _turn) = chain();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = provider(regtest, dirs.path(), |_| ());
    let payer = provider.stranger(1);
    let (channel, _) = committed(regtest, &payer);
    payer.pay(&channel, OPENING);
    provider.gate(&payer.id, "open");
    let deep = format!(r#"{{"type":"ping","x":{}"#, "[".repeat(60_000));
    let long = "x".repeat(1 << 20);
    for (number, text) in [
        r#"{"type":"commitment","transaction":"","output":0}"#,
        r#"{"type":"commitment","transaction":"020000000001","output":0}"#,
        r#"{"type":"resume","outpoint":"x","signature":""}"#,
        "",
        "\u{0}",
        &deep,
        &long,
    ]
    .into_iter()
    .enumerate()
    {
        let other = provider.stranger(100 + u32::try_from(number).unwrap());
        other.say_text(text);
        assert_eq!(other.wait(&["error"])["code"], "malformed", "{}", text.len());
        wait_until("its end", || other.has_ended());
    }
    payer.pay(&channel, OPENING + 100);
    assert_eq!(payer.wait(&["credit"])["gate"], "open");
    wait_until("the payment", || {
        payer.pay(&channel, OPENING + 200);
        payer.wait(&["credit"])["balance_sat"] == OPENING + 200
    });
    assert!(payer.is_open());
    payer.leave();
    provider.handle.stop(PATIENCE);
}
