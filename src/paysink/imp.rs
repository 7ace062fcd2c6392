//! The subclass: a bin around webrtcsink.
//!
//! Lock order: `settings` before `status`, both before nothing else; neither is held while the inner element,
//! a hook or the bus is called.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::faults::{self, Faults};
use super::payments::{self, PaymentHooks};
use super::properties::{self, Status};
use super::renewal::Inner;
use super::sessions::{ClosedHooks, ProviderHooks, Sessions};
use super::settings::{Checked, Settings, validate};
use super::signalling::Signalling;
use super::stats::Stats;
use super::{CAT, link, metrics, pads, proxied, repricing, signals, templates};
use crate::backup::Seedling;
use crate::config::{self, ConfigError};
use crate::descriptors;
use crate::folder;
use crate::inner::{Refused, Signaller, named_meta};
use crate::messages::{Teller, post_report};
use crate::metrics::Server;
use crate::origin::Origin;
use crate::session::provider::ProviderHandle;
use crate::settings::SettingsError;

/// How long stopping may wait for settlements to be handed out. The only time that a state change waits for the
/// network: what takes longer is settled at the next start.
const STOP_PATIENCE: Duration = Duration::from_secs(3);

/// How long consumers may take to read that the stream ends.
const PARTING_PATIENCE: Duration = Duration::from_millis(500);

#[derive(Default)]
pub struct StreamiumPaySink {
    inner: Inner,
    settings: Mutex<Settings>,
    status: Mutex<Status>,
    /// What a proxied property could not take; reported when the element starts.
    refused: Refused,
    /// What of the environment or the configuration file can't be used; reported likewise.
    config_error: OnceLock<ConfigError>,
    /// Hooks that somebody has set; else the rate decides.
    hooks: Mutex<Option<Arc<dyn ProviderHooks>>>,
    sessions: Sessions,
    signalling: Signalling,
    pub(super) teller: Teller,
    stats: Stats,
    /// While PAUSED or PLAYING, where an address is set.
    metrics: Mutex<Option<Server>>,
    /// Going down: what the signaller complains of then is nobody's trouble.
    stopping: AtomicBool,
    /// What the settings mean, from READY on.
    checked: Mutex<Option<Checked>>,
    /// The driver, while PAUSED or PLAYING.
    provider: Mutex<Option<ProviderHandle>>,
}

#[glib::object_subclass]
impl ObjectSubclass for StreamiumPaySink {
    const NAME: &'static str = "GstStreamiumPaySink";
    type Type = super::StreamiumPaySink;
    type ParentType = gst::Bin;
    type Interfaces = (gst::ChildProxy, gst_video::Navigation);
}

impl ObjectImpl for StreamiumPaySink {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::specs()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        signals::signals()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        if lock(&self.settings).set(name, value) {
            match name {
                "meta" | "stream-name" => self.update_meta(),
                "rate" => self.reprice(),
                _ => (),
            }
        } else if let Some(row) = proxied::TABLE.find(name)
            && let Some(inner) = self.inner()
        {
            self.refused.set(row, &inner, value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let name = pspec.name();
        let own = lock(&self.settings)
            .get(name)
            .or_else(|| lock(&self.status).get(name))
            .or_else(|| (name == "stats").then(|| self.stats.value(self.inner().as_ref())));
        own.or_else(|| {
            proxied::TABLE
                .find(name)
                .map(|row| row.get(self.inner().as_ref()))
        })
        .unwrap_or_else(|| pspec.default_value().to_owned())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_suppressed_flags(gst::ElementFlags::SINK | gst::ElementFlags::SOURCE);
        obj.set_element_flags(gst::ElementFlags::SINK);
        if let Err(reason) = self.inner.make(&obj, &self.sessions) {
            // A constructor can't fail: it is said again, as an error, when the element starts.
            gst::warning!(CAT, imp = self, "{reason}");
        }
        self.update_meta();
        if let Err(error) = config::apply(obj.upcast_ref(), "streamiumpaysink", properties::specs()) {
            let _ = self.config_error.set(error);
        }
    }
}

impl GstObjectImpl for StreamiumPaySink {}

impl ElementImpl for StreamiumPaySink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: std::sync::LazyLock<gst::subclass::ElementMetadata> =
            std::sync::LazyLock::new(|| {
                gst::subclass::ElementMetadata::new(
                    "Streamium paid stream sink",
                    "Sink/Network/WebRTC",
                    "Sends a live stream to consumers who pay for it second by second",
                    env!("CARGO_PKG_AUTHORS"),
                )
            });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        templates::pad_templates()
    }

    fn request_new_pad(
        &self,
        templ: &gst::PadTemplate,
        _name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        pads::request(&self.obj(), &self.inner()?, templ)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        pads::release(&self.obj(), self.inner().as_ref(), pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::NullToReady {
            self.prepare().map_err(|error| {
                gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"), ["{error}"]);
                gst::StateChangeError
            })?;
            self.raise_limit();
        }
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.stopping.store(false, Ordering::SeqCst);
                let begun = self.renew().and_then(|()| self.start());
                if let Err(reason) = begun.and_then(|()| self.join()) {
                    self.abandon_start();
                    gst::element_imp_error!(self, gst::ResourceError::Settings, ("{reason}"), ["{reason}"]);
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::PausedToReady => {
                self.stopping.store(true, Ordering::SeqCst);
                // While the sessions can still be told.
                self.stop();
            }
            _ => (),
        }
        let result = self.parent_change_state(transition);
        match transition {
            gst::StateChange::ReadyToPaused if result.is_err() => self.abandon_start(),
            gst::StateChange::PausedToReady => {
                self.inner.stopped();
                self.sessions.clear();
                self.signalling.stop();
            }
            _ => (),
        }
        result
    }
}

impl BinImpl for StreamiumPaySink {
    fn handle_message(&self, message: gst::Message) {
        if let Some(message) = faults::filter(&self.obj(), message) {
            self.parent_handle_message(message);
        }
    }
}

impl StreamiumPaySink {
    pub fn set_hooks(&self, hooks: Arc<dyn ProviderHooks>) {
        *lock(&self.hooks) = Some(hooks.clone());
        self.sessions.set_hooks(hooks);
    }

    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        let (old, new) = {
            let mut status = lock(&self.status);
            let old = status.clone();
            change(&mut status);
            (old, status.clone())
        };
        let obj = self.obj();
        if old.link != new.link {
            self.teller.notify(&*obj, "link");
        }
        if old.public_key != new.public_key {
            self.teller.notify(&*obj, "public-key");
        }
        if old.earned_sat != new.earned_sat {
            self.teller.notify(&*obj, "earned");
        }
    }

    pub(super) fn inner(&self) -> Option<gst::Element> {
        self.inner.sink()
    }

    pub(super) fn signaller(&self) -> Option<Signaller> {
        self.inner.signaller()
    }

    fn renew(&self) -> Result<(), String> {
        self.inner.renew(&self.obj(), &self.sessions)?;
        self.update_meta();
        Ok(())
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// The signalling server's address, while there is a relay to it.
    pub fn signalling_server(&self) -> Option<String> {
        self.signalling.server()
    }

    /// Joins the signalling server through a relay, which outlives what goes wrong there.
    fn join(&self) -> Result<(), String> {
        let Some(signaller) = self.signaller() else {
            return Ok(());
        };
        let faults = Faults::new(&self.obj(), &self.sessions);
        let provider = lock(&self.provider);
        let (inputs, room) = provider.as_ref().map(|one| (one.inputs(), one.room())).unzip();
        drop(provider);
        let make_room = move |origin: &Origin| {
            if let Some(inputs) = &inputs {
                inputs.make_room(origin.clone());
            }
        };
        self.signalling
            .start(&signaller, room.unwrap_or_default(), make_room, move |event| {
                faults.relay_event(event)
            })
    }

    /// Each consumer takes some 25 descriptors; the usual soft limit of 1,024 is for programs that use `select()`.
    fn raise_limit(&self) {
        let Some((before, after)) = descriptors::raise() else {
            return;
        };
        let words = format!("The limit of open files was raised from {before} to {after}, for viewers.");
        gst::info!(CAT, imp = self, "{words}");
        gst::element_imp_info!(self, gst::ResourceError::Settings, ("{words}"), ["{words}"]);
    }

    fn update_meta(&self) {
        let Some(inner) = self.inner() else { return };
        let meta = {
            let settings = lock(&self.settings);
            named_meta(settings.meta.as_deref(), &settings.stream_name)
        };
        inner.set_property("meta", meta);
    }

    /// Checks what can be checked without asking anybody, and decides who drives the sessions.
    fn prepare(&self) -> Result<(), SettingsError> {
        if let Some(reason) = self.inner.failure() {
            return Err(SettingsError::Inner(reason));
        }
        if let Some(reason) = self.refused.reason() {
            return Err(SettingsError::BadProxied(reason));
        }
        if let Some(error) = self.config_error.get() {
            return Err(SettingsError::Config(error.clone()));
        }
        if let Some(inner) = self.inner() {
            signals::TABLE.warn_of_unheard(&inner, &*self.obj());
        }
        *lock(&self.checked) = Some(validate(&lock(&self.settings).clone())?);
        Ok(())
    }

    /// The rate has been set; while the stream runs its consumers are offered it.
    fn reprice(&self) {
        let inputs = lock(&self.provider).as_ref().map(ProviderHandle::inputs);
        if let Some(inputs) = inputs {
            repricing::reprice(&self.obj(), &self.settings, &self.checked, &inputs);
        }
    }

    /// Starts the driver, and says the link.
    fn start(&self) -> Result<(), String> {
        let Some(checked) = lock(&self.checked).clone() else {
            return Err("the settings were not checked".to_owned());
        };
        self.signalling
            .serve(checked.server.as_ref(), self.signaller().as_ref())?;
        let obj = self.obj();
        let seedling = Seedling::look(checked.options.network, &checked.options.data_dir);
        let provider = payments::start(&obj, &checked)
            .map_err(|error| folder::explain(&error, &checked.options.data_dir))?;
        self.stats.follow(provider.stats());
        seedling.tell(&*obj);
        let earned = provider.earned_before().to_sat();
        let link = link::make(&self.inner, &checked, provider.public_key());
        self.update_status(|status| {
            status.link = Some(link.to_string());
            status.public_key = Some(link.key.to_string());
            status.earned_sat = earned;
        });
        let hooks = lock(&self.hooks)
            .clone()
            .unwrap_or_else(|| PaymentHooks::new(&provider));
        self.sessions.set_hooks(hooks);
        *lock(&self.metrics) = metrics::start(&obj, &checked, provider.stats());
        *lock(&self.provider) = Some(provider);
        post_report(&*obj, &link::report(&link, checked.options.paid.as_ref()));
        Ok(())
    }

    /// Takes back a start that failed on the way to PAUSED: no way down to READY leads past `stop` then.
    fn abandon_start(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.stop();
        self.signalling.stop();
    }

    /// Ends the sessions and settles what can be settled, for a bounded time.
    fn stop(&self) {
        let provider = lock(&self.provider).take();
        if let Some(provider) = provider {
            self.sessions.begin_parting();
            provider.stop(STOP_PATIENCE);
            self.sessions.part(PARTING_PATIENCE);
        }
        self.sessions.set_hooks(Arc::new(ClosedHooks));
        drop(lock(&self.metrics).take());
    }
}

fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
