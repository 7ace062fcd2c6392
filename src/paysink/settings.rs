//! What a user sets on `streamiumpaysink`, and what of it can be wrong.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::str::FromStr;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network};

use crate::settings::{
    DEFAULT_NETWORK, SettingsError, check_electrum_url, check_stream_name, default_data_dir, parse_host_port,
    parse_network,
};

pub const DEFAULT_STREAM_NAME: &str = "stream";
/// Two days: time to resume, and a bounded lock-up.
pub const DEFAULT_REFUND_DELAY_BLOCKS: u32 = 288;
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
    pub refund_delay_blocks: u32,
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
    pub funding_timeout_ms: u32,
    /// The user's metadata, without the stream's name.
    pub meta: Option<gst::Structure>,
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
            refund_delay_blocks: DEFAULT_REFUND_DELAY_BLOCKS,
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
            funding_timeout_ms: DEFAULT_FUNDING_TIMEOUT_MS,
            meta: None,
        }
    }
}

/// What had to be parsed out of [`Settings`]. The numbers' own ranges are the properties'.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub network: Network,
    /// `None`: a free stream.
    pub paid: Option<Paid>,
    /// Host, and port where one is given.
    pub link_address: Option<(String, Option<u16>)>,
    pub data_dir: PathBuf,
}

/// What makes a stream a paid one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paid {
    pub rate_msat_per_s: NonZeroU64,
    pub payout: Address,
}

/// Checks syntax and how the settings fit together. Asks no server.
pub fn validate(settings: &Settings) -> Result<Checked, SettingsError> {
    check_stream_name(&settings.stream_name)?;
    let network = parse_network(&settings.network)?;
    if let Some(url) = &settings.electrum_url {
        check_electrum_url(url)?;
    }
    check_order(settings)?;
    Ok(Checked {
        network,
        paid: paid(settings, network)?,
        link_address: settings
            .link_address
            .as_deref()
            .map(|address| {
                parse_host_port(address).ok_or_else(|| SettingsError::BadLinkAddress(address.to_owned()))
            })
            .transpose()?,
        data_dir: settings
            .data_dir
            .as_ref()
            .map_or_else(|| default_data_dir(network), PathBuf::from),
    })
}

fn paid(settings: &Settings, network: Network) -> Result<Option<Paid>, SettingsError> {
    match (
        NonZeroU64::new(settings.rate_msat_per_s),
        &settings.payout_address,
    ) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(SettingsError::PayoutWithoutRate),
        (Some(rate), None) => Err(SettingsError::RateWithoutPayout(rate.get())),
        (Some(rate_msat_per_s), Some(text)) => {
            let address =
                Address::<NetworkUnchecked>::from_str(text).map_err(|error| SettingsError::BadPayout {
                    address: text.clone(),
                    reason: error.to_string(),
                })?;
            let payout =
                address
                    .require_network(network)
                    .map_err(|_| SettingsError::PayoutOfOtherNetwork {
                        address: text.clone(),
                        network,
                    })?;
            Ok(Some(Paid {
                rate_msat_per_s,
                payout,
            }))
        }
    }
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

    // The signet address of the BIP86 test vector's first key.
    const SIGNET: &str = "tb1p8wpt9v4frpf3tkn0srd97pksgsxc5hs52lafxwru9kgeephvs7rqlqt9zj";
    const REGTEST: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    fn with(change: impl FnOnce(&mut Settings)) -> Result<Checked, SettingsError> {
        let mut settings = Settings::default();
        change(&mut settings);
        validate(&settings)
    }

    #[test]
    fn the_default_is_a_free_stream() {
        let checked = with(|_| ()).unwrap();
        assert_eq!(checked.paid, None);
        assert_eq!(checked.network, Network::Signet);
        assert!(checked.data_dir.ends_with("streamium-pay/signet"));
    }

    #[test]
    fn rate_and_payout_address_come_together() {
        assert_eq!(
            with(|s| s.rate_msat_per_s = 5),
            Err(SettingsError::RateWithoutPayout(5))
        );
        assert_eq!(
            with(|s| s.payout_address = Some(SIGNET.to_owned())),
            Err(SettingsError::PayoutWithoutRate)
        );
        let checked = with(|s| {
            s.rate_msat_per_s = 5;
            s.payout_address = Some(SIGNET.to_owned());
        });
        assert_eq!(checked.unwrap().paid.unwrap().rate_msat_per_s.get(), 5);
    }

    #[test]
    fn a_payout_address_must_be_one_of_the_network() {
        for (text, other_network) in [(REGTEST, true), ("tb1nonsense", false), ("", false)] {
            let error = with(|s| {
                s.rate_msat_per_s = 5;
                s.payout_address = Some(text.to_owned());
            })
            .unwrap_err();
            assert_eq!(
                matches!(error, SettingsError::PayoutOfOtherNetwork { .. }),
                other_network,
                "{error}"
            );
        }
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
        assert_eq!(
            with(|s| s.network = "bitcoin".to_owned()),
            Err(SettingsError::MainNetwork)
        );
    }
}
