//! The metrics: names, units, and where each comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use crate::session::provider::ProviderStats;

/// All names begin with this.
const PREFIX: &str = "streamium_pay";

const MSAT_PER_SAT: f64 = 1_000.0;

/// What does not change while a stream runs.
#[derive(Clone, Debug)]
pub struct About {
    pub stream: String,
    pub network: String,
}

/// The page for these statistics. There are no metrics for each session: their number has no bound.
pub fn page(about: &About, stats: Arc<ProviderStats>) -> String {
    let mut registry = Registry::with_prefix(PREFIX);
    registry.register_collector(Box::new(Snapshot {
        about: about.clone(),
        stats,
    }));
    let mut page = String::new();
    // Writing to a string can't fail.
    let _ = text::encode(&mut page, &registry);
    page
}

#[derive(Debug)]
struct Snapshot {
    about: About,
    stats: Arc<ProviderStats>,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut lines = Lines(encoder);
        self.stream(&mut lines)?;
        self.consumers(&mut lines)?;
        self.channels(&mut lines)?;
        self.chain(&mut lines)
    }
}

impl Snapshot {
    fn stream(&self, lines: &mut Lines<'_>) -> fmt::Result {
        let stats = &self.stats;
        let rate = stats.rate.msat_per_s() as f64 / MSAT_PER_SAT;
        lines.info("stream", "The stream, and the program that sells it", &self.about)?;
        let unit = Unit::Other("satoshis_per_second".to_owned());
        lines.gauge("rate", "The price", Some(&unit), rate)?;
        let help = "What was ever paid to the data folder, before settlement fees";
        lines.counter("earned", help, Some(&satoshis()), stats.earned.to_sat())?;
        lines.counter(
            "payments",
            "Payments credited since the start",
            None,
            stats.payments,
        )
    }

    fn consumers(&self, lines: &mut Lines<'_>) -> fmt::Result {
        let stats = &self.stats;
        let free = stats.connected().saturating_sub(stats.paying + stats.unpaid);
        let states = [("paying", stats.paying), ("unpaid", stats.unpaid), ("free", free)];
        let help =
            "Connected consumers: those that have paid, those that have not, and those of a free stream";
        lines.gauges("consumers", help, "state", states)?;
        let open = stats.open_gates();
        lines.gauge("open_gates", "Consumers to whom media flows", None, open)?;
        let help = "How often media to a consumer stopped since the start, by reason";
        lines.counters("gate_closings", help, "reason", &stats.gate_closings)?;
        let help = "What consumers did wrong since the start, rejected payments included, by kind";
        lines.counters("faults", help, "kind", &stats.faults)
    }

    fn channels(&self, lines: &mut Lines<'_>) -> fmt::Result {
        let channels = &self.stats.channels;
        let states = [
            ("open", channels.open),
            ("to_settle", channels.to_settle),
            ("settled", channels.settled),
        ];
        let help = "Channels of the data folder: open, to be settled or being settled, settled for good";
        lines.gauges("channels", help, "state", states)?;
        let amounts = [
            (
                "unconfirmed",
                "Paid through present channels that no block confirms",
                self.stats.unconfirmed(),
            ),
            (
                "to_settle",
                "Paid through channels to be settled",
                channels.to_settle_amount,
            ),
            (
                "settled",
                "Paid through channels that are settled for good",
                channels.settled_amount,
            ),
            (
                "settlement_fees",
                "What settlements cost, those that are not final included",
                channels.fees,
            ),
        ];
        for (name, help, amount) in amounts {
            lines.gauge(name, help, Some(&satoshis()), amount.to_sat())?;
        }
        Ok(())
    }

    fn chain(&self, lines: &mut Lines<'_>) -> fmt::Result {
        let chain = &self.stats.chain;
        if let Some(tip) = chain.tip {
            lines.gauge(
                "chain_tip_height",
                "The newest block",
                None,
                u64::from(tip.height),
            )?;
            let age = tip.age(SystemTime::now()).as_secs_f64();
            lines.gauge(
                "chain_tip_age",
                "How old the newest block is",
                Some(&Unit::Seconds),
                age,
            )?;
        }
        let down = chain.servers.saturating_sub(chain.servers_up);
        let help = "Electrum servers: those that answer and are believed, and the others";
        lines.gauges(
            "electrum_servers",
            help,
            "state",
            [("up", chain.servers_up), ("down", down)],
        )
    }
}

fn satoshis() -> Unit {
    Unit::Other("satoshis".to_owned())
}

/// Writes one metric after the other.
struct Lines<'a>(DescriptorEncoder<'a>);

impl Lines<'_> {
    fn info(&mut self, name: &str, help: &str, about: &About) -> fmt::Result {
        let info = Info::new(vec![
            ("stream", about.stream.clone()),
            ("network", about.network.clone()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ]);
        self.one(name, help, None, &info)
    }

    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: u64) -> fmt::Result {
        self.one(name, help, unit, &ConstCounter::new(value))
    }

    fn gauge<N>(&mut self, name: &str, help: &str, unit: Option<&Unit>, value: N) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        self.one(name, help, unit, &ConstGauge::new(value))
    }

    fn one(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        metric: &impl EncodeMetric,
    ) -> fmt::Result {
        metric.encode(self.0.encode_descriptor(name, help, unit, metric.metric_type())?)
    }

    fn counters(&mut self, name: &str, help: &str, label: &str, values: &BTreeMap<&str, u64>) -> fmt::Result {
        let values = values
            .iter()
            .map(|(value, count)| (*value, ConstCounter::new(*count)));
        self.family(name, help, label, values)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> fmt::Result {
        let values = values
            .into_iter()
            .map(|(value, count)| (value, ConstGauge::new(count)));
        self.family(name, help, label, values)
    }

    /// The values of one metric, each with another value of one label.
    fn family<'v, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl Iterator<Item = (&'v str, M)>,
    ) -> fmt::Result {
        let mut values = values.peekable();
        let Some((_, first)) = values.peek() else {
            return Ok(());
        };
        let mut metrics = self.0.encode_descriptor(name, help, None, first.metric_type())?;
        for (value, metric) in values {
            metric.encode(metrics.encode_family(&[(label, value)])?)?;
        }
        Ok(())
    }
}
