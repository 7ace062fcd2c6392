//! Servers whose word does not count at the moment: what they say is possible, but others have more.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use bitcoin::{BlockHash, Txid};

use super::{ServerIndex, State, Status};
use crate::chain::{ChainEvent, Tip};

/// A server this many blocks behind the best chain may just be slow.
const MAX_LAG_BLOCKS: u32 = 3;

/// What speaks against one server.
#[derive(Default)]
pub(super) struct Dispute {
    /// Since when something does.
    since: Option<Instant>,
    /// It has been told.
    told: bool,
    /// Claimed heights for which it gave no proof.
    unproven: BTreeMap<Txid, u32>,
}

impl Dispute {
    /// A new connection, a new chance; what was told stays told until it is better.
    pub(super) fn forget(&mut self) {
        self.since = None;
        self.unproven.clear();
    }
}

impl State {
    pub(super) fn is_disputed(&self, index: ServerIndex) -> bool {
        self.servers[index].dispute.told
    }

    /// The server has no proof that a transaction is at the height it claims.
    pub(in crate::chain) fn no_proof(&mut self, index: ServerIndex, txid: Txid, height: u32) {
        self.servers[index].dispute.unproven.insert(txid, height);
    }

    /// Compares a server with what is known from all, and tells once that it disagrees, after it has for so
    /// long, and once that it does no more.
    pub(in crate::chain) fn judge(&mut self, index: ServerIndex, patience: Duration) {
        if self.servers[index].status != Status::Reachable || self.servers[index].tip.is_none() {
            return;
        }
        let words = self.disagreement(index);
        let server = &mut self.servers[index];
        let url = server.url.clone();
        match words {
            None => {
                server.dispute.since = None;
                if std::mem::take(&mut server.dispute.told) {
                    self.tell(ChainEvent::Agreement { server: url });
                }
            }
            Some(words) => {
                let since = *server.dispute.since.get_or_insert_with(Instant::now);
                if !server.dispute.told && since.elapsed() >= patience {
                    server.dispute.told = true;
                    self.tell(ChainEvent::Disagreement { server: url, words });
                }
            }
        }
    }

    /// What speaks against a server, in words.
    fn disagreement(&mut self, index: ServerIndex) -> Option<String> {
        self.disagreement_of_chain(index)
            .or_else(|| self.claim_without_proof(index))
    }

    fn disagreement_of_chain(&self, index: ServerIndex) -> Option<String> {
        let tip = self.servers[index].tip?;
        let best = self.tip?;
        if !self.headers.is_best(&tip) {
            let fork = self.headers.fork_height(&tip)?;
            return Some(format!(
                "after block {fork} it follows another chain, with less work"
            ));
        }
        let height = self.headers.height_of(&tip)?;
        let lag = best.height.saturating_sub(height);
        if lag > MAX_LAG_BLOCKS {
            return Some(format!(
                "its newest block is {height}, {lag} blocks behind the best known ({})",
                best.height
            ));
        }
        self.is_frozen(&tip, &best).then(|| {
            format!(
                "its newest block, {height}, is over two hours old, and others have block {}",
                best.height
            )
        })
    }

    fn is_frozen(&self, tip: &BlockHash, best: &Tip) -> bool {
        let now = SystemTime::now();
        let own = self.time_of(tip).map(|header_time| Tip { header_time, ..*best });
        *tip != best.hash && !best.is_stale(now) && own.is_some_and(|own| own.is_stale(now))
    }

    /// A height that it claims and has no proof for. Claims that it took back, or another proved, don't count.
    fn claim_without_proof(&mut self, index: ServerIndex) -> Option<String> {
        let open = self.unproven(index);
        let unproven = &mut self.servers[index].dispute.unproven;
        unproven.retain(|txid, height| {
            open.iter()
                .any(|claim| claim.txid == *txid && claim.height == *height)
        });
        let (txid, height) = match unproven.first_key_value() {
            Some((txid, height)) => (*txid, *height),
            None => self.claimed_above(index)?,
        };
        Some(format!(
            "it says that {txid} is in block {height}, and has no proof"
        ))
    }
}
