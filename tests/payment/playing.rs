//! From the first satoshi to the settlement on the chain.

use bitcoin::Txid;
use gststreamiumpay::gate::TrackKind::{self, Audio, Video};

use crate::common::coins::{paid_to, sat, wait_for_mempool};
use crate::common::paid::{CAPACITY_SAT, PaidConsumer, PaidProvider};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{H264, RAW_AUDIO, RAW_VIDEO, raw_both, run};

/// Plays, sees the payments grow, leaves, and finds the settlement on the chain as it should be.
fn plays_and_is_settled(sources: &str, kinds: &[TrackKind], funded_before: bool) {
    let regtest = Regtest::shared();
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = PaidProvider::start(&dirs.path().join("p"), sources, "");
    let folder = dirs.path().join("c");
    let mut consumer = if funded_before {
        PaidConsumer::funded(&provider.link(), &folder, "")
    } else {
        PaidConsumer::start(&provider.link(), &folder, "")
    };
    if !funded_before {
        consumer.fund();
    }

    let opening = provider.notes.wait("payment").number("balance-sat");
    provider.notes.gate("open");
    for kind in kinds {
        consumer.expect(*kind, 10);
    }
    let outpoint = provider.confirm();
    let grown = |balance| move |note: &crate::common::notes::Note| note.number("balance-sat") > balance;
    let second = provider.notes.wait_for("payment", grown(opening));
    let third = provider
        .notes
        .wait_for("payment", grown(second.number("balance-sat")));
    consumer.stop();

    let settling = provider.notes.wait("settling");
    let balance = provider.balance();
    let txid: Txid = settling.text("txid").parse().unwrap();
    let (payout, fee) = (settling.number("payout-sat"), settling.number("fee-sat"));
    println!(
        "opening {opening} sat, after {:?} more {balance} sat; settled: {payout} sat and {fee} sat fee, change {} sat",
        third.at - second.at,
        CAPACITY_SAT - balance
    );
    assert_eq!(payout + fee, balance);
    wait_for_mempool(regtest, txid);
    let tx = regtest.raw_tx(txid);
    assert_eq!(tx.input[0].previous_output, outpoint);
    assert_eq!(
        tx.output[0].value,
        sat(CAPACITY_SAT - balance),
        "change is capacity less balance"
    );
    assert_eq!(paid_to(regtest, txid, &provider.payout), sat(payout));
    use gst::prelude::*;
    assert_eq!(provider.sink.property::<u64>("earned"), balance);
    let paid = consumer.source.property::<u64>("paid");
    assert!(
        paid >= balance,
        "the consumer says {paid}, the provider holds {balance}"
    );
    regtest.mine(1);
    provider.notes.check();
    consumer.notes.check();
}

#[test]
fn a_paid_stream_of_raw_video_and_audio() {
    run(|| plays_and_is_settled(&raw_both(), &[Video, Audio], false));
}

#[test]
fn a_paid_stream_of_video_alone() {
    run(|| plays_and_is_settled(RAW_VIDEO, &[Video], true));
}

#[test]
fn a_paid_stream_of_audio_alone() {
    run(|| plays_and_is_settled(RAW_AUDIO, &[Audio], true));
}

#[test]
fn a_paid_stream_of_encoded_video() {
    run(|| plays_and_is_settled(&format!("{H264}{RAW_AUDIO}"), &[Video, Audio], true));
}
