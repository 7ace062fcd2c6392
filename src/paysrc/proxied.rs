//! The properties of webrtcsrc's that `streamiumpaysrc` shows under the same names.

use crate::inner::{Kind, Proxied, Table};

/// See [`Table`].
pub static TABLE: Table = Table(&[
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
        name: "video-codecs",
        nick: "Video codecs",
        blurb: "Names of the video codecs to accept, as <VP8, H264>",
        kind: Kind::Strings,
    },
    Proxied {
        name: "audio-codecs",
        nick: "Audio codecs",
        blurb: "Names of the audio codecs to accept, as <OPUS>",
        kind: Kind::Strings,
    },
    Proxied {
        name: "do-retransmission",
        nick: "Do retransmission",
        blurb: "Whether lost packets should be asked for again",
        kind: Kind::Bool(true),
    },
]);
