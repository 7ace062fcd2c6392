//! The link that viewers open: where the signalling server is, and whose stream it is.

use bitcoin::XOnlyPublicKey;
use gst::glib;
use streamium_channel::link::Link;

use super::renewal::Inner;
use super::settings::Checked;
use crate::report::{Report, sats};
use crate::session::provider::PaidOptions;

/// The link of a stream that is about to begin.
pub fn make(inner: &Inner, checked: &Checked, key: XOnlyPublicKey) -> Link {
    let (host, port) = match &checked.link_address {
        Some((host, port)) => (host.trim_matches(['[', ']']).to_owned(), *port),
        None => (own_address(), None),
    };
    let (tls, signalling_port) = server(inner);
    Link {
        tls,
        host,
        port: port.unwrap_or(signalling_port),
        stream: checked.options.stream.clone(),
        key,
    }
}

/// What is said of it.
pub fn report(link: &Link, paid: Option<&PaidOptions>) -> Report {
    let price = match paid {
        None => "is free".to_owned(),
        Some(paid) => format!("costs {} an hour", sats(paid.rate.per_hour())),
    };
    Report::new("link")
        .text_field("link", link)
        .text_field("public-key", link.key)
        .say(format!("\"{}\" {price}. Viewers open {link}", link.stream))
}

/// Whether the signalling server speaks TLS, and its port: by the signaller's uri.
fn server(inner: &Inner) -> (bool, u16) {
    const DEFAULT_PORT: u16 = 8443;
    let Some(signaller) = inner.signaller() else {
        return (false, DEFAULT_PORT);
    };
    let uri = signaller.uri().unwrap_or_default();
    let tls = uri.starts_with("wss://");
    let default = if tls { 443 } else { 80 };
    let authority = uri
        .split_once("://")
        .map_or("", |(_, rest)| rest)
        .split('/')
        .next()
        .unwrap_or_default();
    let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
    (tls, port.unwrap_or(default))
}

/// The host that a link names when nothing is set: this machine's address towards the world, which is asked of the
/// routing table; no packet is sent.
fn own_address() -> String {
    let address = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    address.map_or_else(
        |_| glib::host_name().to_string(),
        |address| address.ip().to_string(),
    )
}
