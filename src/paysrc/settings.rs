//! What a user sets on `streamiumpaysrc`, and what of it can be wrong.

use std::path::PathBuf;

use bitcoin::Network;

use super::link::Link;
use crate::settings::{DEFAULT_NETWORK, SettingsError, check_electrum_url, default_data_dir, parse_network};

pub const DEFAULT_MAX_RATE_MSAT_PER_S: u64 = 1_000;
pub const DEFAULT_MAX_OPENING_SAT: u64 = 5_000;
pub const DEFAULT_MAX_WINDOW_MS: u32 = 30_000;
pub const DEFAULT_MAX_FEE_RATE_SAT_PER_VB: u32 = 50;
pub const DEFAULT_CAPACITY_SAT: u64 = 50_000;
pub const DEFAULT_PAYMENT_INTERVAL_MS: u32 = 1_000;
pub const DEFAULT_REFUND_DELAY_BLOCKS: u32 = 288;
pub const DEFAULT_MAX_REFUND_DELAY_BLOCKS: u32 = 1_008;

/// The properties as set, unchecked. Units are in the names.
#[derive(Debug, Clone)]
pub struct Settings {
    pub uri: Option<String>,
    pub network: String,
    pub electrum_url: Option<String>,
    pub electrum_proxy: Option<String>,
    pub data_dir: Option<String>,
    pub max_rate_msat_per_s: u64,
    pub max_opening_sat: u64,
    pub max_window_ms: u32,
    pub max_fee_rate_sat_per_vb: u32,
    pub capacity_sat: u64,
    /// 0: the capacity.
    pub budget_sat: u64,
    pub payment_interval_ms: u32,
    pub refund_delay_blocks: u32,
    pub max_refund_delay_blocks: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            uri: None,
            network: DEFAULT_NETWORK.to_owned(),
            electrum_url: None,
            electrum_proxy: None,
            data_dir: None,
            max_rate_msat_per_s: DEFAULT_MAX_RATE_MSAT_PER_S,
            max_opening_sat: DEFAULT_MAX_OPENING_SAT,
            max_window_ms: DEFAULT_MAX_WINDOW_MS,
            max_fee_rate_sat_per_vb: DEFAULT_MAX_FEE_RATE_SAT_PER_VB,
            capacity_sat: DEFAULT_CAPACITY_SAT,
            budget_sat: 0,
            payment_interval_ms: DEFAULT_PAYMENT_INTERVAL_MS,
            refund_delay_blocks: DEFAULT_REFUND_DELAY_BLOCKS,
            max_refund_delay_blocks: DEFAULT_MAX_REFUND_DELAY_BLOCKS,
        }
    }
}

/// What had to be parsed out of [`Settings`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    pub link: Link,
    pub network: Network,
    pub data_dir: PathBuf,
    pub budget_sat: u64,
}

/// Checks syntax and how the settings fit together. Asks no server.
pub fn validate(settings: &Settings) -> Result<Checked, SettingsError> {
    let uri = settings.uri.as_deref().ok_or(SettingsError::NoUri)?;
    let link = Link::parse(uri).map_err(|reason| SettingsError::BadUri(reason.to_owned()))?;
    let network = parse_network(&settings.network)?;
    if let Some(url) = &settings.electrum_url {
        check_electrum_url(url)?;
    }
    let budget_sat = if settings.budget_sat == 0 {
        settings.capacity_sat
    } else {
        settings.budget_sat
    };
    let pairs = [
        (
            "payment-interval",
            u64::from(settings.payment_interval_ms),
            "max-window",
            u64::from(settings.max_window_ms),
        ),
        (
            "refund-delay",
            u64::from(settings.refund_delay_blocks),
            "max-refund-delay",
            u64::from(settings.max_refund_delay_blocks),
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
    let data_dir = settings
        .data_dir
        .as_ref()
        .map_or_else(|| default_data_dir(network), PathBuf::from);
    Ok(Checked {
        link,
        network,
        data_dir,
        budget_sat,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn needs_a_link_and_little_else() {
        assert_eq!(validate(&Settings::default()), Err(SettingsError::NoUri));
        let mut settings = Settings {
            uri: Some("streamium://localhost/talk".to_owned()),
            ..Settings::default()
        };
        assert_eq!(validate(&settings).unwrap().budget_sat, DEFAULT_CAPACITY_SAT);
        settings.network = "bitcoin".to_owned();
        assert_eq!(validate(&settings), Err(SettingsError::MainNetwork));
    }
}
