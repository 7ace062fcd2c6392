//! The metrics, as a scraper reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use gst::prelude::*;

use crate::common::paid::{PaidConsumer, PaidProvider, pipeline, stats};
use crate::common::wait::wait_until;
use crate::common::webrtc::{Provider, RAW_VIDEO, free_port, run};
use crate::pages::{page, table};
use crate::statistics::{inner, number};

/// The host and port of a URL.
fn authority(url: &str) -> &str {
    url.strip_prefix("http://")
        .unwrap()
        .strip_suffix("/metrics")
        .unwrap()
}

fn get(url: &str) -> String {
    let mut stream = TcpStream::connect(authority(url)).unwrap();
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
        authority(url)
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let version = "\r\nContent-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(version), "{head}");
    body.to_owned()
}

/// One metric: its type and its samples, by their labels as written.
#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: Option<String>,
    help: String,
    samples: BTreeMap<String, f64>,
}

/// Reads a page as OpenMetrics 1.0 has it, and fails on what it does not allow or Prometheus advises against.
fn lint(page: &str) -> BTreeMap<String, Family> {
    let body = page.strip_suffix("# EOF\n").expect("the page ends with # EOF");
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut present = String::new();
    for line in body.lines() {
        if let Some(line) = line.strip_prefix("# ") {
            let mut words = line.splitn(3, ' ');
            let [keyword, name, rest] = [0; 3].map(|_| words.next().unwrap());
            if name != present {
                assert!(!families.contains_key(name), "{name} is in two places");
                present = name.to_owned();
            }
            let family = families.entry(present.clone()).or_default();
            assert!(family.samples.is_empty(), "after samples: {line}");
            match keyword {
                "HELP" => family.help = rest.to_owned(),
                "TYPE" => family.kind = rest.to_owned(),
                "UNIT" => family.unit = Some(rest.to_owned()),
                _ => panic!("{line}"),
            }
            continue;
        }
        sample(
            line,
            &present,
            families.get_mut(&present).expect("a sample after its metadata"),
        );
    }
    for (name, family) in &families {
        check(name, family);
    }
    families
}

fn sample(line: &str, name: &str, family: &mut Family) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (sample, labels) = series.split_once('{').unwrap_or((series, "}"));
    let suffix = match family.kind.as_str() {
        "counter" => "_total",
        "info" => "_info",
        "gauge" => "",
        other => panic!("{name} is a {other}"),
    };
    assert_eq!(sample, format!("{name}{suffix}"), "{line}");
    let value: f64 = value.parse().unwrap();
    assert!(value.is_finite() && value >= 0.0, "{line}");
    let labels = labels.strip_suffix('}').unwrap().to_owned();
    assert!(family.samples.insert(labels, value).is_none(), "twice: {line}");
}

fn check(name: &str, family: &Family) {
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    assert!(
        name.starts_with("streamium_pay_") && name.chars().all(plain),
        "{name}"
    );
    assert!(
        !family.help.is_empty() && !family.samples.is_empty(),
        "{name}: {family:?}"
    );
    if let Some(unit) = &family.unit {
        assert!(name.ends_with(&format!("_{unit}")), "{name} is in {unit}");
    }
    // Base units, and what is an amount or a time says so.
    for wrong in ["_ms", "_msat", "_sat", "_milliseconds", "_total"] {
        assert!(!name.ends_with(wrong), "{name}");
    }
}

/// The value of a metric without labels.
fn value(families: &BTreeMap<String, Family>, name: &str) -> f64 {
    labelled(families, name, "")
}

fn labelled(families: &BTreeMap<String, Family>, name: &str, labels: &str) -> f64 {
    let family = families.get(&format!("streamium_pay_{name}"));
    let family = family.unwrap_or_else(|| panic!("no {name}"));
    *family
        .samples
        .get(labels)
        .unwrap_or_else(|| panic!("no {labels} in {family:?}"))
}

/// What the documentation says there is.
fn documented() -> BTreeSet<(String, String)> {
    let rows = table(
        &page("docs/elements.md"),
        "          - targets: ['127.0.0.1:9101']",
    );
    rows.iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].clone()))
        .collect()
}

fn served(families: &BTreeMap<String, Family>) -> BTreeSet<(String, String)> {
    let name = |(name, family): (&String, &Family)| {
        let suffix = match family.kind.as_str() {
            "counter" => "_total",
            "info" => "_info",
            _ => "",
        };
        (format!("{name}{suffix}"), family.kind.clone())
    };
    families.iter().map(name).collect()
}

/// Metrics and statistics are of one snapshot where statistics before and after them are the same.
fn compare(provider: &PaidProvider, url: &str) -> bool {
    let before = stats(&provider.sink);
    let families = lint(&get(url));
    let after = stats(&provider.sink);
    let steady = |field: &str| number(&before, field) == number(&after, field);
    if ![
        "earned-sat",
        "payments",
        "tip-height",
        "to-settle-sat",
        "open-gates",
    ]
    .iter()
    .all(|field| steady(field))
    {
        return false;
    }
    let expected = |field: &str| number(&after, field) as f64;
    for (name, field) in [
        ("earned_satoshis", "earned-sat"),
        ("payments", "payments"),
        ("open_gates", "open-gates"),
        ("unconfirmed_satoshis", "unconfirmed-sat"),
        ("to_settle_satoshis", "to-settle-sat"),
        ("settled_satoshis", "settled-sat"),
        ("settlement_fees_satoshis", "settlement-fees-sat"),
        ("chain_tip_height", "tip-height"),
    ] {
        assert_eq!(value(&families, name), expected(field), "{name}");
    }
    assert_eq!(
        value(&families, "rate_satoshis_per_second"),
        expected("rate-msat-per-s") / 1_000.0
    );
    for (name, labels, field) in [
        ("consumers", "state=\"paying\"", "consumers-paying"),
        ("consumers", "state=\"unpaid\"", "consumers-unpaid"),
        ("channels", "state=\"open\"", "channels-open"),
        ("channels", "state=\"to_settle\"", "channels-to-settle"),
        ("channels", "state=\"settled\"", "channels-settled"),
        ("electrum_servers", "state=\"up\"", "electrum-servers-up"),
    ] {
        assert_eq!(
            labelled(&families, name, labels),
            expected(field),
            "{name} {labels}"
        );
    }
    for (name, field, label) in [
        ("gate_closings", "gate-closings", "reason"),
        ("faults", "faults", "kind"),
    ] {
        for (kind, count) in inner(&after, field).iter() {
            let found = labelled(&families, name, &format!("{label}=\"{kind}\""));
            assert_eq!(found, count.get::<u64>().unwrap() as f64, "{name} {kind}");
        }
    }
    assert_eq!(served(&families), documented());
    true
}

#[test]
fn a_scraper_reads_the_figures_of_a_paid_broadcast() {
    run(|| {
        let dirs = tempfile::tempdir().unwrap();
        let mut provider =
            PaidProvider::start(&dirs.path().join("p"), RAW_VIDEO, "metrics-address=127.0.0.1:0");
        let url = provider.notes.wait("metrics").text("url");
        let folder = dirs.path().join("c");
        let consumer = PaidConsumer::funded(&provider.link(), &folder, "");
        provider.notes.gate("open");
        provider.confirm();
        provider.notes.wait("payment");
        wait_until("figures of a paying consumer", || {
            let stats = stats(&provider.sink);
            number(&stats, "payments") >= 2 && number(&stats, "open-gates") == 1
        });
        wait_until("a snapshot while it is paid", || compare(&provider, &url));
        let families = lint(&get(&url));
        assert_eq!(labelled(&families, "consumers", "state=\"paying\""), 1.0);
        let about = "stream=\"the test\",network=\"regtest\",version=\"0.1.0\"";
        assert_eq!(labelled(&families, "stream", about), 1.0);

        consumer.stop();
        provider.notes.wait("ended");
        // A player that is closed pauses first.
        wait_until("the closing to be counted", || {
            let families = lint(&get(&url));
            let closings = &families["streamium_pay_gate_closings"].samples;
            closings.values().sum::<f64>() == 1.0
        });
        wait_until("a snapshot after it", || compare(&provider, &url));
        provider.stop();
        assert!(
            TcpStream::connect(authority(&url)).is_err(),
            "it stops with the element"
        );
        provider.notes.check();
    });
}

#[test]
fn a_port_that_is_taken_is_a_warning_and_the_broadcast_goes_on() {
    run(|| {
        let port = free_port();
        let taken = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
        let pipeline = pipeline(&format!(
            "videotestsrc is-live=true ! streamiumpaysink name=sink stun-server=none \
             metrics-address=localhost:{port} data-dir={}",
            tempfile::tempdir().unwrap().path().display()
        ));
        let mut notes = crate::common::notes::Notes::take(&pipeline, "provider");
        pipeline.set_state(gst::State::Paused).unwrap();
        assert!(notes.wait("metrics").text("reason").contains("in use"));
        let words = notes.wait("warning").words;
        assert!(
            words.contains(&format!("127.0.0.1:{port} (metrics-address)")),
            "{words}"
        );
        notes.check();
        pipeline.set_state(gst::State::Null).unwrap();
        drop(taken);
    });
}

#[test]
fn an_address_that_is_none_is_refused() {
    run(|| {
        for wrong in [
            "9101",
            "localhost",
            "example.org:9101",
            "127.0.0.1:70000",
            ":9101",
            "http://127.0.0.1:1",
        ] {
            let provider = pipeline(&format!("fakesrc ! streamiumpaysink metrics-address={wrong}"));
            let bus = provider.bus().unwrap();
            assert!(provider.set_state(gst::State::Ready).is_err(), "{wrong}");
            let error = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
            let gst::MessageView::Error(error) = error.view() else {
                unreachable!()
            };
            let words = error.error().to_string();
            assert!(
                words.contains(&format!("metrics-address \"{wrong}\" must be")),
                "{words}"
            );
            provider.set_state(gst::State::Null).unwrap();
        }
    });
}

#[test]
fn a_free_stream_has_metrics_too() {
    run(|| {
        let port = free_port();
        let provider = Provider::start(RAW_VIDEO, &format!("metrics-address=127.0.0.1:{port}"), None);
        let families = lint(&get(&format!("http://127.0.0.1:{port}/metrics")));
        assert_eq!(value(&families, "rate_satoshis_per_second"), 0.0);
        // All from the first moment on but what no server has said.
        let mut expected = documented();
        expected.retain(|(name, _)| !name.contains("chain_tip"));
        assert_eq!(served(&families), expected);
        provider.running.check();
        // Again with the next start, at the same port.
        for state in [gst::State::Null, gst::State::Playing] {
            provider.running.0.set_state(state).unwrap();
        }
        lint(&get(&format!("http://127.0.0.1:{port}/metrics")));
    });
}
