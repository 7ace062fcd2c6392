//! What the chain says, and whom it concerns.

use bitcoin::{OutPoint, Txid};
use streamium_channel::provider::CommitmentStatus;

use super::driver::Driver;
use super::lasting::commitment_status;
use super::live::{Live, Phase};
use super::stats::UNTAKEN;
use crate::chain::{BroadcastError, ChainEvent, OutpointStatus};
use crate::report::{Report, Severity, of_server};

impl Driver {
    pub(super) fn chain_event(&mut self, event: ChainEvent) {
        self.counts.servers.heard(&event);
        self.engine(|engine, out| engine.chain_event(&event, out));
        if let Some(report) = of_server(&event) {
            self.say(report);
        }
        match event {
            ChainEvent::Tip(tip) => self.new_tip(tip.height),
            ChainEvent::Script { script, transactions } => {
                let outpoint = self
                    .money
                    .as_mut()
                    .and_then(|money| money.watched.update(&script, transactions));
                if let Some(outpoint) = outpoint {
                    self.channel_news(outpoint);
                }
            }
            ChainEvent::Broadcast {
                txid,
                result: Err(error),
            } => self.commitment_refused(txid, &error),
            ChainEvent::Broadcast { result: Ok(()), .. } => (),
            ChainEvent::Reachable { .. }
            | ChainEvent::Unreachable { .. }
            | ChainEvent::Disagreement { .. }
            | ChainEvent::Agreement { .. }
            | ChainEvent::FeeRate(_)
            | ChainEvent::WalletSynced(_)
            | ChainEvent::WalletSyncFailed(_) => (),
        }
    }

    fn new_tip(&mut self, height: u32) {
        let waiting: Vec<String> = self
            .sessions
            .iter()
            .filter(|(_, live)| matches!(live.phase, Phase::Waiting(_)))
            .map(|(id, _)| id.clone())
            .collect();
        for session in self.sessions.values_mut().filter_map(Live::session) {
            session.tip(height);
        }
        for id in waiting {
            self.begin(&id);
        }
        let Some(money) = &self.money else { return };
        let outpoints: Vec<_> = money.sessions.keys().copied().collect();
        for outpoint in outpoints {
            self.channel_news(outpoint);
        }
    }

    /// Something may have changed for a channel: tell its session.
    fn channel_news(&mut self, outpoint: OutPoint) {
        let now = self.now();
        let Some(money) = &self.money else { return };
        let Some(status) = money.status(outpoint) else {
            return;
        };
        let Some(id) = money.sessions.get(&outpoint).cloned() else {
            return;
        };
        let seen = money.seen.contains(&outpoint);
        // Not known yet: the servers have only just been told.
        if status == OutpointStatus::default() && !seen {
            return;
        }
        let status = commitment_status(status);
        if let Some(money) = &mut self.money {
            money.seen.insert(outpoint);
            money.unseen.remove(&outpoint);
            money.deadlines_at = None;
        }
        if status == CommitmentStatus::Mempool {
            self.limit_unconfirmed(&id, outpoint);
        }
        if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
            let effects = session.commitment_status(outpoint, status, now);
            self.carry_out(&id, effects);
        }
    }

    /// Deadlines go by the clock while the chain can't be seen: an outage must not make us late.
    pub(super) fn tick_deadlines(&mut self, now: std::time::Duration) {
        let Some(money) = &mut self.money else { return };
        let Some(tip) = money.chain.tip() else { return };
        let hidden = tip.hidden_blocks(std::time::SystemTime::now());
        // Called for each event; there is something to see once in ten minutes.
        if money.deadlines_at.replace(hidden) == Some(hidden) || hidden == 0 {
            return;
        }
        let deep = |outpoint: &OutPoint| money.status(*outpoint)?.age(hidden);
        let ages: Vec<_> = money
            .sessions
            .iter()
            .filter_map(|(outpoint, id)| Some((*outpoint, id.clone(), deep(outpoint)?)))
            .collect();
        for (outpoint, id, confirmations) in ages {
            if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
                let effects = session.age(outpoint, confirmations, now);
                self.carry_out(&id, effects);
            }
        }
    }

    /// The network does not take a commitment: nothing of it counts unless it is seen after all (the transaction
    /// that it spends may be on its way still).
    fn commitment_refused(&mut self, txid: Txid, error: &BroadcastError) {
        let now = self.now();
        let Some(money) = &self.money else { return };
        let of_session = money.sessions.keys().find(|outpoint| outpoint.txid == txid);
        let Some(outpoint) = of_session.copied() else {
            return;
        };
        if *error == BroadcastError::Unreachable || money.seen.contains(&outpoint) {
            return;
        }
        let Some(id) = money.sessions.get(&outpoint).cloned() else {
            return;
        };
        self.counts.fault(UNTAKEN);
        self.say(
            Report::new("fault")
                .text_field("session", &id)
                .text_field("reason", error)
                .severity(Severity::Warning)
                .say(format!(
                    "A viewer's commitment {} is not taken by the network: {error}.",
                    outpoint.txid
                )),
        );
        if let Some(session) = self.sessions.get_mut(&id).and_then(Live::session) {
            let effects = session.commitment_status(outpoint, CommitmentStatus::Missing, now);
            self.carry_out(&id, effects);
        }
    }
}
