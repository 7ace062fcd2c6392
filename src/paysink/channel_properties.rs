//! The properties of `streamiumpaysink`'s own that are about chain, channels and settlements.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use gst::glib;

use super::settings::*;
use crate::param::{sat, text, uint};
use crate::settings::DEFAULT_NETWORK;
use crate::settle::DEFAULT_MAX_FEE_RATE_SAT_PER_VB;

pub fn specs() -> Vec<glib::ParamSpec> {
    let mut specs = chain_specs();
    specs.extend(channel_specs());
    specs.extend(trust_specs());
    specs.extend(settlement_specs());
    specs
}

fn chain_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:network:
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
         * GstStreamiumPaySink:electrum-url:
         *
         * The Electrum servers to follow the chain with: ssl://host:port or tcp://host:port, several separated by
         * commas. Not set by default; a paid stream needs it.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("electrum-url", "Electrum servers", "ssl://host:port or tcp://host:port, several separated by commas", None),
        /**
         * GstStreamiumPaySink:electrum-proxy:
         *
         * A SOCKS5 proxy (such as Tor's) to reach the Electrum servers through, as socks5://host:port. Not set by default.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("electrum-proxy", "Electrum proxy", "SOCKS5 proxy for the Electrum servers, socks5://host:port", None),
        /**
         * GstStreamiumPaySink:data-dir:
         *
         * The folder with the store and the keys. Default: streamium-pay/NETWORK in the user's data folder.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("data-dir", "Data folder", "The folder with the store and the keys", None),
    ]
}

fn channel_specs() -> Vec<glib::ParamSpec> {
    let (least, most) = (*REFUND_DELAY_BLOCKS.start(), *REFUND_DELAY_BLOCKS.end());
    vec![
        /**
         * GstStreamiumPaySink:max-refund-delay:
         *
         * After how many blocks a consumer may take back a channel that was not settled. 144 to 4,032; default
         * 1,008, a week: a consumer may ask for less.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "max-refund-delay",
            "Refund delay",
            "Blocks after which a consumer may take back an unsettled channel",
            (least, most),
            DEFAULT_MAX_REFUND_DELAY_BLOCKS,
        ),
        /**
         * GstStreamiumPaySink:opening:
         *
         * The first payment, in satoshi. 0, the default: ten seconds of the rate, or what a settlement costs if
         * that is more.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat("opening", "Opening payment", "The first payment in satoshi; 0 computes it", 0),
        /**
         * GstStreamiumPaySink:min-capacity:
         *
         * The smallest channel to accept, in satoshi. Default 10,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat("min-capacity", "Minimal capacity", "The smallest channel in satoshi", DEFAULT_MIN_CAPACITY_SAT),
        /**
         * GstStreamiumPaySink:max-capacity:
         *
         * The largest channel to accept, in satoshi. Default 1,000,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat("max-capacity", "Maximal capacity", "The largest channel in satoshi", DEFAULT_MAX_CAPACITY_SAT),
    ]
}

fn trust_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:min-confirmations:
         *
         * From how many confirmations on a channel's payments are trusted without
         * #GstStreamiumPaySink:unconfirmed-limit. 0 to 100; default 1.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "min-confirmations",
            "Minimal confirmations",
            "Confirmations from which a channel is trusted in full",
            (0, 100),
            DEFAULT_MIN_CONFIRMATIONS,
        ),
        /**
         * GstStreamiumPaySink:unconfirmed-limit:
         *
         * How much credit one unconfirmed channel gives at most, in satoshi. Default 1,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat(
            "unconfirmed-limit",
            "Unconfirmed limit",
            "Credit of one unconfirmed channel in satoshi",
            DEFAULT_UNCONFIRMED_LIMIT_SAT,
        ),
        /**
         * GstStreamiumPaySink:unconfirmed-total:
         *
         * How much credit all unconfirmed channels together give at most, in satoshi. Default 20,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        sat(
            "unconfirmed-total",
            "Unconfirmed total",
            "Credit of all unconfirmed channels together in satoshi",
            DEFAULT_UNCONFIRMED_TOTAL_SAT,
        ),
    ]
}

fn settlement_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:settle-delay:
         *
         * How long a consumer without credit is kept before its channel is settled, in milliseconds; paying before
         * that goes on with the stream. 0 to 86,400,000; default 60,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "settle-delay",
            "Settle delay",
            "How long a consumer without credit is kept before its channel is settled, in ms",
            (0, 86_400_000),
            DEFAULT_SETTLE_DELAY_MS,
        ),
        /**
         * GstStreamiumPaySink:settle-batch-delay:
         *
         * How long a channel that is to be settled waits for others, to share a transaction and its fee with them, in
         * milliseconds. One that can't be confirmed deep enough for that within this time, or that is near its
         * deadline, is settled alone and at once. 0 to 86,400,000; default 600,000, ten minutes.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "settle-batch-delay",
            "Settle batch delay",
            "How long a channel to be settled waits for others to share the fee with, in ms",
            (0, 86_400_000),
            DEFAULT_SETTLE_BATCH_DELAY_MS,
        ),
        /**
         * GstStreamiumPaySink:max-settle-fee-rate:
         *
         * The highest fee rate of a settlement, in satoshi per virtual byte. While fees are higher, a channel waits
         * for its deadline to come near. 1 to 10,000; default 100.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "max-settle-fee-rate",
            "Maximal settlement fee rate",
            "The highest fee rate of a settlement in sat/vB",
            (1, 10_000),
            DEFAULT_MAX_FEE_RATE_SAT_PER_VB,
        ),
        /**
         * GstStreamiumPaySink:funding-timeout:
         *
         * How long a consumer may take to fund a channel it asked for, in milliseconds. 1,000 to 86,400,000;
         * default 3,600,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "funding-timeout",
            "Funding timeout",
            "How long a consumer may take to fund its channel, in ms",
            (1_000, 86_400_000),
            DEFAULT_FUNDING_TIMEOUT_MS,
        ),
    ]
}
