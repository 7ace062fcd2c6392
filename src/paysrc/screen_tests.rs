use super::*;
use crate::report::Severity;

const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

fn screen() -> Screen {
    Screen::new(&format!("streamium://h:1/a%20talk?key={KEY}").parse().unwrap())
}

fn terms(rate_msat: u64) -> Report {
    let report = Report::new("terms").number("rate-msat-per-s", rate_msat);
    report
        .number("min-confirmations", 2)
        .flag("video", true)
        .flag("audio", true)
}

fn gate(state: &str) -> Report {
    Report::new("gate").text_field("state", state)
}

#[test]
fn media_is_shown_while_the_gate_is_open() {
    let mut screen = screen();
    assert_eq!(screen.report(&terms(1_000)), None, "not before it is paid for");
    for (state, media) in [
        ("unpaid", Some(Media::Cover)),
        ("open", Some(Media::Admit)),
        // Its last picture stays.
        ("paused", None),
        ("starved", Some(Media::Cover)),
        ("unconfirmed", Some(Media::Cover)),
        ("silent", Some(Media::Cover)),
        ("closed", Some(Media::Cover)),
    ] {
        assert_eq!(screen.report(&gate(state)), media, "{state}");
    }
    assert_eq!(screen.report(&Report::new("lost")), Some(Media::Cover));
    assert_eq!(screen.report(&Report::new("ended")), Some(Media::Cover));
    assert_eq!(screen.state("reconnecting"), Some(Media::Cover));
    // The next channel of a running stream.
    assert_eq!(screen.state("opening"), None);
    assert_eq!(screen.state("awaiting-funds"), None);
    assert_eq!(
        screen.report(&terms(0)),
        Some(Media::Admit),
        "a free stream has no gate"
    );
}

#[test]
fn without_a_driver_whatever_comes_is_shown() {
    let mut screen = screen();
    assert_eq!(screen.without_gate(), Some(Media::Admit));
    assert_eq!(screen.state("connecting"), Some(Media::Admit));
    assert_eq!(screen.state("reconnecting"), Some(Media::Cover));
}

#[test]
fn it_says_who_asks_for_how_much() {
    let mut screen = screen();
    screen.state("resolving");
    let slate = screen.slate();
    assert_eq!(
        (slate.title.as_str(), slate.status.as_str()),
        ("a talk", "Looking for the stream")
    );
    assert_eq!(slate.facts, ["Provider 79be667e…16f81798"]);
    screen.report(&terms(1_500));
    assert_eq!(screen.slate().facts[0], "90 sat a minute, 5,400 sat an hour");
    let rate = |accepted| {
        Report::new("rate")
            .number("rate-msat-per-s", 2_000)
            .flag("accepted", accepted)
    };
    assert_eq!(screen.report(&rate(false)), None);
    assert_eq!(screen.slate().facts[0], "90 sat a minute, 5,400 sat an hour");
    screen.report(&rate(true));
    assert_eq!(screen.slate().facts[0], "120 sat a minute, 7,200 sat an hour");
    screen.report(&terms(0));
    assert_eq!(screen.slate().facts[0], "Free");
}

#[test]
fn the_code_is_there_while_funds_are_awaited() {
    let mut screen = screen();
    screen.report(&terms(1_000));
    let asked = Report::new("funding-required")
        .text_field("address", "bc1qxy")
        .text_field("uri", "bitcoin:bc1qxy?amount=0.0005")
        .number("amount-sat", 50_000)
        .number("balance-sat", 1_200)
        .number("buys-ms", 1_500_000);
    screen.report(&asked);
    assert!(screen.slate().code.is_none());
    screen.state("awaiting-funds");
    let slate = screen.slate();
    let code = slate.code.unwrap();
    assert_eq!(
        (code.content.as_str(), code.caption.as_str()),
        ("BITCOIN:BC1QXY?amount=0.0005", "bc1qxy")
    );
    assert_eq!(slate.tone, Tone::Ask);
    for part in ["50,000 sat", "25 min", "1,200 sat"] {
        assert!(
            slate.notes.iter().any(|note| note.contains(part)),
            "{part}: {:?}",
            slate.notes
        );
    }
    screen.report(&Report::new("funded"));
    screen.state("opening");
    assert!(screen.slate().code.is_none());
}

#[test]
fn addresses_with_capitals_stay_as_they_are() {
    let uri = "bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT?amount=1";
    assert_eq!(compact(uri, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT"), uri);
}

#[test]
fn it_follows_the_channel_and_the_budget() {
    let mut screen = screen();
    screen.report(&terms(1_000));
    screen.state("opening");
    assert_eq!(screen.slate().status, "Opening the channel");
    let channel = |n| Report::new("channel").number("confirmations", n);
    screen.report(&channel(0));
    assert_eq!(screen.slate().status, "Seen, confirmed 0 of 2");
    screen.report(&channel(1));
    assert_eq!(screen.slate().status, "Confirmed 1 of 2");
    screen.state("starved");
    assert_eq!(screen.slate().status, "Waiting for the next payment");
    screen.report(&Report::new("exhausted").number("amount-sat", 1_000));
    screen.paid(Amount::from_sat(1_000));
    let slate = screen.slate();
    assert_eq!(slate.status, "Paused: out of budget");
    assert!(
        slate.notes.contains(&"Paid: 1,000 sat.".to_owned()),
        "{:?}",
        slate.notes
    );
}

#[test]
fn it_says_why_it_is_over() {
    let mut screen = screen();
    let refused = Report::new("ended")
        .severity(Severity::Error)
        .text_field("reason", "x");
    screen.report(&refused.say("Refused, nothing was paid: the rate is above max-rate."));
    screen.state("stopped");
    let slate = screen.slate();
    assert_eq!(slate.status, "Refused, nothing was paid");
    assert_eq!(slate.notes, ["The rate is above max-rate."]);
    screen.report(&Report::new("settled"));
    screen.state("ended");
    assert_eq!(screen.slate().notes[1], "Settled: the rest is yours again.");
}

#[test]
fn sound_alone_has_a_picture_too() {
    let mut screen = screen();
    let sound = Report::new("terms")
        .number("rate-msat-per-s", 1)
        .flag("video", false)
        .flag("audio", true);
    screen.report(&sound);
    screen.state("playing");
    screen.paid(Amount::from_sat(7));
    let slate = screen.slate();
    assert_eq!(
        (slate.status.as_str(), slate.notes),
        ("Sound only", vec!["Paid: 7 sat.".to_owned()])
    );
}
