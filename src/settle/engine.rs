//! The engine's state, and what it is told from outside.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use bitcoin::{Amount, Network, OutPoint, ScriptBuf, Transaction, Txid};
use streamium_channel::provider::ChannelFacts;
use streamium_channel::record::ProviderRecord;

use super::due::{Due, Made, Phase};
use super::{NotResumable, Outside, Payout, Release, Said, SettlePolicy, notices};
use crate::chain::OutpointStatus;
use crate::report::Report;
use crate::store::{NewSettlement, ProviderChannelState, SettlementKind, StoreError, StoredProviderChannel};
use crate::wallet::Seed;

/// Settles the channels that no session uses. One a data folder; who holds it holds the provider's lease.
pub struct Engine {
    pub(super) policy: SettlePolicy,
    pub(super) payout: Payout,
    network: Network,
    seed: Seed,
    /// Resumable and due channels.
    pub(super) channels: BTreeMap<OutPoint, Due>,
    /// All variants that spend them.
    pub(super) made: HashMap<Txid, Made>,
    pub(super) scripts: HashMap<ScriptBuf, OutPoint>,
    /// What was handed out and not answered for.
    pub(super) unanswered: HashSet<Txid>,
    /// Until then servers may still answer for the first time; see [`Engine::awaits_answers`].
    pub(super) answers_until: Duration,
    /// From then on servers are taken to have said what the last block holds; see [`Engine::renew`].
    pub(super) quiet_from: Duration,
    /// When the best block became known.
    pub(super) tip_at: Duration,
    pub(super) stopping: bool,
    /// When there is something to do without any news.
    pub(super) wake: Option<Duration>,
    pub(super) said: Vec<Said>,
}

impl Engine {
    /// An engine that holds nothing yet: see [`Engine::recover`].
    pub fn new(policy: SettlePolicy, payout: Payout, network: Network, seed: Seed) -> Self {
        Self {
            policy,
            payout,
            network,
            seed,
            channels: BTreeMap::new(),
            made: HashMap::new(),
            scripts: HashMap::new(),
            unanswered: HashSet::new(),
            answers_until: Duration::ZERO,
            quiet_from: Duration::ZERO,
            tip_at: Duration::ZERO,
            stopping: false,
            wake: None,
            said: Vec::new(),
        }
    }

    /// Where earnings go.
    pub fn payout(&self) -> &Payout {
        &self.payout
    }

    /// Takes up everything unsettled on record. Channels of sessions that a crash ended may be resumed for the settle
    /// delay; the others are due. A record that can't be read is reported and left as it is.
    pub fn recover(&mut self, out: &mut Outside<'_>) {
        match out.store.unsettled() {
            Ok((channels, damaged)) => {
                for outpoint in damaged {
                    self.report(notices::unreadable(&outpoint));
                }
                for stored in channels {
                    self.take_up(&stored, out);
                }
            }
            Err(error) => self.report(notices::no_store("The channels on record can't be read", &error)),
        }
        self.work(out);
    }

    fn take_up(&mut self, stored: &StoredProviderChannel, out: &mut Outside<'_>) {
        let outpoint = stored.record.outpoint;
        let phase = match stored.state {
            ProviderChannelState::Open => Phase::Idle {
                until: out.now.saturating_add(self.policy.settle_delay),
            },
            _ => Phase::Due { since: out.now },
        };
        if let Err(words) = self.hold(stored, phase, out) {
            self.report(notices::not_taken_up(outpoint, &words));
        } else if phase == (Phase::Due { since: out.now }) {
            self.become_due(outpoint, out);
        }
    }

    /// A session has ended.
    ///
    /// # Errors
    /// When the channel is not on record, or its record makes no sense. It is due at the next start then.
    pub fn release(
        &mut self,
        outpoint: OutPoint,
        release: Release,
        out: &mut Outside<'_>,
    ) -> Result<(), String> {
        let stored = out
            .store
            .provider_channel(outpoint)
            .map_err(|error| error.to_string())?;
        let wait = match release {
            Release::Now => Duration::ZERO,
            Release::After(wait) => wait,
            Release::UntilDeadline => Duration::MAX,
        };
        let until = out.now.saturating_add(wait);
        self.hold(&stored, Phase::Idle { until }, out)?;
        self.work(out);
        Ok(())
    }

    /// What is on record of a channel that a consumer may take up again.
    ///
    /// # Errors
    /// See [`NotResumable`].
    pub fn look_up(
        &self,
        outpoint: OutPoint,
        out: &Outside<'_>,
    ) -> Result<StoredProviderChannel, NotResumable> {
        let stored = out
            .store
            .provider_channel(outpoint)
            .map_err(|error| match error {
                StoreError::Unknown(outpoint) => NotResumable::Unknown(outpoint),
                error => NotResumable::Store(error),
            })?;
        self.check_resumable(&stored, out)?;
        Ok(stored)
    }

    /// What is known of a channel of the engine's on the chain; `None` while no server has answered.
    pub fn status(&self, outpoint: OutPoint, out: &Outside<'_>) -> Option<OutpointStatus> {
        self.channels.get(&outpoint)?.status(out.heights()?)
    }

    /// A consumer comes back: the channel is its session's again. Durable when this returns.
    ///
    /// # Errors
    /// See [`NotResumable`].
    pub fn take(
        &mut self,
        outpoint: OutPoint,
        out: &mut Outside<'_>,
    ) -> Result<StoredProviderChannel, NotResumable> {
        let stored = self.look_up(outpoint, out)?;
        let open = ProviderChannelState::Open;
        out.store
            .set_provider_state(outpoint, open, None)
            .map_err(NotResumable::Store)?;
        // Still watched: its session goes on following it.
        if let Some(due) = self.channels.remove(&outpoint) {
            self.scripts.remove(due.script());
        }
        Ok(StoredProviderChannel {
            state: open,
            ..stored
        })
    }

    fn check_resumable(&self, stored: &StoredProviderChannel, out: &Outside<'_>) -> Result<(), NotResumable> {
        use ProviderChannelState::{Left, Lost, Open, Settled};
        let outpoint = stored.record.outpoint;
        match stored.state {
            Settled | Lost | Left => return Err(NotResumable::Closed(outpoint, stored.state)),
            Open if !self.channels.contains_key(&outpoint) => return Err(NotResumable::InUse(outpoint)),
            _ => (),
        }
        let former = self.former(&stored.record, out)?;
        let facts = self.facts(stored, out);
        Ok(stored.record.check_resumable(former.as_ref(), &facts)?)
    }

    /// Returns the record of the channel whose account this one was opened to take over.
    ///
    /// # Errors
    /// [`NotResumable::Store`] when it can't be read.
    pub fn former(
        &self,
        record: &ProviderRecord,
        out: &Outside<'_>,
    ) -> Result<Option<ProviderRecord>, NotResumable> {
        let Some(former) = record.follows else {
            return Ok(None);
        };
        match out.store.provider_channel(former) {
            Ok(stored) => Ok(Some(stored.record)),
            Err(StoreError::Unknown(_)) => Ok(None),
            Err(error) => Err(NotResumable::Store(error)),
        }
    }

    /// Returns the facts that decide about a channel beside its record, as far as the engine knows.
    pub fn facts(&self, stored: &StoredProviderChannel, out: &Outside<'_>) -> ChannelFacts {
        let heights = out.heights();
        let held = self.channels.get(&stored.record.outpoint).zip(heights);
        let spend = held.and_then(|(due, heights)| due.status(heights)?.spend);
        ChannelFacts {
            confirmations: held.map_or(0, |(due, heights)| due.age(heights)),
            spent_by: spend.map(|spend| spend.txid),
            is_settling: stored.state == ProviderChannelState::Settling || !stored.settlements.is_empty(),
        }
    }

    /// Both sides have signed a close, which pays `payout` to the provider: it is recorded and handed out. It never keeps
    /// the channel from being settled: see `bump.rs`. Where something has been made already, that stays.
    ///
    /// # Errors
    /// When it can't be recorded; then it is not handed out.
    pub fn close_cooperatively(
        &mut self,
        outpoint: OutPoint,
        transaction: &Transaction,
        payout: Amount,
        out: &mut Outside<'_>,
    ) -> Result<(), String> {
        let words = |error: StoreError| error.to_string();
        let before = out.store.provider_channel(outpoint).map_err(words)?;
        if !before.settlements.is_empty() {
            return Ok(());
        }
        out.store
            .insert_settlement(&NewSettlement {
                kind: SettlementKind::Cooperative,
                transaction,
                channels: &[outpoint],
                payout,
                // The consumer's, out of its change.
                fee: Amount::ZERO,
                payout_address: None,
                payout_index: None,
                made_height: out.chain.tip().map_or(0, |tip| tip.height),
            })
            .map_err(words)?;
        let stored = out.store.provider_channel(outpoint).map_err(words)?;
        self.hold(&stored, Phase::Due { since: out.now }, out)?;
        let txid = transaction.compute_txid();
        self.hand_out(txid, out);
        self.said.push(Said::Settling { outpoint, txid });
        self.report(notices::given_back(outpoint, txid));
        Ok(())
    }

    /// From now on everything is due, and no settlement waits for company.
    pub fn stop(&mut self, out: &mut Outside<'_>) {
        self.stopping = true;
        self.expect_answers(out.now);
        self.work(out);
    }

    /// True if this channel is the engine's.
    pub fn holds(&self, outpoint: OutPoint) -> bool {
        self.channels.contains_key(&outpoint)
    }

    /// True when nothing that was handed out waits for an answer, and nothing that could be done now waits for servers to
    /// say more.
    pub fn is_idle(&self, now: Duration) -> bool {
        let waits = self.awaits_answers(now) || (now < self.quiet_from && !self.channels.is_empty());
        self.unanswered.is_empty() && !(self.stopping && waits)
    }

    /// What there is to say since the last call.
    pub fn drain(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.said)
    }

    pub(super) fn report(&mut self, report: Report) {
        self.said.push(Said::Report(report));
    }

    /// Takes a channel and what was made for it, and follows it on the chain.
    fn hold(
        &mut self,
        stored: &StoredProviderChannel,
        phase: Phase,
        out: &Outside<'_>,
    ) -> Result<(), String> {
        let due = Due::load(stored, &self.seed, self.network, phase)?;
        let capacity = stored.record.contract.capacity();
        for settlement in &stored.settlements {
            self.made
                .entry(settlement.transaction.compute_txid())
                .or_insert_with(|| Made::from_store(settlement.clone()).with_fee_from(capacity));
        }
        self.expect_answers(out.now);
        let script = due.script().clone();
        self.scripts.insert(script.clone(), stored.record.outpoint);
        let known = self.channels.insert(stored.record.outpoint, due);
        if let (Some(known), Some(held)) = (known, self.channels.get_mut(&stored.record.outpoint)) {
            held.news = known.news;
        }
        out.chain.watch(&script);
        Ok(())
    }

    /// Lets a channel go that needs nothing more.
    pub(super) fn let_go(&mut self, outpoint: OutPoint, out: &Outside<'_>) {
        if let Some(due) = self.channels.remove(&outpoint) {
            self.scripts.remove(due.script());
            out.chain.unwatch(due.script());
        }
        let channels = &self.channels;
        self.made
            .retain(|_, made| made.channels.iter().any(|channel| channels.contains_key(channel)));
    }
}
