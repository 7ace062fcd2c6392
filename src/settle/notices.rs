//! What the engine says, in words and fields.

use std::time::Duration;

use bitcoin::{Address, Amount, FeeRate, OutPoint, Txid};
use streamium_channel::blocks::BURIED_CONFIRMATIONS;
use streamium_channel::settlement::Settlement;

use super::make::{Unmade, Wish};
use crate::chain::{BroadcastError, Spend};
use crate::report::{Report, Severity, sats, span};
use crate::store::StoreError;

/// As people read it: `12.5 sat/vB`.
pub fn rate_text(rate: FeeRate) -> String {
    let tenths = rate.to_sat_per_kwu().div_ceil(25);
    match tenths % 10 {
        0 => format!("{} sat/vB", tenths / 10),
        rest => format!("{}.{rest} sat/vB", tenths / 10),
    }
}

pub fn unreadable(outpoint: &str) -> Report {
    let words = format!("The record of channel {outpoint} can't be read; it is left as it is.");
    Report::new("store-failed").say(words).severity(Severity::Warning)
}

pub fn no_store(what: &str, error: &StoreError) -> Report {
    Report::new("store-failed")
        .say(format!("{what}: {error}."))
        .severity(Severity::Warning)
}

pub fn not_taken_up(outpoint: OutPoint, words: &str) -> Report {
    let words = format!("Channel {outpoint} can't be settled: {words}.");
    Report::new("store-failed").say(words).severity(Severity::Warning)
}

pub fn unconfirmed(outpoint: OutPoint) -> Report {
    let words = format!("Channel {outpoint} is settled as soon as its commitment transaction is confirmed.");
    Report::new("waiting").text_field("outpoint", outpoint).say(words)
}

pub fn waits_for_batch(outpoint: OutPoint, wait: Duration) -> Report {
    Report::new("waiting")
        .text_field("outpoint", outpoint)
        .say(format!(
            "Channel {outpoint} is settled in {} at most, together with others that end by then.",
            span(wait)
        ))
}

/// A settlement is on record, and is handed out with this.
pub fn settling(wish: &Wish, settlement: &Settlement, address: &Address) -> Report {
    let txid = settlement.transaction.compute_txid();
    let channels: Vec<String> = wish.channels.iter().map(ToString::to_string).collect();
    let what = match (wish.replaces.first(), wish.why) {
        (Some(old), Some(why)) => format!("Settlement {old} is replaced by {txid}, since {why}"),
        _ if channels.len() > 1 => format!("Settling {} channels in {txid}", channels.len()),
        _ => format!("Settling in {txid}"),
    };
    let report = Report::new("settling")
        .text_field("outpoint", channels.join(" "))
        .number("channels", channels.len() as u64)
        .text_field("txid", txid)
        .text_field("payout-address", address)
        .sat("payout-sat", settlement.payout)
        .sat("fee-sat", settlement.fee)
        .number("vsize-vb", settlement.transaction.vsize() as u64);
    let report = match wish.replaces.first() {
        Some(old) => report.text_field("replaces", old),
        None => report,
    };
    report.say(format!(
        "{what}: {} for you, {} fee.",
        sats(settlement.payout),
        sats(settlement.fee)
    ))
}

pub fn given_back(outpoint: OutPoint, txid: Txid) -> Report {
    Report::new("settling")
        .text_field("outpoint", outpoint)
        .text_field("txid", txid)
        .say(format!("A channel was closed by both sides in {txid}."))
}

/// A settlement was not made now.
pub fn unmade(outpoint: OutPoint, balance: Amount, left: u32, max: FeeRate, why: &Unmade) -> Report {
    let report = Report::new("unsettleable")
        .text_field("outpoint", outpoint)
        .sat("balance-sat", balance)
        .number("blocks-left", u64::from(left))
        .severity(Severity::Warning);
    let wait = format!("It waits for cheaper fees; it has {left} blocks left.");
    match why {
        Unmade::NotWorthIt { fee, rate, .. } => report
            .sat("fee-sat", *fee)
            .text_field("reason", "not worth it")
            .say(format!(
                "Channel {outpoint} with a balance of {} is not worth a settlement at {}, which costs {}. {wait}",
                sats(balance),
                rate_text(*rate),
                sats(*fee)
            )),
        Unmade::TooHigh { rate } => report.text_field("reason", "fees too high").say(format!(
            "Channel {outpoint} with a balance of {} is not settled at {}, which is above the highest allowed, {}. \
             {wait}",
            sats(balance),
            rate_text(*rate),
            rate_text(max)
        )),
        Unmade::Failed(words) => report
            .text_field("reason", words)
            .say(format!("Channel {outpoint} can't be settled now: {words}.")),
    }
}

pub fn not_out(txid: Txid, channels: &[OutPoint], error: &BroadcastError) -> Report {
    let channels: Vec<String> = channels.iter().map(ToString::to_string).collect();
    Report::new("unsettleable")
        .text_field("outpoint", channels.join(" "))
        .text_field("txid", txid)
        .text_field("reason", error)
        .severity(Severity::Warning)
        .say(format!(
            "The settlement {txid} is not out yet, and is tried again: {error}."
        ))
}

pub fn conflict(outpoint: OutPoint, spend: Spend) -> Report {
    Report::new("conflict")
        .text_field("outpoint", outpoint)
        .text_field("txid", spend.txid)
        .number("confirmations", u64::from(spend.confirmations))
        .severity(Severity::Warning)
        .say(format!(
            "Channel {outpoint} is being spent by {}, which is not one of our settlements.",
            spend.txid
        ))
}

pub fn confirmed(txid: Txid, channels: usize) -> Report {
    Report::new("confirmed")
        .text_field("txid", txid)
        .number("channels", channels as u64)
        .say(format!(
            "Settlement {txid} is in a block, and final once {BURIED_CONFIRMATIONS} blocks confirm it."
        ))
}

pub fn reorganised(outpoint: OutPoint, before: Txid) -> Report {
    Report::new("reorganised")
        .text_field("outpoint", outpoint)
        .text_field("txid", before)
        .severity(Severity::Warning)
        .say(format!(
            "The block with {before}, which spends channel {outpoint}, is not in the chain any more. It is handed out \
             again."
        ))
}

/// A spend is buried.
pub fn closed(outpoint: OutPoint, txid: Txid, ours: bool) -> Report {
    let report = Report::new("settled")
        .text_field("outpoint", outpoint)
        .text_field("txid", txid)
        .flag("ours", ours);
    if ours {
        report.say(format!("Settled for good in {txid}."))
    } else {
        report.severity(Severity::Warning).say(format!(
            "Channel {outpoint} was spent by {txid}, which is not one of our settlements."
        ))
    }
}

/// A channel was never worth it.
pub fn left(outpoint: OutPoint, balance: Amount) -> Report {
    Report::new("left")
        .text_field("outpoint", outpoint)
        .sat("balance-sat", balance)
        .severity(Severity::Warning)
        .say(format!(
            "Channel {outpoint} with a balance of {} was never worth its settlement, and its consumer may take it \
             back now. It stays on record.",
            sats(balance)
        ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_readable() {
        let text = |kwu| rate_text(FeeRate::from_sat_per_kwu(kwu));
        assert_eq!(
            [text(250), text(375), text(125_000)],
            ["1 sat/vB", "1.5 sat/vB", "500 sat/vB"]
        );
    }
}
