//! What `streamiumpaysink` posts.

use super::{BACKUP, Catalogue, Message, STORE_FAILED, flag, number, text};

pub static SINK: Catalogue = Catalogue(&[
    Message {
        name: "link",
        fields: &[text("link"), text("public-key")],
        when: "once, going to PAUSED: give the link to viewers",
    },
    Message {
        name: "metrics",
        fields: &[text("url").maybe(), text("reason").maybe()],
        when: "once, going to PAUSED, where `metrics-address` is set: `url` is where the metrics are, or `reason` why \
               there are none",
    },
    Message {
        name: "offered",
        fields: &[text("session")],
        when: "a consumer asked and was told the terms",
    },
    Message {
        name: "channel",
        fields: &[
            text("session"),
            text("outpoint"),
            number("confirmations"),
            number("capacity-sat").maybe(),
        ],
        when: "a consumer committed, and then `capacity-sat` is there; its commitment was confirmed",
    },
    Message {
        name: "resumed",
        fields: &[text("session"), text("outpoint"), number("balance-sat")],
        when: "a consumer goes on with an open channel",
    },
    Message {
        name: "rolled-over",
        fields: &[text("session"), text("from"), text("outpoint")],
        when: "a consumer goes on with its next channel; the last one is settled",
    },
    Message {
        name: "payment",
        fields: &[
            text("session"),
            text("outpoint"),
            number("balance-sat"),
            number("added-sat"),
        ],
        when: "each payment that is credited. `balance-sat` is the channel's",
    },
    Message {
        name: "gate",
        fields: &[
            text("session"),
            text("state"),
            number("balance-sat"),
            number("consumed-msat"),
        ],
        when: "media to a consumer starts or stops. `state`: `open`, `unpaid`, `starved`, `unconfirmed`, `paused`, \
               `silent`, `closed`; `balance-sat` is that of all its channels",
    },
    Message {
        name: "rate-offered",
        fields: &[
            text("session"),
            number("old-rate-msat-per-s"),
            number("rate-msat-per-s"),
        ],
        when: "`rate` was changed, and a running consumer is offered the new one; the old one holds until it answers",
    },
    Message {
        name: "rate-accepted",
        fields: &[
            text("session"),
            number("old-rate-msat-per-s"),
            number("rate-msat-per-s"),
        ],
        when: "it pays the new one from now on",
    },
    Message {
        name: "rate-refused",
        fields: &[
            text("session"),
            number("old-rate-msat-per-s"),
            number("rate-msat-per-s"),
            text("reason"),
        ],
        when: "it leaves over it, and is settled",
    },
    Message {
        name: "ended",
        fields: &[text("session"), text("reason")],
        when: "a session is over",
    },
    Message {
        name: "fault",
        fields: &[text("session"), text("reason")],
        when: "a consumer did something wrong; nothing was lost",
    },
    Message {
        name: "failed",
        fields: &[text("session"), text("reason")],
        when: "something of ours failed for one session",
    },
    Message {
        name: "consumer-error",
        fields: &[text("session").maybe(), text("peer").maybe(), text("reason")],
        when: "something went wrong with one consumer, whose session is over; the broadcast goes on",
    },
    Message {
        name: "busy",
        fields: &[
            text("session"),
            text("peer"),
            text("reason"),
            number("turned-away"),
            number("descriptors"),
            number("descriptors-limit"),
        ],
        when: "a consumer was turned away before its session began, every 10 s at most: `turned-away` since the last \
               message. `descriptors` are the process's open files and sockets",
    },
    Message {
        name: "signalling",
        fields: &[text("server"), flag("reachable"), text("reason").maybe()],
        when: "the stream is listed at the signalling server, or not any more. `reason` if not",
    },
    Message {
        name: "waiting",
        fields: &[text("outpoint")],
        when: "a channel is settled once its commitment is confirmed, or together with others soon",
    },
    Message {
        name: "settling",
        fields: &[
            text("outpoint"),
            text("txid"),
            number("channels").maybe(),
            text("payout-address").maybe(),
            number("payout-sat").maybe(),
            number("fee-sat").maybe(),
            number("vsize-vb").maybe(),
            text("replaces").maybe(),
        ],
        when: "a settlement was recorded and handed to the network. Several outpoints are separated by spaces; \
               `replaces` if it is a bump; only the first two if nothing had been paid",
    },
    Message {
        name: "unsettleable",
        fields: &[
            text("outpoint"),
            text("reason"),
            number("balance-sat").maybe(),
            number("blocks-left").maybe(),
            number("fee-sat").maybe(),
            text("txid").maybe(),
        ],
        when: "a channel can't be settled now; it is tried again with each block",
    },
    Message {
        name: "confirmed",
        fields: &[text("txid"), number("channels")],
        when: "a settlement is in a block",
    },
    Message {
        name: "reorganised",
        fields: &[text("outpoint"), text("txid")],
        when: "a spend is not in the chain any more; ours is handed out again",
    },
    Message {
        name: "conflict",
        fields: &[text("outpoint"), text("txid"), number("confirmations")],
        when: "something that is none of our settlements spends a channel",
    },
    Message {
        name: "left",
        fields: &[text("outpoint"), number("balance-sat")],
        when: "a channel was not worth its settlement until its refund leaf opened",
    },
    Message {
        name: "settled",
        fields: &[text("outpoint"), text("txid"), flag("ours")],
        when: "a spend is buried 6 deep; `ours` is false if it is none of our settlements",
    },
    BACKUP,
    Message {
        name: "chain",
        fields: &[
            text("server"),
            flag("reachable").maybe(),
            flag("agrees").maybe(),
            text("reason").maybe(),
        ],
        when: "an Electrum server answers, or not any more (`reachable`); is believed again, or not (`agrees`). \
               `reason` if not",
    },
    STORE_FAILED,
]);
