//! Between the sessions and the settlement engine: which channels it gets, and who hears what it did.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use streamium_channel::message::{ProviderMessage, encode};
use streamium_channel::provider::Keep;

use super::driver::Driver;
use crate::settle::{Engine, Outside, Release, Said};

impl Driver {
    /// Takes up what an earlier run left.
    pub(super) fn recover(&mut self) {
        self.engine(|engine, out| engine.recover(out));
    }

    /// Hands the engine everything, and waits for no company any more.
    pub(super) fn settle_all(&mut self) {
        self.engine(|engine, out| engine.stop(out));
    }

    /// Runs something on the engine of a paid stream, and says what it has to say.
    pub(super) fn engine<T>(&mut self, work: impl FnOnce(&mut Engine, &mut Outside<'_>) -> T) -> Option<T> {
        let now = self.now();
        let (engine, mut out) = self.money.as_mut()?.engine(&mut self.store, now);
        let done = work(engine, &mut out);
        for said in engine.drain() {
            match said {
                Said::Report(report) => self.say(report),
                Said::Settling { outpoint, txid } => self.tell_settled(outpoint, txid),
            }
        }
        Some(done)
    }

    /// The channel is the engine's from now on.
    fn hand_over(&mut self, outpoint: OutPoint, release: Release) -> Result<(), String> {
        let released = self.engine(|engine, out| engine.release(outpoint, release, out));
        released.unwrap_or(Ok(()))?;
        self.follow_no_more(outpoint);
        Ok(())
    }

    /// From now on the engine follows the output, or nobody needs to.
    fn follow_no_more(&mut self, outpoint: OutPoint) {
        let Some(money) = &mut self.money else { return };
        if money.engine.holds(outpoint) {
            money.watched.hand_over(outpoint);
        } else {
            money.watched.remove(&*money.chain, outpoint);
        }
    }

    /// A session is done with a channel: it is due now, or when its consumer does not come back.
    pub(super) fn release(&mut self, outpoint: OutPoint, keep: Keep) -> Result<(), String> {
        let delay = self.options.paid.as_ref().map(|paid| paid.settle.settle_delay);
        let Some(money) = &mut self.money else {
            return Ok(());
        };
        if let Some(id) = money.sessions.remove(&outpoint) {
            money.listeners.insert(outpoint, id);
        }
        self.hand_over(
            outpoint,
            match (keep, delay) {
                (Keep::SettleDelay, Some(delay)) => Release::After(delay),
                (Keep::UntilDeadline, _) => Release::UntilDeadline,
                _ => Release::Now,
            },
        )
    }

    /// The consumer's offer pays us no less than settling, and frees its money at once.
    pub(super) fn cooperative(
        &mut self,
        outpoint: OutPoint,
        transaction: &Transaction,
        payout: Amount,
    ) -> Result<(), String> {
        let closed =
            self.engine(|engine, out| engine.close_cooperatively(outpoint, transaction, payout, out));
        closed.unwrap_or(Ok(()))?;
        self.follow_no_more(outpoint);
        Ok(())
    }

    /// The consumer likes to know, while it is still there.
    fn tell_settled(&mut self, outpoint: OutPoint, txid: Txid) {
        let Some(money) = &mut self.money else { return };
        let heard = money.listeners.remove(&outpoint);
        let Some(id) = money.sessions.get(&outpoint).cloned().or(heard) else {
            return;
        };
        if let (Some(live), Ok(text)) = (
            self.sessions.get(&id),
            encode(&ProviderMessage::Settled { outpoint, txid }),
        ) {
            let _ = live.peer.send(&text);
        }
    }

    /// True when nothing that has been handed out waits for an answer.
    pub(super) fn is_settled_for_now(&self) -> bool {
        let now = self.now();
        self.money.as_ref().is_none_or(|money| money.engine.is_idle(now))
    }
}
