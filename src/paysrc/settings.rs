//! What a user sets on `streamiumpaysrc`, and what of it can be wrong.

use std::path::PathBuf;

use std::time::Duration;

use bitcoin::{Amount, FeeRate};
use streamium_channel::consumer::ConsumerPolicy;
use streamium_channel::link::Link;
use streamium_channel::money::Rate;

use crate::session::consumer::ConsumerOptions;
use crate::settings::{
    DEFAULT_NETWORK, SettingsError, chain_config, default_data_dir, parse_network, refund_delay,
};

pub const DEFAULT_MAX_RATE_MSAT_PER_S: u64 = 1_000;
pub const DEFAULT_MAX_OPENING_SAT: u64 = 5_000;
pub const DEFAULT_MAX_WINDOW_MS: u32 = 30_000;
pub const DEFAULT_MAX_FEE_RATE_SAT_PER_VB: u32 = 50;
pub const DEFAULT_CAPACITY_SAT: u64 = 50_000;
pub const DEFAULT_PAYMENT_INTERVAL_MS: u32 = 1_000;
pub const DEFAULT_REFUND_DELAY_BLOCKS: u32 = 288;
/// As long as a provider keeps a channel without credit (its default `settle-delay`): after that it is settled, and
/// who comes back pays for a new one.
pub const DEFAULT_RECONNECT_TIMEOUT_MS: u32 = 60_000;

pub const DEFAULT_SLATE_SIZE: &str = "1280x720";
/// What a slate's sides may be, in pixels.
const SLATE_SIDES: std::ops::RangeInclusive<i32> = 64..=8_192;

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
    /// 0: a lost connection is the end of the stream.
    pub reconnect_timeout_ms: u32,
    pub slate: bool,
    pub slate_size: String,
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
            reconnect_timeout_ms: DEFAULT_RECONNECT_TIMEOUT_MS,
            slate: true,
            slate_size: DEFAULT_SLATE_SIZE.to_owned(),
        }
    }
}

/// What the settings mean.
#[derive(Debug, Clone)]
pub struct Checked {
    pub options: ConsumerOptions,
    /// In pixels; `None` where there shall be no slate.
    pub slate_size: Option<(i32, i32)>,
}

/// Checks syntax and how the settings fit together. Asks no server.
pub fn validate(settings: &Settings) -> Result<Checked, SettingsError> {
    let uri = settings.uri.as_deref().ok_or(SettingsError::NoUri)?;
    let link: Link = uri.parse().map_err(SettingsError::BadUri)?;
    let network = parse_network(&settings.network)?;
    let data_dir = settings
        .data_dir
        .as_ref()
        .map_or_else(|| default_data_dir(network), PathBuf::from);
    let options = ConsumerOptions {
        link,
        network,
        data_dir,
        chain: chain_config(
            network,
            settings.electrum_url.as_deref(),
            settings.electrum_proxy.as_deref(),
        )?,
        policy: policy(settings)?,
    };
    Ok(Checked {
        options,
        slate_size: slate_size(settings)?,
    })
}

fn policy(settings: &Settings) -> Result<ConsumerPolicy, SettingsError> {
    let (interval, window) = (settings.payment_interval_ms, settings.max_window_ms);
    if interval > window {
        return Err(SettingsError::Order {
            smaller: "payment-interval",
            small: interval.into(),
            larger: "max-window",
            large: window.into(),
        });
    }
    Ok(ConsumerPolicy {
        max_rate: Rate::new(settings.max_rate_msat_per_s),
        max_opening: Amount::from_sat(settings.max_opening_sat),
        max_window: Duration::from_millis(window.into()),
        max_fee_rate: FeeRate::from_sat_per_vb_u32(settings.max_fee_rate_sat_per_vb),
        capacity: Amount::from_sat(settings.capacity_sat),
        budget: settings.budget(),
        refund_delay: refund_delay(settings.refund_delay_blocks)?,
        payment_interval: Duration::from_millis(interval.into()),
    })
}

fn slate_size(settings: &Settings) -> Result<Option<(i32, i32)>, SettingsError> {
    let side = |text: &str| text.parse().ok().filter(|side| SLATE_SIDES.contains(side));
    let size = settings.slate_size.split_once('x');
    let size = size.and_then(|(width, height)| Some((side(width)?, side(height)?)));
    let size = size.ok_or_else(|| SettingsError::BadSlateSize(settings.slate_size.clone()))?;
    Ok(settings.slate.then_some(size))
}

impl Settings {
    /// What is paid at most: the capacity where no budget is set.
    pub fn budget(&self) -> Amount {
        Amount::from_sat(if self.budget_sat == 0 {
            self.capacity_sat
        } else {
            self.budget_sat
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streamium_channel::link::LinkError;

    #[test]
    fn slates_have_a_size() {
        let with = |slate, size: &str| {
            slate_size(&Settings {
                slate,
                slate_size: size.to_owned(),
                ..Settings::default()
            })
        };
        assert_eq!(slate_size(&Settings::default()), Ok(Some((1_280, 720))));
        assert_eq!(with(true, "64x8192"), Ok(Some((64, 8_192))));
        assert_eq!(with(false, "640x360"), Ok(None));
        for bad in [
            "",
            "1280",
            "1280x",
            "x720",
            "1280X720",
            "63x720",
            "1280x8193",
            "-1280x720",
            "1280x720x2",
            "1e3x720",
        ] {
            assert_eq!(with(true, bad), Err(SettingsError::BadSlateSize(bad.to_owned())));
        }
    }

    #[test]
    fn needs_a_link_and_little_else() {
        assert_eq!(validate(&Settings::default()).unwrap_err(), SettingsError::NoUri);
        let key = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
        let with = |change: &dyn Fn(&mut Settings)| {
            let uri = Some(format!("streamium://localhost:8443/talk?key={key}"));
            let mut settings = Settings {
                uri,
                ..Settings::default()
            };
            change(&mut settings);
            validate(&settings).map(|checked| checked.options)
        };
        let options = with(&|_| ()).unwrap();
        assert_eq!(options.policy.budget, Amount::from_sat(DEFAULT_CAPACITY_SAT));
        assert!(options.chain.is_none());
        assert_eq!(
            with(&|s| s.budget_sat = 7).unwrap().policy.budget,
            Amount::from_sat(7)
        );
        assert_eq!(options.network, bitcoin::Network::Bitcoin);
        assert!(matches!(
            with(&|s| s.payment_interval_ms = 30_001),
            Err(SettingsError::Order { .. })
        ));
        assert!(matches!(
            with(&|s| s.refund_delay_blocks = 143),
            Err(SettingsError::RefundDelay(_))
        ));
        let no_key = with(&|s| s.uri = Some("streamium://localhost:8443/talk".into()));
        assert_eq!(no_key.unwrap_err(), SettingsError::BadUri(LinkError::NoKey));
    }
}
