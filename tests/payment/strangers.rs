//! Those who do not pay, and those who are not who they seem.

use std::time::{Duration, Instant};

use gststreamiumpay::gate::TrackKind::{Audio, Video};

use crate::attacker::{Attacker, squatter};
use crate::common::paid::{At, PaidConsumer, PaidProvider, prefund};
use crate::common::regtest::Regtest;
use crate::common::webrtc::{Consumer, RAW_VIDEO, raw_both, run};

/// The longest time between two buffers that passed the gate, in a stretch of time.
/// On the stream's own time line, which a busy machine does not stretch.
fn longest_gap(passed: &[crate::common::taps::Passed], from: Instant, to: Instant) -> Duration {
    let times = passed
        .iter()
        .filter(|p| p.kind == Video && p.at >= from && p.at <= to);
    let times: Vec<_> = times.map(|passed| passed.running_time).collect();
    times
        .windows(2)
        .map(|pair| Duration::from(pair[1].saturating_sub(pair[0])))
        .max()
        .unwrap_or(to - from)
}

#[test]
fn who_does_not_pay_gets_nothing_and_disturbs_nobody() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &raw_both(), "");
        let mut payer = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), "");
        let paying = provider.notes.gate("open").text("session");
        payer.expect(Video, 15);

        let alone = Instant::now();
        payer.expect(Video, 30);
        let came = Instant::now();
        let plain = Consumer::plain_at(provider.port, |_| ());
        payer.drain_queued();
        payer.expect(Video, 75);
        let end = Instant::now();

        let sessions = provider.taps.sessions();
        let other: Vec<_> = sessions.iter().filter(|id| **id != paying).collect();
        assert_eq!(other.len(), 1, "{sessions:?}");
        let unpaid = provider.taps.of(other[0]);
        let paid = provider.taps.of(&paying);
        println!(
            "the plain consumer in {:?}: {} buffers passed, {} encoded, {} RTP packets; the payer: {} passed, {} \
             encoded, {} packets, longest gap {:?} alone and {:?} beside it",
            end - came,
            unpaid.passed.len(),
            unpaid.encoded,
            unpaid.rtp.len(),
            paid.passed.len(),
            paid.encoded,
            paid.rtp.len(),
            longest_gap(&paid.passed, alone, came),
            longest_gap(&paid.passed, came, end),
        );
        assert_eq!((unpaid.passed.len(), unpaid.encoded, unpaid.rtp.len()), (0, 0, 0));
        assert!(plain.buffers.try_recv().is_err(), "media came out of webrtcsrc");
        assert!(
            paid.encoded > 50 && paid.rtp.len() > 50,
            "the same taps see the payer"
        );
        assert!(longest_gap(&paid.passed, came, end) < Duration::from_millis(200));
        provider.notes.check();
        payer.notes.check();
        plain.running.check();
    });
}

/// A funded consumer that refuses: with which words, and with nothing locked.
fn refuses(link: &str, words: &str) {
    let regtest = Regtest::shared();
    let dir = tempfile::tempdir().unwrap();
    prefund(dir.path());
    let before = regtest.cli(&["getrawmempool"]);
    let mut victim = PaidConsumer::start(link, dir.path(), "");
    let refused = victim.notes.wait("refused");
    assert!(refused.text("reason").contains(words), "{refused:?}");
    let said = victim
        .notes
        .wait_for("warning", |note| note.words.contains(words));
    println!("{}", said.words);
    // It stays and waits for the real one; nothing more may happen.
    victim.notes.expect_none("opening", Duration::from_millis(500));
    for name in ["opening", "channel", "payment", "funding-required"] {
        assert!(!victim.notes.said(name), "{name}");
    }
    assert_eq!(regtest.cli(&["getrawmempool"]), before, "something was sent");
    assert_eq!(channels_on_record(dir.path()), 0);
    victim.notes.check();
}

fn channels_on_record(dir: &std::path::Path) -> u64 {
    let store = rusqlite::Connection::open(dir.join(gststreamiumpay::store::STORE_FILE)).unwrap();
    store
        .query_row("SELECT count(*) FROM consumer_channel", [], |row| row.get(0))
        .unwrap()
}

fn attacked(tamper: impl Fn(String) -> String + Send + Sync + 'static, words: &str) {
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = PaidProvider::start(dirs.path(), &raw_both(), "");
    let attacker = Attacker::before(provider.port, tamper);
    // The real key at the attacker's address.
    let link = provider
        .link()
        .replace(&format!(":{}/", provider.port), &format!(":{}/", attacker.port));
    refuses(&link, words);
    let relayed = attacker.relayed.lock().unwrap().clone();
    assert!(
        relayed.iter().any(|text| text.contains("\"terms\"")),
        "{relayed:?}"
    );
    assert!(!provider.notes.said("channel"));
}

#[test]
fn who_relays_everything_is_found_out_before_money_is_locked() {
    run(|| attacked(|text| text, "somebody is in the middle"));
}

#[test]
fn terms_that_were_changed_on_the_way_are_refused() {
    run(|| {
        let cheaper =
            |text: String| text.replacen("\"rate_msat_per_s\":200000", "\"rate_msat_per_s\":200001", 1);
        attacked(cheaper, "changed on the way");
    });
}

#[test]
fn another_key_than_the_links_is_refused() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let provider = PaidProvider::start(dirs.path(), &raw_both(), "");
        let link = provider.link();
        let start = &link[..link.find("key=").unwrap()];
        // BIP341's point without a known key.
        let key = "50929b74c1a04954b78b4b6035e97a5e078a5a0f28ec96d547bfee9ace803ac0";
        refuses(&format!("{start}key={key}"), "not signed by the key in the link");
    });
}

/// Waits until the wrong one has been tried, and lets the right one come.
fn finds_the_right_one(port: u16, mut consumer: PaidConsumer, key: &str, folder: &std::path::Path) {
    let mut right = PaidProvider::at(At::Port(port), folder, &raw_both(), "");
    assert!(right.link().ends_with(key));
    right.notes.gate("open");
    consumer.expect(Video, 10);
    consumer.expect(Audio, 10);
    consumer.notes.check();
    right.notes.check();
}

/// The key of a provider's folder, which is known before the provider runs.
fn key_of(folder: &std::path::Path) -> String {
    gststreamiumpay::wallet::Seed::load_or_create(folder).unwrap();
    let provider = PaidProvider::start(folder, RAW_VIDEO, "");
    let link = provider.link();
    link[link.find("key=").unwrap()..].to_owned()
}

#[test]
fn another_provider_of_the_same_name_is_passed_over() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let (wrong, right) = (dirs.path().join("wrong"), dirs.path().join("right"));
        let key = key_of(&right);
        let wrong = PaidProvider::start(&wrong, &raw_both(), "");
        let link = format!("streamium://127.0.0.1:{}/the%20test?{key}", wrong.port);
        let mut consumer = PaidConsumer::funded(&link, &dirs.path().join("c"), "");
        consumer.notes.wait("refused");
        finds_the_right_one(wrong.port, consumer, &key, &right);
    });
}

#[test]
fn a_squatter_that_says_nothing_is_passed_over_and_not_shown() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let right = dirs.path().join("right");
        let key = key_of(&right);
        let (port, _squatting) = squatter();
        let link = format!("streamium://127.0.0.1:{port}/the%20test?{key}");
        let folder = dirs.path().join("c");
        prefund(&folder);
        let started = Instant::now();
        let mut consumer = PaidConsumer::start(&link, &folder, "");
        consumer.notes.wait("refused");
        println!("passed over after {:?}", started.elapsed());
        assert!(
            consumer.frames.try_recv().is_err(),
            "a stranger's media was shown"
        );
        finds_the_right_one(port, consumer, &key, &right);
    });
}
