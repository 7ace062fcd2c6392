//! What runs while the element is PAUSED or PLAYING: the driver, and the control of the inner elements.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use gst::subclass::prelude::*;

use super::CAT;
use super::control::Control;
use super::imp::{StreamiumPaySrc, lock};
use super::pads;
use super::payments::{self, PaymentHooks};
use super::session::ConsumerHooks;
use super::settings::Checked;
use crate::backup::Seedling;
use crate::folder;

/// How long stopping may wait for the provider's word that it settles: the only time that a state change waits for
/// the network. Nothing depends on it.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

impl StreamiumPaySrc {
    pub(super) fn start(&self) -> Result<(), gst::StateChangeError> {
        // From PAUSED back to PLAYING it runs already.
        if lock(&self.control).is_some() {
            return Ok(());
        }
        let (Some(template), Some(checked)) = (self.template(), lock(&self.checked).clone()) else {
            return Err(gst::StateChangeError);
        };
        let own = lock(&self.consumer).as_ref().map(PaymentHooks::new);
        if lock(&self.hooks).is_some() {
            self.show_all();
        }
        let Some(hooks) = lock(&self.hooks)
            .clone()
            .or_else(|| own.map(|own| own as Arc<dyn ConsumerHooks>))
        else {
            return Err(gst::StateChangeError);
        };
        let timeout = Duration::from_millis(self.settings().reconnect_timeout_ms.into());
        let control = Control::start(&self.obj(), template, &checked.options.link, timeout, hooks).map_err(
            |reason| {
                gst::element_imp_error!(
                    self,
                    gst::CoreError::Thread,
                    ("The source can't start."),
                    ["{reason}"]
                );
                gst::StateChangeError
            },
        )?;
        *lock(&self.control) = Some(control);
        Ok(())
    }

    /// What the settings mean, from READY on.
    pub(super) fn checked(&self) -> Result<Checked, String> {
        let checked = lock(&self.checked).clone();
        checked.ok_or_else(|| "the settings were not checked".to_owned())
    }

    pub(super) fn start_payments(&self) -> Result<(), String> {
        let options = self.checked()?.options;
        let seedling = Seedling::look(options.network, &options.data_dir);
        let folder = options.data_dir.clone();
        let consumer =
            payments::start(&self.obj(), options).map_err(|error| folder::explain(&error, &folder))?;
        self.stats.follow(consumer.stats());
        seedling.tell(&*self.obj());
        *lock(&self.consumer) = Some(consumer);
        Ok(())
    }

    pub(super) fn playing(&self, playing: bool) {
        self.playing.store(playing, Ordering::SeqCst);
        if let Some(control) = lock(&self.control).as_ref() {
            control.playing(playing);
        }
        if let Some(consumer) = lock(&self.consumer).as_ref() {
            consumer.inputs().playing(playing);
        }
    }

    /// Closes the channel, if there is one, while the provider can still be told.
    fn stop_payments(&self) {
        let consumer = lock(&self.consumer).take();
        if let Some(consumer) = consumer {
            consumer.stop(STOP_PATIENCE);
        }
    }

    /// Ends the stream for good, of our own will.
    pub(super) fn finish(&self) {
        self.stop_payments();
        if let Some(control) = lock(&self.control).as_ref() {
            control.finish();
        }
    }

    pub(super) fn stop(&self) {
        self.stop_payments();
        // The control stays where it is until its thread is done: it takes the errors of what is being stopped.
        let thread = lock(&self.control).as_mut().and_then(Control::begin_stop);
        if thread.is_some_and(|thread| thread.join().is_err()) {
            gst::error!(CAT, imp = self, "the control thread panicked");
        }
        if lock(&self.control).take().is_some() {
            self.update_status(|status| status.state = "idle".to_owned());
        }
    }
    /// Takes back a start that failed on the way to PAUSED: no way down to READY leads past [`Self::stop`] then.
    pub(super) fn abandon_start(&self) {
        self.stop();
        self.clear_pads();
    }

    /// The pads go, and with them the slate behind them.
    pub(super) fn clear_pads(&self) {
        pads::remove(&self.obj());
        self.stop_slate();
    }
}
