//! A paid stream whose connection is lost: the source comes back, and pays on.

use std::time::Instant;

use bitcoin::OutPoint;
use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};
use rustix::process::Signal;
use streamium_channel::liveness::{GONE_AFTER, SILENT_AFTER};

use crate::common::child::Launched;
use crate::common::coins::new_address;
use crate::common::paid::{PaidConsumer, paid_provider, stats};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{free_port, raw_both, run};

const SLACK: std::time::Duration = std::time::Duration::from_secs(10);

/// The channels that a consumer has paid in, in order.
fn channels(consumer: &mut PaidConsumer) -> Vec<OutPoint> {
    let paid = consumer.notes.all().iter().filter(|note| note.name == "payment");
    let mut found: Vec<OutPoint> = paid.map(|note| note.text("outpoint").parse().unwrap()).collect();
    found.dedup();
    found
}

/// Loses the connection by `lose`, gets it back by `restore`, and looks at what downstream sees of it.
fn comes_back(
    within: std::time::Duration,
    lose: impl Fn(&mut Launched),
    restore: impl Fn(&mut Launched, &str),
) {
    let regtest = Regtest::shared();
    let dirs = tempfile::tempdir().unwrap();
    let payout = new_address(regtest);
    let sources = raw_both();
    let launch = paid_provider(&dirs.path().join("p"), free_port(), &payout, "", &sources);
    let mut provider = Launched::start(&[], &launch);
    let folder = dirs.path().join("c");
    let mut consumer = PaidConsumer::funded(&provider.link(), &folder, "");
    consumer.expect(Audio, 10);
    consumer.expect(Video, 10);
    let paid = consumer.notes.wait("payment").number("paid-sat");
    regtest.mine(1);
    let last = consumer.next(Video);

    let cut = Instant::now();
    lose(&mut provider);
    let lost = consumer.notes.wait("reconnecting");
    println!("noticed after {:?}", lost.at - cut);
    assert!(lost.at - cut < within + SLACK);
    let videos = consumer.frames.try_iter().filter(|frame| frame.kind == Video);
    let last = videos.last().unwrap_or(last);
    restore(&mut provider, &launch);
    let back = Instant::now();
    let first = consumer.next(Video);
    println!(
        "{:?} from reconnect to the first frame; the gap is {:?}",
        first.at.saturating_duration_since(back),
        first.at - last.at
    );
    assert!(first.running_time > last.running_time);
    consumer.expect(Audio, 10);
    let more = consumer.notes.wait("payment");
    assert!(consumer.source.property::<u64>("paid") > paid, "{more:?}");
    assert_eq!(consumer.source.src_pads().len(), 2);
    assert!(!consumer.notes.said("eos"));
    consumer.notes.check();
    // No transaction: the same channel goes on.
    assert_eq!(channels(&mut consumer).len(), 1);
    assert!(consumer.notes.said("resumed"));
    let outage = consumer.notes.last("reconnected").number("outage-ms");
    let stats = stats(&consumer.source);
    assert_eq!(stats.get::<u64>("reconnects"), Ok(1));
    assert_eq!(stats.get::<u64>("outage-ms"), Ok(outage));
    consumer.stop();
}

#[test]
fn a_frozen_provider_is_paid_on_after_the_thaw() {
    run(|| {
        comes_back(
            GONE_AFTER,
            |provider| provider.signal(Signal::STOP),
            |provider, _| provider.signal(Signal::CONT),
        );
    });
}

#[test]
fn a_killed_provider_is_paid_on_after_its_restart() {
    run(|| {
        comes_back(
            SILENT_AFTER,
            |provider| provider.kill(),
            |provider, launch| {
                *provider = Launched::start(&[], launch);
                provider.link();
            },
        );
    });
}
