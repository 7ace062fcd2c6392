//! Crowds that ask for more sessions than the process has descriptors for. GLib aborts a process that has none left.

use std::time::{Duration, Instant};

use gststreamiumpay::gate::TrackKind::Video;
use serde_json::json;

use crate::audience::{Audience, VIDEO, ours, plain};
use crate::common::child::{Launched, broadcaster};
use crate::common::webrtc::{free_port, producer_of, run, run_within};
use crate::hostile::Hostile;

/// A broadcaster in a process with these limits, as given to `ulimit`.
fn limited(limits: &str, dir: &std::path::Path, port: u16) -> (Launched, String) {
    let limited = format!("ulimit {limits}; exec \"$0\" \"$@\"");
    let mut sink = broadcaster(&["sh", "-c", &limited], "the test", dir, port, VIDEO);
    let link = sink.link();
    (sink, link)
}

/// So many sessions, of which nothing more is heard; how many got an offer within the time, and who asked.
fn ask_for(port: u16, peers: usize, sessions_each: usize, time: Duration) -> (usize, Vec<Hostile>) {
    let producer = producer_of(port);
    gstrswebrtc::RUNTIME.block_on(async {
        let mut crowd = Vec::new();
        for _ in 0..peers {
            let mut one = Hostile::connected(port).await;
            for _ in 0..sessions_each {
                one.send(&json!({ "type": "startSession", "peerId": producer }))
                    .await;
            }
            crowd.push(one);
        }
        let until = tokio::time::Instant::now() + time;
        let mut offers = 0;
        for one in &mut crowd {
            let count = async {
                let mut left = sessions_each;
                while left > 0 {
                    let message = one
                        .wait(|message| message["sdp"]["type"] == "offer" || message["type"] == "endSession")
                        .await;
                    offers += usize::from(message["type"] != "endSession");
                    left -= 1;
                }
            };
            let _ = tokio::time::timeout_at(until, count).await;
        }
        (offers, crowd)
    })
}

#[test]
fn sixty_sessions_of_one_socket_end_nothing() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let (mut sink, link) = limited("-n 1024", dir.path(), port);
        let mut audience = Audience::seated(vec![ours(&link), plain(port)]);
        let (offers, crowd) = ask_for(port, 1, 60, Duration::from_secs(10));
        println!("one socket got {offers} of 60 sessions");
        assert!(offers <= 4, "{offers}");
        sink.wait_for("turned away");
        audience.saw_no_gap("sixty sessions of one socket");
        ours(&link).expect(Video, 10);
        drop(crowd);
    });
}

#[test]
fn a_crowd_that_takes_all_descriptors_ends_nothing() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let (mut sink, link) = limited("-n 512", dir.path(), port);
        let mut audience = Audience::seated(vec![ours(&link), plain(port)]);
        let (offers, crowd) = ask_for(port, 30, 1, Duration::from_secs(15));
        println!("{offers} of 30 sessions were begun with 512 descriptors");
        sink.wait_for("turned away");
        audience.saw_no_gap("a crowd that takes all descriptors");
        drop(crowd);
        // Once it has gone there is room again.
        ours(&link).expect(Video, 10);
    });
}

#[test]
fn the_soft_limit_is_raised_and_said() {
    run(|| {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let limited = "ulimit -Hn 4096; ulimit -Sn 256; exec \"$0\" \"$@\"";
        let mut sink = broadcaster(&["sh", "-c", limited], "the test", dir.path(), port, VIDEO);
        let said = sink.wait_for("limit of open files");
        assert!(said.contains("from 256 to 4096"), "{said}");
        ours(&sink.link()).expect(Video, 10);
    });
}

/// Takes minutes; prints what becomes of crowds of three sizes under both usual limits.
#[test]
#[ignore = "takes minutes"]
fn crowds_of_viewers_under_both_limits() {
    for limits in ["-n 1024", "-Sn 1024", "-n 65536"] {
        for viewers in [40, 100, 300] {
            run_within(Duration::from_secs(300), move || {
                let dir = tempfile::tempdir().unwrap();
                let port = free_port();
                let (mut sink, link) = limited(limits, dir.path(), port);
                let mut first = ours(&link);
                first.expect(Video, 10);
                let began = Instant::now();
                let (offers, crowd) = ask_for(port, viewers, 1, Duration::from_secs(100));
                println!(
                    "ulimit {limits}: {offers} of {viewers} viewers let in, in {:?}",
                    began.elapsed()
                );
                first.expect(Video, 60);
                drop(crowd);
                ours(&link).expect(Video, 10);
                sink.kill();
            });
        }
    }
}
