//! What the consumer's side says, in words and fields.

use std::time::Duration;

use bitcoin::{Address, Amount};
use streamium_channel::consumer::{ConsumerEnd, ConsumerNotice, Exhausted};
use streamium_channel::link::Link;
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::terms::{Terms, TrackKind};

use crate::report::{Report, Severity, sats, span};

pub fn report(link: &Link, notice: &ConsumerNotice, rate: Rate, budget: Amount, say_paid: bool) -> Report {
    match notice {
        ConsumerNotice::Terms(terms) => self::terms(link, terms),
        ConsumerNotice::Opening { capacity } => Report::new("opening")
            .sat("capacity-sat", *capacity)
            .say(format!("Opening a channel of {}.", sats(*capacity))),
        ConsumerNotice::Committed { outpoint, capacity, descriptor } => Report::new("channel")
            .text_field("outpoint", outpoint)
            .sat("capacity-sat", *capacity)
            .text_field("descriptor", descriptor)
            .number("confirmations", 0)
            .say(format!(
                "Committed {} in {outpoint}. Should the provider vanish, they come back by themselves; any descriptor wallet finds them with {descriptor}",
                sats(*capacity)
            )),
        ConsumerNotice::Resumed { outpoint, paid, capacity, .. } => Report::new("resumed")
            .text_field("outpoint", outpoint)
            .sat("paid-sat", *paid)
            .sat("capacity-sat", *capacity)
            .say(format!(
                "Going on with the open channel: {} of {} paid. Nothing new is locked.",
                sats(*paid),
                sats(*capacity)
            )),
        ConsumerNotice::NotResumed { outpoint, reason } => Report::new("not-resumed")
            .text_field("outpoint", outpoint)
            .text_field("reason", reason)
            .say(format!("The provider does not go on with channel {outpoint}: {reason}.")),
        ConsumerNotice::Renewing { outpoint } => Report::new("renewing")
            .text_field("outpoint", outpoint)
            .say("The channel is nearly used up, or old: opening the next one."),
        ConsumerNotice::NotRenewed(refusal) => Report::new("not-renewed")
            .text_field("reason", refusal)
            .say(format!("No next channel: {refusal}. This one is used to its end.")),
        ConsumerNotice::RolledOver { from, to } => Report::new("rolled-over")
            .text_field("from", from)
            .text_field("outpoint", to)
            .say("Going on with the next channel."),
        ConsumerNotice::Channel { outpoint, confirmations } => Report::new("channel")
            .text_field("outpoint", outpoint)
            .number("confirmations", u64::from(*confirmations))
            .say(match confirmations {
                0 => "The provider has seen the channel.".to_owned(),
                n => format!("The channel is open, {n} confirmation{}.", if *n == 1 { "" } else { "s" }),
            }),
        ConsumerNotice::Paid { outpoint, paid, added, consumed } => {
            let report = Report::new("payment")
                .text_field("outpoint", outpoint)
                .sat("paid-sat", *paid)
                .sat("added-sat", *added)
                .number("consumed-msat", consumed.to_msat());
            let text = format!("Paid {} so far, of a budget of {}.", sats(*paid), sats(budget));
            if say_paid { report.say(text) } else { report }
        }
        ConsumerNotice::Rate { old, new } => Report::new("rate").rates(*old, *new).flag("accepted", true).say(format!(
            "The rate went {} to {} msat a second, {} an hour.",
            way(*old, *new),
            new.msat_per_s(),
            sats(new.per_hour())
        )),
        ConsumerNotice::RateRefused { old, new, refusal } => Report::new("rate").rates(*old, *new)
            .flag("accepted", false)
            .text_field("reason", refusal)
            .say(format!(
                "The provider wants {} msat a second now: {refusal}.",
                new.msat_per_s()
            )),
        ConsumerNotice::Gate { state } => gate(*state, rate),
        ConsumerNotice::Exhausted(why) => {
            let (what, amount, hint) = match why {
                Exhausted::Budget(amount) => ("budget", *amount, "set a higher budget to go on"),
                Exhausted::Capacity(amount) => ("channel", *amount, "start again to go on"),
            };
            Report::new("exhausted")
                .text_field("what", what)
                .sat("amount-sat", amount)
                .say(format!("The {what} of {} is used up: no more is paid ({hint}).", sats(amount)))
        }
        ConsumerNotice::Settled { outpoint, txid } => Report::new("settled")
            .text_field("outpoint", outpoint)
            .text_field("txid", txid)
            .flag("buried", false)
            .say(format!("The provider settles in {txid}; the rest is yours again.")),
        ConsumerNotice::Fault(fault) => Report::new("fault")
            .text_field("reason", fault)
            .say(format!("The provider did something wrong: {fault}.")),
    }
}

fn has(terms: &Terms, kind: TrackKind) -> bool {
    terms.tracks.iter().any(|track| track.kind == kind)
}

const fn way(old: Rate, new: Rate) -> &'static str {
    if new.msat_per_s() > old.msat_per_s() {
        "up"
    } else {
        "down"
    }
}

/// What the application is asked: the terms, and what it has agreed to where that was another rate.
pub fn question(link: &Link, terms: &Terms, agreed: Option<Rate>) -> Report {
    let report = self::terms(link, terms);
    match agreed.filter(|agreed| *agreed != terms.rate) {
        Some(agreed) => report.number("old-rate-msat-per-s", agreed.msat_per_s()),
        None => report,
    }
}

fn terms(link: &Link, terms: &Terms) -> Report {
    let name = &link.stream;
    let report = Report::new("terms")
        .text_field("stream", name)
        .text_field("public-key", link.key)
        .number("rate-msat-per-s", terms.rate.msat_per_s())
        .sat("opening-sat", terms.opening)
        .number("window-ms", u64::from(terms.window_ms))
        .number("min-confirmations", u64::from(terms.min_confirmations))
        .flag("video", has(terms, TrackKind::Video))
        .flag("audio", has(terms, TrackKind::Audio));
    if terms.rate.is_free() {
        return report.say(format!("\"{name}\" is free. Provider key {}.", link.key));
    }
    let key = link.key;
    let minute = sats(terms.rate.cost(std::time::Duration::from_secs(60)).ceil_sat());
    report.say(format!(
        "\"{name}\" costs {minute} a minute ({} an hour); the first payment is {}. Provider key {key}.",
        sats(terms.rate.per_hour()),
        sats(terms.opening)
    ))
}

fn gate(state: GateState, rate: Rate) -> Report {
    let (name, text) = match state {
        GateState::Open => (
            "open",
            format!("Playing, at {} msat a second.", rate.msat_per_s()),
        ),
        GateState::Unpaid => ("unpaid", "Waiting for the first payment.".to_owned()),
        GateState::Starved => ("starved", "Stopped: what was paid is used up.".to_owned()),
        GateState::Unconfirmed => (
            "unconfirmed",
            "Waiting for the channel's first confirmation.".to_owned(),
        ),
        GateState::Paused => ("paused", "Paused: nothing is paid.".to_owned()),
        GateState::Silent => ("silent", "Stopped: the provider did not hear from us.".to_owned()),
        GateState::Closed => ("closed", "Stopped by the provider.".to_owned()),
    };
    Report::new("gate").text_field("state", name).say(text)
}

/// `paid` is what this run has paid.
pub fn ended(end: &ConsumerEnd, paid: Amount) -> Report {
    let report = Report::new("ended").text_field("reason", end);
    match end {
        ConsumerEnd::RateRefused { .. } => report
            .severity(Severity::Warning)
            .say(format!("Left, what was paid is settled: {end}.")),
        ConsumerEnd::Refused(_) if paid > Amount::ZERO => {
            report.severity(Severity::Error).say(format!("Refused: {end}."))
        }
        ConsumerEnd::Refused(_) => report
            .severity(Severity::Error)
            .say(format!("Refused, nothing was paid: {end}.")),
        ConsumerEnd::Failed(_) => report.severity(Severity::Error).say(format!("Stopped: {end}.")),
        _ => report.say(format!("The session ended: {end}.")),
    }
}

/// What a person has to do to watch.
pub fn please_fund(address: &Address, missing: Amount, uri: &str, buys: Duration) -> String {
    format!(
        "To watch, send {} to {address} from any wallet: {uri} (up to {} of video; what is not spent comes back to \
         the wallet).",
        sats(missing),
        span(buys)
    )
}

/// Without a server there is no paying.
pub fn no_chain(rate: Rate) -> String {
    format!(
        "the stream costs {} msat a second, and electrum-url is not set: set the Electrum server to pay with",
        rate.msat_per_s()
    )
}
