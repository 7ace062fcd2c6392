//! The signals of `streamiumpaysrc`'s own; those of the inner webrtcsrc are in [`super::signals`].

// The doc blocks are for GStreamer's documentation, which takes them from expressions.
#![allow(unused_doc_comments)]

use gst::glib;

use crate::catalogue;
use crate::messages::OwnSignal;

/// What the class declares.
pub fn declarations() -> impl Iterator<Item = glib::subclass::Signal> {
    TABLE.iter().map(|signal| signal.declare(&catalogue::SOURCE))
}

pub const TABLE: &[OwnSignal] = &[
    /**
     * GstStreamiumPaySrc::funding-required:
     * @element: the streamiumpaysrc
     * @address: where to pay to
     * @amount_sat: how much is missing, in satoshi
     * @uri: both, as a BIP21 URI for a wallet or a QR code
     *
     * The wallet needs money before a channel can be opened. Emitted again when the amount changes.
     *
     * All own signals, and notify, are emitted in the order in which things happen, from one thread that does nothing else: a
     * handler may take its time, query and set properties, and post to a main loop, but one that waits for a state
     * change of the pipeline's, or for ever, gets no further signals. 1,024 wait for it; what comes then is lost, with a
     * WARNING. No handler delays a payment, and messages on the bus are never lost.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "funding-required",
        report: "funding-required",
        only_with: None,
        arguments: &["address", "amount-sat", "uri"],
    },
    /**
     * GstStreamiumPaySrc::channel-opened:
     * @element: the streamiumpaysrc
     * @outpoint: the channel's output, TXID:VOUT
     * @capacity_sat: what is locked in it, in satoshi
     * @descriptor: its output descriptor, with which any descriptor wallet gets the money back should the provider
     *   vanish
     *
     * The money is committed.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "channel-opened",
        report: "channel",
        only_with: Some("capacity-sat"),
        arguments: &["outpoint", "capacity-sat", "descriptor"],
    },
    /**
     * GstStreamiumPaySrc::payment:
     * @element: the streamiumpaysrc
     * @outpoint: the channel's output, TXID:VOUT
     * @paid_sat: what has been paid in all, in satoshi
     * @added_sat: what is new, in satoshi
     * @consumed_msat: what arrived by our own count, in millisatoshi
     *
     * A payment was signed and sent.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "payment",
        report: "payment",
        only_with: None,
        arguments: &["outpoint", "paid-sat", "added-sat", "consumed-msat"],
    },
    /**
     * GstStreamiumPaySrc::gate:
     * @element: the streamiumpaysrc
     * @state: open, unpaid, starved, unconfirmed, paused, silent or closed
     *
     * The provider says that media flows (open), or not any more and why.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "gate",
        report: "gate",
        only_with: None,
        arguments: &["state"],
    },
    /**
     * GstStreamiumPaySrc::settled:
     * @element: the streamiumpaysrc
     * @outpoint: the channel's output, TXID:VOUT
     * @txid: the transaction that spends it
     * @buried: %TRUE once it is six blocks deep
     *
     * A channel is settled; what was not paid is the wallet's again. Emitted when the provider says so, when the chain
     * shows it, and when it is buried.
     *
     * Since: 0.1
     */
    OwnSignal {
        name: "settled",
        report: "settled",
        only_with: None,
        arguments: &["outpoint", "txid", "buried"],
    },
];
