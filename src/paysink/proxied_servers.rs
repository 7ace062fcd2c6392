//! The part of [`super::proxied`] that is about the web server that webrtcsink can run.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use crate::inner::{Kind, Proxied, When};

/// The own web server.
pub static SERVERS: &[Proxied] = &[
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
