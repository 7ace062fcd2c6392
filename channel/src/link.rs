//! Links: `streamium://HOST:PORT/NAME?key=HEX` (protocol.md section 2).
//!
//! Everything a viewer needs and nothing that has to be trusted: where to ask for the stream, its name, and the
//! provider's identity key, against which the terms are checked.

use bitcoin::XOnlyPublicKey;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The longest stream name, in bytes of UTF-8.
pub const MAX_STREAM_NAME: usize = 128;

/// A parsed link.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Link {
    /// True for `streamiums://`: the signalling server speaks TLS.
    pub tls: bool,
    /// The signalling server's host: a name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// The signalling server's port.
    pub port: u16,
    /// The stream name, decoded.
    pub stream: StreamName,
    /// The provider's identity key.
    pub key: XOnlyPublicKey,
}

/// The name of a stream: 1 to [`MAX_STREAM_NAME`] bytes without control characters. It need not be
/// unique: a stream's identity is its name together with its provider's key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamName(String);

/// Why text is no stream name.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StreamNameError {
    /// Nothing there.
    #[error("the stream name is empty")]
    Empty,
    /// Too long.
    #[error("the stream name has {0} bytes; it may have {MAX_STREAM_NAME}")]
    TooLong(usize),
    /// A line break or the like.
    #[error("the stream name contains a control character")]
    Control,
}

/// Why text is no link.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LinkError {
    /// Not one of ours.
    #[error("a link begins with streamium:// or streamiums://")]
    Scheme,
    /// The host is missing or not a host.
    #[error("the link names no host: expected streamium://HOST:PORT/NAME?key=HEX")]
    Host,
    /// The port is missing or no port.
    #[error("the link's port is missing or not from 1 to 65535: expected streamium://HOST:PORT/NAME?key=HEX")]
    Port,
    /// The name does not decode.
    #[error("the link's stream name is not valid percent-encoded UTF-8")]
    Encoding,
    /// The name is no name.
    #[error("the link's name is not usable: {0}")]
    Name(#[from] StreamNameError),
    /// No key: in a shell, an unquoted `?` or `&` gets lost.
    #[error("the link has no key=… (in a shell, put the whole link in quotes)")]
    NoKey,
    /// Not a key.
    #[error("the link's key is not a valid 64-digit hexadecimal x-only public key")]
    Key,
}

impl StreamName {
    /// Checks the name.
    ///
    /// # Errors
    /// See [`StreamNameError`].
    pub fn new(name: impl Into<String>) -> Result<Self, StreamNameError> {
        let name = name.into();
        match name.len() {
            0 => Err(StreamNameError::Empty),
            length if length > MAX_STREAM_NAME => Err(StreamNameError::TooLong(length)),
            _ if name.chars().any(char::is_control) => Err(StreamNameError::Control),
            _ => Ok(Self(name)),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Link {
    /// The signalling server's address, as webrtcsrc's signaller takes it.
    pub fn signalling_uri(&self) -> String {
        let scheme = if self.tls { "wss" } else { "ws" };
        format!("{scheme}://{}:{}", self.bracketed_host(), self.port)
    }

    fn bracketed_host(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]", self.host)
        } else {
            self.host.clone()
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "streamiums" } else { "streamium" };
        write!(f, "{scheme}://{}:{}/", self.bracketed_host(), self.port)?;
        write!(
            f,
            "{}?key={}",
            utf8_percent_encode(self.stream.as_str(), ENCODED),
            self.key
        )
    }
}

impl FromStr for Link {
    type Err = LinkError;

    fn from_str(text: &str) -> Result<Self, LinkError> {
        let text = text.trim();
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("streamium") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("streamiums") => (true, rest),
            _ => return Err(LinkError::Scheme),
        };
        let (authority, path) = rest.split_once('/').ok_or(LinkError::Host)?;
        let (host, port) = parse_authority(authority)?;
        let (name, query) = path.split_once('?').ok_or(LinkError::NoKey)?;
        let stream = StreamName::new(percent_decode(name.trim_end_matches('/'))?)?;
        let key = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("key="))
            .ok_or(LinkError::NoKey)?
            .parse()
            .map_err(|_| LinkError::Key)?;
        Ok(Self {
            tls,
            host,
            port,
            stream,
            key,
        })
    }
}

fn parse_authority(authority: &str) -> Result<(String, u16), LinkError> {
    let (host, port) = authority.rsplit_once(':').ok_or(LinkError::Port)?;
    let port = port
        .parse()
        .ok()
        .filter(|port| *port != 0)
        .ok_or(LinkError::Port)?;
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(v6)) if v6.parse::<std::net::Ipv6Addr>().is_ok() => v6,
        Some(_) => return Err(LinkError::Host),
        None => host,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    let is_plain = !host.contains(':') || host.parse::<std::net::Ipv6Addr>().is_ok();
    if host.is_empty() || !host.chars().all(allowed) || !is_plain {
        return Err(LinkError::Host);
    }
    Ok((host.to_owned(), port))
}

/// RFC 3986: everything but the unreserved characters is encoded.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

fn percent_decode(text: &str) -> Result<String, LinkError> {
    percent_decode_str(text)
        .decode_utf8()
        .map(Into::into)
        .map_err(|_| LinkError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KEY: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    fn parse(text: &str) -> Result<Link, LinkError> {
        text.parse()
    }

    #[test]
    fn a_link_is_read_and_printed_alike() {
        for text in [
            format!("streamium://192.0.2.7:8443/cats?key={KEY}"),
            format!("streamiums://video.example:443/My%20cats%20%26%20dogs?key={KEY}"),
            format!("streamium://[2001:db8::1]:8443/%E7%8C%AB?key={KEY}"),
        ] {
            assert_eq!(parse(&text).unwrap().to_string(), text);
        }
        let link = parse(&format!("STREAMIUM://h:1/a?x=y&key={KEY}&z")).unwrap();
        assert_eq!(link.signalling_uri(), "ws://h:1");
        let link = parse(&format!("streamiums://[::1]:9/a?key={KEY}")).unwrap();
        assert_eq!(link.signalling_uri(), "wss://[::1]:9");
    }

    #[test]
    fn a_bad_link_says_what_is_wrong() {
        let key = format!("?key={KEY}");
        for (text, error) in [
            ("http://h:1/a".to_owned(), LinkError::Scheme),
            (String::new(), LinkError::Scheme),
            (format!("streamium://h/a{key}"), LinkError::Port),
            (format!("streamium://h:0/a{key}"), LinkError::Port),
            (format!("streamium://h:65536/a{key}"), LinkError::Port),
            (format!("streamium://:1/a{key}"), LinkError::Host),
            (format!("streamium://a b:1/a{key}"), LinkError::Host),
            (format!("streamium://[zz]:1/a{key}"), LinkError::Host),
            ("streamium://h:1".into(), LinkError::Host),
            (
                format!("streamium://h:1/{key}"),
                LinkError::Name(StreamNameError::Empty),
            ),
            (
                format!("streamium://h:1/%0a{key}"),
                LinkError::Name(StreamNameError::Control),
            ),
            (
                format!("streamium://h:1/{}{key}", "x".repeat(129)),
                LinkError::Name(StreamNameError::TooLong(129)),
            ),
            (format!("streamium://h:1/%ff{key}"), LinkError::Encoding),
            ("streamium://h:1/a".into(), LinkError::NoKey),
            ("streamium://h:1/a?k=1".into(), LinkError::NoKey),
            ("streamium://h:1/a?key=12".into(), LinkError::Key),
            (
                format!("streamium://h:1/a?key={}", "00".repeat(32)),
                LinkError::Key,
            ),
        ] {
            assert_eq!(parse(&text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives(name in "[^\\p{C}]{1,30}", port in 1u16..) {
            let link = Link {
                tls: false, host: "h".into(), port,
                stream: StreamName::new(name).unwrap(), key: KEY.parse().unwrap(),
            };
            prop_assert_eq!(parse(&link.to_string()), Ok(link));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}", tail in "[%0-9a-f:/?&=\\[\\]]{0,40}") {
            let _ = parse(&text);
            let _ = parse(&format!("streamium://{tail}"));
        }
    }
}
