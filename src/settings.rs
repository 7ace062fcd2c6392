//! What both elements' settings have in common.

use std::path::PathBuf;
use std::str::FromStr;

use bitcoin::Network;

/// The default of `network` on both elements.
pub const DEFAULT_NETWORK: &str = "signet";

/// Why an element's properties do not fit together. Each is one sentence for the person who set them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    #[error("network can't be \"{0}\": it is one of testnet, testnet4, signet and regtest.")]
    UnknownNetwork(String),
    #[error(
        "network=bitcoin is refused until the money-safety work is complete, so that nobody's money is in a \
         half-safe channel; use signet."
    )]
    MainNetwork,
    #[error("rate is {0} msat/s but payout-address is not set: say where the money shall go, or set rate=0.")]
    RateWithoutPayout(u64),
    #[error("payout-address is set but rate is 0: set a rate, or leave both out for a free stream.")]
    PayoutWithoutRate,
    #[error("payout-address \"{address}\" is no address: {reason}.")]
    BadPayout { address: String, reason: String },
    #[error("payout-address \"{address}\" is not of network {network}.")]
    PayoutOfOtherNetwork { address: String, network: Network },
    #[error("stream-name must have 1 to 200 bytes and no control characters.")]
    BadStreamName,
    #[error("link-address \"{0}\" must be a host name or an IP address, with a port or without.")]
    BadLinkAddress(String),
    #[error("electrum-url \"{0}\" must look like ssl://host:port or tcp://host:port.")]
    BadElectrumUrl(String),
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
    BadUri(String),
    #[error("{0}.")]
    BadProxied(String),
    #[error("{0}.")]
    Inner(String),
}

pub fn parse_network(name: &str) -> Result<Network, SettingsError> {
    match name {
        "bitcoin" => Err(SettingsError::MainNetwork),
        "testnet" => Ok(Network::Testnet),
        "testnet4" => Ok(Network::Testnet4),
        "signet" => Ok(Network::Signet),
        "regtest" => Ok(Network::Regtest),
        other => Err(SettingsError::UnknownNetwork(other.to_owned())),
    }
}

/// Where an element keeps its store unless told otherwise: `streamium-pay/<network>` in the user's data folder.
pub fn default_data_dir(network: Network) -> PathBuf {
    gst::glib::user_data_dir()
        .join("streamium-pay")
        .join(network.to_string())
}

/// Checks the form of an Electrum server's address, not whether it answers.
pub fn check_electrum_url(url: &str) -> Result<(), SettingsError> {
    let bad = || SettingsError::BadElectrumUrl(url.to_owned());
    let (scheme, rest) = url.split_once("://").ok_or_else(bad)?;
    let (host, port) = rest.rsplit_once(':').ok_or_else(bad)?;
    let good =
        matches!(scheme, "tcp" | "ssl") && !host.is_empty() && u16::from_str(port).is_ok_and(|p| p > 0);
    if good { Ok(()) } else { Err(bad()) }
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

/// A stream's name: what a person can read and a link can carry.
pub fn check_stream_name(name: &str) -> Result<(), SettingsError> {
    let good = (1..=200).contains(&name.len()) && !name.chars().any(char::is_control);
    if good {
        Ok(())
    } else {
        Err(SettingsError::BadStreamName)
    }
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
    fn electrum_urls() {
        for good in ["ssl://electrum.example.org:50002", "tcp://127.0.0.1:50001"] {
            assert_eq!(check_electrum_url(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "electrum.example.org:50002",
            "http://a:1",
            "ssl://a",
            "ssl://:1",
            "ssl://a:0",
        ] {
            assert!(check_electrum_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_main_network_is_refused() {
        assert_eq!(parse_network("bitcoin"), Err(SettingsError::MainNetwork));
        assert_eq!(parse_network("signet"), Ok(Network::Signet));
        assert!(parse_network("mainnet").is_err());
    }
}
