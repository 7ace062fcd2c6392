//! What the tests of the vectors share: the files, and the session that they are of.

use super::config;
use super::pair::{consumer_identity, provider_identity};
use serde_json::Value;
use std::path::Path;
use streamium_channel::bitcoin::hex::DisplayHex;
use streamium_channel::terms::{PROTOCOL_VERSION, Terms};

/// Holds a vector against its file; writes the file where that is asked for.
pub fn same(name: &str, computed: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors").join(name);
    let text = serde_json::to_string_pretty(computed).unwrap() + "\n";
    if std::env::var_os("STREAMIUM_WRITE_VECTORS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let stored = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        stored,
        text,
        "{} differs from what the code computes",
        path.display()
    );
}

pub fn secret(byte: u8) -> String {
    [byte; 32].to_lower_hex_string()
}

/// The terms of the session that all vectors are of.
pub fn terms() -> Terms {
    let (config, provider, consumer) = (config(), provider_identity(), consumer_identity());
    Terms {
        version: PROTOCOL_VERSION,
        chain: config.chain,
        stream: config.stream.to_string(),
        tracks: config.tracks,
        rate: config.rate,
        opening: config.opening,
        window_ms: 5_000,
        min_capacity: config.min_capacity,
        max_capacity: config.max_capacity,
        min_refund_delay: config.min_refund_delay,
        max_refund_delay: config.max_refund_delay,
        commitment_fee_rate_sat_per_kvb: config.commitment_fee_rate_sat_per_kvb,
        min_confirmations: config.min_confirmations,
        unconfirmed_limit: config.unconfirmed_limit,
        settle_delay_ms: 60_000,
        valid_ms: 3_600_000,
        channel_key: provider.channel_key.key.x_only_public_key().0,
        provider_certificate: provider.certificates.own,
        consumer_certificate: provider.certificates.peer,
        provider_nonce: provider.nonce,
        consumer_nonce: consumer.nonce,
    }
}
