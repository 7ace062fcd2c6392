//! The properties of webrtcsrc's that `streamiumpaysrc` shows under the same names.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use crate::inner::{Kind, LeftOut, Part, Proxied, Table, When};

/// See [`Table`].
pub static TABLE: Table = Table(&[ROWS]);

/// See [`LeftOut`].
pub static LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        part: Part::Property,
        name: "connect-to-first-producer",
        why: "the link says which producer it is, and only one that proves the link's key is taken",
    },
    LeftOut {
        part: Part::PadTemplate,
        name: "req_video_%u",
        why: "the link's provider says which tracks there are; they come as sometimes pads",
    },
    LeftOut {
        part: Part::PadTemplate,
        name: "req_audio_%u",
        why: "the link's provider says which tracks there are; they come as sometimes pads",
    },
    LeftOut {
        part: Part::Signaller,
        name: "uri",
        why: "the link says where the signalling server is",
    },
    LeftOut {
        part: Part::Signaller,
        name: "producer-peer-id",
        why: "all producers of the link's name are tried until one proves the link's key",
    },
    LeftOut {
        part: Part::Signaller,
        name: "role",
        why: "a source is a consumer",
    },
];

/// What is received, and how.
static ROWS: &[Proxied] = &[
    /**
     * GstStreamiumPaySrc:stun-server:
     *
     * As of webrtcsrc: stun://host:port; "none" or an empty string for none, as on a closed network. Default
     * stun://stun.l.google.com:19302.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "stun-server",
        "STUN server",
        "The STUN server of the form stun://host:port; \"none\" for none, as on a closed network",
        Kind::Url {
            default: "stun://stun.l.google.com:19302",
            schemes: &["stun"],
            optional: true,
        },
    ),
    /**
     * GstStreamiumPaySrc:turn-servers:
     *
     * As of webrtcsrc: turn://user:password@host:port, or turns://, several as an array. None by default.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "turn-servers",
        "TURN servers",
        "The TURN servers of the form <\"turn(s)://user:password@host:port\", ...>",
        Kind::Strings,
    ),
    /**
     * GstStreamiumPaySrc:video-codecs:
     *
     * As of webrtcsrc: the names of the video codecs to accept, as an array. Default: all that GStreamer can
     * decode.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "video-codecs",
        "Video codecs",
        "Names of the video codecs to accept, as <VP8, H264>",
        Kind::Strings,
    ),
    /**
     * GstStreamiumPaySrc:audio-codecs:
     *
     * As of webrtcsrc: the names of the audio codecs to accept, as an array. Default: OPUS.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "audio-codecs",
        "Audio codecs",
        "Names of the audio codecs to accept, as <OPUS>",
        Kind::Strings,
    ),
    /**
     * GstStreamiumPaySrc:do-retransmission:
     *
     * As of webrtcsrc: whether lost packets are asked for again. Default true.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "do-retransmission",
        "Do retransmission",
        "Whether lost packets should be asked for again",
        Kind::Bool(true),
    ),
    /**
     * GstStreamiumPaySrc:enable-data-channel-navigation:
     *
     * As of webrtcsrc, which deprecates it for #GstStreamiumPaySrc:enable-control-data-channel: whether mouse
     * and keyboard events are sent to the provider. Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "enable-data-channel-navigation",
        "Enable data channel navigation",
        "Whether navigation events are sent to the provider, by a data channel",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySrc:enable-control-data-channel:
     *
     * As of webrtcsrc 0.14 and later: whether events are sent to the provider, navigation among them. Default
     * false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "enable-control-data-channel",
        "Enable control data channel",
        "Whether events are sent to the provider, by a data channel",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySrc:meta:
     *
     * As of webrtcsrc: metadata about the consumer for the signalling server. Not set by default.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "meta",
        "Meta",
        "Free form metadata about the consumer",
        Kind::Structure,
    ),
    /**
     * GstStreamiumPaySrc:signaller:
     *
     * A signaller that never runs, as the child "signaller" is: its properties are taken over for each
     * connection, which has a signaller of its own.
     * Read-only.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signaller",
        "Signaller",
        "The signaller's settings; its properties are at signaller::",
        Kind::Object,
    )
    .when(When::Never),
];
