//! The property `rate` while the stream runs.

use std::sync::{Mutex, PoisonError};

use streamium_channel::money::Rate;

use super::StreamiumPaySink;
use super::settings::{Checked, Settings};
use crate::session::provider::{PaidOptions, ProviderInputs, ProviderOptions};
use crate::settings::SettingsError;

/// Hands a rate that has been set to the driver. One that can't be, as the stream was started, is said, and the old one
/// stays.
pub fn reprice(
    element: &StreamiumPaySink,
    settings: &Mutex<Settings>,
    checked: &Mutex<Option<Checked>>,
    inputs: &ProviderInputs,
) {
    let wanted = lock(settings).rate_msat_per_s;
    let outcome = match &mut *lock(checked) {
        Some(checked) => change(&mut checked.options, wanted),
        None => return,
    };
    match outcome {
        Ok(Some(rate)) => inputs.rate(rate),
        Ok(None) => (),
        Err((old, error)) => {
            lock(settings).rate_msat_per_s = old.msat_per_s();
            gst::element_warning!(
                element,
                gst::ResourceError::Settings,
                ("{error} The rate stays as it was.")
            );
        }
    }
}

/// Checks the rate against what the stream was started with; answers it if it is another.
fn change(options: &mut ProviderOptions, wanted: u64) -> Result<Option<Rate>, (Rate, SettingsError)> {
    let rate = Rate::new(wanted);
    let old = options.paid.as_ref().map(|paid| paid.rate).unwrap_or_default();
    if rate == old {
        return Ok(None);
    }
    let Some(paid) = options.paid.as_mut().filter(|_| !rate.is_free()) else {
        return Err((old, SettingsError::FreeOrPaid(old.msat_per_s(), wanted)));
    };
    let changed = PaidOptions { rate, ..paid.clone() };
    changed
        .price()
        .check()
        .map_err(|error| (old, SettingsError::RateTooHigh(error)))?;
    *paid = changed;
    Ok(Some(rate))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
