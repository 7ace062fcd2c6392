//! The properties of `streamiumpaysrc`'s own. All can be set in NULL and READY; those of the inner webrtcsrc are
//! in [`super::proxied`].

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::proxied;
use super::settings::*;
use crate::param::{flag, optional, put, sat, text, uint, uint64};
use crate::settings::DEFAULT_NETWORK;

/// Read-only properties, which the session driver keeps up to date.
#[derive(Debug, Clone)]
pub struct Status {
    pub funding_address: Option<String>,
    pub paid_sat: u64,
    pub state: String,
}

impl Default for Status {
    fn default() -> Self {
        Self {
            funding_address: None,
            paid_sat: 0,
            state: "idle".to_owned(),
        }
    }
}

pub fn specs() -> &'static [glib::ParamSpec] {
    static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let mut specs = stream_specs();
        specs.extend(limit_specs());
        specs.extend(channel_specs());
        specs.extend(slate_specs());
        specs.extend(status_specs());
        specs.extend(proxied::TABLE.param_specs());
        specs
    });
    &SPECS
}

fn stream_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySrc:uri:
         *
         * The stream's link: streamium://HOST:PORT/NAME?key=HEX, or streamiums:// for a signalling server with
         * TLS. There is no default; quote it in a shell.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("uri", "Link", "The stream's link, streamium://HOST:PORT/NAME?key=HEX", None),
        /**
         * GstStreamiumPaySrc:network:
         *
         * The Bitcoin network: bitcoin (default), testnet, testnet4, signet or regtest. bitcoin is the one whose money
         * is worth something; try things out on signet, whose coins are free.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("network", "Network", "bitcoin, testnet, testnet4, signet or regtest", Some(DEFAULT_NETWORK)),
        /**
         * GstStreamiumPaySrc:electrum-url:
         *
         * The Electrum servers to follow the chain with: ssl://host:port or tcp://host:port, several separated by
         * commas. Not set by default; without it only free streams can be watched.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("electrum-url", "Electrum servers", "ssl://host:port or tcp://host:port, several separated by commas", None),
        /**
         * GstStreamiumPaySrc:electrum-proxy:
         *
         * A SOCKS5 proxy (such as Tor's) to reach the Electrum servers through, as socks5://host:port. Not set by default.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("electrum-proxy", "Electrum proxy", "SOCKS5 proxy for the Electrum servers, socks5://host:port", None),
        /**
         * GstStreamiumPaySrc:data-dir:
         *
         * The folder with the wallet and the store. Default: streamium-pay/NETWORK in the user's data folder.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("data-dir", "Data folder", "The folder with the wallet and the store", None),
        /**
         * GstStreamiumPaySrc:reconnect-timeout:
         *
         * For how long a lost connection is tried again before the stream ends, in milliseconds; while the player
         * is paused this time stands still. 0: it ends at once. Default 60,000: as long as a provider keeps a
         * channel, so that coming back needs no new one.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "reconnect-timeout",
            "Reconnect timeout",
            "For how long a lost connection is tried again, in ms; 0 is not at all",
            (0, 86_400_000),
            DEFAULT_RECONNECT_TIMEOUT_MS,
        ),
    ]
}

fn limit_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySrc:max-rate:
         *
         * The highest price that is paid, in millisatoshi per second. Default 1,000. A dearer stream is refused.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint64(
            "max-rate",
            "Maximal rate",
            "The highest price that is paid, in millisatoshi per second",
            1_000_000_000_000,
            DEFAULT_MAX_RATE_MSAT_PER_S,
        ),
        /**
         * GstStreamiumPaySrc:max-opening:
         *
         * The largest first payment, in satoshi; never more than a quarter of the capacity. Default 5,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat("max-opening", "Maximal opening", "The largest first payment in satoshi", DEFAULT_MAX_OPENING_SAT),
        /**
         * GstStreamiumPaySrc:max-window:
         *
         * How far ahead is paid at most, in milliseconds. 1,000 to 600,000; default 30,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint("max-window", "Maximal window", "How far ahead is paid at most, in ms", (1_000, 600_000), DEFAULT_MAX_WINDOW_MS),
        /**
         * GstStreamiumPaySrc:max-fee-rate:
         *
         * The highest fee rate of a commitment transaction, in satoshi per virtual byte. 1 to 10,000; default 50.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "max-fee-rate",
            "Maximal fee rate",
            "The highest fee rate of a commitment transaction, in sat/vB",
            (1, 10_000),
            DEFAULT_MAX_FEE_RATE_SAT_PER_VB,
        ),
        /**
         * GstStreamiumPaySrc:budget:
         *
         * What is paid at most for this stream, in satoshi. 0, the default: #GstStreamiumPaySrc:capacity. More lets
         * a stream go on that stopped because its budget was used up.
         *
         * Can be changed at any time.
         *
         * Since: 0.1
         */
        glib::ParamSpecUInt64::builder("budget")
            .nick("Budget")
            .blurb("What is paid at most, in satoshi; 0 is the capacity")
            .maximum(bitcoin::Amount::MAX_MONEY.to_sat())
            .default_value(0)
            .flags(glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING)
            .build(),
    ]
}

fn channel_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySrc:capacity:
         *
         * How much is locked in one channel, in satoshi. Default 50,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat("capacity", "Capacity", "How much is locked in one channel, in satoshi", DEFAULT_CAPACITY_SAT),
        /**
         * GstStreamiumPaySrc:payment-interval:
         *
         * How often is paid, in milliseconds. 100 to 60,000; default 1,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint("payment-interval", "Payment interval", "How often is paid, in ms", (100, 60_000), DEFAULT_PAYMENT_INTERVAL_MS),
        /**
         * GstStreamiumPaySrc:refund-delay:
         *
         * After how many blocks an unsettled channel can be taken back, if the provider agrees. 144 to 4,032;
         * default 288, two days.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "refund-delay",
            "Refund delay",
            "Blocks after which an unsettled channel can be taken back",
            (144, 4_032),
            DEFAULT_REFUND_DELAY_BLOCKS,
        ),
    ]
}

fn slate_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySrc:slate:
         *
         * Whether video_0 shows a picture, and audio_0 is silent, while no paid media flows: price, funding address
         * with a QR code, and what is going on. Both pads are there from PAUSED on then. Only for those that are linked
         * to something that takes raw media. Default true.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        flag("slate", "Slate", "Whether a picture with price and QR code is shown while no paid media flows", true),
        /**
         * GstStreamiumPaySrc:slate-size:
         *
         * The slate's size in pixels, WIDTHxHEIGHT, each from 64 to 8192, until the stream's own is known, which it
         * takes then. Default 1280x720.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("slate-size", "Slate size", "The slate's size in pixels, WIDTHxHEIGHT", Some(DEFAULT_SLATE_SIZE)),
    ]
}

fn status_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySrc:funding-address:
         *
         * The address to fund the wallet at. Read-only; NULL until it is known.
         *
         * Since: 0.1
         */
        glib::ParamSpecString::builder("funding-address")
            .nick("Funding address")
            .blurb("The address to fund the wallet at")
            .read_only()
            .build(),
        /**
         * GstStreamiumPaySrc:paid:
         *
         * What has been paid since the element was made, in satoshi. Read-only.
         *
         * Since: 0.1
         */
        glib::ParamSpecUInt64::builder("paid").nick("Paid").blurb("What has been paid, in satoshi").read_only().build(),
        /**
         * GstStreamiumPaySrc:state:
         *
         * What the element is doing, in one word: idle, resolving, connecting, awaiting-terms, awaiting-funds,
         * opening, playing, paused, starved, reconnecting, stopped or ended. Read-only.
         *
         * Since: 0.1
         */
        glib::ParamSpecString::builder("state")
            .nick("State")
            .blurb("What the element is doing, in one word")
            .default_value(Some("idle"))
            .read_only()
            .build(),
        /**
         * GstStreamiumPaySrc:stats:
         *
         * Statistics: a structure with one field, "streamium-pay", in which are what was paid, consumed and is left,
         * the wallet, the channel, what arrived, and outages. Its fields, with their units, are in docs/elements.md.
         * Reading never waits for the payments; what they say is a second old at most. Read-only.
         *
         * Since: 0.1
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Statistics of the payments, in the field streamium-pay")
            .read_only()
            .build(),
    ]
}

impl Settings {
    /// Sets the property of this name; false if it is none of ours.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "uri" => self.uri = optional(value),
            "network" => self.network = optional(value).unwrap_or_else(|| DEFAULT_NETWORK.to_owned()),
            "electrum-url" => self.electrum_url = optional(value),
            "electrum-proxy" => self.electrum_proxy = optional(value),
            "data-dir" => self.data_dir = optional(value),
            "max-rate" => put(&mut self.max_rate_msat_per_s, value),
            "max-opening" => put(&mut self.max_opening_sat, value),
            "max-window" => put(&mut self.max_window_ms, value),
            "max-fee-rate" => put(&mut self.max_fee_rate_sat_per_vb, value),
            "budget" => put(&mut self.budget_sat, value),
            "capacity" => put(&mut self.capacity_sat, value),
            "payment-interval" => put(&mut self.payment_interval_ms, value),
            "refund-delay" => put(&mut self.refund_delay_blocks, value),
            "reconnect-timeout" => put(&mut self.reconnect_timeout_ms, value),
            "slate" => put(&mut self.slate, value),
            "slate-size" => {
                self.slate_size = optional(value).unwrap_or_else(|| DEFAULT_SLATE_SIZE.to_owned())
            }
            _ => return false,
        }
        true
    }

    /// The value of the property of this name, if it is one of ours.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "uri" => self.uri.to_value(),
            "network" => self.network.to_value(),
            "electrum-url" => self.electrum_url.to_value(),
            "electrum-proxy" => self.electrum_proxy.to_value(),
            "data-dir" => self.data_dir.to_value(),
            "max-rate" => self.max_rate_msat_per_s.to_value(),
            "max-opening" => self.max_opening_sat.to_value(),
            "max-window" => self.max_window_ms.to_value(),
            "max-fee-rate" => self.max_fee_rate_sat_per_vb.to_value(),
            "budget" => self.budget_sat.to_value(),
            "capacity" => self.capacity_sat.to_value(),
            "payment-interval" => self.payment_interval_ms.to_value(),
            "refund-delay" => self.refund_delay_blocks.to_value(),
            "reconnect-timeout" => self.reconnect_timeout_ms.to_value(),
            "slate" => self.slate.to_value(),
            "slate-size" => self.slate_size.to_value(),
            _ => return None,
        })
    }
}

impl Status {
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "funding-address" => self.funding_address.to_value(),
            "paid" => self.paid_sat.to_value(),
            "state" => self.state.to_value(),
            _ => return None,
        })
    }
}
