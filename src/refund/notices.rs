//! What the engine says, in words and fields.

use bitcoin::{Amount, OutPoint, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;

use crate::chain::BroadcastError;
use crate::report::{Report, Severity, sats};

pub fn refunding(outpoint: OutPoint, txid: Txid, value: Amount, fee: Amount, replaces: bool) -> Report {
    let report = Report::new("refund")
        .text_field("outpoint", outpoint)
        .text_field("txid", txid)
        .sat("amount-sat", value)
        .sat("fee-sat", fee);
    report.say(if replaces {
        format!(
            "The refund of channel {outpoint} pays a higher fee now, {}: {} come back in {txid}.",
            sats(fee),
            sats(value)
        )
    } else {
        format!("The provider never settled; {} come back in {txid}.", sats(value))
    })
}

pub fn lifted(outpoint: OutPoint, txid: Txid, fee: Amount) -> Report {
    Report::new("bump")
        .text_field("outpoint", outpoint)
        .text_field("txid", txid)
        .sat("fee-sat", fee)
        .say(format!(
            "The commitment transaction of channel {outpoint} waits for long; {txid} pays {} more for it.",
            sats(fee)
        ))
}

pub fn closing(outpoint: OutPoint, txid: Txid, confirmations: u32, ours: bool) -> Report {
    let buried = confirmations >= BURIED_CONFIRMATIONS;
    let report = Report::new(if ours { "refunded" } else { "settled" })
        .text_field("outpoint", outpoint)
        .text_field("txid", txid)
        .flag("buried", buried);
    report.say(match (ours, buried) {
        (false, false) => format!("Channel {outpoint} was closed in {txid}; the rest is yours again."),
        (false, true) => format!("Channel {outpoint} is closed for good, in {txid}."),
        (true, false) => format!("The refund of channel {outpoint} is on its way, in {txid}."),
        (true, true) => format!("The refund of channel {outpoint} is safe, in {txid}."),
    })
}

pub fn void(outpoint: OutPoint, conflict: Txid) -> Report {
    Report::new("void")
        .text_field("outpoint", outpoint)
        .text_field("txid", conflict)
        .severity(Severity::Warning)
        .say(format!(
            "Channel {outpoint} never came to be: {conflict} spent a coin of its commitment transaction. Its other \
             coins are free again."
        ))
}

pub fn not_now(outpoint: OutPoint, what: &str, why: &dyn std::fmt::Display) -> Report {
    Report::new("refund")
        .text_field("outpoint", outpoint)
        .text_field("reason", why)
        .severity(Severity::Warning)
        .say(format!("Channel {outpoint} can't be {what} now: {why}."))
}

pub fn not_taken(what: &str, txid: Txid, error: &BroadcastError) -> Report {
    Report::new("chain")
        .text_field("reason", error)
        .severity(Severity::Warning)
        .say(format!(
            "The {what} {txid} was not taken, and is tried again: {error}."
        ))
}

pub fn store_failed(words: String) -> Report {
    Report::new("store-failed").severity(Severity::Warning).say(words)
}
