//! Media and money run out, and come back, together.

use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::{Audio, Video};

use crate::common::notes::Note;
use crate::common::paid::{PaidConsumer, PaidProvider, RATE_SAT_PER_S};
use crate::common::sync::{BEEPS, FLASHES, Film, IN_SYNC_MS, place_ms};
use crate::common::taps::{Passed, Tap};
use crate::common::webrtc::{H264, raw_both, run};

const GRACE: Duration = Duration::from_millis(500);
/// Twelve seconds.
const BUDGET_SAT: u64 = 12 * RATE_SAT_PER_S;
/// At 15 frames a second.
const FRAME: Duration = Duration::from_millis(67);
/// For a machine that has other things to do.
const SLACK: Duration = Duration::from_millis(250);

/// When the credit had really run out, by the provider's figures: it says how much more than paid and grace it
/// had counted by the time it closed.
fn ran_out(starved: &Note) -> Instant {
    let rate_msat = RATE_SAT_PER_S * 1_000;
    let covered = starved.number("balance-sat") * 1_000 + rate_msat * 500 / 1_000;
    let over_msat = starved.number("consumed-msat").saturating_sub(covered);
    starved.at - Duration::from_secs_f64(over_msat as f64 / rate_msat as f64)
}

fn ms(duration: Duration) -> u128 {
    duration.as_millis()
}

fn after(last: Option<Instant>, moment: Instant) -> Duration {
    last.unwrap_or(moment).saturating_duration_since(moment)
}

fn passed_since(tap: &Tap, since: Instant) -> Vec<Passed> {
    tap.passed
        .iter()
        .filter(|passed| passed.at >= since)
        .copied()
        .collect()
}

fn stops_and_resumes(sources: &str, encoded: bool) {
    let dirs = tempfile::tempdir().unwrap();
    let mut provider = PaidProvider::start(&dirs.path().join("p"), sources, "grace=500 settle-delay=60000");
    let budget = format!("budget={BUDGET_SAT}");
    let mut consumer = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), &budget);
    let opened = provider.notes.gate("open");
    let session = opened.text("session");
    let film = Film::of(&provider.running.0);
    let (_, before) = film.watched(&mut consumer, gst::ClockTime::ZERO);

    let exhausted = consumer.notes.wait("exhausted");
    assert_eq!(exhausted.number("amount-sat"), BUDGET_SAT);
    let starved = provider.notes.gate("starved");
    assert_eq!(starved.number("balance-sat"), BUDGET_SAT);
    let due = ran_out(&starved);
    // By the clock alone too: it opened with nothing consumed, and the rate is known.
    let bought = Duration::from_secs_f64(BUDGET_SAT as f64 / RATE_SAT_PER_S as f64);
    let by_clock = opened.at + bought + GRACE;
    let last = consumer.drain(Duration::from_secs(1)).unwrap();
    let tap = provider.taps.of(&session);
    let last_passed = after(tap.passed.last().map(|passed| passed.at), due);
    let last_packet = after(tap.rtp.last().copied(), due);
    println!(
        "credit and grace ran out; the gate closed {} ms later, the last buffer passed {} ms after, the last RTP \
         packet left {} ms after; of {} packets {} after the gate had closed; due by the clock alone: {} ms apart",
        ms(starved.at - due),
        ms(last_passed),
        ms(last_packet),
        tap.rtp.len(),
        tap.rtp.iter().filter(|at| **at > starved.at).count(),
        ms(by_clock.max(due) - by_clock.min(due)),
    );
    assert!(
        last_passed <= FRAME + SLACK,
        "a buffer passed {last_passed:?} too late"
    );
    assert!(
        last_packet <= FRAME + 2 * SLACK,
        "a packet left {last_packet:?} too late"
    );
    assert!(by_clock.max(due) - by_clock.min(due) < SLACK);
    assert!(tap.passed.last().unwrap().at > due - GRACE, "grace was not given");

    assert!(before.abs() <= IN_SYNC_MS, "{before} ms out of sync before");
    // A machine that is busy just now may deliver late: then once more.
    let mut last = last.running_time;
    for budget in 2.. {
        let now = resumes(
            &film,
            &mut provider,
            &mut consumer,
            budget * BUDGET_SAT,
            last,
            encoded,
        );
        println!("audio against video {before} ms before, {now} ms now");
        if now.abs() <= IN_SYNC_MS {
            break;
        }
        assert!(budget < 4, "{now} ms out of sync after");
        provider.notes.gate("starved");
        last = consumer.drain(Duration::from_secs(1)).unwrap().running_time;
    }
    provider.notes.check();
    consumer.notes.check();
}

/// Raises the budget; answers how far out of sync what then comes is.
fn resumes(
    film: &Film,
    provider: &mut PaidProvider,
    consumer: &mut PaidConsumer,
    budget_sat: u64,
    last: gst::ClockTime,
    encoded: bool,
) -> i64 {
    let raised = Instant::now();
    consumer.source.set_property("budget", budget_sat);
    let reopened = provider.notes.gate("open");
    let (got, out_of_sync) = film.watched(consumer, last + 500 * gst::ClockTime::MSECOND);
    let tap = provider.taps.of(&reopened.text("session"));
    let sent = passed_since(&tap, raised);
    let first = sent.iter().find(|passed| passed.kind == Video).unwrap();
    println!(
        "budget raised: open after {} ms, first buffer after {} ms, first frame after {} ms, key frame first: {}",
        ms(reopened.at - raised),
        ms(first.at - raised),
        ms(got[0].at - raised),
        first.is_key_frame,
    );
    assert!(!encoded || first.is_key_frame);
    out_of_sync
}

#[test]
fn raw_media_stops_with_the_credit_and_resumes_with_it() {
    run(|| stops_and_resumes(&format!("{FLASHES} sink. {BEEPS}"), false));
}

#[test]
fn encoded_media_stops_with_the_credit_and_resumes_with_a_key_frame() {
    run(|| {
        let (_, encoder) = H264.split_once("x264enc").unwrap();
        stops_and_resumes(&format!("{FLASHES} x264enc {encoder}{BEEPS}"), true);
    });
}

#[test]
fn a_paused_player_pays_nothing() {
    run(|| {
        // Longer than a peer may be silent: a paused one is not.
        const PAUSE: Duration = Duration::from_secs(17);
        let dirs = tempfile::tempdir().unwrap();
        let sources = raw_both();
        let mut provider = PaidProvider::start(&dirs.path().join("p"), &sources, "");
        let mut consumer = PaidConsumer::funded(&provider.link(), &dirs.path().join("c"), "");
        let session = provider.notes.gate("open").text("session");
        consumer.expect(Video, 5);
        let pause = Instant::now();
        consumer.running.0.set_state(gst::State::Paused).unwrap();
        let paused = provider.notes.gate("paused");
        let (balance, consumed) = (provider.balance(), paused.number("consumed-msat"));
        provider.notes.expect_none("ended", PAUSE);
        let tap = provider.taps.of(&session);
        println!(
            "paused after {} ms; the last packet left {} ms after the gate closed",
            ms(paused.at - pause),
            ms(after(tap.rtp.last().copied(), paused.at)),
        );
        assert!(after(tap.passed.last().map(|passed| passed.at), paused.at) < SLACK);
        assert!(after(tap.rtp.last().copied(), paused.at) < 2 * SLACK);
        assert_eq!(provider.balance(), balance, "something was paid while paused");

        let play = Instant::now();
        consumer.running.0.set_state(gst::State::Playing).unwrap();
        let resumed = provider.notes.gate("open");
        consumer.drain_queued();
        let frame = consumer.next(Video);
        // Sinks wait for a frame's time on this line: it must not be as far off as the pause was long.
        let now = place_ms(consumer.running.0.current_running_time().unwrap());
        let early = place_ms(frame.running_time) - now;
        assert!(early.abs() < 1_000, "a frame {early} ms early");
        println!(
            "playing again after {} ms, first frame after {} ms; consumed meanwhile: {} msat",
            ms(resumed.at - play),
            ms(frame.at - play),
            resumed.number("consumed-msat") - consumed,
        );
        // An opening of the gate costs a second at least; nothing beyond that is of the pause.
        let least = 1_000 * RATE_SAT_PER_S;
        assert_eq!(
            resumed.number("consumed-msat"),
            consumed.max(least),
            "the pause was counted"
        );
        consumer.expect(Audio, 5);
        provider
            .notes
            .wait_for("payment", |note| note.number("balance-sat") > balance);
        provider.notes.check();
        consumer.notes.check();
    });
}
