//! What `streamiumpaysrc` posts.

use super::{BACKUP, Catalogue, Message, STORE_FAILED, flag, number, text};

pub static SOURCE: Catalogue = Catalogue(&[
    Message {
        name: "terms",
        fields: &[
            text("stream"),
            text("public-key"),
            number("rate-msat-per-s"),
            number("opening-sat"),
            number("window-ms"),
            number("min-confirmations"),
            flag("video"),
            flag("audio"),
        ],
        when: "the provider has proved the link's key",
    },
    Message {
        name: "rate",
        fields: &[
            number("old-rate-msat-per-s"),
            number("rate-msat-per-s"),
            flag("accepted"),
            text("reason").maybe(),
        ],
        when: "the provider changed its rate, and it is `accepted` and paid from now on; or not for a `reason`, and the \
               session ends",
    },
    Message {
        name: "refused",
        fields: &[text("reason")],
        when: "a producer of that name has not; nothing was paid; the next is tried",
    },
    Message {
        name: "funding-required",
        fields: &[
            text("address"),
            number("amount-sat"),
            text("uri"),
            number("capacity-sat"),
            number("balance-sat"),
            number("buys-ms"),
        ],
        when: "the wallet needs money; `uri` is BIP21, and `buys-ms` how much video a channel of `capacity-sat` \
               pays for within the budget. Comes again when the amount changes",
    },
    Message {
        name: "funded",
        fields: &[number("balance-sat")],
        when: "it is there",
    },
    Message {
        name: "opening",
        fields: &[number("capacity-sat")],
        when: "the provider is asked for a channel",
    },
    Message {
        name: "channel",
        fields: &[
            text("outpoint"),
            number("confirmations"),
            number("capacity-sat").maybe(),
            text("descriptor").maybe(),
        ],
        when: "the money is committed, and then `capacity-sat` and `descriptor` are there; the provider has seen it, \
               this deep",
    },
    Message {
        name: "resumed",
        fields: &[text("outpoint"), number("paid-sat"), number("capacity-sat")],
        when: "an open channel goes on: no transaction",
    },
    Message {
        name: "not-resumed",
        fields: &[text("outpoint"), text("reason")],
        when: "the provider does not go on with it; another may be opened",
    },
    Message {
        name: "renewing",
        fields: &[text("outpoint")],
        when: "the channel is nearly used up, or old: the next one is asked for. May be followed by \
               `funding-required`",
    },
    Message {
        name: "not-renewed",
        fields: &[text("reason")],
        when: "there is no next channel; this one is used to its end",
    },
    Message {
        name: "rolled-over",
        fields: &[text("from"), text("outpoint")],
        when: "the next channel pays from now on",
    },
    Message {
        name: "payment",
        fields: &[
            text("outpoint"),
            number("paid-sat"),
            number("added-sat"),
            number("consumed-msat"),
        ],
        when: "each payment sent; `consumed-msat` is what arrived by our own count",
    },
    Message {
        name: "gate",
        fields: &[text("state")],
        when: "as the provider says. `state`: as above",
    },
    Message {
        name: "exhausted",
        fields: &[text("what"), number("amount-sat")],
        when: "no more is paid, since the `budget` or the `channel` (`what`) is used up. A higher `budget` goes on",
    },
    Message {
        name: "lost",
        fields: &[text("reason")],
        when: "the session is over, since the provider does not answer or the connection is gone",
    },
    Message {
        name: "reconnecting",
        fields: &[text("reason")],
        when: "the connection is tried again, for `reconnect-timeout`. Then comes a WARNING and EOS, or an ERROR if \
               nothing was ever shown",
    },
    Message {
        name: "reconnected",
        fields: &[number("outage-ms")],
        when: "it is there again, on the same pads",
    },
    Message {
        name: "ended",
        fields: &[text("reason")],
        when: "the session is over for good; an ERROR if the terms exceed what is accepted or the application refused \
               them, or something of ours failed (with a slate 5 s later); a WARNING, and EOS, if we leave over a new rate",
    },
    Message {
        name: "settled",
        fields: &[text("outpoint"), text("txid"), flag("buried")],
        when: "the provider settles; the rest is yours again. Comes when it says so, when the chain shows it, and when it is \
               `buried` 6 deep: for good",
    },
    Message {
        name: "refund",
        fields: &[
            text("outpoint"),
            text("txid").maybe(),
            number("amount-sat").maybe(),
            number("fee-sat").maybe(),
            text("reason").maybe(),
        ],
        when: "the provider never settled; the money comes back, or can't now for a `reason`. Comes again with a higher \
               fee",
    },
    Message {
        name: "refunded",
        fields: &[text("outpoint"), text("txid"), flag("buried")],
        when: "the refund was seen on the chain",
    },
    Message {
        name: "bump",
        fields: &[text("outpoint"), text("txid"), number("fee-sat")],
        when: "a child speeds up a commitment transaction that waits for long",
    },
    Message {
        name: "void",
        fields: &[text("outpoint"), text("txid")],
        when: "a coin of the commitment transaction was spent otherwise: the channel never came to be",
    },
    Message {
        name: "fault",
        fields: &[text("reason")],
        when: "the provider did something wrong",
    },
    BACKUP,
    Message {
        name: "chain",
        fields: &[
            text("server").maybe(),
            flag("reachable").maybe(),
            flag("agrees").maybe(),
            text("reason").maybe(),
        ],
        when: "as above; without a `server`, no server took a transaction, which is tried again",
    },
    STORE_FAILED,
    Message {
        name: "wallet",
        fields: &[],
        when: "the wallet could not do something; the words are in the WARNING",
    },
]);
