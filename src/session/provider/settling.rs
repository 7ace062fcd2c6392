//! Between the sessions and the settlement engine: which channels it gets, and who hears what it did.

use bitcoin::{Amount, OutPoint, Transaction, Txid};
use streamium_channel::message::{ProviderMessage, encode};

use super::driver::Driver;
use crate::session::{Report, Severity};
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

    /// A session is over: what it paid is to be settled.
    pub(super) fn channel_due(&mut self, outpoint: OutPoint, release: Release) -> Result<(), String> {
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

    /// A session is over: its channel is the engine's, if it is not already.
    pub(super) fn release_channel(&mut self, id: &str) {
        let Some(money) = &mut self.money else { return };
        let Some(outpoint) = money
            .sessions
            .iter()
            .find(|(_, of)| *of == id)
            .map(|(outpoint, _)| *outpoint)
        else {
            return;
        };
        if let Some(id) = money.sessions.remove(&outpoint) {
            money.listeners.insert(outpoint, id);
        }
        if !money.engine.holds(outpoint)
            && let Err(error) = self.channel_due(outpoint, Release::Now)
        {
            let words = format!("The end of channel {outpoint} can't be recorded: {error}.");
            self.say(Report::new("store-failed").say(words).severity(Severity::Warning));
        }
    }

    /// The consumer's offer costs us nothing and frees its money.
    pub(super) fn cooperative(
        &mut self,
        outpoint: OutPoint,
        transaction: &Transaction,
    ) -> Result<(), String> {
        // Offered only for a channel that has paid nothing.
        let closed =
            self.engine(|engine, out| engine.close_cooperatively(outpoint, transaction, Amount::ZERO, out));
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
