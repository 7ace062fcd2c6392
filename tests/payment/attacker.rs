//! Somebody between consumer and provider, who ends both connections and passes every message on.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};

use gst::prelude::*;
use gststreamiumpay::data_channel::{DataChannel, DataChannelEvent};
use gststreamiumpay::inner::{Signaller, make_sink, make_src};

use crate::common::wait::wait_until;
use crate::common::webrtc::{RAW_AUDIO, RAW_VIDEO, Running, free_port, producer_of};

/// All sessions of a process share one generated certificate, and a real attacker is another process. This one
/// was made for it alone, with its key, by `openssl req -x509 -newkey rsa:2048 -nodes -days 36500`.
const CERTIFICATE: &str = include_str!("attacker.pem");

/// Makes the sessions in this pipeline use the attacker's certificate.
fn use_certificate(pipeline: &gst::Pipeline) {
    pipeline.connect_deep_element_added(|_, _, element| {
        if element
            .factory()
            .is_some_and(|factory| factory.name() == "dtlsdec")
        {
            element.set_property("pem", CERTIFICATE);
        }
    });
}

/// One of the attacker's two data channels, and what came for it before it was there.
#[derive(Default)]
struct End {
    channel: Option<DataChannel>,
    early: Vec<String>,
}

impl End {
    fn pass(end: &Mutex<Self>, text: String) {
        let mut end = end.lock().unwrap();
        match &end.channel {
            Some(channel) => drop(channel.send(&text)),
            None => end.early.push(text),
        }
    }

    fn ready(end: &Mutex<Self>, channel: Option<DataChannel>) {
        let mut end = end.lock().unwrap();
        if let Some(channel) = channel {
            end.channel = Some(channel);
        }
        if let Some(channel) = end.channel.clone() {
            end.early.drain(..).for_each(|text| drop(channel.send(&text)));
        }
    }
}

type Tamper = Arc<dyn Fn(String) -> String + Send + Sync>;

/// Has a signalling server of its own, where it is a producer under the stream's name, and a session with the
/// real provider.
pub struct Attacker {
    pub port: u16,
    pub relayed: Arc<Mutex<Vec<String>>>,
    _to_victim: Running,
    _to_provider: Arc<Mutex<Option<Running>>>,
}

impl Attacker {
    /// `tamper` may change what the provider says.
    pub fn before(provider_port: u16, tamper: impl Fn(String) -> String + Send + Sync + 'static) -> Self {
        let (near, far) = (Arc::<Mutex<End>>::default(), Arc::<Mutex<End>>::default());
        let relayed = Arc::<Mutex<Vec<String>>>::default();
        let tamper: Tamper = Arc::new(tamper);
        let log = relayed.clone();
        let tamper: Tamper = Arc::new(move |text| {
            log.lock().unwrap().push(text.clone());
            tamper(text)
        });
        let (victim_came, came) = channel();
        let (port, to_victim) = listen(near.clone(), far.clone(), victim_came);
        let to_provider = Arc::<Mutex<Option<Running>>>::default();
        let slot = to_provider.clone();
        // Not before there is a victim: the provider gives up those that say nothing.
        std::thread::spawn(move || {
            if came.recv().is_ok() {
                *slot.lock().unwrap() = Some(connect(provider_port, near, far, tamper));
            }
        });
        Self {
            port,
            relayed,
            _to_victim: to_victim,
            _to_provider: to_provider,
        }
    }
}

/// The consumer that the provider sees.
fn connect(port: u16, near: Arc<Mutex<End>>, far: Arc<Mutex<End>>, tamper: Tamper) -> Running {
    let source = make_src().unwrap();
    source.set_property("stun-server", None::<String>);
    let signaller = Signaller::of(&source).unwrap();
    signaller.set_uri(&format!("ws://127.0.0.1:{port}"));
    signaller.set_producer(&producer_of(port));
    signaller.connect("webrtcbin-ready", move |values| {
        let webrtcbin = values[1].get::<gst::Element>().unwrap();
        let (near, far, tamper) = (near.clone(), far.clone(), tamper.clone());
        let opened = far.clone();
        let on_event = move |event| match event {
            DataChannelEvent::Message(text) => End::pass(&near, tamper(text)),
            DataChannelEvent::Open => End::ready(&far, None),
            _ => (),
        };
        DataChannel::listen(
            &webrtcbin,
            move |channel| End::ready(&opened, Some(channel)),
            on_event,
        );
    });
    let pipeline = gst::Pipeline::new();
    use_certificate(&pipeline);
    pipeline.add(&source).unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    Running(pipeline)
}

/// The provider that the victim sees.
fn listen(near: Arc<Mutex<End>>, far: Arc<Mutex<End>>, victim_came: Sender<()>) -> (u16, Running) {
    let victim_came = Mutex::new(victim_came);
    let (port, pipeline, sink) = impostor();
    sink.connect("consumer-pipeline-created", false, |values| {
        use_certificate(&values[2].get::<gst::Pipeline>().unwrap());
        None
    });
    sink.connect("consumer-added", false, move |values| {
        let webrtcbin = values[2].get::<gst::Element>().unwrap();
        let (near, far) = (near.clone(), far.clone());
        let opened = near.clone();
        let on_event = move |event| match event {
            DataChannelEvent::Message(text) => End::pass(&far, text),
            DataChannelEvent::Open => End::ready(&opened, None),
            _ => (),
        };
        let channel = DataChannel::create(&webrtcbin, on_event).unwrap();
        near.lock().unwrap().channel = Some(channel);
        let _ = victim_came.lock().unwrap().send(());
        None
    });
    start(port, &pipeline);
    (port, Running(pipeline))
}

/// A plain webrtcsink under the stream's name, at a signalling server of its own.
fn impostor() -> (u16, gst::Pipeline, gst::Element) {
    let port = free_port();
    let sink = make_sink().unwrap();
    sink.set_property("run-signalling-server", true);
    sink.set_property("signalling-server-host", "127.0.0.1");
    sink.set_property("signalling-server-port", u32::from(port));
    sink.set_property("stun-server", None::<String>);
    Signaller::of(&sink)
        .unwrap()
        .set_uri(&format!("ws://127.0.0.1:{port}"));
    sink.set_property(
        "meta",
        gst::Structure::builder("meta").field("name", "the test").build(),
    );
    let pipeline = gst::Pipeline::new();
    pipeline.add(&sink).unwrap();
    for (source, pad) in [(RAW_VIDEO, "video_%u"), (RAW_AUDIO, "audio_%u")] {
        let source = source.replace("! sink.", "! queue");
        let source = gst::parse::bin_from_description(&source, true).unwrap();
        pipeline.add(&source).unwrap();
        let pad = sink.request_pad_simple(pad).unwrap();
        source.static_pad("src").unwrap().link(&pad).unwrap();
    }
    (port, pipeline, sink)
}

fn start(port: u16, pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    wait_until("the impostor's signalling server", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
}

/// Somebody who sits on the stream's name and speaks no streamium-pay at all.
pub fn squatter() -> (u16, Running) {
    let (port, pipeline, _) = impostor();
    start(port, &pipeline);
    (port, Running(pipeline))
}
