//! What all servers together have said, what of it is proven, and what has been told.
//!
//! No I/O and no threads: each server's thread puts in what it heard, and what changed by that goes to
//! the event queue, in order, while the lock is held.
// The indices are our own: each server's thread has been given its place in a list that never changes.
#![allow(clippy::indexing_slicing)]

mod broadcasts;
mod disputes;
mod proofs;
mod scripts;
mod tips;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bitcoin::{BlockHash, FeeRate, Network, ScriptBuf, Transaction, Txid};
use streamium_channel::fee_belief::FeeBelief;

use super::fee::Estimates;
use super::spv::headers::HeaderTree;
use super::{ChainEvent, ElectrumUrl, SyncError, Tip, USUAL_TARGET_BLOCKS, UnreachableReason, WalletRequest};
use broadcasts::Pending;
use disputes::Dispute;
pub(super) use proofs::Claim;
use scripts::Listed;

/// Which server: its place in the list given at the start.
pub(super) type ServerIndex = usize;

/// What one server lists for a script, oldest first, with the heights it claims.
pub(super) type View = Vec<(Txid, Option<u32>)>;

/// What a server's thread is asked to do.
#[derive(Debug)]
pub(super) enum Command {
    Watch(ScriptBuf),
    Broadcast(Arc<Transaction>),
    Sync(WalletRequest),
    /// Look at the stop flag.
    Wake,
}

/// Something for the event handler; `None` ends its thread.
pub(super) type Outgoing = Option<ChainEvent>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    /// Not asked to an end yet: what is wanted of it waits.
    Starting,
    Reachable,
    Unreachable,
}

struct Server {
    url: ElectrumUrl,
    commands: Sender<Command>,
    status: Status,
    /// Its newest block, once all headers up to it are verified.
    tip: Option<BlockHash>,
    estimates: Option<Estimates>,
    views: HashMap<ScriptBuf, View>,
    dispute: Dispute,
}

pub(super) struct State {
    servers: Vec<Server>,
    events: Sender<Outgoing>,
    headers: HeaderTree,
    /// Each watched script, with what was last told of it.
    watched: BTreeMap<ScriptBuf, Option<Vec<Listed>>>,
    transactions: HashMap<Txid, Arc<Transaction>>,
    /// The blocks that each transaction is proven to be in. More than one, after a reorganisation.
    proofs: HashMap<Txid, BTreeSet<BlockHash>>,
    broadcasts: HashMap<Txid, Pending>,
    syncs: VecDeque<WalletRequest>,
    tip: Option<Tip>,
    estimates: Estimates,
    /// How far estimates are believed; `None` before there is a tip and an estimate.
    belief: Option<FeeBelief>,
}

impl State {
    pub(super) fn new(
        servers: Vec<(ElectrumUrl, Sender<Command>)>,
        events: Sender<Outgoing>,
        network: Network,
    ) -> Self {
        let server = |(url, commands)| Server {
            url,
            commands,
            status: Status::Starting,
            tip: None,
            estimates: None,
            views: HashMap::new(),
            dispute: Dispute::default(),
        };
        Self {
            servers: servers.into_iter().map(server).collect(),
            events,
            headers: HeaderTree::new(network),
            watched: BTreeMap::new(),
            transactions: HashMap::new(),
            proofs: HashMap::new(),
            broadcasts: HashMap::new(),
            syncs: VecDeque::new(),
            tip: None,
            estimates: Estimates::default(),
            belief: None,
        }
    }

    pub(super) fn fee_rate(&self, within_blocks: u16) -> Option<FeeRate> {
        let (belief, height) = match (self.belief, self.tip) {
            (Some(belief), Some(tip)) => (belief, tip.height),
            (Some(belief), None) => (belief, belief.height()),
            (None, _) => (FeeBelief::first(0), 0),
        };
        let estimate = self.estimates.rate(within_blocks)?;
        Some(belief.bounded(estimate, height))
    }

    /// Takes the estimates into what is believed of fees; with each of them, and with each block.
    fn believe(&mut self) {
        if let (Some(tip), Some(usual)) = (self.tip, self.estimates.rate(USUAL_TARGET_BLOCKS)) {
            let belief = self.belief.unwrap_or(FeeBelief::first(tip.height));
            self.belief = Some(belief.heard(usual, tip.height));
        }
    }

    pub(super) const fn belief(&self) -> Option<FeeBelief> {
        self.belief
    }

    /// Takes the belief that was kept on disk; only before any server is asked.
    pub(super) const fn set_belief(&mut self, belief: FeeBelief) {
        self.belief = Some(belief);
    }

    pub(super) fn sync_wallet(&mut self, request: WalletRequest) {
        self.syncs.push_back(request);
        self.dispatch_syncs();
    }

    pub(super) fn wake_all(&self) {
        self.command_all(|| Command::Wake);
        let _ = self.events.send(None);
    }

    pub(super) fn reachable(&mut self, index: ServerIndex) {
        let server = &mut self.servers[index];
        let changed = server.status != Status::Reachable;
        server.status = Status::Reachable;
        let url = server.url.clone();
        if changed {
            self.tell(ChainEvent::Reachable { server: url });
        }
    }

    pub(super) fn unreachable(&mut self, index: ServerIndex, why: UnreachableReason) {
        self.forget(index);
        let server = &mut self.servers[index];
        let changed = server.status != Status::Unreachable;
        server.status = Status::Unreachable;
        let url = server.url.clone();
        if changed {
            self.tell(ChainEvent::Unreachable { server: url, why });
        }
        self.dispatch_syncs();
    }

    /// Drops what a server said: it may be outdated when the connection is back. What was proven stays.
    pub(super) fn forget(&mut self, index: ServerIndex) {
        let server = &mut self.servers[index];
        server.views.clear();
        server.estimates = None;
        server.tip = None;
        server.dispute.forget();
    }

    pub(super) fn set_estimates(&mut self, index: ServerIndex, estimates: Estimates) {
        self.servers[index].estimates = Some(estimates);
        let of = |servers: &[ServerIndex]| -> Vec<Estimates> {
            servers
                .iter()
                .filter_map(|&i| self.servers[i].estimates)
                .collect()
        };
        let (agreeing, all) = (self.by_tip(), (0..self.servers.len()).collect::<Vec<_>>());
        let agreeing: Vec<_> = agreeing.into_iter().filter(|&i| !self.is_disputed(i)).collect();
        let merged = match of(&agreeing) {
            none if none.is_empty() => Estimates::merge(&of(&all)),
            some => Estimates::merge(&some),
        };
        if merged != self.estimates {
            self.estimates = merged;
            self.believe();
            if let Some(usual) = self.fee_rate(USUAL_TARGET_BLOCKS) {
                self.tell(ChainEvent::FeeRate(usual));
            }
        }
    }

    pub(super) fn sync_answer(&self, answer: Result<Box<bdk_wallet::Update>, SyncError>) {
        self.tell(match answer {
            Ok(update) => ChainEvent::WalletSynced(update),
            Err(error) => ChainEvent::WalletSyncFailed(error),
        });
    }

    // The inside.

    /// Reachable servers whose headers are verified: those that agree with the others first, then by work.
    fn by_tip(&self) -> Vec<ServerIndex> {
        let work = |i: ServerIndex| self.servers[i].tip.and_then(|tip| self.headers.work(&tip));
        let mut order: Vec<ServerIndex> = (0..self.servers.len())
            .filter(|&i| self.servers[i].status == Status::Reachable && self.servers[i].tip.is_some())
            .collect();
        order.sort_by_key(|&i| (self.is_disputed(i), std::cmp::Reverse(work(i))));
        order
    }

    /// A sync goes to the server with the most work behind it. It waits while none is ready but one still may be.
    fn dispatch_syncs(&mut self) {
        if let Some(&best) = self.by_tip().first() {
            while let Some(request) = self.syncs.pop_front() {
                self.command(best, Command::Sync(request));
            }
        } else if self
            .servers
            .iter()
            .all(|server| server.status == Status::Unreachable)
        {
            for _ in self.syncs.drain(..) {
                let _ = self
                    .events
                    .send(Some(ChainEvent::WalletSyncFailed(SyncError::NoServer)));
            }
        }
    }

    fn command(&self, index: ServerIndex, command: Command) {
        // A thread that has ended (stopped) needs no command.
        let _ = self.servers[index].commands.send(command);
    }

    fn command_all(&self, command: impl Fn() -> Command) {
        for index in 0..self.servers.len() {
            self.command(index, command());
        }
    }

    fn tell(&self, event: ChainEvent) {
        // Fails only after the stop, when nobody listens.
        let _ = self.events.send(Some(event));
    }
}

#[cfg(test)]
mod tests;
