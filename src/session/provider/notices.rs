//! What the provider's side says, in words and fields.

use std::time::Duration;

use bitcoin::{Amount, ScriptBuf};
use streamium_channel::blocks::RefundDelay;
use streamium_channel::handshake::GenesisHash;
use streamium_channel::link::StreamName;
use streamium_channel::message::GateState;
use streamium_channel::money::{Msat, Rate};
use streamium_channel::provider::{EndReason, ProviderConfig, ProviderNotice};
use streamium_channel::terms::Track;

use super::live::is_quiet;
use crate::report::{Report, Severity, sats, span};

/// The first digits are enough to tell viewers apart.
fn short(id: &str) -> &str {
    id.get(..8).unwrap_or(id)
}

pub fn report(id: &str, notice: &ProviderNotice, rate: Rate, say_paid: bool) -> Report {
    let viewer = short(id);
    let report = |name| Report::new(name).text_field("session", id);
    match notice {
        ProviderNotice::Offered => report("offered").say(format!("Viewer {viewer} was told the terms.")),
        ProviderNotice::Committed { outpoint, capacity } => report("channel")
            .text_field("outpoint", outpoint)
            .sat("capacity-sat", *capacity)
            .number("confirmations", 0)
            .say(format!(
                "Viewer {viewer} opened a channel of {}; not confirmed yet.",
                sats(*capacity)
            )),
        ProviderNotice::Resumed { outpoint, balance } => report("resumed")
            .text_field("outpoint", outpoint)
            .sat("balance-sat", *balance)
            .say(format!(
                "Viewer {viewer} goes on with a channel that has paid {}.",
                sats(*balance)
            )),
        ProviderNotice::RolledOver { from, to } => report("rolled-over")
            .text_field("from", from)
            .text_field("outpoint", to)
            .say(format!(
                "Viewer {viewer} goes on with another channel; the last one is settled."
            )),
        ProviderNotice::Confirmed {
            outpoint,
            confirmations,
        } => report("channel")
            .text_field("outpoint", outpoint)
            .number("confirmations", u64::from(*confirmations))
            .say(format!("Viewer {viewer}'s channel is confirmed.")),
        ProviderNotice::Paid {
            outpoint,
            balance,
            added,
        } => {
            let report = report("payment")
                .text_field("outpoint", outpoint)
                .sat("balance-sat", *balance)
                .sat("added-sat", *added);
            let text = format!("Viewer {viewer} has paid {} so far.", sats(*balance));
            if say_paid { report.say(text) } else { report }
        }
        ProviderNotice::Gate {
            state,
            balance,
            consumed,
        } => report("gate")
            .text_field("state", gate_name(*state))
            .sat("balance-sat", *balance)
            .number("consumed-msat", consumed.to_msat())
            .say(gate_text(viewer, *state, *balance, *consumed, rate)),
        ProviderNotice::RateOffered { old, new } => report("rate-offered").rates(*old, *new).say(format!(
            "Viewer {viewer} is offered a rate of {} msat/s.",
            new.msat_per_s()
        )),
        ProviderNotice::RateAccepted { old, new } => report("rate-accepted").rates(*old, *new).say(format!(
            "Viewer {viewer} pays {} msat/s from now on.",
            new.msat_per_s()
        )),
        ProviderNotice::RateRefused { old, new, reason } => report("rate-refused")
            .rates(*old, *new)
            .text_field("reason", reason)
            .say(format!(
                "Viewer {viewer} does not pay {} msat/s, and leaves: {reason}.",
                new.msat_per_s()
            )),
        ProviderNotice::Fault(fault) => report("fault")
            .text_field("reason", fault)
            .say(format!("Viewer {viewer} did something wrong: {fault}.")),
    }
}

fn gate_text(viewer: &str, state: GateState, balance: Amount, consumed: Msat, rate: Rate) -> String {
    match state {
        GateState::Open => {
            let credit = rate.time(Msat::from(balance).minus(consumed));
            format!(
                "Media flows to viewer {viewer}: {} paid, good for {}.",
                sats(balance),
                span(credit)
            )
        }
        GateState::Unpaid => format!("Viewer {viewer} has not paid yet."),
        GateState::Starved => format!(
            "Media to viewer {viewer} stopped: its {} are used up.",
            sats(balance)
        ),
        GateState::Unconfirmed => {
            format!("Media to viewer {viewer} waits for its channel's confirmation.")
        }
        GateState::Paused => format!("Viewer {viewer} paused."),
        GateState::Silent => format!("Media to viewer {viewer} stopped: it does not answer."),
        GateState::Closed => format!(
            "Media to viewer {viewer} stopped for good; it paid {}.",
            sats(balance)
        ),
    }
}

/// As on the wire.
pub const fn gate_name(state: GateState) -> &'static str {
    match state {
        GateState::Open => "open",
        GateState::Unpaid => "unpaid",
        GateState::Starved => "starved",
        GateState::Unconfirmed => "unconfirmed",
        GateState::Paused => "paused",
        GateState::Silent => "silent",
        GateState::Closed => "closed",
    }
}

pub fn ended(id: &str, reason: &EndReason) -> Report {
    let report = Report::new("ended")
        .text_field("session", id)
        .text_field("reason", reason);
    if is_quiet(reason) {
        report
    } else {
        report.say(format!("Viewer {} left: {reason}.", short(id)))
    }
}

pub fn failed(id: &str, words: &str) -> Report {
    Report::new("failed")
        .text_field("session", id)
        .text_field("reason", words)
        .severity(Severity::Warning)
        .say(format!("The session of viewer {} failed: {words}.", short(id)))
}

/// What a free stream's terms say: the rate is zero, so the rest has no meaning.
pub fn free_config(chain: GenesisHash, stream: StreamName, tracks: Vec<Track>) -> ProviderConfig {
    ProviderConfig {
        stream,
        chain,
        tracks,
        rate: Rate::new(0),
        opening: Amount::ZERO,
        window: Duration::ZERO,
        grace: Duration::ZERO,
        min_capacity: Amount::ZERO,
        max_capacity: Amount::ZERO,
        min_refund_delay: RefundDelay::SHORTEST,
        max_refund_delay: RefundDelay::LONGEST,
        commitment_fee_rate_sat_per_kvb: 0,
        min_confirmations: 0,
        unconfirmed_limit: Amount::ZERO,
        settle_delay: Duration::ZERO,
        funding_timeout: Duration::MAX,
        payout: ScriptBuf::new(),
    }
}
