//! What all servers together have said, and what of it has been told.
//!
//! No I/O and no threads: each server's thread puts in what it heard, and what changed by that goes to
//! the event queue, in order, while the lock is held.
// The indices are our own: each server's thread has been given its place in a list that never changes.
#![allow(clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::Sender;

use bitcoin::{FeeRate, Script, ScriptBuf, Transaction, Txid};

use super::{BroadcastError, broadcast, fee};
use super::{ChainEvent, ElectrumUrl, ScriptTransaction, SyncError, Tip, UnreachableReason, WalletRequest};

/// Which server: its place in the list given at the start.
pub(super) type ServerIndex = usize;

/// What one server lists for a script, oldest first.
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
    tip: Option<Tip>,
    fee_rate: Option<FeeRate>,
    views: HashMap<ScriptBuf, View>,
}

/// A broadcast whose answers are not all in.
#[derive(Default)]
struct Pending {
    awaited: BTreeSet<ServerIndex>,
    refusals: Vec<BroadcastError>,
    accepted: bool,
}

pub(super) struct State {
    servers: Vec<Server>,
    events: Sender<Outgoing>,
    /// Each watched script, with what was last told of it.
    watched: BTreeMap<ScriptBuf, Option<View>>,
    transactions: HashMap<Txid, Arc<Transaction>>,
    broadcasts: HashMap<Txid, Pending>,
    syncs: VecDeque<WalletRequest>,
    tip: Option<Tip>,
    fee_rate: Option<FeeRate>,
}

impl State {
    pub(super) fn new(servers: Vec<(ElectrumUrl, Sender<Command>)>, events: Sender<Outgoing>) -> Self {
        let server = |(url, commands)| Server {
            url,
            commands,
            status: Status::Starting,
            tip: None,
            fee_rate: None,
            views: HashMap::new(),
        };
        Self {
            servers: servers.into_iter().map(server).collect(),
            events,
            watched: BTreeMap::new(),
            transactions: HashMap::new(),
            broadcasts: HashMap::new(),
            syncs: VecDeque::new(),
            tip: None,
            fee_rate: None,
        }
    }

    pub(super) fn tip(&self) -> Option<Tip> {
        self.tip
    }

    pub(super) fn fee_rate(&self) -> Option<FeeRate> {
        self.fee_rate
    }

    // What callers want.

    pub(super) fn watch(&mut self, script: &Script) {
        match self.watched.get(script) {
            Some(Some(told)) => self.tell_script(script.to_owned(), told.clone()),
            Some(None) => {}
            None => {
                self.watched.insert(script.to_owned(), None);
                self.command_all(|| Command::Watch(script.to_owned()));
            }
        }
    }

    pub(super) fn unwatch(&mut self, script: &Script) {
        self.watched.remove(script);
        for server in &mut self.servers {
            server.views.remove(script);
        }
        let listed: BTreeSet<Txid> = self
            .servers
            .iter()
            .flat_map(|server| server.views.values().flatten())
            .map(|(txid, _)| *txid)
            .collect();
        self.transactions.retain(|txid, _| listed.contains(txid));
    }

    pub(super) fn broadcast(&mut self, tx: &Transaction) {
        let txid = tx.compute_txid();
        let asked: BTreeSet<ServerIndex> = (0..self.servers.len())
            .filter(|&i| self.servers[i].status != Status::Unreachable)
            .collect();
        if asked.is_empty() {
            return self.tell(ChainEvent::Broadcast {
                txid,
                result: Err(BroadcastError::Unreachable),
            });
        }
        let tx = Arc::new(tx.clone());
        for &index in &asked {
            self.command(index, Command::Broadcast(Arc::clone(&tx)));
        }
        // Handed out twice at once it is answered once; after its answer, though some may still be silent,
        // it is a new question.
        let pending = self.broadcasts.entry(txid).or_default();
        if pending.accepted {
            *pending = Pending::default();
        }
        pending.awaited.extend(asked);
    }

    pub(super) fn sync_wallet(&mut self, request: WalletRequest) {
        self.syncs.push_back(request);
        self.dispatch_syncs();
    }

    pub(super) fn wake_all(&self) {
        self.command_all(|| Command::Wake);
        let _ = self.events.send(None);
    }

    // What servers' threads ask.

    pub(super) fn watched(&self) -> Vec<ScriptBuf> {
        self.watched.keys().cloned().collect()
    }

    pub(super) fn is_watched(&self, script: &Script) -> bool {
        self.watched.contains_key(script)
    }

    pub(super) fn transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.transactions.get(txid).cloned()
    }

    pub(super) fn transactions(&self) -> &HashMap<Txid, Arc<Transaction>> {
        &self.transactions
    }

    // What servers' threads heard.

    pub(super) fn reachable(&mut self, index: ServerIndex, tip: Tip) {
        let server = &mut self.servers[index];
        let changed = server.status != Status::Reachable;
        server.status = Status::Reachable;
        let url = server.url.clone();
        if changed {
            self.tell(ChainEvent::Reachable { server: url });
        }
        self.set_tip(index, tip);
        self.dispatch_syncs();
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

    /// Drops what a server listed: it may be outdated when the connection is back.
    pub(super) fn forget(&mut self, index: ServerIndex) {
        let server = &mut self.servers[index];
        server.views.clear();
        server.fee_rate = None;
    }

    pub(super) fn set_tip(&mut self, index: ServerIndex, tip: Tip) {
        self.servers[index].tip = Some(tip);
        let best = self.by_tip().first().and_then(|&i| self.servers[i].tip);
        if let Some(best) = best
            && self
                .tip
                .is_none_or(|told| (told.height, told.hash) != (best.height, best.hash))
        {
            self.tip = Some(best);
            self.tell(ChainEvent::Tip(best));
        }
        // Another server may have the highest tip now, and then its heights count.
        for script in self.watched() {
            self.refresh(script);
        }
    }

    pub(super) fn set_fee_rate(&mut self, index: ServerIndex, fee_rate: Option<FeeRate>) {
        self.servers[index].fee_rate = fee_rate;
        let merged = fee::merge(self.servers.iter().filter_map(|server| server.fee_rate).collect());
        if let Some(merged) = merged
            && self.fee_rate != Some(merged)
        {
            self.fee_rate = Some(merged);
            self.tell(ChainEvent::FeeRate(merged));
        }
    }

    pub(super) fn add_transaction(&mut self, txid: Txid, tx: Arc<Transaction>) {
        self.transactions.insert(txid, tx);
    }

    pub(super) fn set_view(&mut self, index: ServerIndex, script: ScriptBuf, view: View) {
        if self.is_watched(&script) {
            self.servers[index].views.insert(script.clone(), view);
            self.refresh(script);
        }
    }

    pub(super) fn broadcast_answer(
        &mut self,
        index: ServerIndex,
        txid: Txid,
        answer: Result<(), BroadcastError>,
    ) {
        let Some(pending) = self.broadcasts.get_mut(&txid) else {
            return;
        };
        if !pending.awaited.remove(&index) {
            return;
        }
        let mut result = None;
        match answer {
            Ok(()) if !pending.accepted => {
                pending.accepted = true;
                result = Some(Ok(()));
            }
            Ok(()) => {}
            Err(refusal) => pending.refusals.push(refusal),
        }
        if pending.awaited.is_empty() {
            if !pending.accepted {
                result = Some(Err(broadcast::merge(std::mem::take(&mut pending.refusals))));
            }
            self.broadcasts.remove(&txid);
        }
        if let Some(result) = result {
            self.tell(ChainEvent::Broadcast { txid, result });
        }
    }

    pub(super) fn sync_answer(&self, answer: Result<Box<bdk_wallet::Update>, SyncError>) {
        self.tell(match answer {
            Ok(update) => ChainEvent::WalletSynced(update),
            Err(error) => ChainEvent::WalletSyncFailed(error),
        });
    }

    // The inside.

    /// Reachable servers, the highest tip first.
    fn by_tip(&self) -> Vec<ServerIndex> {
        let mut order: Vec<ServerIndex> = (0..self.servers.len())
            .filter(|&i| self.servers[i].status == Status::Reachable)
            .collect();
        order.sort_by_key(|&i| std::cmp::Reverse(self.servers[i].tip.map(|tip| tip.height)));
        order
    }

    /// A sync goes to the server with the highest tip. It waits while none answers but one still may.
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

    /// Tells of a script if what the servers say together is new.
    fn refresh(&mut self, script: ScriptBuf) {
        let Some(merged) = self.merged(&script) else {
            return;
        };
        if let Some(told) = self.watched.get_mut(&script)
            && told.as_ref() != Some(&merged)
        {
            *told = Some(merged.clone());
            self.tell_script(script, merged);
        }
    }

    /// The union of what the servers list. A transaction's height is that of the highest-tip server that
    /// lists it. `None` while no server has answered.
    fn merged(&self, script: &Script) -> Option<View> {
        let mut heights = HashMap::new();
        let mut merged = View::new();
        let mut answered = false;
        for index in self.by_tip() {
            let Some(view) = self.servers[index].views.get(script) else {
                continue;
            };
            answered = true;
            for &(txid, height) in view {
                if heights.insert(txid, ()).is_none() {
                    merged.push((txid, height));
                }
            }
        }
        merged.sort_by_key(|(_, height)| height.unwrap_or(u32::MAX));
        answered.then_some(merged)
    }

    fn tell_script(&self, script: ScriptBuf, view: View) {
        let transactions = view
            .into_iter()
            .filter_map(|(txid, height)| {
                let tx = self.transactions.get(&txid).cloned()?;
                Some(ScriptTransaction { txid, tx, height })
            })
            .collect();
        self.tell(ChainEvent::Script { script, transactions });
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
#[path = "state_tests.rs"]
mod tests;
