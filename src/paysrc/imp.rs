//! The subclass: a bin around a webrtcsrc, which comes and goes.
//!
//! Lock order: every mutex here is a leaf; none is held while the inner element, a hook or the bus is called.
//! The control thread takes none of them but `status`, so that it can be joined with any state lock held.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::control::Control;
use super::properties::{self, Status};
use super::session::ConsumerHooks;
use super::settings::{Checked, Settings, validate};
use super::slated::Slated;
use super::stats::Stats;
use super::{CAT, navigation, proxied, signals, templates};
use crate::config::{self, ConfigError};
use crate::inner::{self, Refused, Signaller};
use crate::messages::Teller;
use crate::session::consumer::ConsumerHandle;
use crate::settings::SettingsError;

#[derive(Default)]
pub struct StreamiumPaySrc {
    /// A webrtcsrc that never runs: it holds the proxied properties and the signaller's settings for those that
    /// do, each of which serves one producer. Or why there is none.
    template: OnceLock<Result<gst::Element, String>>,
    settings: Mutex<Settings>,
    status: Mutex<Status>,
    /// What a proxied property could not take; reported when the element starts.
    refused: Refused,
    /// What of the environment or the configuration file can't be used; reported likewise.
    config_error: OnceLock<ConfigError>,
    pub(super) hooks: Mutex<Option<Arc<dyn ConsumerHooks>>>,
    /// What the settings mean, from READY on.
    pub(super) checked: Mutex<Option<Checked>>,
    /// The driver, while PAUSED or PLAYING.
    pub(super) consumer: Mutex<Option<ConsumerHandle>>,
    pub(super) control: Mutex<Option<Control>>,
    /// The slate, while PAUSED or PLAYING, unless there shall be none.
    pub(super) slated: Mutex<Option<Arc<Slated>>>,
    pub(super) teller: Teller,
    pub(super) stats: Stats,
    /// Playing, or on the way there: what comes does not wait downstream.
    pub(super) playing: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for StreamiumPaySrc {
    const NAME: &'static str = "GstStreamiumPaySrc";
    type Type = super::StreamiumPaySrc;
    type ParentType = gst::Bin;
    type Interfaces = (gst::ChildProxy, gst::URIHandler);
}

impl ObjectImpl for StreamiumPaySrc {
    fn properties() -> &'static [glib::ParamSpec] {
        properties::specs()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        signals::signals()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        let (is_own, budget) = {
            let mut settings = lock(&self.settings);
            (settings.set(name, value), settings.budget())
        };
        if is_own {
            if name == "budget"
                && let Some(consumer) = lock(&self.consumer).as_ref()
            {
                consumer.inputs().budget(budget);
            }
            return;
        }
        if let (Some(row), Some(template)) = (proxied::TABLE.find(name), self.template()) {
            self.refused.set(row, template, value);
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let name = pspec.name();
        let own = lock(&self.settings)
            .get(name)
            .or_else(|| lock(&self.status).get(name))
            .or_else(|| (name == "stats").then(|| self.stats.value(&self.state())));
        own.or_else(|| proxied::TABLE.find(name).map(|row| row.get(self.template())))
            .unwrap_or_else(|| pspec.default_value().to_owned())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_suppressed_flags(gst::ElementFlags::SINK | gst::ElementFlags::SOURCE);
        obj.set_element_flags(gst::ElementFlags::SOURCE);
        let made = inner::make_src().map_err(|error| error.to_string());
        if let Err(reason) = &made {
            // A constructor can't fail: it is said again, as an error, when the element starts.
            gst::warning!(CAT, imp = self, "{reason}");
        }
        let _ = self.template.set(made);
        if let Err(error) = config::apply(obj.upcast_ref(), "streamiumpaysrc", properties::specs()) {
            let _ = self.config_error.set(error);
        }
    }

    fn dispose(&self) {
        self.stop();
    }
}

impl GstObjectImpl for StreamiumPaySrc {}

impl ElementImpl for StreamiumPaySrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Streamium paid stream source",
                "Source/Network/WebRTC",
                "Plays a live stream and pays for it second by second",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        templates::pad_templates()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.check().map_err(|error| {
                gst::element_imp_error!(self, gst::ResourceError::Settings, ("{error}"), ["{error}"]);
                gst::StateChangeError
            })?,
            gst::StateChange::ReadyToPaused => {
                if let Err(reason) = self.start_slate().and_then(|()| self.start_payments()) {
                    self.abandon_start();
                    gst::element_imp_error!(self, gst::ResourceError::Settings, ("{reason}"), ["{reason}"]);
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::PlayingToPaused => {
                self.keep_connected(true);
                self.playing(false);
            }
            gst::StateChange::PausedToPlaying => self.keep_connected(false),
            // Before the bin looks at its children, or one might be added after that.
            gst::StateChange::PausedToReady => self.stop(),
            _ => (),
        }
        let success = self.parent_change_state(transition);
        if success.is_err() && transition == gst::StateChange::ReadyToPaused {
            self.abandon_start();
        }
        let success = success?;
        match transition {
            gst::StateChange::PausedToPlaying => {
                self.start()?;
                self.playing(true);
                Ok(success)
            }
            // Live, whether or not there is an inner element yet to say so.
            gst::StateChange::ReadyToPaused | gst::StateChange::PlayingToPaused => {
                Ok(gst::StateChangeSuccess::NoPreroll)
            }
            gst::StateChange::PausedToReady => {
                self.clear_pads();
                Ok(success)
            }
            _ => Ok(success),
        }
    }

    /// EOS from outside (`gst-launch-1.0 -e` sends it on Ctrl-C) ends the session and the stream, so that what is
    /// recorded gets its end. webrtcsrc would swallow it.
    fn send_event(&self, event: gst::Event) -> bool {
        match event.type_() {
            gst::EventType::Eos => (),
            gst::EventType::Navigation => return navigation::send(self.current(), event),
            _ => return self.parent_send_event(event),
        }
        // Not here, since it waits for the provider's word.
        self.obj().call_async(|element| element.imp().finish());
        true
    }
}

impl BinImpl for StreamiumPaySrc {
    /// An inner element that can't go on ends its session, not the pipeline: the next producer may do.
    fn handle_message(&self, message: gst::Message) {
        if let gst::MessageView::Error(error) = message.view()
            && let Some(inner) = message.src().and_then(|source| self.inner_of(source))
        {
            let reason = format!("{}: {}", error.error(), error.debug().unwrap_or_default());
            // Those of an attempt that is over are about its going: nobody's trouble.
            match lock(&self.control).as_ref() {
                Some(control) if control.failed(&inner, &reason) => (),
                _ => gst::debug!(CAT, imp = self, "of an attempt that is over: {reason}"),
            }
            return;
        }
        if !self.hides(&message) {
            self.parent_handle_message(message);
        }
    }
}

impl StreamiumPaySrc {
    pub fn set_hooks(&self, hooks: Arc<dyn ConsumerHooks>) {
        *lock(&self.hooks) = Some(hooks);
    }

    pub fn try_next_producer(&self) {
        if let Some(control) = lock(&self.control).as_ref() {
            control.try_next();
        }
    }

    pub fn update_status(&self, change: impl FnOnce(&mut Status)) {
        let (old, new) = {
            let mut status = lock(&self.status);
            let old = status.clone();
            change(&mut status);
            (old, status.clone())
        };
        let obj = self.obj();
        if old.funding_address != new.funding_address {
            self.teller.notify(&*obj, "funding-address");
        }
        self.show_status(&old, &new);
        if old.paid_sat != new.paid_sat {
            self.teller.notify(&*obj, "paid");
        }
        if old.state != new.state {
            self.teller.notify(&*obj, "state");
        }
    }

    /// The inner element that a message comes from, be it itself or a part of it: DTLS complains for itself.
    fn inner_of(&self, source: &gst::Object) -> Option<gst::Object> {
        let inner_type = self.template()?.type_();
        std::iter::successors(Some(source.clone()), |object| object.parent())
            .find(|object| object.type_() == inner_type)
    }

    pub(super) fn settings(&self) -> MutexGuard<'_, Settings> {
        lock(&self.settings)
    }

    fn state(&self) -> String {
        lock(&self.status).state.clone()
    }

    pub fn is_playing(&self) -> bool {
        self.playing.load(Ordering::SeqCst)
    }

    pub(super) fn template(&self) -> Option<&gst::Element> {
        self.template.get()?.as_ref().ok()
    }

    /// The webrtcsrc that runs now.
    pub(super) fn current(&self) -> Option<gst::Element> {
        lock(&self.control).as_ref().and_then(Control::inner)
    }

    pub(super) fn signaller(&self) -> Option<glib::Object> {
        Signaller::of(self.template()?).map(|signaller| signaller.object().clone())
    }

    /// Checks what can be checked without asking anybody.
    fn check(&self) -> Result<(), SettingsError> {
        if let Some(Err(reason)) = self.template.get() {
            return Err(SettingsError::Inner(reason.clone()));
        }
        if let Some(reason) = self.refused.reason() {
            return Err(SettingsError::BadProxied(reason));
        }
        if let Some(error) = self.config_error.get() {
            return Err(SettingsError::Config(error.clone()));
        }
        if let Some(template) = self.template() {
            signals::TABLE.warn_of_unheard(template, &*self.obj());
        }
        let settings = lock(&self.settings).clone();
        *lock(&self.checked) = Some(validate(&settings)?);
        Ok(())
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
