//! The element's own signalling server with TLS.

use gst::prelude::*;
use gststreamiumpay::gate::TrackKind::Video;

use crate::common::notes::Notes;
use crate::common::webrtc::{Consumer, Provider, RAW_VIDEO, Running, free_port, run};

/// Made, with its key, by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500
/// -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE`.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/webrtc/server.pem");

fn provider() -> Provider {
    let tls = format!("signalling-server-cert={FILE} signalling-server-key={FILE} link-address=localhost");
    Provider::start(RAW_VIDEO, &tls, None)
}

/// By the name that the certificate is for; the sink itself reaches its server by an address.
fn link(provider: &Provider) -> String {
    let link: String = provider.sink.property("link");
    assert!(link.starts_with("streamiums://localhost:"), "{link}");
    link
}

#[test]
fn who_trusts_the_certificate_finds_the_stream() {
    run(|| {
        let provider = provider();
        let source = Consumer::element(&provider);
        source.set_property("uri", link(&provider));
        source.set_child_property("signaller::cafile", FILE);
        let consumer = Consumer::start(source.upcast());
        consumer.expect(Video, 10);
        provider.running.check();
    });
}

#[test]
fn who_trusts_others_alone_is_told_so() {
    run(|| {
        let provider = provider();
        let source = Consumer::element(&provider);
        source.set_property("uri", link(&provider));
        let other = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/payment/attacker.pem");
        source.set_child_property("signaller::cafile", other);
        let pipeline = Running(gst::Pipeline::new());
        pipeline.0.add(&source).unwrap();
        let mut notes = Notes::take(&pipeline.0, "consumer");
        pipeline.0.set_state(gst::State::Playing).unwrap();
        let note = notes.wait("error");
        println!("{}", note.words);
        assert!(note.words.contains("certificate"), "{}", note.words);
    });
}

#[test]
fn files_that_are_no_certificates_are_said() {
    run(|| {
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let sink = gst::ElementFactory::make("streamiumpaysink")
            .property("run-signalling-server", true)
            .property("signalling-server-host", "127.0.0.1")
            .property("signalling-server-port", u32::from(free_port()))
            .property("signalling-server-cert", FILE)
            .property("signalling-server-key", key)
            .build()
            .unwrap();
        let bus = gst::Bus::new();
        sink.set_bus(Some(&bus));
        assert!(sink.set_state(gst::State::Paused).is_err());
        let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
        let gst::MessageView::Error(error) = message.view() else {
            unreachable!()
        };
        let words = error.error().to_string();
        println!("{words}");
        assert!(words.contains("Cargo.toml") && words.contains("PEM"), "{words}");
        sink.set_state(gst::State::Null).unwrap();
    });
}
