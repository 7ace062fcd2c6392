//! The signals of `streamiumpaysink`: webrtcsink's, and its own.

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use std::sync::LazyLock;

use glib::subclass::Signal;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::{StreamiumPaySink, own_signals};
use crate::inner::{Answer, Forwarded, Signals};

/// Those of webrtcsink's, see [`Signals`]. What a handler must not do is in docs/elements.md.
pub static TABLE: Signals = Signals(&[
    /**
     * GstStreamiumPaySink::consumer-added:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id at the signalling server
     * @webrtcbin: the new webrtcbin, in READY
     *
     * As of webrtcsink: a consumer's webrtcbin is there, before anything is negotiated. The data channel of the
     * payments has been made. The consumer has not paid yet: nothing is sent to it.
     *
     * Since: 0.1
     */
    Forwarded {
        name: "consumer-added",
        params: &[String::static_type, gst::Element::static_type],
        answer: Answer::Nothing,
    },
    /**
     * GstStreamiumPaySink::consumer-pipeline-created:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id at the signalling server
     * @pipeline: the consumer's pipeline, still empty
     *
     * As of webrtcsink: before #GstStreamiumPaySink::consumer-added, to connect to #GstBin::deep-element-added
     * and tweak what is put into @pipeline.
     *
     * Since: 0.1
     */
    Forwarded {
        name: "consumer-pipeline-created",
        params: &[String::static_type, gst::Pipeline::static_type],
        answer: Answer::Nothing,
    },
    /**
     * GstStreamiumPaySink::consumer-removed:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id at the signalling server
     * @webrtcbin: its webrtcbin
     *
     * As of webrtcsink: a consumer's connection was dropped.
     *
     * Since: 0.1
     */
    Forwarded {
        name: "consumer-removed",
        params: &[String::static_type, gst::Element::static_type],
        answer: Answer::Nothing,
    },
    /**
     * GstStreamiumPaySink::encoder-setup:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id, or "discovery" if no consumer gets what it encodes
     * @pad_name: (type utf8): our sink pad that it encodes
     * @encoder: the new encoder
     *
     * As of webrtcsink: to set properties of @encoder.
     *
     * Returns: true if it is all set, false to let other handlers and webrtcsink's defaults follow
     *
     * Since: 0.1
     */
    Forwarded {
        name: "encoder-setup",
        params: &[
            String::static_type,
            String::static_type,
            gst::Element::static_type,
        ],
        answer: Answer::UntilTrue,
    },
    /**
     * GstStreamiumPaySink::payloader-setup:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id, or "discovery" if no consumer gets what it payloads
     * @pad_name: (type utf8): our sink pad that it is for
     * @payloader: the new payloader
     *
     * As of webrtcsink: to set properties of @payloader, but not its payload type and ssrc.
     *
     * Returns: true if it is all set, false to let other handlers and webrtcsink's defaults follow
     *
     * Since: 0.1
     */
    Forwarded {
        name: "payloader-setup",
        params: &[
            String::static_type,
            String::static_type,
            gst::Element::static_type,
        ],
        answer: Answer::UntilTrue,
    },
    /**
     * GstStreamiumPaySink::request-encoded-filter:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8) (nullable): the consumer's id, or NULL if no consumer gets what is filtered
     * @pad_name: (type utf8): our sink pad
     * @encoded_caps: the caps of what is encoded
     *
     * As of webrtcsink: to put an element between encoder and payloader. The payment's gate is before both: while
     * the consumer does not pay, the filter sees nothing.
     *
     * Returns: (nullable): the element to put there
     *
     * Since: 0.1
     */
    Forwarded {
        name: "request-encoded-filter",
        params: &[String::static_type, String::static_type, gst::Caps::static_type],
        answer: Answer::Last(gst::Element::static_type),
    },
    /**
     * GstStreamiumPaySink::define-encoder-bitrates:
     * @element: the streamiumpaysink
     * @consumer_id: (type utf8): the consumer's id
     * @overall_bitrate: what there is to share among its encoders, in bit/s
     * @bitrates: a gint for each sink pad: the encoder's bitrate in bit/s, if it is left at that
     *
     * As of webrtcsink 0.14 and later: to share a consumer's bitrate among its encoders otherwise than equally.
     *
     * Returns: a structure like @bitrates
     *
     * Since: 0.1
     */
    Forwarded {
        name: "define-encoder-bitrates",
        params: &[String::static_type, i32::static_type, gst::Structure::static_type],
        answer: Answer::First(gst::Structure::static_type),
    },
    /**
     * GstStreamiumPaySink::configure-mitigation-caps:
     * @element: the streamiumpaysink
     * @pad_name: (type utf8): our sink pad
     * @video_info: what comes in there
     * @bitrate: the encoder's new bitrate, in bit/s
     * @modes: the flags of #GstStreamiumPaySink:enable-mitigation-modes as a number: 1 downscaled, 2 downsampled
     *
     * As of webrtcsink 0.14 and later: to choose size and frame rate for a bitrate. webrtcsink has a type of its own
     * for @modes, which looks the same to a handler in C.
     *
     * Returns: caps with the height or the framerate to encode at, or without for no change
     *
     * Since: 0.1
     */
    Forwarded {
        name: "configure-mitigation-caps",
        params: &[
            String::static_type,
            gst_video::VideoInfo::static_type,
            i32::static_type,
            u32::static_type,
        ],
        answer: Answer::First(gst::Caps::static_type),
    },
]);

pub fn signals() -> &'static [Signal] {
    static SIGNALS: LazyLock<Vec<Signal>> = LazyLock::new(|| {
        TABLE
            .specs()
            .chain(actions())
            .chain(own_signals::declarations())
            .collect()
    });
    &SIGNALS
}

/// Action signals of webrtcsink's.
fn actions() -> Vec<Signal> {
    vec![
        /**
         * GstStreamiumPaySink::get-sessions:
         * @element: the streamiumpaysink
         *
         * As of webrtcsink: an action signal.
         *
         * Returns: (array zero-terminated=1): the ids of all sessions, paid or not
         *
         * Since: 0.1
         */
        Signal::builder(GET_SESSIONS)
            .action()
            .return_type::<Vec<String>>()
            .class_handler(|values| Some(sessions(values).to_value()))
            .build(),
    ]
}

const GET_SESSIONS: &str = "get-sessions";

/// None if there is no webrtcsink, or one too old to say.
fn sessions(values: &[glib::Value]) -> Vec<String> {
    let element = values
        .first()
        .and_then(|value| value.get::<StreamiumPaySink>().ok());
    element
        .as_ref()
        .and_then(|element| element.imp().inner())
        .filter(|inner| glib::subclass::SignalId::lookup(GET_SESSIONS, inner.type_()).is_some())
        .map_or_else(Vec::new, |inner| inner.emit_by_name(GET_SESSIONS, &[]))
}
