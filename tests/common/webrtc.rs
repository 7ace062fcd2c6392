//! Providers and consumers over real WebRTC in one process.
#![allow(dead_code)]

use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, LazyLock, Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use gst::prelude::*;
use gststreamiumpay::data_channel::DataChannelEvent;
use gststreamiumpay::gate::TrackKind;
use gststreamiumpay::inner::{ProducerEvent, Resolver, Signaller};
use gststreamiumpay::paysink::{ProviderHooks, SessionHandle, StreamiumPaySink};
use gststreamiumpay::paysrc::{ConsumerHooks, ConsumerSession, StreamiumPaySrc};

use super::frames::play;
use super::wait::{PATIENCE, wait_for_port};

pub const RAW_VIDEO: &str =
    "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 ! sink. ";
pub const RAW_AUDIO: &str = "audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! sink. ";
/// Bright where the slate is dark.
pub const WHITE: &str = "videotestsrc is-live=true pattern=white \
    ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 ! sink. ";
pub const H264: &str = "videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=15/1 \
    ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=1000 bitrate=500 \
    ! video/x-h264,profile=constrained-baseline ! sink. ";

pub fn raw_both() -> String {
    format!("{RAW_VIDEO}{RAW_AUDIO}")
}

pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Free streams have a key too, and many here are not told where to keep it.
        let data = Path::new(env!("CARGO_TARGET_TMPDIR")).join("data");
        // SAFETY: nothing else runs yet that reads the environment: every test comes through here first.
        unsafe {
            std::env::set_var("XDG_DATA_HOME", data);
            // That of a plain webrtcsink.
            std::env::set_var("WEBRTCSINK_SIGNALLING_SERVER_LOG", "error");
        }
        gst::init().unwrap();
        gststreamiumpay::plugin_register_static().unwrap();
    });
}

/// Runs a test alone (the machine may be small, and most of these encode), with a bound on its whole time.
pub fn run(body: impl FnOnce() + Send + 'static) {
    run_within(Duration::from_secs(150), body);
}

/// The same with another bound.
pub fn run_within(limit: Duration, body: impl FnOnce() + Send + 'static) {
    static ALONE: Mutex<()> = Mutex::new(());
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    init();
    let (done, finished) = channel();
    let test = std::thread::spawn(move || {
        body();
        let _ = done.send(());
    });
    match finished.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => panic!("the test as a whole took too long: something hangs"),
        _ => test
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
    }
}

/// What happens to a session, on either side.
pub enum Event<S> {
    Begun(S),
    Channel(String, DataChannelEvent),
    Over(String),
}

/// Hooks that only pass on what they are told.
pub struct Recorder<S>(Mutex<Sender<Event<S>>>);

impl<S> Recorder<S> {
    pub fn new() -> (Arc<Self>, Receiver<Event<S>>) {
        let (sender, receiver) = channel();
        (Arc::new(Self(Mutex::new(sender))), receiver)
    }

    fn send(&self, event: Event<S>) {
        let _ = self.0.lock().unwrap().send(event);
    }
}

impl ProviderHooks for Recorder<SessionHandle> {
    fn session_added(&self, session: SessionHandle) {
        self.send(Event::Begun(session));
    }
    fn channel_event(&self, id: &str, event: DataChannelEvent) {
        self.send(Event::Channel(id.to_owned(), event));
    }
    fn session_removed(&self, id: &str) {
        self.send(Event::Over(id.to_owned()));
    }
}

impl ConsumerHooks for Recorder<ConsumerSession> {
    fn connected(&self, session: ConsumerSession) {
        self.send(Event::Begun(session));
    }
    fn channel_event(&self, id: &str, event: DataChannelEvent) {
        self.send(Event::Channel(id.to_owned(), event));
    }
    fn disconnected(&self, id: &str) {
        self.send(Event::Over(id.to_owned()));
    }
}

pub fn begun<S>(events: &Receiver<Event<S>>) -> S {
    match events.recv_timeout(PATIENCE) {
        Ok(Event::Begun(session)) => session,
        Ok(_) => panic!("another event came before the session"),
        Err(error) => panic!("no session: {error}"),
    }
}

pub fn channel_event<S>(events: &Receiver<Event<S>>) -> DataChannelEvent {
    match events.recv_timeout(PATIENCE) {
        Ok(Event::Channel(_, event)) => event,
        Ok(Event::Begun(_)) => panic!("another session began"),
        Ok(Event::Over(_)) => panic!("the session is over"),
        Err(error) => panic!("no event on the data channel: {error}"),
    }
}

/// A running pipeline, stopped when dropped.
pub struct Running(pub gst::Pipeline);

impl Running {
    /// Waits for a message of this type.
    pub fn wait_for(&self, kind: gst::MessageType) -> gst::Message {
        let timeout = gst::ClockTime::try_from(PATIENCE).unwrap();
        let types = [kind, gst::MessageType::Error];
        let message = self.0.bus().unwrap().timed_pop_filtered(timeout, &types);
        let message = message.unwrap_or_else(|| panic!("no {kind:?} message came"));
        assert_eq!(message.type_(), kind, "{message:?}");
        message
    }

    /// Fails on an error that was posted.
    pub fn check(&self) {
        if let Some(error) = self.0.bus().unwrap().pop_filtered(&[gst::MessageType::Error]) {
            panic!("{error:?}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set_state(gst::State::Null).unwrap();
    }
}

/// A provider with its own signalling server.
pub struct Provider {
    pub running: Running,
    pub sink: StreamiumPaySink,
    pub port: u16,
}

/// A port that nobody listens at, and that no other test of this run is given: each of those that run at once has a slot,
/// and a range with it. Below the ports that the kernel gives to outgoing connections, and beside those of regtest.sh.
pub fn free_port() -> u16 {
    const PORTS: u16 = 1_000;
    static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(fastrand::u16(..PORTS)));
    let slot = std::env::var("NEXTEST_TEST_GLOBAL_SLOT").map_or(0, |slot| slot.parse().unwrap());
    let first = 10_000 + (slot % 10) * PORTS;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// The settings of a sink with a signalling server of its own.
pub fn own_server(port: u16) -> String {
    format!("run-signalling-server=true signalling-server-host=127.0.0.1 signalling-server-port={port}")
}

impl Provider {
    /// With the hooks of a free stream.
    pub fn free(sources: &str) -> Self {
        Self::start(sources, "", None)
    }

    pub fn hooked(sources: &str) -> (Self, Receiver<Event<SessionHandle>>) {
        let (hooks, events) = Recorder::new();
        (Self::start(sources, "", Some(hooks)), events)
    }

    pub fn start(sources: &str, settings: &str, hooks: Option<Arc<dyn ProviderHooks>>) -> Self {
        let port = free_port();
        let settings = format!("{} {settings}", own_server(port));
        let provider = Self::with(sources, &settings, port, hooks);
        wait_for_port(port);
        provider
    }

    pub fn stop(&self) {
        self.running.0.set_state(gst::State::Null).unwrap();
    }

    /// Once more, after [`Provider::stop`].
    pub fn play_again(&self) {
        self.running.0.set_state(gst::State::Playing).unwrap();
        wait_for_port(self.port);
    }

    /// At somebody else's signalling server.
    pub fn at(port: u16, sources: &str, hooks: Option<Arc<dyn ProviderHooks>>) -> Self {
        Self::with(
            sources,
            &format!("signaller::uri=ws://127.0.0.1:{port}"),
            port,
            hooks,
        )
    }

    fn with(sources: &str, settings: &str, port: u16, hooks: Option<Arc<dyn ProviderHooks>>) -> Self {
        let launch = format!(
            "streamiumpaysink name=sink stun-server=none stream-name=\"the test\" {settings} {sources}"
        );
        let pipeline = gst::parse::launch(&launch)
            .unwrap()
            .downcast::<gst::Pipeline>()
            .unwrap();
        let sink = pipeline
            .by_name("sink")
            .unwrap()
            .downcast::<StreamiumPaySink>()
            .unwrap();
        if let Some(hooks) = hooks {
            sink.set_hooks(hooks);
        }
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            running: Running(pipeline),
            sink,
            port,
        }
    }

    pub fn uri(&self) -> String {
        let key = self.sink.property::<String>("public-key");
        format!("streamium://127.0.0.1:{}/the%20test?key={key}", self.port)
    }

    /// The webrtcsink inside.
    pub fn inner(&self) -> gst::Element {
        self.sink.children().into_iter().next().unwrap()
    }

    /// Its id at the signalling server.
    pub fn peer_id(&self) -> String {
        producer_of(self.port)
    }
}

/// The id of a producer of the tests' stream at the signalling server of this port.
pub fn producer_of(port: u16) -> String {
    let (sender, found) = channel();
    let sender = Mutex::new(sender);
    let like = Signaller::of(&gststreamiumpay::inner::make_src().unwrap()).unwrap();
    let uri = format!("ws://127.0.0.1:{port}");
    let resolver = Resolver::start(&like, &uri, "the test", move |event| {
        let _ = sender.lock().unwrap().send(event);
    });
    let event = found.recv_timeout(PATIENCE).expect("the producer is listed");
    resolver.stop();
    match event {
        ProducerEvent::Added { peer_id } => peer_id,
        other => panic!("{other:?}"),
    }
}

/// A consumer that counts what it gets.
pub struct Consumer {
    pub running: Running,
    pub source: gst::Element,
    pub buffers: Receiver<(TrackKind, Instant)>,
}

impl Consumer {
    /// A plain webrtcsrc. Made from the type and not from a factory, so that no copy of the plugin is needed.
    pub fn plain(provider: &Provider) -> Self {
        Self::plain_prepared(provider, |_| ())
    }

    pub fn plain_prepared(provider: &Provider, prepare: impl FnOnce(&Signaller)) -> Self {
        Self::plain_at(provider.port, prepare)
    }

    /// A plain webrtcsrc, at the signalling server of this port.
    pub fn plain_at(port: u16, prepare: impl FnOnce(&Signaller)) -> Self {
        let source = gststreamiumpay::inner::make_src().unwrap();
        source.set_property("stun-server", None::<String>);
        let signaller = Signaller::of(&source).unwrap();
        signaller.set_uri(&format!("ws://127.0.0.1:{port}"));
        signaller.set_producer(&producer_of(port));
        prepare(&signaller);
        Self::start(source)
    }

    /// A streamiumpaysrc.
    pub fn ours(provider: &Provider) -> Self {
        Self::start(Self::element(provider).upcast())
    }

    pub fn hooked(provider: &Provider) -> (Self, Receiver<Event<ConsumerSession>>) {
        let (hooks, events) = Recorder::new();
        let source = Self::element(provider);
        source.set_hooks(hooks);
        (Self::start(source.upcast()), events)
    }

    pub fn element(provider: &Provider) -> StreamiumPaySrc {
        let source = gst::ElementFactory::make("streamiumpaysrc")
            .property("uri", provider.uri())
            .property("stun-server", "none")
            .property("slate", false)
            .build()
            .unwrap();
        source.downcast().unwrap()
    }

    pub fn start(source: gst::Element) -> Self {
        let pipeline = gst::Pipeline::new();
        pipeline.add(&source).unwrap();
        let (sender, buffers) = channel();
        let sender = Mutex::new(sender);
        let weak = pipeline.downgrade();
        source.connect_pad_added(move |_, pad| {
            let Some(pipeline) = weak.upgrade() else { return };
            let sender = sender.lock().unwrap().clone();
            play(&pipeline, pad, move |frame| {
                let _ = sender.send((frame.kind, frame.at));
            });
        });
        pipeline.set_state(gst::State::Playing).unwrap();
        Self {
            running: Running(pipeline),
            source,
            buffers,
        }
    }

    /// Waits for so many buffers of this kind.
    pub fn expect(&self, kind: TrackKind, count: usize) {
        let mut seen = 0;
        while seen < count {
            match self.buffers.recv_timeout(PATIENCE) {
                Ok((of, _)) if of == kind => seen += 1,
                Ok(_) => (),
                Err(error) => panic!(
                    "{seen} of {count} {kind:?} buffers at {}: {error}",
                    self.source.name()
                ),
            }
        }
    }

    /// When the next decoded buffer of this kind came.
    pub fn next(&self, kind: TrackKind) -> Instant {
        loop {
            match self.buffers.recv_timeout(PATIENCE) {
                Ok((of, when)) if of == kind => return when,
                Ok(_) => (),
                Err(error) => panic!("no {kind:?} buffer: {error}"),
            }
        }
    }

    /// Waits until nothing has come for `quiet`, and says when the last buffer did, if one did.
    pub fn last_before_quiet(&self, quiet: Duration) -> Option<Instant> {
        let started = Instant::now();
        let mut last = None;
        while let Ok((_, when)) = self.buffers.recv_timeout(quiet) {
            last = Some(when);
            assert!(started.elapsed() < PATIENCE, "it never became quiet");
        }
        last
    }
}
