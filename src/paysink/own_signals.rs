//! The signals of `streamiumpaysink`'s own; those of the inner webrtcsink are in [`super::signals`].

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use gst::glib;

use crate::catalogue;
use crate::messages::OwnSignal;

/// What the class declares.
pub fn declarations() -> impl Iterator<Item = glib::subclass::Signal> {
    TABLE.iter().map(|signal| signal.declare(&catalogue::SINK))
}

pub const TABLE: &[OwnSignal] = &[
    /**
     * GstStreamiumPaySink::channel-opened:
     * @element: the streamiumpaysink
     * @session: the consumer's session id, as webrtcsink has it
     * @outpoint: the channel's output, TXID:VOUT
     * @capacity_sat: what the consumer has locked in it, in satoshi
     *
     * A consumer has committed. Until the commitment is confirmed its payments count up to
     * #GstStreamiumPaySink:unconfirmed-limit.
     *
     * All own signals, and notify, are emitted in the order in which things happen, from one thread that does nothing else: a
     * handler may take its time, query and set properties, and post to a main loop, but one that waits for a state
     * change of the pipeline's, or for ever, gets no further signals. 1,024 wait for it; what comes then is lost, with a
     * WARNING. No handler delays a payment, and messages on the bus are never lost.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "channel-opened",
        report: "channel",
        only_with: Some("capacity-sat"),
        arguments: &["session", "outpoint", "capacity-sat"],
    },
    /**
     * GstStreamiumPaySink::payment:
     * @element: the streamiumpaysink
     * @session: the consumer's session id
     * @outpoint: the channel's output, TXID:VOUT
     * @balance_sat: what the channel has paid in all, in satoshi
     * @added_sat: what is new, in satoshi
     *
     * A payment was checked and credited.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "payment",
        report: "payment",
        only_with: None,
        arguments: &["session", "outpoint", "balance-sat", "added-sat"],
    },
    /**
     * GstStreamiumPaySink::gate:
     * @element: the streamiumpaysink
     * @session: the consumer's session id
     * @state: open, unpaid, starved, unconfirmed, paused, silent or closed
     *
     * Media to a consumer flows (open), or not any more and why. Not emitted for a free stream.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "gate",
        report: "gate",
        only_with: None,
        arguments: &["session", "state"],
    },
    /**
     * GstStreamiumPaySink::consumer-ended:
     * @element: the streamiumpaysink
     * @session: the consumer's session id
     * @reason: a sentence for people
     *
     * A consumer's session is over; its connection is cut soon after.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "consumer-ended",
        report: "ended",
        only_with: None,
        arguments: &["session", "reason"],
    },
    /**
     * GstStreamiumPaySink::settled:
     * @element: the streamiumpaysink
     * @outpoint: the channel's output, TXID:VOUT
     * @txid: the transaction that spends it
     * @ours: %FALSE if it is none of our settlements
     *
     * The spend of a channel is buried six blocks deep. Its session is over by then, often since an earlier run, so
     * this names the channel alone: it is that of #GstStreamiumPaySink::channel-opened.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "settled",
        report: "settled",
        only_with: None,
        arguments: &["outpoint", "txid", "ours"],
    },
];
