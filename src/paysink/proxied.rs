//! The properties of webrtcsink's that `streamiumpaysink` shows under the same names.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use super::proxied_servers::SERVERS;
use crate::inner::{Kind, LeftOut, Part, Proxied, Table, When};

/// See [`Table`].
pub static TABLE: Table = Table(&[MEDIA, SERVERS]);

/// See [`LeftOut`].
pub static LEFT_OUT: &[LeftOut] = &[
    LeftOut {
        part: Part::Property,
        name: "meta",
        why: "the sink has its own, into which the stream's name is merged",
    },
    LeftOut {
        part: Part::Property,
        name: "stats",
        why: "the sink has its own, with webrtcsink's beside",
    },
    server("run-signalling-server"),
    server("signalling-server-host"),
    server("signalling-server-port"),
    server("signalling-server-cert"),
    server("signalling-server-key"),
    server("signalling-server-headers"),
];

const fn server(name: &'static str) -> LeftOut {
    LeftOut {
        part: Part::Property,
        name,
        why: "the sink has the same, for a signalling server that one client can't stop",
    }
}

/// What is sent, and how.
static MEDIA: &[Proxied] = &[
    /**
     * GstStreamiumPaySink:video-caps:
     *
     * As of webrtcsink: the video codecs that are offered, as caps. Default: all that GStreamer can encode.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "video-caps",
        "Video encoder caps",
        "Which video codecs are offered, as caps",
        Kind::Caps,
    ),
    /**
     * GstStreamiumPaySink:audio-caps:
     *
     * As of webrtcsink: the audio codecs that are offered, as caps. Default: audio/x-opus.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "audio-caps",
        "Audio encoder caps",
        "Which audio codecs are offered, as caps",
        Kind::Caps,
    ),
    /**
     * GstStreamiumPaySink:stun-server:
     *
     * As of webrtcsink: stun://host:port; "none" or an empty string for none, as on a closed network. Default
     * stun://stun.l.google.com:19302.
     * Counts from the next start on.
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
    )
    .when(When::Unsaid),
    /**
     * GstStreamiumPaySink:turn-servers:
     *
     * As of webrtcsink: turn://user:password@host:port, or turns://, several as an array. None by default.
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
     * GstStreamiumPaySink:ice-transport-policy:
     *
     * As of webrtcsink: all (default), or relay for TURN servers only.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "ice-transport-policy",
        "ICE transport policy",
        "Which ways to a consumer ICE may take: all, or relay for TURN servers only",
        Kind::IcePolicy,
    ),
    /**
     * GstStreamiumPaySink:congestion-control:
     *
     * As of webrtcsink, but as text: disabled, homegrown or gcc (default).
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "congestion-control",
        "Congestion control",
        "How congestion is controlled: disabled, homegrown or gcc",
        Kind::Nick {
            nicks: &["disabled", "homegrown", "gcc"],
            default: "gcc",
        },
    ),
    /**
     * GstStreamiumPaySink:min-bitrate:
     *
     * As of webrtcsink: the least that congestion control goes down to, in bit/s, from 1; default 1,000.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "min-bitrate",
        "Minimal bitrate",
        "The least that congestion control goes down to, in bit/s",
        Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 1_000,
        },
    ),
    /**
     * GstStreamiumPaySink:max-bitrate:
     *
     * As of webrtcsink: the most that congestion control goes up to, in bit/s, from 1; default 8,192,000.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "max-bitrate",
        "Maximal bitrate",
        "The most that congestion control goes up to, in bit/s",
        Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 8_192_000,
        },
    ),
    /**
     * GstStreamiumPaySink:start-bitrate:
     *
     * As of webrtcsink: what each consumer starts with, in bit/s, from 1; default 2,048,000.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "start-bitrate",
        "Start bitrate",
        "The bitrate each consumer starts with, in bit/s",
        Kind::UInt {
            min: 1,
            max: u32::MAX,
            default: 2_048_000,
        },
    ),
    /**
     * GstStreamiumPaySink:enable-mitigation-modes:
     *
     * As of webrtcsink 0.14 and later, but as text: what congestion control may lower besides the bitrate:
     * "downscaled" (size), "downsampled" (frame rate), "downscaled+downsampled" (default) or "none".
     * Can be set at any time.
     *
     * Since: 0.1
     */
    Proxied::new(
        "enable-mitigation-modes",
        "Mitigation modes",
        "How video is made smaller at low bitrates: downscaled, downsampled, both with + between, or none",
        Kind::Nicks {
            nicks: &["downscaled", "downsampled"],
            default: "downscaled+downsampled",
        },
    )
    .when(When::Playing),
    /**
     * GstStreamiumPaySink:do-fec:
     *
     * As of webrtcsink: whether forward error correction is negotiated and sent. Default true.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "do-fec",
        "Do forward error correction",
        "Whether forward error correction data should be negotiated and sent",
        Kind::Bool(true),
    ),
    /**
     * GstStreamiumPaySink:do-retransmission:
     *
     * As of webrtcsink: whether requests for retransmission are honoured. Default true.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "do-retransmission",
        "Do retransmission",
        "Whether to honour retransmission requests",
        Kind::Bool(true),
    ),
    /**
     * GstStreamiumPaySink:do-clock-signalling:
     *
     * As of webrtcsink: whether the clock is signalled according to RFC 7273. Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "do-clock-signalling",
        "Do clock signalling",
        "Whether PTP or NTP clock and RTP/clock offset should be signalled according to RFC 7273",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySink:enable-data-channel-navigation:
     *
     * As of webrtcsink, which deprecates it for #GstStreamiumPaySink:enable-control-data-channel: whether
     * mouse and keyboard events of consumers reach the pipeline. They do from everyone who is connected, paid
     * or not. Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "enable-data-channel-navigation",
        "Enable data channel navigation",
        "Whether navigation events of consumers reach the pipeline, by a data channel",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySink:enable-control-data-channel:
     *
     * As of webrtcsink 0.14 and later: whether events of consumers reach the pipeline, navigation among them.
     * They do from everyone who is connected, paid or not. Default false.
     * Can be set in NULL and READY.
     *
     * Since: 0.1
     */
    Proxied::new(
        "enable-control-data-channel",
        "Enable control data channel",
        "Whether events of consumers reach the pipeline, by a data channel",
        Kind::Bool(false),
    ),
    /**
     * GstStreamiumPaySink:forward-metas:
     *
     * As of webrtcsink 0.14 and later: the buffer metas, separated by commas, that the control data channel
     * carries; it knows "timecode". Default: none.
     * Can be set at any time.
     *
     * Since: 0.1
     */
    Proxied::new(
        "forward-metas",
        "Forward metas",
        "Comma-separated list of buffer metas to forward over the control data channel: timecode",
        Kind::Text(""),
    )
    .when(When::Playing),
    /**
     * GstStreamiumPaySink:signaller:
     *
     * webrtcsink's signaller, as its child "signaller" is: for its properties and signals. It can't be
     * exchanged for another, since the sink counts on how it ends sessions.
     * Read-only.
     *
     * Since: 0.1
     */
    Proxied::new(
        "signaller",
        "Signaller",
        "The signaller; its properties are at signaller::",
        Kind::Object,
    )
    .when(When::Never),
];
