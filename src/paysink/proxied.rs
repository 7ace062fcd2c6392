//! The properties of webrtcsink's that `streamiumpaysink` shows under the same names.

use crate::inner::{Kind, Proxied, Table};

/// See [`Table`]. `meta` is not here: the stream's name is merged into it.
pub static TABLE: Table = Table(&[
    Proxied {
        name: "run-signalling-server",
        nick: "Run signalling server",
        blurb: "Whether the element should run its own signalling server",
        kind: Kind::Bool(false),
    },
    Proxied {
        name: "signalling-server-host",
        nick: "Signalling server host",
        blurb: "Address the element's own signalling server should listen on",
        kind: Kind::Str(Some("0.0.0.0")),
    },
    Proxied {
        name: "signalling-server-port",
        nick: "Signalling server port",
        blurb: "Port the element's own signalling server should listen on",
        kind: Kind::UInt {
            min: 1,
            max: 65_535,
            default: 8443,
        },
    },
    Proxied {
        name: "stun-server",
        nick: "STUN server",
        blurb: "The STUN server of the form stun://host:port; \"none\" for none, as on a closed network",
        kind: Kind::Str(Some("stun://stun.l.google.com:19302")),
    },
    Proxied {
        name: "turn-servers",
        nick: "TURN servers",
        blurb: "The TURN servers of the form <\"turn(s)://user:password@host:port\", ...>",
        kind: Kind::Strings,
    },
    Proxied {
        name: "video-caps",
        nick: "Video encoder caps",
        blurb: "Which video codecs are offered, as caps",
        kind: Kind::Caps,
    },
    Proxied {
        name: "audio-caps",
        nick: "Audio encoder caps",
        blurb: "Which audio codecs are offered, as caps",
        kind: Kind::Caps,
    },
    Proxied {
        name: "congestion-control",
        nick: "Congestion control",
        blurb: "How congestion is controlled: disabled, homegrown or gcc",
        kind: Kind::Nick {
            nicks: &["disabled", "homegrown", "gcc"],
            default: "gcc",
        },
    },
    Proxied {
        name: "min-bitrate",
        nick: "Minimal bitrate",
        blurb: "The least that congestion control goes down to, in bit/s",
        kind: Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 1_000,
        },
    },
    Proxied {
        name: "max-bitrate",
        nick: "Maximal bitrate",
        blurb: "The most that congestion control goes up to, in bit/s",
        kind: Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 8_192_000,
        },
    },
    Proxied {
        name: "start-bitrate",
        nick: "Start bitrate",
        blurb: "The bitrate each consumer starts with, in bit/s",
        kind: Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 2_048_000,
        },
    },
    Proxied {
        name: "do-fec",
        nick: "Do forward error correction",
        blurb: "Whether forward error correction data should be negotiated and sent",
        kind: Kind::Bool(true),
    },
    Proxied {
        name: "do-retransmission",
        nick: "Do retransmission",
        blurb: "Whether to honour retransmission requests",
        kind: Kind::Bool(true),
    },
]);
