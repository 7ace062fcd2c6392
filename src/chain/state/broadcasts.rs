//! Transactions handed out, and what the servers answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use bitcoin::{Transaction, Txid};

use super::{Command, ServerIndex, State, Status};
use crate::chain::{BroadcastError, ChainEvent, broadcast};

/// A broadcast whose answers are not all in.
#[derive(Default)]
pub(super) struct Pending {
    awaited: BTreeSet<ServerIndex>,
    refusals: Vec<BroadcastError>,
    accepted: bool,
}

impl State {
    pub(in crate::chain) fn broadcast(&mut self, tx: &Transaction) {
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

    pub(in crate::chain) fn broadcast_answer(
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
}
