//! The sink's own signalling server: its properties, and starting it. They are webrtcsink's, whose own server is not used:
//! see [`crate::signalling_server`].

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use async_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use gst::glib;
use gst::prelude::*;

use crate::inner::Signaller;
use crate::param::{flag, optional, put, text_of};
use crate::settings::SettingsError;
use crate::signalling_server::{Options, SignallingServer, StartError};

const DEFAULT_HOST: &str = "0.0.0.0";
const DEFAULT_PORT: u32 = 8443;

/// The properties as set, unchecked.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    run: bool,
    host: Option<String>,
    port: u32,
    cert: Option<String>,
    key: Option<String>,
    headers: Option<gst::Structure>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            run: false,
            host: Some(DEFAULT_HOST.to_owned()),
            port: DEFAULT_PORT,
            cert: None,
            key: None,
            headers: None,
        }
    }
}

/// Counts from the next start on, as webrtcsink declares it.
fn text(name: &str, nick: &str, blurb: &str, default: Option<&str>) -> glib::ParamSpec {
    glib::ParamSpecString::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .build()
}

pub fn specs() -> Vec<glib::ParamSpec> {
    vec![
        /**
         * GstStreamiumPaySink:run-signalling-server:
         *
         * As of webrtcsink: whether the element runs a signalling server of its own. Default false.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        flag(
            "run-signalling-server",
            "Run signalling server",
            "Whether the element should run its own signalling server",
            false,
        ),
        /**
         * GstStreamiumPaySink:signalling-server-host:
         *
         * As of webrtcsink: the address that the own signalling server listens on. Default 0.0.0.0, which is all.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text(
            "signalling-server-host",
            "Signalling server host",
            "Address the element's own signalling server should listen on",
            Some(DEFAULT_HOST),
        ),
        /**
         * GstStreamiumPaySink:signalling-server-port:
         *
         * As of webrtcsink: the port number that the own signalling server listens on. 1 to 65,535; default 8,443.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        glib::ParamSpecUInt::builder("signalling-server-port")
            .nick("Signalling server port")
            .blurb("Port the element's own signalling server should listen on")
            .minimum(1)
            .maximum(u16::MAX.into())
            .default_value(DEFAULT_PORT)
            .build(),
        /**
         * GstStreamiumPaySink:signalling-server-cert:
         *
         * As of webrtcsink: the file with the own signalling server's TLS certificate, as PEM. Not set by default.
         * With it #GstStreamiumPaySink:signalling-server-key must be set; links then begin with streamiums://.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text(
            "signalling-server-cert",
            "Signalling server certificate",
            "File with the TLS certificate, as PEM, of the element's own signalling server",
            None,
        ),
        /**
         * GstStreamiumPaySink:signalling-server-key:
         *
         * As of webrtcsink: the file with the own signalling server's private key, as PEM. Not set by default.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        text(
            "signalling-server-key",
            "Signalling server private key",
            "File with the private key, as PEM, of the element's own signalling server",
            None,
        ),
        /**
         * GstStreamiumPaySink:signalling-server-headers:
         *
         * As of webrtcsink: HTTP headers that the own signalling server adds to its answers in the handshake, a
         * field each. Not set by default.
         * Can be set in NULL and READY.
         *
         * Since: 0.1
         */
        glib::ParamSpecBoxed::builder::<gst::Structure>("signalling-server-headers")
            .nick("Signalling server headers")
            .blurb("HTTP headers of the handshake with the signalling server")
            .build(),
    ]
}

impl ServerSettings {
    /// Takes a property; false if it is none of these.
    pub fn set(&mut self, name: &str, value: &glib::Value) -> bool {
        match name {
            "run-signalling-server" => put(&mut self.run, value),
            "signalling-server-host" => self.host = optional(value),
            "signalling-server-port" => put(&mut self.port, value),
            "signalling-server-cert" => self.cert = optional(value),
            "signalling-server-key" => self.key = optional(value),
            "signalling-server-headers" => put(&mut self.headers, value),
            _ => return false,
        }
        true
    }

    pub fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "run-signalling-server" => self.run.to_value(),
            "signalling-server-host" => self.host.to_value(),
            "signalling-server-port" => self.port.to_value(),
            "signalling-server-cert" => self.cert.to_value(),
            "signalling-server-key" => self.key.to_value(),
            "signalling-server-headers" => self.headers.to_value(),
            _ => return None,
        })
    }

    /// What is to be run, if anything.
    pub fn check(&self) -> Result<Option<Options>, SettingsError> {
        if !self.run {
            return Ok(None);
        }
        let host = self.host.as_deref().ok_or(SettingsError::NoSignallingHost)?;
        let tls = match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(SettingsError::HalfOfTls),
        };
        Ok(Some(Options {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: u16::try_from(self.port).unwrap_or(u16::MAX),
            tls,
            headers: self.headers.iter().flat_map(headers).collect::<Result<_, _>>()?,
        }))
    }
}

fn headers(
    headers: &gst::Structure,
) -> impl Iterator<Item = Result<(HeaderName, HeaderValue), SettingsError>> {
    headers.iter().map(|(name, value)| {
        let header = HeaderName::from_bytes(name.as_bytes()).ok();
        let value = text_of(value).and_then(|text| HeaderValue::from_str(&text).ok());
        header
            .zip(value)
            .ok_or_else(|| SettingsError::BadHeader(name.to_string()))
    })
}

/// Starts it, and has the signaller join it.
pub fn start(options: &Options, signaller: &Signaller) -> Result<SignallingServer, String> {
    let Options { host, port, .. } = options;
    let server = SignallingServer::start(options).map_err(|reason| {
        let what_to_do = match reason {
            StartError::Address(_) => {
                "set signalling-server-host and signalling-server-port to an address of this machine that is free"
            }
            StartError::Tls(_) => {
                "set signalling-server-cert to a certificate and signalling-server-key to its private key, both in \
                 PEM format"
            }
            StartError::System(_) => "try again",
        };
        format!("The signalling server could not be started at {host}:{port} ({reason}): {what_to_do}.")
    })?;
    signaller.set_uri(&uri(options));
    Ok(server)
}

/// Where this machine finds it.
fn uri(options: &Options) -> String {
    let scheme = if options.tls.is_some() { "wss" } else { "ws" };
    let host = match options.host.as_str() {
        "0.0.0.0" => "127.0.0.1".to_owned(),
        "::" => "[::1]".to_owned(),
        host if host.contains(':') => format!("[{host}]"),
        host => host.to_owned(),
    };
    format!("{scheme}://{host}:{}", options.port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(change: impl FnOnce(&mut ServerSettings)) -> Result<Option<Options>, SettingsError> {
        let mut settings = ServerSettings {
            run: true,
            ..ServerSettings::default()
        };
        change(&mut settings);
        settings.check()
    }

    #[test]
    fn it_runs_only_when_told_and_is_found_from_this_machine() {
        assert_eq!(with(|s| s.run = false), Ok(None));
        let uris = [
            ("0.0.0.0", "ws://127.0.0.1:8443"),
            ("[::]", "ws://[::1]:8443"),
            ("::", "ws://[::1]:8443"),
            ("fd00::1", "ws://[fd00::1]:8443"),
            ("example.org", "ws://example.org:8443"),
        ];
        for (host, expected) in uris {
            let options = with(|s| s.host = Some(host.to_owned())).unwrap().unwrap();
            assert_eq!(uri(&options), expected);
        }
    }

    #[test]
    fn half_of_tls_and_bad_headers_are_refused() {
        let file = || Some("x.pem".to_owned());
        assert_eq!(with(|s| s.host = None), Err(SettingsError::NoSignallingHost));
        assert_eq!(with(|s| s.cert = file()), Err(SettingsError::HalfOfTls));
        assert_eq!(with(|s| s.key = file()), Err(SettingsError::HalfOfTls));
        let both = with(|s| (s.cert, s.key) = (file(), file())).unwrap().unwrap();
        assert_eq!(uri(&both), "wss://127.0.0.1:8443");

        gst::init().unwrap();
        let headers = |value: &str| {
            let headers = gst::Structure::builder("headers").field("x-served-by", value);
            with(|s| s.headers = Some(headers.build()))
        };
        let good = headers("us").unwrap().unwrap().headers;
        assert_eq!(
            (good[0].0.as_str(), good[0].1.to_str().unwrap()),
            ("x-served-by", "us")
        );
        assert_eq!(
            headers("a\nb"),
            Err(SettingsError::BadHeader("x-served-by".to_owned()))
        );
    }
}
