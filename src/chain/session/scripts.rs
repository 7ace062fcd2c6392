//! Watched scripts: what a server lists for them.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::sync::Arc;

use bitcoin::consensus::encode::deserialize;
use bitcoin::{Script, ScriptBuf, Transaction, Txid};
use electrum_client::{ElectrumApi, Error, GetHistoryRes};

use super::Session;
use super::end::{End, end_by, wrong};
use crate::chain::involvement::involves;
use crate::chain::state::View;

/// How many questions are asked at once.
pub(super) const BATCH: usize = 50;

impl<S: Read + Write> Session<'_, S> {
    /// Subscribes to scripts, and fetches what there is of them. Those subscribed already are fetched again.
    pub(super) fn subscribe(&mut self, mut scripts: Vec<ScriptBuf>) -> Result<(), End> {
        {
            let state = self.worker.shared.lock();
            let mut seen = HashSet::new();
            scripts.retain(|script| state.is_watched(script) && seen.insert(script.clone()));
        }
        let (mut known, new): (Vec<_>, Vec<_>) = scripts
            .into_iter()
            .partition(|script| self.subscribed.contains(script));
        for batch in new.chunks(BATCH) {
            let asked = batch.iter().map(ScriptBuf::as_script);
            let statuses = self.client.batch_script_subscribe(asked).map_err(end_by)?;
            for (script, status) in batch.iter().zip(statuses) {
                self.subscribed.insert(script.clone());
                match status {
                    Some(_) => known.push(script.clone()),
                    None => {
                        let index = self.worker.index;
                        self.worker
                            .shared
                            .lock()
                            .set_view(index, script.clone(), View::new());
                    }
                }
            }
        }
        self.fetch_histories(&known)
    }

    pub(super) fn fetch_histories(&mut self, scripts: &[ScriptBuf]) -> Result<(), End> {
        for batch in scripts.chunks(BATCH) {
            let watched: Vec<ScriptBuf> = {
                let state = self.worker.shared.lock();
                let watched = batch.iter().filter(|script| state.is_watched(script));
                watched.cloned().collect()
            };
            let histories = self.histories(watched)?;
            let listed = histories.iter().flat_map(|(_, history)| history);
            let found = self.fetch_transactions(listed.map(|entry| entry.tx_hash).collect())?;
            for (script, history) in histories {
                self.take_history(script, history, &found)?;
            }
        }
        if scripts.is_empty() { Ok(()) } else { self.prove() }
    }

    /// What the server lists for each script; without those it refuses to list.
    fn histories(&mut self, scripts: Vec<ScriptBuf>) -> Result<Vec<(ScriptBuf, Vec<GetHistoryRes>)>, End> {
        let asked = scripts.iter().map(ScriptBuf::as_script);
        match self.client.batch_script_get_history(asked) {
            Ok(histories) => return Ok(scripts.into_iter().zip(histories).collect()),
            // One of them is too long for this server, for one.
            Err(Error::Protocol(_)) => {}
            Err(error) => return Err(end_by(error)),
        }
        let mut histories = Vec::new();
        for script in scripts {
            match self.client.script_get_history(&script) {
                Ok(history) => histories.push((script, history)),
                Err(Error::Protocol(_)) => drop(self.incomplete.insert(script)),
                Err(error) => return Err(end_by(error)),
            }
        }
        Ok(histories)
    }

    /// The transactions with these ids, without those that the server does not give (any more). They are held
    /// here until they are in a view: whatever is in none is dropped from the common store. In the ids' order.
    fn fetch_transactions(&self, mut txids: Vec<Txid>) -> Result<Vec<(Txid, Arc<Transaction>)>, End> {
        txids.sort_unstable();
        txids.dedup();
        let mut found = Vec::new();
        let mut missing = Vec::new();
        {
            let state = self.worker.shared.lock();
            for txid in txids {
                match state.transaction(&txid) {
                    Some(tx) => found.push((txid, tx)),
                    None => missing.push(txid),
                }
            }
        }
        for batch in missing.chunks(BATCH) {
            for (txid, bytes) in self.raw_transactions(batch)? {
                found.push((txid, Arc::new(read_transaction(txid, &bytes)?)));
            }
        }
        found.sort_unstable_by_key(|(txid, _)| *txid);
        Ok(found)
    }

    fn raw_transactions(&self, txids: &[Txid]) -> Result<Vec<(Txid, Vec<u8>)>, End> {
        match self.client.batch_transaction_get_raw(txids) {
            Ok(all) => return Ok(txids.iter().copied().zip(all).collect()),
            // Replaced or evicted since it was listed; a notification follows.
            Err(Error::Protocol(_)) => {}
            Err(error) => return Err(end_by(error)),
        }
        let mut found = Vec::new();
        for txid in txids {
            match self.client.transaction_get_raw(txid) {
                Ok(bytes) => found.push((*txid, bytes)),
                Err(Error::Protocol(_)) => {}
                Err(error) => return Err(end_by(error)),
            }
        }
        Ok(found)
    }

    fn take_history(
        &mut self,
        script: ScriptBuf,
        history: Vec<GetHistoryRes>,
        found: &[(Txid, Arc<Transaction>)],
    ) -> Result<(), End> {
        let mut state = self.worker.shared.lock();
        let mut view = View::new();
        for entry in history {
            let Ok(at) = found.binary_search_by_key(&entry.tx_hash, |(txid, _)| *txid) else {
                self.incomplete.insert(script.clone());
                continue;
            };
            if let Some((txid, tx)) = found.get(at) {
                state.add_transaction(*txid, Arc::clone(tx));
            }
            // 0 and −1 mean unconfirmed.
            let height = u32::try_from(entry.height).ok().filter(|&height| height > 0);
            view.push((entry.tx_hash, height));
        }
        if let Some(txid) = view.iter().map(|(txid, _)| txid).find(|txid| {
            state
                .transaction(txid)
                .is_none_or(|tx| !involves(&tx, &script as &Script, state.transactions()))
        }) {
            return Err(wrong(format!(
                "{txid} has nothing to do with the script it is listed for"
            )));
        }
        state.set_view(self.worker.index, script, view);
        Ok(())
    }
}

fn read_transaction(txid: Txid, bytes: &[u8]) -> Result<Transaction, End> {
    let tx: Transaction = deserialize(bytes).map_err(wrong)?;
    let sent = tx.compute_txid();
    if sent == txid {
        Ok(tx)
    } else {
        Err(wrong(format!("asked for {txid}, it sent {sent}")))
    }
}
