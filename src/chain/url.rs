//! Where the servers are: `tcp://host:port`, `ssl://host:port`, and a `socks5://host:port` before them.

use std::fmt;

/// How a server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// In the clear.
    Tcp,
    /// TLS, with a certificate that a public authority signed for the host.
    Ssl,
}

/// The address of an Electrum server.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElectrumUrl {
    pub transport: Transport,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    pub port: u16,
}

/// The address of a SOCKS 5 proxy (Tor, for one), which also looks up the servers' names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Socks5Proxy {
    pub host: String,
    pub port: u16,
}

/// Why an address was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerUrlError {
    #[error("no Electrum server is given")]
    Empty,
    #[error("`{url}` must begin with {expected}")]
    Scheme { url: String, expected: &'static str },
    /// There is no default: 50001 and 50002 mean mainnet, and other networks have no common port.
    #[error("`{url}` lacks a port: write host:port")]
    MissingPort { url: String },
    #[error("`{url}`: the port must be a number from 1 to 65535")]
    Port { url: String },
    #[error("`{url}`: `{host}` is not a host name or address (write an IPv6 address in brackets)")]
    Host { url: String, host: String },
}

/// Reads a list of servers, separated by commas, semicolons or white space. One given twice counts once.
pub fn parse_servers(list: &str) -> Result<Vec<ElectrumUrl>, ServerUrlError> {
    let mut servers = Vec::new();
    for url in list
        .split([',', ';', ' ', '\t', '\n', '\r'])
        .filter(|url| !url.is_empty())
    {
        let server = url.parse()?;
        if !servers.contains(&server) {
            servers.push(server);
        }
    }
    if servers.is_empty() {
        Err(ServerUrlError::Empty)
    } else {
        Ok(servers)
    }
}

/// Reads the address of a proxy; an empty one means none.
pub fn parse_proxy(url: &str) -> Result<Option<Socks5Proxy>, ServerUrlError> {
    match url.trim() {
        "" => Ok(None),
        url => url.parse().map(Some),
    }
}

impl std::str::FromStr for ElectrumUrl {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let (transport, rest) = if let Some(rest) = url.strip_prefix("tcp://") {
            (Transport::Tcp, rest)
        } else if let Some(rest) = url.strip_prefix("ssl://") {
            (Transport::Ssl, rest)
        } else {
            return Err(ServerUrlError::Scheme {
                url: url.to_owned(),
                expected: "tcp:// or ssl://",
            });
        };
        let (host, port) = parse_host_port(url, rest)?;
        Ok(Self {
            transport,
            host,
            port,
        })
    }
}

impl std::str::FromStr for Socks5Proxy {
    type Err = ServerUrlError;

    fn from_str(url: &str) -> Result<Self, ServerUrlError> {
        let rest = url
            .strip_prefix("socks5://")
            .ok_or_else(|| ServerUrlError::Scheme {
                url: url.to_owned(),
                expected: "socks5://",
            })?;
        let (host, port) = parse_host_port(url, rest)?;
        Ok(Self { host, port })
    }
}

fn parse_host_port(url: &str, rest: &str) -> Result<(String, u16), ServerUrlError> {
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (host, port) = match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, after)) => (host, after.strip_prefix(':')),
        None => match rest.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        },
    };
    let port = port.ok_or_else(|| ServerUrlError::MissingPort { url: url.to_owned() })?;
    if !is_host(host, rest.starts_with('[')) {
        return Err(ServerUrlError::Host {
            url: url.to_owned(),
            host: host.to_owned(),
        });
    }
    match port.parse::<u16>() {
        Ok(port) if port > 0 => Ok((host.to_owned(), port)),
        _ => Err(ServerUrlError::Port { url: url.to_owned() }),
    }
}

fn is_host(host: &str, bracketed: bool) -> bool {
    if bracketed {
        return host.parse::<std::net::Ipv6Addr>().is_ok();
    }
    !host.is_empty()
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
}

fn write_host_port(f: &mut fmt::Formatter<'_>, host: &str, port: u16) -> fmt::Result {
    if host.contains(':') {
        write!(f, "[{host}]:{port}")
    } else {
        write!(f, "{host}:{port}")
    }
}

impl fmt::Display for ElectrumUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.transport {
            Transport::Tcp => "tcp://",
            Transport::Ssl => "ssl://",
        })?;
        write_host_port(f, &self.host, self.port)
    }
}

impl fmt::Display for Socks5Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("socks5://")?;
        write_host_port(f, &self.host, self.port)
    }
}

impl Socks5Proxy {
    /// `host:port`, as electrum-client wants it.
    pub(super) fn address(&self) -> String {
        self.to_string().replacen("socks5://", "", 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(transport: Transport, host: &str, port: u16) -> ElectrumUrl {
        ElectrumUrl {
            transport,
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn reads_a_list_with_any_separator() {
        let expected = vec![
            url(Transport::Tcp, "a.example", 50001),
            url(Transport::Ssl, "b.example", 50002),
            url(Transport::Tcp, "::1", 1),
        ];
        for list in [
            "tcp://a.example:50001,ssl://b.example:50002,tcp://[::1]:1",
            " tcp://a.example:50001 ; ssl://b.example:50002/\n tcp://[::1]:1 ",
            "tcp://a.example:50001 ssl://b.example:50002 tcp://[::1]:1 tcp://a.example:50001",
        ] {
            assert_eq!(parse_servers(list).as_ref(), Ok(&expected), "{list}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for text in [
            "tcp://a.example:50001",
            "ssl://[2001:db8::1]:50002",
            "tcp://127.0.0.1:1",
        ] {
            assert_eq!(
                text.parse::<ElectrumUrl>().map(|url| url.to_string()).as_deref(),
                Ok(text)
            );
        }
    }

    #[test]
    fn says_what_is_wrong() {
        use ServerUrlError::*;
        type Check = fn(&ServerUrlError) -> bool;
        let cases: [(&str, Check); 12] = [
            ("", |e| matches!(e, Empty)),
            (" ,; ", |e| matches!(e, Empty)),
            ("a.example:50001", |e| matches!(e, Scheme { .. })),
            ("http://a.example:50001", |e| matches!(e, Scheme { .. })),
            ("tcp://a.example", |e| matches!(e, MissingPort { .. })),
            ("tcp://[::1]", |e| matches!(e, MissingPort { .. })),
            ("tcp://a.example:0", |e| matches!(e, Port { .. })),
            ("tcp://a.example:65536", |e| matches!(e, Port { .. })),
            ("tcp://a.example:50001:t", |e| matches!(e, Host { .. })),
            ("tcp://::1:50001", |e| matches!(e, Host { .. })),
            ("tcp://:50001", |e| matches!(e, Host { .. })),
            ("tcp://user@a.example:1", |e| matches!(e, Host { .. })),
        ];
        for (text, expected) in cases {
            let error = parse_servers(text).expect_err(text);
            assert!(expected(&error), "{text}: {error:?}");
        }
    }

    #[test]
    fn reads_a_proxy() {
        assert_eq!(parse_proxy("  "), Ok(None));
        let proxy = Socks5Proxy {
            host: "127.0.0.1".to_owned(),
            port: 9050,
        };
        assert_eq!(proxy.address(), "127.0.0.1:9050");
        assert_eq!(parse_proxy("socks5://127.0.0.1:9050"), Ok(Some(proxy)));
        assert!(matches!(
            parse_proxy("127.0.0.1:9050"),
            Err(ServerUrlError::Scheme { .. })
        ));
        assert!(matches!(
            parse_proxy("socks5://127.0.0.1"),
            Err(ServerUrlError::MissingPort { .. })
        ));
    }
}
