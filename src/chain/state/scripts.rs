//! Watched scripts: what the servers list for them together, at the heights that are proven.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bitcoin::{Script, ScriptBuf, Transaction, Txid};

use super::{Command, ServerIndex, State, View};
use crate::chain::{ChainEvent, ScriptTransaction};

/// A transaction of a script, as all servers have it together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Listed {
    txid: Txid,
    /// That is proven.
    height: Option<u32>,
    /// See [`ScriptTransaction::is_claimed`].
    is_claimed: bool,
}

impl State {
    pub(in crate::chain) fn watch(&mut self, script: &Script) {
        match self.watched.get(script) {
            Some(Some(told)) => self.tell_script(script.to_owned(), told.clone()),
            Some(None) => {}
            None => {
                self.watched.insert(script.to_owned(), None);
                self.command_all(|| Command::Watch(script.to_owned()));
            }
        }
    }

    pub(in crate::chain) fn unwatch(&mut self, script: &Script) {
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
        self.proofs.retain(|txid, _| listed.contains(txid));
    }

    pub(in crate::chain) fn watched(&self) -> Vec<ScriptBuf> {
        self.watched.keys().cloned().collect()
    }

    pub(in crate::chain) fn is_watched(&self, script: &Script) -> bool {
        self.watched.contains_key(script)
    }

    pub(in crate::chain) fn transaction(&self, txid: &Txid) -> Option<Arc<Transaction>> {
        self.transactions.get(txid).cloned()
    }

    pub(in crate::chain) fn transactions(&self) -> &HashMap<Txid, Arc<Transaction>> {
        &self.transactions
    }

    pub(in crate::chain) fn add_transaction(&mut self, txid: Txid, tx: Arc<Transaction>) {
        self.transactions.insert(txid, tx);
    }

    pub(in crate::chain) fn set_view(&mut self, index: ServerIndex, script: ScriptBuf, view: View) {
        if self.is_watched(&script) {
            self.servers[index].views.insert(script.clone(), view);
            self.refresh(script);
        }
    }

    pub(super) fn refresh_all(&mut self) {
        for script in self.watched() {
            self.refresh(script);
        }
    }

    /// Tells of a script if what the servers say together, and what is proven of it, is new.
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

    /// The union of what the servers list, at the heights that are proven. `None` while no server has answered.
    fn merged(&self, script: &Script) -> Option<Vec<Listed>> {
        let views: Vec<&View> = self
            .servers
            .iter()
            .filter_map(|server| server.views.get(script))
            .collect();
        if views.is_empty() {
            return None;
        }
        let listed = || views.iter().copied().flatten();
        let claimed: HashSet<Txid> = listed()
            .filter(|(_, height)| height.is_some())
            .map(|(txid, _)| *txid)
            .collect();
        let mut seen = HashSet::new();
        let mut merged: Vec<Listed> = listed()
            .filter(|(txid, _)| seen.insert(*txid))
            .map(|(txid, _)| {
                let height = self.proven_height(txid);
                Listed {
                    txid: *txid,
                    height,
                    is_claimed: height.is_none() && claimed.contains(txid),
                }
            })
            .collect();
        merged.sort_by_key(|listed| listed.height.unwrap_or(u32::MAX));
        Some(merged)
    }

    fn tell_script(&self, script: ScriptBuf, listed: Vec<Listed>) {
        let transactions = listed
            .into_iter()
            .filter_map(|listed| {
                let tx = self.transactions.get(&listed.txid).cloned()?;
                Some(ScriptTransaction {
                    txid: listed.txid,
                    tx,
                    height: listed.height,
                    is_claimed: listed.is_claimed,
                })
            })
            .collect();
        self.tell(ChainEvent::Script { script, transactions });
    }
}
