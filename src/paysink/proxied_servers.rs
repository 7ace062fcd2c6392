//! The part of [`super::proxied`] that is about the servers that webrtcsink can run.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use crate::inner::{Kind, Proxied, When};

/// The own signalling and web servers.
pub static SERVERS: &[Proxied] = &[
    /**
     * GstStreamiumPaySink:run-signalling-server:
     *
     * As of webrtcsink 0.14 and later: whether the element runs a signalling server of its own. Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "run-signalling-server",
        "Run signalling server",
        "Whether the element should run its own signalling server",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySink:signalling-server-host:
     *
     * As of webrtcsink: the address that the own signalling server listens on. Default 0.0.0.0, which is all.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signalling-server-host",
        "Signalling server host",
        "Address the element's own signalling server should listen on",
        Kind::Text("0.0.0.0"),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:signalling-server-port:
     *
     * As of webrtcsink: the port that the own signalling server listens on. 1 to 65,535; default 8443.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signalling-server-port",
        "Signalling server port",
        "Port the element's own signalling server should listen on",
        Kind::UInt {
            min: 1,
            max: 65_535,
            default: 8443,
        },
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:signalling-server-cert:
     *
     * As of webrtcsink: the file with the own signalling server's TLS certificate, as PEM. Not set by default.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signalling-server-cert",
        "Signalling server certificate",
        "File with the TLS certificate, as PEM, of the element's own signalling server",
        Kind::Str(None),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:signalling-server-key:
     *
     * As of webrtcsink: the file with the own signalling server's private key, as PEM. Not set by default.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signalling-server-key",
        "Signalling server private key",
        "File with the private key, as PEM, of the element's own signalling server",
        Kind::Str(None),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:signalling-server-headers:
     *
     * As of webrtcsink 0.15 and later: HTTP headers for the handshake, a field each. Not set by default.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signalling-server-headers",
        "Signalling server headers",
        "HTTP headers of the handshake with the signalling server",
        Kind::Structure,
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:run-web-server:
     *
     * As of webrtcsink 0.14 and later: whether the element serves #GstStreamiumPaySink:web-server-directory.
     * Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "run-web-server",
        "Run web server",
        "Whether the element should run a web server",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySink:web-server-cert:
     *
     * As of webrtcsink: the file with the web server's TLS certificate, as PEM. Not set by default.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "web-server-cert",
        "Web server certificate",
        "File with the TLS certificate, as PEM, of the element's own web server",
        Kind::Str(None),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:web-server-key:
     *
     * As of webrtcsink: the file with the web server's private key, as PEM. Not set by default.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "web-server-key",
        "Web server private key",
        "File with the private key, as PEM, of the element's own web server",
        Kind::Str(None),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:web-server-path:
     *
     * As of webrtcsink: the path below which the web server serves the directory. Not set by default: the
     * root.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "web-server-path",
        "Web server path",
        "The root path of the element's own web server",
        Kind::Str(None),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:web-server-directory:
     *
     * As of webrtcsink: the directory that the web server serves. Default gstwebrtc-api/dist.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "web-server-directory",
        "Web server directory",
        "The directory that the element's own web server serves",
        Kind::Text("gstwebrtc-api/dist"),
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:web-server-host-addr:
     *
     * As of webrtcsink: the address that the web server listens on. Default http://127.0.0.1:8080.
     * Counts from the next start on.
     *
     * Since: 0.1
     */
    Proxied::new(
        "web-server-host-addr",
        "Web server address",
        "The address that the element's own web server listens on, http://host:port",
        Kind::Url {
            default: "http://127.0.0.1:8080",
            schemes: &["http", "https"],
            optional: false,
        },
    )
    .when(When::Unsaid),
];
