//! What the provider's driver counts, and lets others read.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bitcoin::Amount;
use streamium_channel::message::{ErrorCode, GateState};
use streamium_channel::money::Rate;
use streamium_channel::provider::{Figures, ProviderNotice};

use super::driver::Driver;
use super::live::{Live, Phase};
use super::notices::gate_name;
use crate::chain::{ChainFigures, Servers};
use crate::peer::ProviderPeerFigures;
use crate::session::Published;
use crate::session::published::INTERVAL;
use crate::store::ProviderTotals;

/// All states that an open gate may come to.
const CLOSINGS: [GateState; 5] = [
    GateState::Starved,
    GateState::Unconfirmed,
    GateState::Paused,
    GateState::Silent,
    GateState::Closed,
];

/// All codes that a consumer may be told.
const FAULTS: [ErrorCode; 9] = [
    ErrorCode::Malformed,
    ErrorCode::UnknownType,
    ErrorCode::Unexpected,
    ErrorCode::Version,
    ErrorCode::Chain,
    ErrorCode::Payment,
    ErrorCode::Flood,
    ErrorCode::Internal,
    ErrorCode::Other,
];

/// A commitment that the network does not take, which the consumer is told otherwise.
pub const UNTAKEN: &str = "commitment";

/// A provider at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProviderStats {
    pub rate: Rate,
    /// What was ever paid to the data folder, before fees.
    pub earned: Amount,
    /// Payments since the start.
    pub payments: u64,
    /// Connected consumers that have paid; none on a free stream.
    pub paying: u64,
    /// Those that have not.
    pub unpaid: u64,
    pub sessions: Vec<SessionStats>,
    pub channels: ProviderTotals,
    /// How often media to a consumer stopped since the start, by the gate's state from then on.
    pub gate_closings: BTreeMap<&'static str, u64>,
    /// What consumers did wrong since the start, by the code that they were told.
    pub faults: BTreeMap<&'static str, u64>,
    pub chain: ChainFigures,
}

/// A consumer's connection at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionStats {
    pub id: String,
    /// `connecting`, or the gate's state.
    pub state: &'static str,
    pub connected: Duration,
    pub peer: ProviderPeerFigures,
    /// Once the session has begun.
    pub figures: Option<Figures>,
}

impl ProviderStats {
    /// Consumers whose connection is not just being ended.
    pub fn connected(&self) -> u64 {
        let closed = gate_name(GateState::Closed);
        self.sessions
            .iter()
            .filter(|session| session.state != closed)
            .count() as u64
    }

    /// Consumers to whom media flows.
    pub fn open_gates(&self) -> u64 {
        let open = gate_name(GateState::Open);
        self.sessions
            .iter()
            .filter(|session| session.state == open)
            .count() as u64
    }

    /// What present channels have paid whose commitments are in no block yet.
    pub fn unconfirmed(&self) -> Amount {
        let figures = self
            .sessions
            .iter()
            .filter_map(|session| session.figures.as_ref());
        let channels = figures.filter_map(|figures| figures.channel);
        channels
            .filter(|channel| channel.confirmations == 0)
            .map(|channel| channel.balance)
            .try_fold(Amount::ZERO, Amount::checked_add)
            .unwrap_or(Amount::MAX_MONEY)
    }
}

/// Counts what happens.
#[derive(Debug)]
pub struct Counts {
    earned: Amount,
    payments: u64,
    gate_closings: BTreeMap<&'static str, u64>,
    faults: BTreeMap<&'static str, u64>,
    /// The sessions whose gate is open.
    open: HashSet<String>,
    pub servers: Servers,
    published: Published<ProviderStats>,
    published_at: Option<Duration>,
}

impl Counts {
    pub fn new(earned: Amount, servers: Servers) -> Self {
        Self {
            earned,
            payments: 0,
            gate_closings: CLOSINGS.map(|state| (gate_name(state), 0)).into(),
            faults: FAULTS
                .map(code_name)
                .into_iter()
                .chain([UNTAKEN])
                .map(|kind| (kind, 0))
                .collect(),
            open: HashSet::new(),
            servers,
            published: Published::default(),
            published_at: None,
        }
    }

    pub fn published(&self) -> Published<ProviderStats> {
        self.published.clone()
    }

    pub fn notice(&mut self, id: &str, notice: &ProviderNotice) {
        match notice {
            ProviderNotice::Paid { added, .. } => {
                self.payments += 1;
                self.earned = self.earned.checked_add(*added).unwrap_or(Amount::MAX_MONEY);
            }
            ProviderNotice::Gate { state, .. } => self.gate(id, *state),
            ProviderNotice::Fault(fault) => self.fault(code_name(fault.verdict().0)),
            _ => (),
        }
    }

    fn gate(&mut self, id: &str, state: GateState) {
        if state == GateState::Open {
            self.open.insert(id.to_owned());
        } else if self.open.remove(id) {
            *self.gate_closings.entry(gate_name(state)).or_default() += 1;
        }
    }

    pub fn fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
    }
}

impl Driver {
    /// Lets others read how everything stands, if that was not done just now.
    pub(super) fn publish_when_due(&mut self, now: Duration) {
        let at = self.counts.published_at;
        if at.is_none_or(|at| now >= at.saturating_add(INTERVAL)) {
            self.publish(now);
        }
    }

    pub(super) fn publish(&mut self, now: Duration) {
        self.counts.published_at = Some(now);
        let stats = self.stats(now);
        self.counts.published.publish(stats);
    }

    fn stats(&mut self, now: Duration) -> ProviderStats {
        let before = self.counts.published.read().channels;
        let tip = self.money.as_ref().and_then(|money| money.chain.tip());
        let rate = self.options.paid.as_ref().map(|paid| paid.rate);
        let mut sessions: Vec<_> = self
            .sessions
            .iter()
            .map(|(id, live)| live.stats(id, now))
            .collect();
        sessions.sort_by_key(|session| Reverse(session.connected));
        ProviderStats {
            rate: rate.unwrap_or_default(),
            earned: self.counts.earned,
            payments: self.counts.payments,
            paying: self.count(true),
            unpaid: self.count(false),
            sessions,
            // A store that can't be read says so where it matters.
            channels: self.store.provider_totals().unwrap_or(before),
            gate_closings: self.counts.gate_closings.clone(),
            faults: self.counts.faults.clone(),
            chain: self.counts.servers.figures(tip),
        }
    }

    /// Consumers of a paid stream that have paid, or have not.
    fn count(&self, paid: bool) -> u64 {
        let is_one = |live: &&Live| {
            let is_parting = matches!(live.phase, Phase::Lingering { .. });
            !is_parting && live.unpaid().is_none() == paid
        };
        match self.options.paid {
            Some(_) => self.sessions.values().filter(is_one).count() as u64,
            None => 0,
        }
    }
}

impl Live {
    fn stats(&self, id: &str, now: Duration) -> SessionStats {
        let figures = match &self.phase {
            Phase::Running(session) => Some(session.figures(now)),
            _ => None,
        };
        let state = match (&self.phase, &figures) {
            (_, Some(figures)) => gate_name(figures.gate),
            (Phase::Lingering { .. }, _) => gate_name(GateState::Closed),
            _ => "connecting",
        };
        SessionStats {
            id: id.to_owned(),
            state,
            connected: now.saturating_sub(self.since),
            peer: self.peer.figures(),
            figures,
        }
    }
}

/// As on the wire.
const fn code_name(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Malformed => "malformed",
        ErrorCode::UnknownType => "unknown-type",
        ErrorCode::Unexpected => "unexpected",
        ErrorCode::Version => "version",
        ErrorCode::Chain => "chain",
        ErrorCode::Payment => "payment",
        ErrorCode::Flood => "flood",
        ErrorCode::Internal => "internal",
        ErrorCode::Other => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use streamium_channel::fault::Fault;
    use streamium_channel::money::Msat;

    fn gate(state: GateState) -> ProviderNotice {
        ProviderNotice::Gate {
            state,
            balance: Amount::ZERO,
            consumed: Msat::ZERO,
        }
    }

    #[test]
    fn a_gate_that_was_open_counts_once_when_it_closes() {
        let mut counts = Counts::new(Amount::ZERO, Servers::default());
        for state in [
            GateState::Unconfirmed,
            GateState::Open,
            GateState::Starved,
            GateState::Closed,
        ] {
            counts.notice("a", &gate(state));
        }
        counts.notice("b", &gate(GateState::Open));
        counts.notice("b", &gate(GateState::Closed));
        counts.gate_closings.retain(|_, count| *count > 0);
        assert_eq!(
            counts.gate_closings,
            BTreeMap::from([("closed", 1), ("starved", 1)])
        );
    }

    #[test]
    fn faults_are_counted_by_what_the_consumer_was_told() {
        let mut counts = Counts::new(Amount::ZERO, Servers::default());
        for fault in [Fault::Flood, Fault::NotText, Fault::OtherChannel, Fault::Flood] {
            counts.notice("a", &ProviderNotice::Fault(fault));
        }
        counts.faults.retain(|_, count| *count > 0);
        assert_eq!(
            counts.faults,
            BTreeMap::from([("flood", 2), ("malformed", 1), ("payment", 1)])
        );
        // The names are those on the wire.
        for code in FAULTS {
            assert_eq!(serde_json::to_value(code).unwrap(), code_name(code));
        }
    }
}
