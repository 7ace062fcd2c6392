//! The proxied properties against those of the live inner elements.

use gst::glib;
use gst::prelude::*;
use gststreamiumpay::inner::{Kind, Part, Proxied, When, make_src};

use crate::common::webrtc::run;
use crate::{Pair, inside, pairs};

/// The properties that an element has over any bin's.
fn own_properties(element: &gst::Element) -> Vec<glib::ParamSpec> {
    let all = element.list_properties();
    let own = all
        .iter()
        .filter(|spec| !gst::Bin::static_type().is_a(spec.owner_type()));
    own.cloned().collect()
}

#[test]
fn every_property_is_passed_through_or_left_out_with_a_reason() {
    run(|| {
        for pair in pairs() {
            for theirs in own_properties(&pair.inner) {
                let name = theirs.name();
                let passed = pair.table.find(name).is_some();
                let left_out = pair.leaves_out(Part::Property, name);
                assert!(
                    passed != left_out,
                    "{name}: passed through {passed}, left out {left_out}"
                );
            }
            let rows = pair.table.rows().map(|row| row.name);
            for name in rows.chain(pair.left_out(Part::Property)) {
                assert!(pair.inner.find_property(name).is_some(), "{name} is no more");
            }
        }
    });
}

/// What is said of a property besides its type.
fn flags(spec: &glib::ParamSpec) -> glib::ParamFlags {
    let told = glib::ParamFlags::READWRITE
        | gst::PARAM_FLAG_CONTROLLABLE
        | gst::PARAM_FLAG_MUTABLE_READY
        | gst::PARAM_FLAG_MUTABLE_PAUSED
        | gst::PARAM_FLAG_MUTABLE_PLAYING;
    spec.flags() & told
}

/// As text; enums and flags by nick, as ours are.
fn serialized(value: &glib::Value) -> String {
    if let Some((_, value)) = glib::EnumValue::from_value(value) {
        return value.nick().to_owned();
    }
    if let Some((_, values)) = glib::FlagsValue::from_value(value) {
        let nicks: Vec<_> = values.iter().map(|value| value.nick()).collect();
        return nicks.join("+");
    }
    let is_unset = matches!(value.get::<Option<gst::Structure>>(), Ok(None))
        || matches!(value.get::<Option<gst::Caps>>(), Ok(None))
        || matches!(value.get::<Option<String>>(), Ok(None));
    if is_unset {
        return "unset".to_owned();
    }
    value
        .serialize()
        .map_or_else(|_| format!("{value:?}"), |text| text.to_string())
}

/// Those of the signalling server, which the sink runs itself: whoever knows webrtcsink's knows ours.
#[test]
fn the_signalling_servers_properties_are_as_webrtcsinks() {
    run(|| {
        let [
            Pair {
                ours, inner: theirs, ..
            },
            _,
        ] = pairs();
        for name in [
            "run-signalling-server",
            "signalling-server-host",
            "signalling-server-port",
            "signalling-server-cert",
            "signalling-server-key",
            "signalling-server-headers",
        ] {
            let specs = [&ours, &theirs].map(|element| element.find_property(name).unwrap());
            let told = specs.each_ref().map(|spec| {
                let range = spec
                    .downcast_ref::<glib::ParamSpecUInt>()
                    .map(|spec| (spec.minimum(), spec.maximum()));
                (
                    spec.value_type(),
                    flags(spec),
                    serialized(spec.default_value()),
                    range,
                )
            });
            assert_eq!(told[0], told[1], "{name}");
            let values = [&ours, &theirs].map(|element| serialized(&element.property_value(name)));
            assert_eq!(values[0], values[1], "{name}");
        }
    });
}

fn compare(pair: &Pair, row: &Proxied) {
    let name = row.name;
    let ours = pair.ours.find_property(name).unwrap();
    let theirs = pair.inner.find_property(name).unwrap();
    if row.when == When::Never {
        assert!(!flags(&ours).contains(glib::ParamFlags::WRITABLE), "{name}");
    } else {
        assert_eq!(flags(&ours), flags(&theirs), "{name}");
    }
    match row.kind {
        Kind::Nick { nicks, default } => {
            let class = glib::EnumClass::with_type(theirs.value_type()).unwrap();
            let live: Vec<_> = class.values().iter().map(|value| value.nick()).collect();
            assert_eq!(
                (live.as_slice(), default),
                (nicks, &*serialized(theirs.default_value())),
                "{name}"
            );
        }
        Kind::Nicks { nicks, default } => {
            let class = glib::FlagsClass::with_type(theirs.value_type()).unwrap();
            let live = class.values().iter().filter(|value| value.value() != 0);
            let live: Vec<_> = live.map(|value| value.nick()).collect();
            assert_eq!(
                (live.as_slice(), default),
                (nicks, &*serialized(theirs.default_value())),
                "{name}"
            );
        }
        Kind::Object => assert!(theirs.value_type().is_a(ours.value_type()), "{name}"),
        _ => {
            assert_eq!(ours.value_type(), theirs.value_type(), "{name}");
            assert_eq!(
                serialized(ours.default_value()),
                serialized(theirs.default_value()),
                "{name}"
            );
            let values = [&pair.ours, &pair.inner].map(|element| serialized(&element.property_value(name)));
            assert_eq!(values[0], values[1], "{name}");
        }
    }
    if let Some(theirs) = theirs.downcast_ref::<glib::ParamSpecUInt>() {
        let ours = ours.downcast_ref::<glib::ParamSpecUInt>().unwrap();
        let range = |spec: &glib::ParamSpecUInt| (spec.minimum(), spec.maximum());
        assert_eq!(range(ours), range(theirs), "{name}");
    }
}

#[test]
fn types_defaults_ranges_and_flags_are_the_inner_elements() {
    run(|| {
        for pair in pairs() {
            pair.table.rows().for_each(|row| compare(&pair, row));
        }
    });
}

/// Another value than the default, as ours takes it and as the inner element then has it.
fn other_value(row: &Proxied) -> (glib::Value, String) {
    let same = |value: glib::Value| {
        let text = serialized(&value);
        (value, text)
    };
    match row.kind {
        Kind::Bool(default) => same((!default).to_value()),
        Kind::UInt { default, .. } => same((default + 1).to_value()),
        Kind::Str(_) => same("/tmp/x".to_value()),
        Kind::Text(_) => same("timecode".to_value()),
        Kind::Url { schemes, .. } => same(format!("{}://127.0.0.1:1234/", schemes[0]).to_value()),
        Kind::Caps => same(gst::Caps::new_empty_simple("video/x-vp8").to_value()),
        Kind::Structure => same(gst::Structure::builder("x").field("y", 1).build().to_value()),
        Kind::Strings if row.name == "turn-servers" => {
            same(gst::Array::new(["turn://u:p@127.0.0.1:1"]).to_value())
        }
        Kind::Strings if row.name == "audio-codecs" => same(gst::Array::new([""; 0]).to_value()),
        Kind::Strings => same(gst::Array::new(["VP8"]).to_value()),
        Kind::Nick { nicks, .. } | Kind::Nicks { nicks, .. } => same(nicks[0].to_value()),
        Kind::IcePolicy => same(gst_webrtc::WebRTCICETransportPolicy::Relay.to_value()),
        Kind::Object => unreachable!("to be read only"),
    }
}

#[test]
fn what_is_set_on_ours_reaches_the_inner_element() {
    run(|| {
        for pair in pairs() {
            // A source's properties are read back from the inner element that keeps them.
            let holder = inside(&pair.ours).unwrap_or_else(|| pair.ours.clone());
            for row in pair.table.rows().filter(|row| row.when != When::Never) {
                let name = row.name;
                let before = serialized(&holder.property_value(name));
                let (value, expected) = other_value(row);
                pair.ours.set_property_from_value(name, &value);
                assert_eq!(serialized(&holder.property_value(name)), expected, "{name}");
                assert_ne!(
                    before, expected,
                    "{name}: a value that changes nothing shows nothing"
                );
                assert_eq!(
                    serialized(&pair.ours.property_value(name)),
                    serialized(&value),
                    "{name}"
                );
            }
        }
    });
}

/// A source has a webrtcsrc for each connection.
#[test]
fn what_is_set_goes_on_to_each_connection() {
    run(|| {
        let [_, pair] = pairs();
        let next = make_src().unwrap();
        let settable = || pair.table.rows().filter(|row| row.when != When::Never);
        for row in settable() {
            row.set(&pair.inner, &other_value(row).0).unwrap();
        }
        pair.table.copy(&pair.inner, &next);
        for row in settable() {
            let (_, expected) = other_value(row);
            assert_eq!(
                serialized(&next.property_value(row.name)),
                expected,
                "{}",
                row.name
            );
        }
    });
}

/// Sets a property by its text, as gst-launch does, starts, and gives the error's words.
fn refusal(element: &str, property: &str, value: &glib::Value) -> String {
    let element = gst::ElementFactory::make(element).build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    if element.find_property("uri").is_some() {
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        element.set_property("uri", format!("streamium://127.0.0.1:1/x?key={key}"));
    }
    element.set_property_from_value(property, value);
    assert!(
        element.set_state(gst::State::Ready).is_err(),
        "{property} took {value:?}"
    );
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    element.set_state(gst::State::Null).unwrap();
    match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!(),
    }
}

#[test]
fn what_the_inner_element_would_panic_over_or_ignore_is_refused_in_words() {
    run(|| {
        let null = None::<String>.to_value();
        let cases = [
            ("streamiumpaysink", "web-server-directory", null.clone(), "NULL"),
            ("streamiumpaysink", "forward-metas", null, "NULL"),
            (
                "streamiumpaysink",
                "web-server-host-addr",
                "127.0.0.1".to_value(),
                "http://host:port",
            ),
            (
                "streamiumpaysink",
                "stun-server",
                "http://x:1".to_value(),
                "stun://host:port",
            ),
            (
                "streamiumpaysink",
                "enable-mitigation-modes",
                "downscaled+x".to_value(),
                "downsampled",
            ),
            (
                "streamiumpaysink",
                "congestion-control",
                "magic".to_value(),
                "homegrown",
            ),
            (
                "streamiumpaysink",
                "video-caps",
                None::<gst::Caps>.to_value(),
                "empty",
            ),
            (
                "streamiumpaysrc",
                "video-codecs",
                gst::Array::new(["VP8", "DIVX"]).to_value(),
                "DIVX",
            ),
        ];
        for (element, property, value, word) in cases {
            let said = refusal(element, property, &value);
            println!("{element} {property}={value:?}: {said}");
            assert!(said.contains(property) && said.contains(word), "{said}");
        }
    });
}

#[test]
fn a_good_value_makes_up_for_a_bad_one() {
    run(|| {
        let sink = gst::ElementFactory::make("streamiumpaysink").build().unwrap();
        sink.set_property("enable-mitigation-modes", "x");
        assert_eq!(
            sink.property::<String>("enable-mitigation-modes"),
            "downscaled+downsampled"
        );
        sink.set_property("enable-mitigation-modes", "none");
        assert_eq!(sink.property::<String>("enable-mitigation-modes"), "none");
        sink.set_state(gst::State::Ready).unwrap();
        sink.set_state(gst::State::Null).unwrap();
    });
}
