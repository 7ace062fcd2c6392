//! How a run ends: somebody stops, all sessions come to their end, and then the chain decides where the money is.

use crate::chain::Kind;
use crate::world::World;
use std::time::Duration;
use streamium_channel::bitcoin::{Amount, OutPoint};
use streamium_channel::consumer::{ConsumerEnd, ConsumerSession};
use streamium_channel::provider::EndReason;

/// Every state has a time-out; the longest are a person's time to fund (here a minute) and the settle delay, and a
/// session may pass through several.
const SESSIONS_END: Duration = Duration::from_secs(400);

/// Every channel is spent and buried by then.
const BLOCKS: u32 = 700;

impl World {
    pub fn end(&mut self) {
        self.note(|| "-- the end".into());
        self.ending = true;
        self.see_again();
        self.consumer.stopped = true;
        match self.dice.below(4) {
            0 => self.crash_consumer(),
            1 => {
                let conns: Vec<_> = self.provider.sessions.keys().copied().collect();
                for conn in conns {
                    self.with_provider(conn, |session, now| session.close(EndReason::Stopping, now));
                }
            }
            // Both fall silent: every state ends by its own time-out.
            2 => self.cut(self.conn),
            _ => self.with_consumer(|session, now| session.close(ConsumerEnd::Stopped, now)),
        }
        if self.conditions.provider_gone && self.provider.up {
            self.crash_provider();
        }
        let until = self.now + SESSIONS_END;
        while !self.all_sessions_ended() {
            assert!(self.now < until, "a session is stuck: {:#?}", self.consumer.live);
            self.step();
        }
        self.let_the_chain_decide();
        self.take_stock();
    }

    fn all_sessions_ended(&self) -> bool {
        let provider = self
            .provider
            .sessions
            .values()
            .all(|live| live.session.has_ended());
        let consumer = self
            .consumer
            .live
            .as_ref()
            .is_none_or(|(_, session)| ConsumerSession::has_ended(session));
        provider && consumer && self.consumer.up && (self.provider.up || self.conditions.provider_gone)
    }

    fn let_the_chain_decide(&mut self) {
        self.conditions.mined = self.conditions.mined.max(80);
        // Idle channels become due.
        self.now += self.conditions.settle_delay;
        for _ in 0..BLOCKS {
            self.now += Duration::from_secs(1);
            if !self.conditions.provider_gone {
                self.provider.up = true;
                self.provider_housekeeping();
            }
            self.consumer_housekeeping();
            if self
                .consumer
                .order
                .iter()
                .all(|outpoint| self.is_final(*outpoint))
            {
                return;
            }
            self.chain.mine(&mut self.dice, self.conditions.mined);
            self.judge_chain();
        }
        panic!("channels are not spent after {BLOCKS} blocks");
    }

    fn is_final(&self, outpoint: OutPoint) -> bool {
        self.chain.has_vanished(outpoint) || self.chain.final_spend(outpoint).is_some()
    }

    /// Where all the money is.
    fn take_stock(&mut self) {
        for outpoint in self.consumer.order.clone() {
            let capacity = self.consumer.disk[&outpoint].contract.capacity();
            let Some(spend) = self.chain.final_spend(outpoint).copied() else {
                self.totals.vanished += 1;
                continue;
            };
            let all = spend.to_provider + spend.to_consumer + spend.fee;
            assert_eq!(all, capacity, "money was made or lost in {outpoint}");
            match spend.kind {
                Kind::Settlement => self.totals.settled += 1,
                Kind::Cooperative => self.totals.cooperative += 1,
                Kind::Refund { .. } => self.totals.refunded += 1,
            }
            let odd = self.judge.closes.get(&outpoint).copied().unwrap_or_default();
            let signed = self.consumer.disk[&outpoint].paid.max(odd);
            if spend.kind == Kind::Cooperative {
                self.judge_closed(outpoint, spend);
            }
            let taken = capacity - spend.to_consumer;
            let fee = match spend.kind {
                Kind::Settlement => Amount::ZERO,
                _ => spend.fee,
            };
            assert!(
                taken <= signed + fee,
                "the consumer lost {taken} of {outpoint}, having signed {signed}"
            );
            self.totals.paid_sat += spend.to_provider.to_sat();
        }
        self.judge_losses();
    }
}
