//! Stand-ins for a webrtcsink of years ago.

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

/// One that has nothing we need.
#[derive(Default)]
pub struct Ancient;

#[glib::object_subclass]
impl ObjectSubclass for Ancient {
    const NAME: &'static str = "TestAncientSink";
    type Type = AncientSink;
    type ParentType = gst::Bin;
}

glib::wrapper! {
    pub struct AncientSink(ObjectSubclass<Ancient>) @extends gst::Bin, gst::Element, gst::Object;
}

impl ObjectImpl for Ancient {}
impl GstObjectImpl for Ancient {}
impl ElementImpl for Ancient {}
impl BinImpl for Ancient {}

/// One that has just what we can't do without.
#[derive(Default)]
pub struct Aged {
    signaller: AgedSignaller,
}

#[glib::object_subclass]
impl ObjectSubclass for Aged {
    const NAME: &'static str = "TestAgedSink";
    type Type = AgedSink;
    type ParentType = gst::Bin;
    type Interfaces = (gst::ChildProxy,);
}

glib::wrapper! {
    pub struct AgedSink(ObjectSubclass<Aged>)
        @extends gst::Bin, gst::Element, gst::Object, @implements gst::ChildProxy;
}

impl ObjectImpl for Aged {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecBoxed::builder::<gst::Structure>("meta").build(),
                glib::ParamSpecObject::builder::<AgedSignaller>("signaller")
                    .read_only()
                    .build(),
                // Was text once, let us say.
                glib::ParamSpecString::builder("do-fec").build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, _value: &glib::Value, _pspec: &glib::ParamSpec) {}

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "signaller" => self.signaller.to_value(),
            _ => pspec.default_value().to_owned(),
        }
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
            let consumer = |name, part| {
                Signal::builder(name)
                    .param_types([glib::Type::STRING, part])
                    .build()
            };
            vec![
                consumer("consumer-pipeline-created", gst::Pipeline::static_type()),
                consumer("consumer-added", gst::Element::static_type()),
                consumer("consumer-removed", gst::Element::static_type()),
                // With fewer arguments than today.
                Signal::builder("request-encoded-filter")
                    .param_types([glib::Type::STRING])
                    .return_type::<gst::Element>()
                    .build(),
            ]
        });
        &SIGNALS
    }
}

impl GstObjectImpl for Aged {}
impl ElementImpl for Aged {}
impl BinImpl for Aged {}

impl ChildProxyImpl for Aged {
    fn child_by_index(&self, _index: u32) -> Option<glib::Object> {
        None
    }

    fn children_count(&self) -> u32 {
        0
    }

    fn child_by_name(&self, name: &str) -> Option<glib::Object> {
        (name == "signaller").then(|| self.signaller.clone().upcast())
    }
}

#[derive(Default)]
pub struct Signalling;

#[glib::object_subclass]
impl ObjectSubclass for Signalling {
    const NAME: &'static str = "TestAgedSignaller";
    type Type = AgedSignaller;
}

glib::wrapper! {
    pub struct AgedSignaller(ObjectSubclass<Signalling>);
}

impl Default for AgedSignaller {
    fn default() -> Self {
        glib::Object::new()
    }
}

impl ObjectImpl for Signalling {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            ["uri", "producer-peer-id"]
                .map(|name| glib::ParamSpecString::builder(name).build())
                .to_vec()
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, _value: &glib::Value, _pspec: &glib::ParamSpec) {}

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        pspec.default_value().to_owned()
    }

    fn signals() -> &'static [Signal] {
        static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
            ["start", "stop", "session-ended", "end-session", "webrtcbin-ready"]
                .map(|name| Signal::builder(name).build())
                .into()
        });
        &SIGNALS
    }
}
