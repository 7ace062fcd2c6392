//! Pads, children and interfaces against those of the live inner elements.

use std::collections::BTreeSet;

use gst::glib;
use gst::prelude::*;
use gststreamiumpay::inner::{Part, Signaller};

use crate::common::webrtc::run;
use crate::pairs;

/// What a type's properties are called that it has over any ghost pad's.
fn pad_properties(template: &gst::PadTemplate) -> BTreeSet<(String, glib::Type, bool)> {
    let class = glib::object::ObjectClass::from_type(template.property("gtype")).unwrap();
    let specs = class.list_properties();
    let own = specs
        .iter()
        .filter(|spec| !gst::GhostPad::static_type().is_a(spec.owner_type()));
    own.map(|spec| {
        let writable = spec.flags().contains(glib::ParamFlags::WRITABLE);
        (spec.name().to_owned(), spec.value_type(), writable)
    })
    .collect()
}

#[test]
fn every_pad_template_is_the_same_or_left_out_with_a_reason() {
    run(|| {
        for pair in pairs() {
            for theirs in pair.inner.pad_template_list() {
                let name = theirs.name_template().to_owned();
                let ours = pair.ours.pad_template(&name);
                let left_out = pair.leaves_out(Part::PadTemplate, &name);
                assert!(ours.is_some() != left_out, "{name}: left out {left_out}");
                let Some(ours) = ours else { continue };
                assert!(
                    ours.caps().is_strictly_equal(theirs.caps()),
                    "{name}: {}",
                    theirs.caps()
                );
                let place = |template: &gst::PadTemplate| (template.direction(), template.presence());
                assert_eq!(place(&ours), place(&theirs), "{name}");
                assert_eq!(pad_properties(&ours), pad_properties(&theirs), "{name}");
            }
            let ours = pair.ours.pad_template_list();
            let ours = ours.iter().map(|template| template.name_template().to_string());
            for name in ours.chain(pair.left_out(Part::PadTemplate).map(ToOwned::to_owned)) {
                assert!(pair.inner.pad_template(&name).is_some(), "{name} is no more");
            }
        }
    });
}

#[test]
fn every_interface_is_there() {
    run(|| {
        for pair in pairs() {
            for interface in pair.inner.type_().interfaces().iter() {
                assert!(pair.ours.type_().is_a(*interface), "{interface}");
            }
        }
    });
}

fn child(element: &gst::Element, name: &str) -> Option<glib::Object> {
    element
        .dynamic_cast_ref::<gst::ChildProxy>()
        .unwrap()
        .child_by_name(name)
}

#[test]
fn the_signaller_is_a_child() {
    run(|| {
        for pair in pairs() {
            let ours = child(&pair.ours, "signaller").unwrap();
            let theirs = child(&pair.inner, "signaller").unwrap();
            assert_eq!(ours.type_(), theirs.type_());
            let proxy = pair.ours.dynamic_cast_ref::<gst::ChildProxy>().unwrap();
            proxy.set_child_property("signaller::cafile", "/tmp/ca.pem");
            assert_eq!(ours.property::<String>("cafile"), "/tmp/ca.pem");
        }
    });
}

/// Of a sink the signaller is the one that runs. A source has one for each connection.
#[test]
fn every_setting_of_the_signaller_is_taken_over_or_left_out_with_a_reason() {
    run(|| {
        let [_, pair] = pairs();
        let signaller = child(&pair.inner, "signaller").unwrap();
        for spec in signaller.list_properties().iter() {
            if !spec.flags().contains(glib::ParamFlags::WRITABLE) {
                continue;
            }
            let taken = Signaller::TAKEN_OVER.contains(&spec.name());
            let left_out = pair.leaves_out(Part::Signaller, spec.name());
            assert!(
                taken != left_out,
                "{}: taken over {taken}, left out {left_out}",
                spec.name()
            );
        }
        for name in pair.left_out(Part::Signaller).chain(Signaller::TAKEN_OVER) {
            assert!(signaller.find_property(name).is_some(), "{name} is no more");
        }
    });
}

#[test]
fn a_sink_pads_properties_reach_the_inner_pad() {
    run(|| {
        let [pair, _] = pairs();
        let pad = pair.ours.request_pad_simple("video_%u").unwrap();
        assert_eq!(pad.property::<Option<String>>("msid"), None);
        let proxy = pair.ours.dynamic_cast_ref::<gst::ChildProxy>().unwrap();
        proxy.set_child_property("video_0::msid", "the stream");
        let inner = pad.downcast_ref::<gst::GhostPad>().unwrap().target().unwrap();
        assert_eq!(inner.property::<String>("msid"), "the stream");
        assert_eq!(pad.property::<String>("msid"), "the stream");
        pair.ours.release_request_pad(&pad);
        assert_eq!(child(&pair.ours, "video_0"), None);
    });
}

/// gst-launch knows a pad's property before it has the pad.
#[test]
fn a_sink_pads_properties_can_be_set_in_a_description() {
    run(|| {
        let launch = "streamiumpaysink name=sink video_0::msid=one audio_0::msid=two videotestsrc ! sink. audiotestsrc ! sink.";
        let pipeline = gst::parse::launch(launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = pipeline.by_name("sink").unwrap();
        let msid = |pad| sink.static_pad(pad).unwrap().property::<Option<String>>("msid");
        assert_eq!(msid("video_0").as_deref(), Some("one"));
        assert_eq!(msid("audio_0").as_deref(), Some("two"));
    });
}
