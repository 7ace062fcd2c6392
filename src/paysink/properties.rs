//! The properties of `streamiumpaysink`'s own. All can be set in NULL and READY, and count from the next READY
//! on; those of the inner webrtcsink are in [`super::proxied`].

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::settings::*;
use super::{channel_properties, proxied, server};
use crate::param::{WRITABLE, optional, put, text, uint};
use crate::settings::DEFAULT_NETWORK;

/// Read-only properties, which the session driver keeps up to date.
#[derive(Debug, Default, Clone)]
pub struct Status {
    pub link: Option<String>,
    pub public_key: Option<String>,
    pub earned_sat: u64,
}

pub fn specs() -> &'static [glib::ParamSpec] {
    static SPECS: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
        let mut specs = stream_specs();
        specs.extend(credit_specs());
        specs.extend(channel_properties::specs());
        specs.extend(status_specs());
        specs.extend(server::specs());
        specs.extend(proxied::TABLE.param_specs());
        specs
    });
    &SPECS
}

fn stream_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:stream-name:
         *
         * What the stream is called at the signalling server and in its link. 1 to 128 bytes, no control
         * characters; default "stream".
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text(
            "stream-name",
            "Stream name",
            "What the stream is called at the signalling server and in its link",
            Some(DEFAULT_STREAM_NAME),
        ),
        /**
         * GstStreamiumPaySink:rate:
         *
         * The price, in millisatoshi per second. 0, the default, is a free stream: then the element behaves as a
         * plain webrtcsink. Above 0, #GstStreamiumPaySink:payout-address must be set too.
         *
         * Can be changed at any time. While the stream runs, consumers who come get the new rate; those who
         * are there are offered it, and go on at the old one until they take it or leave. Offers to one consumer are
         * ten seconds apart, the last rate that was set counts. Between free and paid it can't change while the
         * stream runs, nor above what #GstStreamiumPaySink:max-capacity can pay: then a WARNING says so and the old
         * rate stays.
         *
         * Since: 0.1
         */
        glib::ParamSpecUInt64::builder("rate")
            .nick("Rate")
            .blurb("The price in millisatoshi per second; 0 is a free stream")
            .maximum(1_000_000_000_000)
            .flags(glib::ParamFlags::READWRITE | gst::PARAM_FLAG_MUTABLE_PLAYING)
            .build(),
        /**
         * GstStreamiumPaySink:payout-address:
         *
         * Where the earnings go: an address of #GstStreamiumPaySink:network, or a public output descriptor with a
         * wildcard, such as tr(xpub.../0/&ast;), of which each settlement takes the next address. Not set by default,
         * as a free stream needs none.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("payout-address", "Payout address", "The address, or the public output descriptor, that the earnings go to", None),
        /**
         * GstStreamiumPaySink:link-address:
         *
         * The host in the stream's link, with a port or without: what consumers reach the signalling server
         * by. Default: this machine's address, and the signalling server's port.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("link-address", "Link address", "Host, or host:port, by which consumers reach the signalling server", None),
        /**
         * GstStreamiumPaySink:metrics-address:
         *
         * Where metrics for Prometheus are served while the stream runs, at http://ADDRESS:PORT/metrics: an IP address or
         * localhost, with a port, or port 0 for one that the system chooses and the message "metrics" says. Nobody is
         * asked for a password: listen where only your own machines reach. A port that is taken is a warning, and the
         * broadcast goes on without metrics. Not set by default.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text("metrics-address", "Metrics address", "Address and port to serve Prometheus metrics at", None),
        /**
         * GstStreamiumPaySink:meta:
         *
         * Metadata about the producer for the signalling server, as of webrtcsink. The field "name" is always
         * #GstStreamiumPaySink:stream-name, which is all there is by default.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("meta")
            .nick("Meta")
            .blurb("Free form metadata about the producer; its field \"name\" is the stream's name")
            .flags(WRITABLE)
            .build(),
    ]
}

fn credit_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:grace:
         *
         * How long media flows ahead of payment, in milliseconds. 0 to 60,000; default 500.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint("grace", "Grace", "How long media flows ahead of payment, in ms", (0, 60_000), DEFAULT_GRACE_MS),
        /**
         * GstStreamiumPaySink:window:
         *
         * How far consumers are asked to pay ahead, in milliseconds. 1,000 to 600,000; default 5,000.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint("window", "Window", "How far consumers pay ahead, in ms", (1_000, 600_000), DEFAULT_WINDOW_MS),
        /**
         * GstStreamiumPaySink:max-unpaid-consumers:
         *
         * How many consumers may be connected without having paid; the longest idle goes first. 1 to 100,000;
         * default 32.
         *
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        uint(
            "max-unpaid-consumers",
            "Maximal unpaid consumers",
            "How many consumers may be connected without having paid",
            (1, 100_000),
            DEFAULT_MAX_UNPAID_CONSUMERS,
        ),
    ]
}

fn status_specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:link:
         *
         * The link to give to consumers. Read-only; NULL until it is known.
         *
         * Since: 0.1
         */
        glib::ParamSpecString::builder("link").nick("Link").blurb("The link to give to consumers").read_only().build(),
        /**
         * GstStreamiumPaySink:public-key:
         *
         * The provider's identity key, 64 hexadecimal digits, as it is in the link. Read-only; NULL until known.
         *
         * Since: 0.1
         */
        glib::ParamSpecString::builder("public-key")
            .nick("Public key")
            .blurb("The provider's identity key in hexadecimal")
            .read_only()
            .build(),
        /**
         * GstStreamiumPaySink:earned:
         *
         * What consumers have ever paid to this data folder, in satoshi, before settlement fees. Read-only.
         *
         * Since: 0.1
         */
        glib::ParamSpecUInt64::builder("earned")
            .nick("Earned")
            .blurb("What consumers have paid, in satoshi")
            .read_only()
            .build(),
        /**
         * GstStreamiumPaySink:stats:
         *
         * The statistics of the inner webrtcsink, with one more field, "streamium-pay": a structure with what is earned,
         * connected, open and to be settled, in all and for each session. Its fields, with their units, are in
         * docs/elements.md. Reading never waits for the payments; what they say is a second old at most. Read-only.
         *
         * Since: 0.1
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("The statistics of webrtcsink, and in the field streamium-pay those of the payments")
            .read_only()
            .build(),
    ]
}

impl Settings {
    /// Sets the property of this name; false if it is none of ours.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "stream-name" => self.stream_name = optional(value).unwrap_or_default(),
            "rate" => put(&mut self.rate_msat_per_s, value),
            "payout-address" => self.payout_address = optional(value),
            "network" => self.network = optional(value).unwrap_or_else(|| DEFAULT_NETWORK.to_owned()),
            "electrum-url" => self.electrum_url = optional(value),
            "electrum-proxy" => self.electrum_proxy = optional(value),
            "data-dir" => self.data_dir = optional(value),
            "link-address" => self.link_address = optional(value),
            "max-refund-delay" => put(&mut self.max_refund_delay_blocks, value),
            "grace" => put(&mut self.grace_ms, value),
            "window" => put(&mut self.window_ms, value),
            "opening" => put(&mut self.opening_sat, value),
            "min-capacity" => put(&mut self.min_capacity_sat, value),
            "max-capacity" => put(&mut self.max_capacity_sat, value),
            "min-confirmations" => put(&mut self.min_confirmations, value),
            "unconfirmed-limit" => put(&mut self.unconfirmed_limit_sat, value),
            "unconfirmed-total" => put(&mut self.unconfirmed_total_sat, value),
            "max-unpaid-consumers" => put(&mut self.max_unpaid_consumers, value),
            "settle-delay" => put(&mut self.settle_delay_ms, value),
            "settle-batch-delay" => put(&mut self.settle_batch_delay_ms, value),
            "max-settle-fee-rate" => put(&mut self.max_settle_fee_rate_sat_per_vb, value),
            "funding-timeout" => put(&mut self.funding_timeout_ms, value),
            "metrics-address" => self.metrics_address = optional(value),
            "meta" => put(&mut self.meta, value),
            _ => return self.server.set(name, value),
        }
        true
    }

    /// The value of the property of this name, if it is one of ours.
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "stream-name" => self.stream_name.to_value(),
            "rate" => self.rate_msat_per_s.to_value(),
            "payout-address" => self.payout_address.to_value(),
            "network" => self.network.to_value(),
            "electrum-url" => self.electrum_url.to_value(),
            "electrum-proxy" => self.electrum_proxy.to_value(),
            "data-dir" => self.data_dir.to_value(),
            "link-address" => self.link_address.to_value(),
            "max-refund-delay" => self.max_refund_delay_blocks.to_value(),
            "grace" => self.grace_ms.to_value(),
            "window" => self.window_ms.to_value(),
            "opening" => self.opening_sat.to_value(),
            "min-capacity" => self.min_capacity_sat.to_value(),
            "max-capacity" => self.max_capacity_sat.to_value(),
            "min-confirmations" => self.min_confirmations.to_value(),
            "unconfirmed-limit" => self.unconfirmed_limit_sat.to_value(),
            "unconfirmed-total" => self.unconfirmed_total_sat.to_value(),
            "max-unpaid-consumers" => self.max_unpaid_consumers.to_value(),
            "settle-delay" => self.settle_delay_ms.to_value(),
            "settle-batch-delay" => self.settle_batch_delay_ms.to_value(),
            "max-settle-fee-rate" => self.max_settle_fee_rate_sat_per_vb.to_value(),
            "funding-timeout" => self.funding_timeout_ms.to_value(),
            "metrics-address" => self.metrics_address.to_value(),
            "meta" => self.meta.to_value(),
            _ => return self.server.get(name),
        })
    }
}

impl Status {
    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "link" => self.link.to_value(),
            "public-key" => self.public_key.to_value(),
            "earned" => self.earned_sat.to_value(),
            _ => return None,
        })
    }
}
