//! What the slate says: made from what the session reports.

use bitcoin::Amount;
use std::time::Duration;
use streamium_channel::link::Link;
use streamium_channel::money::Rate;

use crate::report::{Field, Report, sats, span};
use crate::slate::{Code, Slate, Tone};

/// What is known up to now.
pub struct Screen {
    stream: String,
    key: String,
    state: String,
    rate: Option<Rate>,
    has_video: bool,
    /// Nobody says what is paid for.
    has_no_gate: bool,
    funding: Option<Funding>,
    channel: Option<Channel>,
    paid: Amount,
    exhausted: Option<Amount>,
    /// Why the provider is not, or not yet, the link's.
    reason: Option<String>,
    /// How the session ended, in a few words, and why.
    end: Option<(String, String)>,
    settled: bool,
}

struct Funding {
    address: String,
    uri: String,
    amount: Amount,
    balance: Amount,
    buys: Duration,
}

/// The channel that is being opened.
#[derive(Default)]
struct Channel {
    confirmations: u64,
    needed: u64,
    is_committed: bool,
}

/// What follows for the media.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Media {
    /// It is paid for: show it when it comes.
    Admit,
    Cover,
}

impl Screen {
    pub fn new(link: &Link) -> Self {
        Self {
            stream: link.stream.to_string(),
            key: link.key.to_string(),
            state: String::new(),
            rate: None,
            has_video: true,
            has_no_gate: false,
            funding: None,
            channel: None,
            paid: Amount::ZERO,
            exhausted: None,
            reason: None,
            end: None,
            settled: false,
        }
    }

    /// The element's `state` has changed.
    pub fn state(&mut self, state: &str) -> Option<Media> {
        self.state = state.to_owned();
        if self.has_no_gate {
            return Some(if state == "reconnecting" {
                Media::Cover
            } else {
                Media::Admit
            });
        }
        let away = ["resolving", "connecting", "reconnecting", "stopped", "ended"];
        away.contains(&state).then_some(Media::Cover)
    }

    pub fn report(&mut self, report: &Report) -> Option<Media> {
        match report.name {
            "terms" => return self.terms(report),
            "rate" if flag(report, "accepted") => {
                self.rate = Some(Rate::new(number(report, "rate-msat-per-s")));
            }
            "funding-required" => self.funding = Some(funding(report)),
            "funded" | "resumed" => self.funding = None,
            "opening" => self.channel.get_or_insert_default().is_committed = false,
            "channel" => {
                let channel = self.channel.get_or_insert_default();
                channel.is_committed = true;
                channel.confirmations = number(report, "confirmations");
            }
            "payment" => self.exhausted = None,
            "exhausted" => self.exhausted = Some(amount(report, "amount-sat")),
            "settled" => self.settled = true,
            "gate" => return self.gate(text(report, "state")),
            "lost" => return Some(Media::Cover),
            "refused" => {
                self.reason = Some(text(report, "reason").to_owned());
                return Some(Media::Cover);
            }
            "ended" => {
                let words = report.text.as_deref().unwrap_or_default();
                let (status, why) = words.split_once(": ").unwrap_or(("The stream is over", words));
                self.end = Some((status.to_owned(), why.to_owned()));
                return Some(Media::Cover);
            }
            _ => (),
        }
        None
    }

    /// From now on whatever comes is shown.
    pub fn without_gate(&mut self) -> Option<Media> {
        self.has_no_gate = true;
        Some(Media::Admit)
    }

    pub fn paid(&mut self, paid: Amount) {
        self.paid = paid;
    }

    /// A free stream has no gate.
    fn terms(&mut self, report: &Report) -> Option<Media> {
        let rate = Rate::new(number(report, "rate-msat-per-s"));
        self.rate = Some(rate);
        self.has_video = flag(report, "video");
        self.reason = None;
        self.channel.get_or_insert_default().needed = number(report, "min-confirmations");
        rate.is_free().then_some(Media::Admit)
    }

    /// A player that pauses keeps its last picture.
    fn gate(&mut self, state: &str) -> Option<Media> {
        match state {
            "open" => Some(Media::Admit),
            "paused" => None,
            _ => Some(Media::Cover),
        }
    }

    pub fn slate(&self) -> Slate {
        let (tone, status, notes) = self.situation();
        Slate {
            title: self.stream.clone(),
            facts: self.facts(),
            status,
            tone,
            notes,
            code: self
                .funding
                .as_ref()
                .filter(|_| self.awaits_funds())
                .map(|funding| Code {
                    content: compact(&funding.uri, &funding.address),
                    caption: funding.address.clone(),
                }),
        }
    }

    fn facts(&self) -> Vec<String> {
        let price = self.rate.map(|rate| {
            if rate.is_free() {
                return "Free".to_owned();
            }
            let minute = sats(rate.cost(Duration::from_secs(60)).ceil_sat());
            format!("{minute} a minute, {} an hour", sats(rate.per_hour()))
        });
        let ends = self
            .key
            .get(..8)
            .zip(self.key.get(self.key.len().saturating_sub(8)..));
        let provider = ends.map(|(first, last)| format!("Provider {first}…{last}"));
        price.into_iter().chain(provider).collect()
    }

    fn awaits_funds(&self) -> bool {
        self.state == "awaiting-funds"
    }

    /// In a few words and in sentences.
    fn situation(&self) -> (Tone, String, Vec<String>) {
        let busy = |status: &str| (Tone::Busy, status.to_owned(), Vec::new());
        match self.state.as_str() {
            "resolving" => self.looking(),
            "connecting" => busy("Connecting"),
            "awaiting-terms" => busy("Asking for the price"),
            "awaiting-funds" => self.asking(),
            "opening" => self.opening(),
            "playing" if self.has_video => busy("Starting"),
            "playing" => (Tone::Busy, "Sound only".to_owned(), self.spent()),
            "paused" => (
                Tone::Busy,
                "Paused".to_owned(),
                vec!["Nothing is paid.".to_owned()],
            ),
            "starved" => self.starved(),
            "reconnecting" => (
                Tone::Trouble,
                "The provider is gone".to_owned(),
                vec!["Trying to connect again.".to_owned()],
            ),
            "stopped" | "ended" => self.over(),
            _ => busy("Starting"),
        }
    }

    fn looking(&self) -> (Tone, String, Vec<String>) {
        let notes = self.reason.iter().map(|reason| sentence(reason)).collect();
        (Tone::Busy, "Looking for the stream".to_owned(), notes)
    }

    fn asking(&self) -> (Tone, String, Vec<String>) {
        let Some(funding) = &self.funding else {
            return (Tone::Busy, "Looking at the wallet".to_owned(), Vec::new());
        };
        let notes = vec![
            format!("Send {} from any wallet.", sats(funding.amount)),
            format!("That is up to {} of video.", span(funding.buys)),
            "What is not spent stays yours.".to_owned(),
            format!("In the wallet: {}.", sats(funding.balance)),
        ];
        (Tone::Ask, "Waiting for funds".to_owned(), notes)
    }

    fn opening(&self) -> (Tone, String, Vec<String>) {
        let status = match &self.channel {
            Some(channel) if channel.is_committed && channel.confirmations > 0 => {
                format!("Confirmed {} of {}", channel.confirmations, channel.needed)
            }
            Some(channel) if channel.is_committed && channel.needed > 0 => {
                format!("Seen, confirmed 0 of {}", channel.needed)
            }
            _ => "Opening the channel".to_owned(),
        };
        (Tone::Busy, status, Vec::new())
    }

    fn starved(&self) -> (Tone, String, Vec<String>) {
        let Some(budget) = self.exhausted else {
            return (
                Tone::Trouble,
                "Waiting for the next payment".to_owned(),
                Vec::new(),
            );
        };
        let mut notes = vec![
            format!("{} are used up.", sats(budget)),
            "A higher budget goes on.".to_owned(),
        ];
        notes.extend(self.spent());
        (Tone::Trouble, "Paused: out of budget".to_owned(), notes)
    }

    fn over(&self) -> (Tone, String, Vec<String>) {
        let (status, why) = self
            .end
            .as_ref()
            .map_or(("The stream is over", ""), |(status, why)| (status, why));
        let mut notes: Vec<_> = Some(sentence(why))
            .into_iter()
            .filter(|_| !why.is_empty())
            .collect();
        if self.settled {
            notes.push("Settled: the rest is yours again.".to_owned());
        }
        notes.extend(self.spent());
        (Tone::Trouble, status.to_owned(), notes)
    }

    fn spent(&self) -> Vec<String> {
        let some = self.paid > Amount::ZERO;
        some.then(|| format!("Paid: {}.", sats(self.paid)))
            .into_iter()
            .collect()
    }
}

fn funding(report: &Report) -> Funding {
    Funding {
        address: text(report, "address").to_owned(),
        uri: text(report, "uri").to_owned(),
        amount: amount(report, "amount-sat"),
        balance: amount(report, "balance-sat"),
        buys: Duration::from_millis(number(report, "buys-ms")),
    }
}

/// In capital letters scheme and address take less room in a QR code, and mean the same (BIP21, BIP173).
fn compact(uri: &str, address: &str) -> String {
    match uri.split_once('?') {
        Some((start, query)) if address.bytes().all(|c| !c.is_ascii_uppercase()) => {
            format!("{}?{query}", start.to_ascii_uppercase())
        }
        _ => uri.to_owned(),
    }
}

/// With a capital letter and a full stop.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters
        .next()
        .map(|c| c.to_uppercase().to_string())
        .unwrap_or_default();
    let end = if reason.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

fn field<'a>(report: &'a Report, name: &str) -> Option<&'a Field> {
    report
        .fields
        .iter()
        .find(|(of, _)| *of == name)
        .map(|(_, value)| value)
}

fn text<'a>(report: &'a Report, name: &str) -> &'a str {
    match field(report, name) {
        Some(Field::Text(text)) => text,
        _ => "",
    }
}

fn number(report: &Report, name: &str) -> u64 {
    match field(report, name) {
        Some(Field::Number(number)) => *number,
        _ => 0,
    }
}

fn flag(report: &Report, name: &str) -> bool {
    matches!(field(report, name), Some(Field::Flag(true)))
}

fn amount(report: &Report, name: &str) -> Amount {
    Amount::from_sat(number(report, name))
}

#[cfg(test)]
#[path = "screen_tests.rs"]
mod tests;
