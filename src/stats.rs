//! How both elements' statistics become structures.

use std::time::{Duration, SystemTime};

use gst::glib;
use gst::prelude::*;

use crate::chain::ChainFigures;

/// The field beside the inner element's own statistics.
pub const FIELD: &str = "streamium-pay";

/// Adds fields one by one. Numbers are `guint64`, and their unit is in the name.
pub struct Fields(gst::Structure);

impl Fields {
    pub fn new() -> Self {
        Self(gst::Structure::new_empty("streamium-pay/stats"))
    }

    pub fn number(self, name: &str, value: u64) -> Self {
        self.value(name, value)
    }

    pub fn sat(self, name: &str, value: bitcoin::Amount) -> Self {
        self.value(name, value.to_sat())
    }

    pub fn ms(self, name: &str, value: Duration) -> Self {
        self.value(name, u64::try_from(value.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn text(self, name: &str, value: &str) -> Self {
        self.value(name, value)
    }

    pub fn structure(self, name: &str, fields: Self) -> Self {
        self.value(name, fields.0)
    }

    /// One number each, such as how often what happened.
    pub fn numbers<'a>(
        self,
        name: &str,
        numbers: impl IntoIterator<Item = (&'a &'static str, &'a u64)>,
    ) -> Self {
        let fields = numbers
            .into_iter()
            .fold(Self::new(), |fields, (name, number)| fields.number(name, *number));
        self.structure(name, fields)
    }

    /// Adds what `add` adds if there is something.
    pub fn some<T>(self, value: Option<T>, add: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            Some(value) => add(self, value),
            None => self,
        }
    }

    pub fn chain(self, chain: &ChainFigures) -> Self {
        let now = SystemTime::now();
        self.number("electrum-servers", chain.servers)
            .number("electrum-servers-up", chain.servers_up)
            .some(chain.tip, |fields, tip| {
                fields
                    .number("tip-height", u64::from(tip.height))
                    .ms("tip-age-ms", tip.age(now))
            })
    }

    /// These are a field of `inner`, or of an empty structure.
    pub fn within(self, inner: Option<gst::Structure>) -> glib::Value {
        let mut all = inner.unwrap_or_else(|| gst::Structure::new_empty("application/x-streamium-pay-stats"));
        all.set(FIELD, self.0);
        all.to_value()
    }

    fn value(mut self, name: &str, value: impl Into<glib::Value> + Send) -> Self {
        self.0.set(name, value);
        self
    }
}
