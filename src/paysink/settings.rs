//! What a user sets on `streamiumpaysink`, and what of it can be wrong.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bitcoin::{Amount, FeeRate, Network};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::link::StreamName;
use streamium_channel::money::Rate;

use super::server::ServerSettings;
use crate::session::provider::{PaidOptions, ProviderOptions};
use crate::settings::{
    DEFAULT_NETWORK, SettingsError, chain_config, default_data_dir, parse_host_port, parse_network,
    refund_delay,
};
use crate::settle::{DEFAULT_MAX_FEE_RATE_SAT_PER_VB, Payout, SettlePolicy};
use crate::signalling_server::Options;

pub const DEFAULT_STREAM_NAME: &str = "stream";
/// A week: a consumer may ask for less, and should not lock its money for longer.
pub const DEFAULT_MAX_REFUND_DELAY_BLOCKS: u32 = 1_008;
pub const REFUND_DELAY_BLOCKS: std::ops::RangeInclusive<u32> = 144..=4032;
pub const DEFAULT_GRACE_MS: u32 = 500;
pub const DEFAULT_WINDOW_MS: u32 = 5_000;
pub const DEFAULT_MIN_CAPACITY_SAT: u64 = 10_000;
pub const DEFAULT_MAX_CAPACITY_SAT: u64 = 1_000_000;
pub const DEFAULT_MIN_CONFIRMATIONS: u32 = 1;
pub const DEFAULT_UNCONFIRMED_LIMIT_SAT: u64 = 1_000;
pub const DEFAULT_UNCONFIRMED_TOTAL_SAT: u64 = 20_000;
pub const DEFAULT_MAX_UNPAID_CONSUMERS: u32 = 32;
pub const DEFAULT_SETTLE_DELAY_MS: u32 = 60_000;
pub const DEFAULT_SETTLE_BATCH_DELAY_MS: u32 = 600_000;
pub const DEFAULT_FUNDING_TIMEOUT_MS: u32 = 3_600_000;

/// The properties as set, unchecked. Units are in the names.
#[derive(Debug, Clone)]
pub struct Settings {
    pub stream_name: String,
    pub rate_msat_per_s: u64,
    pub payout_address: Option<String>,
    pub network: String,
    pub electrum_url: Option<String>,
    pub electrum_proxy: Option<String>,
    pub data_dir: Option<String>,
    pub link_address: Option<String>,
    pub max_refund_delay_blocks: u32,
    pub grace_ms: u32,
    pub window_ms: u32,
    /// 0: as much as a settlement costs, see the design's table of defaults.
    pub opening_sat: u64,
    pub min_capacity_sat: u64,
    pub max_capacity_sat: u64,
    pub min_confirmations: u32,
    pub unconfirmed_limit_sat: u64,
    pub unconfirmed_total_sat: u64,
    pub max_unpaid_consumers: u32,
    pub settle_delay_ms: u32,
    pub settle_batch_delay_ms: u32,
    pub max_settle_fee_rate_sat_per_vb: u32,
    pub funding_timeout_ms: u32,
    pub metrics_address: Option<String>,
    /// The user's metadata, without the stream's name.
    pub meta: Option<gst::Structure>,
    pub server: ServerSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            stream_name: DEFAULT_STREAM_NAME.to_owned(),
            rate_msat_per_s: 0,
            payout_address: None,
            network: DEFAULT_NETWORK.to_owned(),
            electrum_url: None,
            electrum_proxy: None,
            data_dir: None,
            link_address: None,
            max_refund_delay_blocks: DEFAULT_MAX_REFUND_DELAY_BLOCKS,
            grace_ms: DEFAULT_GRACE_MS,
            window_ms: DEFAULT_WINDOW_MS,
            opening_sat: 0,
            min_capacity_sat: DEFAULT_MIN_CAPACITY_SAT,
            max_capacity_sat: DEFAULT_MAX_CAPACITY_SAT,
            min_confirmations: DEFAULT_MIN_CONFIRMATIONS,
            unconfirmed_limit_sat: DEFAULT_UNCONFIRMED_LIMIT_SAT,
            unconfirmed_total_sat: DEFAULT_UNCONFIRMED_TOTAL_SAT,
            max_unpaid_consumers: DEFAULT_MAX_UNPAID_CONSUMERS,
            settle_delay_ms: DEFAULT_SETTLE_DELAY_MS,
            settle_batch_delay_ms: DEFAULT_SETTLE_BATCH_DELAY_MS,
            max_settle_fee_rate_sat_per_vb: DEFAULT_MAX_FEE_RATE_SAT_PER_VB,
            funding_timeout_ms: DEFAULT_FUNDING_TIMEOUT_MS,
            metrics_address: None,
            meta: None,
            server: ServerSettings::default(),
        }
    }
}

/// What the settings mean.
#[derive(Debug, Clone)]
pub struct Checked {
    pub options: ProviderOptions,
    /// Host, and port where one is given.
    pub link_address: Option<(String, Option<u16>)>,
    /// Where metrics are served.
    pub metrics: Option<SocketAddr>,
    /// The own signalling server.
    pub server: Option<Options>,
}

/// Checks syntax and how the settings fit together. Asks no server.
pub fn validate(settings: &Settings) -> Result<Checked, SettingsError> {
    let stream = StreamName::new(settings.stream_name.clone()).map_err(SettingsError::BadStreamName)?;
    let network = parse_network(&settings.network)?;
    check_order(settings)?;
    let link_address = settings.link_address.as_deref().map(|address| {
        parse_host_port(address).ok_or_else(|| SettingsError::BadLinkAddress(address.to_owned()))
    });
    let metrics = settings.metrics_address.as_deref().map(parse_metrics_address);
    let data_dir = settings
        .data_dir
        .as_ref()
        .map_or_else(|| default_data_dir(network), PathBuf::from);
    let options = ProviderOptions {
        stream,
        network,
        data_dir,
        paid: paid(settings, network)?,
    };
    Ok(Checked {
        options,
        link_address: link_address.transpose()?,
        metrics: metrics.transpose()?,
        server: settings.server.check()?,
    })
}

/// No names: finding one out may take its time.
fn parse_metrics_address(address: &str) -> Result<SocketAddr, SettingsError> {
    let numeric = match address.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}"),
        None => address.to_owned(),
    };
    let parsed = numeric.parse();
    parsed.map_err(|_| SettingsError::BadMetricsAddress(address.to_owned()))
}

fn paid(settings: &Settings, network: Network) -> Result<Option<PaidOptions>, SettingsError> {
    let chain = chain_config(
        network,
        settings.electrum_url.as_deref(),
        settings.electrum_proxy.as_deref(),
    )?;
    let payout = match (settings.rate_msat_per_s, &settings.payout_address) {
        (0, None) => return Ok(None),
        (0, Some(_)) => return Err(SettingsError::PayoutWithoutRate),
        (rate, None) => return Err(SettingsError::RateWithoutPayout(rate)),
        (_, Some(text)) => Payout::parse(text, network).map_err(SettingsError::BadPayout)?,
    };
    let millis = |ms: u32| Duration::from_millis(ms.into());
    let opening = settings.opening_sat;
    let paid = PaidOptions {
        rate: Rate::new(settings.rate_msat_per_s),
        payout,
        settle: SettlePolicy {
            settle_delay: millis(settings.settle_delay_ms),
            batch_delay: millis(settings.settle_batch_delay_ms),
            max_fee_rate: FeeRate::from_sat_per_vb_u32(settings.max_settle_fee_rate_sat_per_vb),
        },
        chain: chain.ok_or(SettingsError::NoElectrumUrl)?,
        opening: (opening > 0).then(|| Amount::from_sat(opening)),
        window: millis(settings.window_ms),
        grace: millis(settings.grace_ms),
        min_capacity: Amount::from_sat(settings.min_capacity_sat),
        max_capacity: Amount::from_sat(settings.max_capacity_sat),
        min_refund_delay: RefundDelay::SHORTEST,
        max_refund_delay: refund_delay(settings.max_refund_delay_blocks)?,
        min_confirmations: u16::try_from(settings.min_confirmations).unwrap_or(u16::MAX),
        unconfirmed_limit: Amount::from_sat(settings.unconfirmed_limit_sat),
        unconfirmed_total: Amount::from_sat(settings.unconfirmed_total_sat),
        max_unpaid_consumers: usize::try_from(settings.max_unpaid_consumers).unwrap_or(usize::MAX),
        funding_timeout: millis(settings.funding_timeout_ms),
    };
    paid.price().check().map_err(SettingsError::RateTooHigh)?;
    Ok(Some(paid))
}

fn check_order(settings: &Settings) -> Result<(), SettingsError> {
    let pairs = [
        (
            "grace",
            u64::from(settings.grace_ms),
            "window",
            u64::from(settings.window_ms),
        ),
        (
            "min-capacity",
            settings.min_capacity_sat,
            "max-capacity",
            settings.max_capacity_sat,
        ),
        (
            "opening",
            settings.opening_sat,
            "max-capacity",
            settings.max_capacity_sat,
        ),
        (
            "unconfirmed-limit",
            settings.unconfirmed_limit_sat,
            "unconfirmed-total",
            settings.unconfirmed_total_sat,
        ),
    ];
    for (smaller, small, larger, large) in pairs {
        if small > large {
            return Err(SettingsError::Order {
                smaller,
                small,
                larger,
                large,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settle::PayoutError;

    // BIP86's first test vector.
    const MAINNET: &str = "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr";
    const SIGNET: &str = "tb1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqlqt9zj";
    const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn with(change: impl FnOnce(&mut Settings)) -> Result<Checked, SettingsError> {
        let mut settings = Settings::default();
        change(&mut settings);
        validate(&settings)
    }

    fn paid(s: &mut Settings) {
        s.rate_msat_per_s = 5;
        s.payout_address = Some(MAINNET.to_owned());
        s.electrum_url = Some("tcp://localhost:50001".to_owned());
    }

    #[test]
    fn the_default_is_a_free_stream() {
        let options = with(|_| ()).unwrap().options;
        assert!(options.paid.is_none());
        assert_eq!(options.network, Network::Bitcoin);
        assert!(options.data_dir.ends_with("streamium-pay/bitcoin"));
    }

    #[test]
    fn a_paid_stream_needs_rate_payout_address_and_server() {
        let error = |change: fn(&mut Settings)| with(change).unwrap_err();
        assert_eq!(
            error(|s| s.rate_msat_per_s = 5),
            SettingsError::RateWithoutPayout(5)
        );
        assert_eq!(
            error(|s| s.payout_address = Some(MAINNET.to_owned())),
            SettingsError::PayoutWithoutRate
        );
        let no_server = error(|s| {
            paid(s);
            s.electrum_url = None;
        });
        assert_eq!(no_server, SettingsError::NoElectrumUrl);
        assert_eq!(with(paid).unwrap().options.paid.unwrap().rate, Rate::new(5));
    }

    #[test]
    fn a_rate_that_no_channel_can_pay_is_refused() {
        let with_rate = |rate, change: fn(&mut Settings)| {
            with(|s| {
                paid(s);
                s.rate_msat_per_s = rate;
                change(s);
            })
        };
        // Ten seconds are a quarter of the largest channel.
        assert!(with_rate(25_000_000, |_| ()).is_ok());
        let error = with_rate(25_000_001, |_| ()).unwrap_err().to_string();
        assert!(
            error.contains("max-capacity (1000000 sat)") && error.contains("250001 sat"),
            "{error}"
        );
        // With a first payment of its own it is the window that has to fit.
        assert!(with_rate(200_000_000, |s| s.opening_sat = 1_000).is_ok());
        let error = with_rate(200_000_001, |s| s.opening_sat = 1_000).unwrap_err();
        assert!(
            error.to_string().contains("the window costs 1000001 sat"),
            "{error}"
        );
    }

    #[test]
    fn a_payout_address_must_be_one_of_the_network() {
        for (text, other_network) in [
            (REGTEST, true),
            (SIGNET, true),
            ("bc1nonsense", false),
            ("tb1nonsense", false),
            ("", false),
        ] {
            let error = with(|s| {
                paid(s);
                s.payout_address = Some(text.to_owned());
            })
            .unwrap_err();
            let found = matches!(error, SettingsError::BadPayout(PayoutError::OtherNetwork { .. }));
            assert_eq!(found, other_network, "{error}");
        }
    }

    #[test]
    fn a_payout_may_be_a_public_descriptor_of_the_network() {
        let with_payout = |text: &str| {
            with(|s| {
                paid(s);
                s.network = "signet".to_owned();
                s.payout_address = Some(text.to_owned());
            })
        };
        const TPUB: &str = "tpubD6NzVbkrYhZ4XgiXtGrdW5XDAPFCL9h7we1vwNCpn8tGbBcgfVYjXyhWo4E1xkh56hjod1RhGjxbaTLV3X4FyWuejifB9jusQ46QzG87VKp";
        let checked = with_payout(&format!("tr({TPUB}/0/*)")).unwrap();
        assert!(checked.options.paid.unwrap().payout.descriptor().is_some());
        const XPUB: &str = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ";
        let error = with_payout(&format!("tr({XPUB}/0/*)")).unwrap_err();
        assert!(
            matches!(
                error,
                SettingsError::BadPayout(PayoutError::KeysOfOtherNetwork { .. })
            ),
            "{error}"
        );
    }

    #[test]
    fn settling_is_set_in_milliseconds_and_sat_per_vb() {
        let settle = with(|s| {
            paid(s);
            s.settle_batch_delay_ms = 1_500;
            s.max_settle_fee_rate_sat_per_vb = 7;
        });
        let settle = settle.unwrap().options.paid.unwrap().settle;
        assert_eq!(settle.batch_delay, Duration::from_millis(1_500));
        assert_eq!(settle.max_fee_rate, FeeRate::from_sat_per_vb_u32(7));
        let default = with(paid).unwrap().options.paid.unwrap().settle;
        assert_eq!(default.batch_delay, crate::settle::DEFAULT_BATCH_DELAY);
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        assert!(with(|s| s.grace_ms = s.window_ms + 1).is_err());
        assert!(with(|s| s.min_capacity_sat = s.max_capacity_sat + 1).is_err());
        assert!(with(|s| s.unconfirmed_limit_sat = s.unconfirmed_total_sat + 1).is_err());
        assert!(with(|s| s.stream_name = String::new()).is_err());
        assert!(with(|s| s.stream_name = "a\nb".to_owned()).is_err());
        assert!(with(|s| s.link_address = Some("a b".to_owned())).is_err());
        assert!(with(|s| s.electrum_url = Some("a".to_owned())).is_err());
    }
}
