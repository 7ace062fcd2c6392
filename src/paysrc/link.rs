//! A stream's link, as far as the element needs it. The channel crate will have the type for all.

use percent_encoding::percent_decode_str;

use crate::settings::{check_stream_name, parse_host_port};

/// The signalling server's port where a link has none.
pub const DEFAULT_PORT: u16 = 8443;

/// `streamium://HOST:PORT/NAME?key=HEX`, or `streamiums://` for a signalling server with TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub host: String,
    pub port: u16,
    pub tls: bool,
    pub stream_name: String,
    /// The provider's identity key, 64 hexadecimal digits. Without one only a free stream can be watched, since
    /// no terms can be verified.
    pub key: Option<String>,
}

impl Link {
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("it has no scheme")?;
        let tls = match scheme {
            "streamium" => false,
            "streamiums" => true,
            _ => return Err("its scheme is neither streamium nor streamiums"),
        };
        let (rest, query) = rest
            .split_once('?')
            .map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (address, name) = rest.split_once('/').ok_or("it has no stream name")?;
        let (host, port) = parse_host_port(address).ok_or("its host or port is not one")?;
        let stream_name = percent_decode_str(name)
            .decode_utf8()
            .map_err(|_| "its stream name is not UTF-8")?
            .into_owned();
        check_stream_name(&stream_name)
            .map_err(|_| "its stream name is empty, too long or has control characters")?;
        let key = query
            .and_then(|query| query.split('&').find_map(|pair| pair.strip_prefix("key=")))
            .map(ToOwned::to_owned);
        if key
            .as_ref()
            .is_some_and(|key| key.len() != 64 || !key.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err("its key is not 64 hexadecimal digits");
        }
        Ok(Self {
            host,
            port: port.unwrap_or(DEFAULT_PORT),
            tls,
            stream_name,
            key,
        })
    }

    /// Where the signalling server is.
    pub fn signalling_uri(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_link_apart() {
        let key = "ab".repeat(32);
        let link = Link::parse(&format!("streamiums://example.org:9000/my%20talk?key={key}")).unwrap();
        assert_eq!(
            (link.host.as_str(), link.port, link.tls),
            ("example.org", 9000, true)
        );
        assert_eq!(link.stream_name, "my talk");
        assert_eq!(link.key, Some(key));
        assert_eq!(link.signalling_uri(), "wss://example.org:9000");
        let link = Link::parse("streamium://[::1]/talk").unwrap();
        assert_eq!(link.signalling_uri(), "ws://[::1]:8443");
    }

    #[test]
    fn refuses_what_is_none() {
        let bad = [
            "",
            "example.org/talk",
            "http://example.org/talk",
            "streamium://example.org",
            "streamium://example.org/",
            "streamium:///talk",
            "streamium://example.org:0/talk",
            "streamium://example.org/%ff",
            "streamium://example.org/talk?key=",
            "streamium://example.org/talk?key=zz",
        ];
        for text in bad {
            assert!(Link::parse(text).is_err(), "{text}");
        }
    }
}
