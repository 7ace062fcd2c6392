//! The consumer's channels on the chain: followed until they are spent, refunded if nobody settles them. The engine of
//! [`crate::refund`] does it; here it is told what happens.

use std::path::Path;

use streamium_channel::record::ConsumerRecord;

use super::driver::Driver;
use super::money::Money;
use crate::chain::ChainEvent;
use crate::refund::{Engine, Means};
use crate::report::of_server;

impl Driver {
    /// Takes up the channels of earlier runs: their change or their refund is still to come.
    pub(super) fn recover(&mut self) {
        self.refunds(|engine, means, dir| engine.recover(means, dir));
    }

    /// On record and in its backup, with all that a refund needs, before a byte of the commitment is sent.
    pub(super) fn save_channel(&mut self, record: &ConsumerRecord) -> Result<(), String> {
        let opened = self.refunds(|engine, means, dir| engine.open(means, dir, record));
        opened.transpose().map(drop).map_err(|error| error.to_string())
    }

    pub(super) fn chain_event(&mut self, event: ChainEvent) {
        self.looks.servers.heard(&event);
        if let Some(report) = of_server(&event) {
            self.say(report);
        }
        match event {
            ChainEvent::Tip(_) => {
                self.sync();
                self.refunds(|engine, means, _| engine.look(means));
            }
            ChainEvent::Script { script, transactions } => {
                let ours = self.refunds(|engine, means, _| engine.script(means, &script, transactions));
                match ours {
                    // Change or refund may have come home.
                    Some(true) => self.sync(),
                    _ => self.watch_funding(),
                }
            }
            ChainEvent::WalletSynced(update) => {
                self.synced(*update);
                self.refunds(|engine, means, _| engine.look(means));
            }
            ChainEvent::WalletSyncFailed(_) => {
                if let Some(money) = &mut self.money {
                    money.syncs.failed();
                }
            }
            ChainEvent::Reachable { .. } => {
                self.sync();
                self.refunds(|engine, means, _| engine.look(means));
            }
            ChainEvent::Unreachable { .. }
            | ChainEvent::Disagreement { .. }
            | ChainEvent::Agreement { .. } => (),
            ChainEvent::Broadcast { txid, result } => {
                self.refunds(|engine, _, _| engine.broadcast_answer(txid, result));
            }
            ChainEvent::FeeRate(_) => {
                let suggested = self.money.as_ref().and_then(Money::fee_rate);
                self.with_session(|session| {
                    session.suggest_fee_rate(suggested);
                    Vec::new()
                });
                self.refunds(|engine, means, _| engine.look(means));
            }
        }
    }

    /// Lets the engine do something, and says what it has to say; `None` where only free streams can be watched.
    fn refunds<T>(&mut self, act: impl FnOnce(&mut Engine, &mut Means<'_>, &Path) -> T) -> Option<T> {
        // It may build, release and reserve.
        self.looks.wallet_changed();
        let money = self.money.as_mut()?;
        let (done, reports) = money.refunds(|engine, means, dir| {
            let done = act(engine, means, dir);
            (done, engine.reports())
        });
        for report in reports {
            self.say(report);
        }
        Some(done)
    }
}
