//! What both elements' settings have in common.

use std::path::PathBuf;

use bitcoin::Network;
use streamium_channel::blocks::{RefundDelay, RefundDelayError};
use streamium_channel::link::{LinkError, StreamNameError};

use crate::chain::{ChainConfig, ServerUrlError, parse_proxy, parse_servers};
use crate::config::ConfigError;
use crate::price::RateTooHigh;
use crate::settle::PayoutError;

/// The default of `network` on both elements.
pub const DEFAULT_NETWORK: &str = "bitcoin";

/// Why an element's properties do not fit together. Each is one sentence for the person who set them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("network can't be \"{0}\": it is one of bitcoin, testnet, testnet4, signet and regtest.")]
    UnknownNetwork(String),
    #[error("rate is {0} msat/s but payout-address is not set: say where the money shall go, or set rate=0.")]
    RateWithoutPayout(u64),
    #[error("payout-address is set but rate is 0: set a rate, or leave both out for a free stream.")]
    PayoutWithoutRate,
    #[error("{0}.")]
    RateTooHigh(RateTooHigh),
    #[error(
        "rate can't go from {0} to {1} msat/s while the stream runs: a free stream stays free, and a paid one paid. \
         Stop it and set rate and payout-address."
    )]
    FreeOrPaid(u64, u64),
    #[error("payout-address: {0}.")]
    BadPayout(PayoutError),
    #[error("stream-name: {0}.")]
    BadStreamName(StreamNameError),
    #[error("link-address \"{0}\" must be a host name or an IP address, with a port or without.")]
    BadLinkAddress(String),
    #[error(
        "metrics-address \"{0}\" must be an IP address or localhost, with a port: 127.0.0.1:9101, or port 0 to have one \
         chosen."
    )]
    BadMetricsAddress(String),
    #[error("signalling-server-host is not set: give an address of this machine, or 0.0.0.0 for all.")]
    NoSignallingHost,
    #[error("signalling-server-cert and signalling-server-key go together: set both, or neither for ws://.")]
    HalfOfTls,
    #[error(
        "signalling-server-headers: {0} is no name of an HTTP header, or has a value that none can have."
    )]
    BadHeader(String),
    #[error("electrum-url: {0}.")]
    BadElectrumUrl(ServerUrlError),
    #[error("electrum-proxy: {0}.")]
    BadElectrumProxy(ServerUrlError),
    #[error(
        "a paid stream needs electrum-url: set the Electrum server that it follows the chain with, \
         ssl://host:port or tcp://host:port."
    )]
    NoElectrumUrl,
    #[error("{0}.")]
    RefundDelay(RefundDelayError),
    #[error("{smaller} is {small}, which is more than {larger}, {large}.")]
    Order {
        smaller: &'static str,
        small: u64,
        larger: &'static str,
        large: u64,
    },
    #[error("uri is not set: give the link that the broadcaster shows, streamium://HOST:PORT/NAME?key=HEX.")]
    NoUri,
    #[error("uri is no streamium link: {0}.")]
    BadUri(LinkError),
    #[error(
        "slate-size can't be \"{0}\": it is WIDTHxHEIGHT in pixels, such as 1280x720, each side from 64 to 8192."
    )]
    BadSlateSize(String),
    #[error("{0}.")]
    BadProxied(String),
    #[error("{0}.")]
    Config(ConfigError),
    #[error("{0}.")]
    Inner(String),
}

pub fn parse_network(name: &str) -> Result<Network, SettingsError> {
    match name {
        "bitcoin" => Ok(Network::Bitcoin),
        "testnet" => Ok(Network::Testnet),
        "testnet4" => Ok(Network::Testnet4),
        "signet" => Ok(Network::Signet),
        "regtest" => Ok(Network::Regtest),
        other => Err(SettingsError::UnknownNetwork(other.to_owned())),
    }
}

/// A refund delay in blocks.
pub fn refund_delay(blocks: u32) -> Result<RefundDelay, SettingsError> {
    let delay = u16::try_from(blocks)
        .map_err(|_| RefundDelayError(blocks))
        .and_then(RefundDelay::new);
    delay.map_err(SettingsError::RefundDelay)
}

/// Where an element keeps its store unless told otherwise: `streamium-pay/<network>` in the user's data folder.
pub fn default_data_dir(network: Network) -> PathBuf {
    gst::glib::user_data_dir()
        .join("streamium-pay")
        .join(network.to_string())
}

/// How to reach the chain; `None` where no server is given.
pub fn chain_config(
    network: Network,
    electrum_url: Option<&str>,
    electrum_proxy: Option<&str>,
) -> Result<Option<ChainConfig>, SettingsError> {
    let proxy = parse_proxy(electrum_proxy.unwrap_or_default()).map_err(SettingsError::BadElectrumProxy)?;
    let servers = electrum_url
        .map(parse_servers)
        .transpose()
        .map_err(SettingsError::BadElectrumUrl)?;
    Ok(servers.map(|servers| ChainConfig {
        network,
        servers,
        proxy,
    }))
}

/// A host, and the port where one is given. IPv6 addresses stand in brackets.
pub fn parse_host_port(address: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, rest) = rest.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (
                format!("[{host}]"),
                rest.strip_prefix(':').or((!rest.is_empty()).then_some("-")),
            )
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (address.to_owned(), None),
        },
    };
    let port = match port {
        Some(port) => Some(port.parse::<u16>().ok().filter(|port| *port > 0)?),
        None => None,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let named = !host.is_empty() && host.chars().all(plain);
    (named || host.starts_with('[')).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let cases = [
            ("example.org", Some(("example.org", None))),
            ("example.org:8443", Some(("example.org", Some(8443)))),
            ("192.0.2.7:1", Some(("192.0.2.7", Some(1)))),
            ("[2001:db8::1]", Some(("[2001:db8::1]", None))),
            ("[2001:db8::1]:8443", Some(("[2001:db8::1]", Some(8443)))),
            ("2001:db8::1", None),
            ("[2001:db8::1]8443", None),
            ("example.org:", None),
            ("example.org:0", None),
            ("example.org:65536", None),
            ("exam ple.org", None),
            ("ws://example.org", None),
            ("", None),
        ];
        for (text, expected) in cases {
            let expected = expected.map(|(host, port)| (host.to_owned(), port));
            assert_eq!(parse_host_port(text), expected, "{text}");
        }
    }

    #[test]
    fn servers_and_proxy() {
        let config = |url, proxy| chain_config(Network::Signet, url, proxy);
        assert!(config(None, None).unwrap().is_none());
        let two = config(
            Some("ssl://a.example:50002, tcp://127.0.0.1:50001"),
            Some("socks5://localhost:9050"),
        );
        assert_eq!(two.unwrap().unwrap().servers.len(), 2);
        for bad in [
            "",
            "electrum.example.org:50002",
            "http://a:1",
            "ssl://a",
            "ssl://:1",
            "ssl://a:0",
        ] {
            assert!(config(Some(bad), None).is_err(), "{bad}");
        }
        assert!(config(Some("tcp://a:1"), Some("localhost:9050")).is_err());
    }

    #[test]
    fn networks_have_one_name_each() {
        assert_eq!(parse_network(DEFAULT_NETWORK), Ok(Network::Bitcoin));
        assert_eq!(parse_network("signet"), Ok(Network::Signet));
        assert!(parse_network("mainnet").is_err());
    }
}
