//! A paid broadcast: its key, its link and what it has earned outlast a run.

use bitcoin::Txid;
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use crate::common::coins::wait_for_mempool;
use crate::common::paid::{PaidConsumer, PaidProvider, stats};
use crate::common::regtest::Regtest;
use crate::common::wait::wait_until;
use crate::common::webrtc::{RAW_VIDEO, run};

/// A viewer with a wallet of his own pays for a while and leaves. Answers what he has paid.
fn watch(provider: &mut PaidProvider) -> u64 {
    let dir = tempfile::tempdir().unwrap();
    let mut consumer = PaidConsumer::funded(&provider.link(), dir.path(), "");
    consumer.expect(Video, 5);
    let outpoint = provider.confirm();
    let opening = consumer.notes.wait("payment").number("paid-sat");
    consumer
        .notes
        .wait_for("payment", |note| note.number("paid-sat") > opening);
    consumer.stop();
    let settling = provider
        .notes
        .wait_for("settling", |note| note.text("outpoint") == outpoint.to_string());
    let txid: Txid = settling.text("txid").parse().unwrap();
    wait_for_mempool(Regtest::shared(), txid);
    Regtest::shared().mine(1);
    consumer.source.property("paid")
}

#[test]
fn a_paid_broadcast_goes_on_in_its_next_run() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(dir.path(), RAW_VIDEO, "");
        let (link, key) = (provider.link(), provider.sink.property::<String>("public-key"));
        let mut paid = watch(&mut provider);
        for rate in [300_000_u64, 150_000] {
            provider.stop();
            assert_eq!(provider.sink.property::<u64>("earned"), paid);
            provider.sink.set_property("rate", rate);
            provider.play_again();
            assert_eq!(provider.link(), link);
            assert_eq!(provider.sink.property::<String>("public-key"), key);
            assert_eq!(provider.sink.property::<u64>("earned"), paid);
            paid += watch(&mut provider);
            let earned = || provider.sink.property::<u64>("earned");
            wait_until("the last payment", || earned() == paid);
            assert_eq!(stats(&provider.sink).get::<u64>("rate-msat-per-s"), Ok(rate));
        }
        provider.notes.check();
    });
}
