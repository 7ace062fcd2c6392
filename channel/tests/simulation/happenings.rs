//! What happens to the two, and what it does.

use crate::conditions::OUTAGE_BLOCKS;
use crate::connecting::MAX_RATE;
use crate::events::{Conn, Event, Mishap, Side};
use crate::world::World;
use std::time::Duration;
use streamium_channel::bitcoin::OutPoint;
use streamium_channel::consumer::{ConsumerEnd, ConsumerSession};
use streamium_channel::message::GateState;
use streamium_channel::money::Rate;
use streamium_channel::provider::CommitmentStatus;

const HOUSEKEEPING: Duration = Duration::from_secs(1);

/// The settlement engine looks at each block and once a minute. Blocks may come within milliseconds here: who looked once a
/// second would see the last day of a channel's a few times only.
const LOOKS_A_BLOCK: u32 = 10;

impl World {
    pub fn first_happenings(&mut self) {
        self.queue.push(HOUSEKEEPING, Event::Housekeeping);
        let block = self.dice.wait(self.conditions.block);
        self.queue.push(block, Event::Block);
        for mishap in [
            Mishap::Cut,
            Mishap::Freeze,
            Mishap::MediaLoss,
            Mishap::Unreachable,
            Mishap::Pause,
            Mishap::Budget,
            Mishap::StopAndReturn,
            Mishap::Reprice,
            Mishap::Toggle(0),
            Mishap::OddClose,
        ] {
            self.next_mishap(mishap);
        }
    }

    fn next_mishap(&mut self, mishap: Mishap) {
        let conditions = &self.conditions;
        let mean = match mishap {
            Mishap::Cut => conditions.cut,
            Mishap::Freeze => conditions.freeze,
            Mishap::MediaLoss => conditions.media_loss,
            Mishap::Unreachable => conditions.unreachable,
            Mishap::Pause => conditions.pause,
            Mishap::Budget => conditions.budget,
            Mishap::StopAndReturn => conditions.stop_and_return,
            Mishap::Reprice => conditions.reprice,
            Mishap::Toggle(0) => conditions.toggle,
            Mishap::Toggle(_) => None,
            Mishap::OddClose => conditions.odd_close,
        };
        if let Some(mean) = mean {
            let at = self.now + self.dice.wait(mean);
            self.queue.push(at, Event::Mishap(mishap));
        }
    }

    pub fn happen(&mut self, event: Event) {
        if let Some(until) = self.not_before(&event) {
            return self.queue.push(until, event);
        }
        match &event {
            Event::Housekeeping | Event::Block => (),
            event => self.note(|| format!("{event:?}")),
        }
        match event {
            Event::Text(side, conn, text) => self.text(side, conn, &text),
            Event::Lost(Side::Provider, conn) => {
                self.with_provider(conn, |session, now| session.disconnected(now))
            }
            Event::Lost(Side::Consumer, conn) => self.consumer_lost(conn),
            Event::Flow(conn, on) => {
                self.flows.insert(conn, on);
            }
            Event::Answer(Side::Provider, life, conn, answer) if life == self.provider.life => {
                self.answer_provider(conn, answer);
            }
            Event::Answer(Side::Consumer, life, conn, answer) if life == self.consumer.life => {
                self.answer_consumer(conn, answer);
            }
            Event::Answer(..) => (),
            Event::News(outpoint, status) => self.news(outpoint, status),
            Event::Block => self.block(),
            Event::Mishap(mishap) if !self.ending => {
                self.mishap(mishap);
                self.next_mishap(mishap);
            }
            Event::Mishap(_) => (),
            Event::Reachable => self.see_again(),
            Event::Restart(Side::Provider) if self.ending && self.conditions.provider_gone => (),
            Event::Restart(Side::Provider) => self.restart_provider(),
            Event::Restart(Side::Consumer) => {
                self.consumer.up = true;
                self.queue
                    .push(self.now + Duration::from_millis(200), Event::Reconnect);
            }
            Event::Reconnect => self.reconnect(),
            Event::Housekeeping => {
                self.provider_housekeeping();
                self.consumer_housekeeping();
                let every = HOUSEKEEPING.min(self.conditions.block / LOOKS_A_BLOCK);
                self.queue.push(self.now + every, Event::Housekeeping);
            }
        }
    }

    /// A suspended computer finds it when it wakes.
    fn not_before(&self, event: &Event) -> Option<Duration> {
        let until = match event {
            Event::Text(Side::Provider, ..) | Event::Lost(Side::Provider, _) | Event::News(..) => {
                self.provider.frozen_until
            }
            Event::Answer(Side::Provider, ..) => self.provider.frozen_until,
            Event::Text(Side::Consumer, ..) | Event::Lost(Side::Consumer, _) => self.consumer.frozen_until,
            Event::Answer(Side::Consumer, ..) | Event::Reconnect => self.consumer.frozen_until,
            _ => return None,
        };
        (until > self.now).then_some(until)
    }

    fn text(&mut self, side: Side, conn: Conn, text: &str) {
        if !self.is_up(conn) {
            return;
        }
        match side {
            Side::Provider => self.with_provider(conn, |session, now| session.text(text, now)),
            Side::Consumer if self.consumer.live.as_ref().is_some_and(|(live, _)| *live == conn) => {
                self.with_consumer(|session, now| session.text(text, now));
            }
            Side::Consumer => (),
        }
    }

    fn consumer_lost(&mut self, conn: Conn) {
        if self.consumer.live.as_ref().is_some_and(|(live, _)| *live == conn) {
            self.with_consumer(ConsumerSession::disconnected);
        }
    }

    fn reconnect(&mut self) {
        if !self.consumer.up || self.consumer.stopped || self.consumer.live.is_some() {
            return;
        }
        self.connect();
        if self.consumer.live.is_none() && self.consumer.up {
            // The provider is not there.
            self.queue
                .push(self.now + Duration::from_secs(1), Event::Reconnect);
        }
    }

    fn news(&mut self, outpoint: OutPoint, status: CommitmentStatus) {
        if !self.provider.up {
            return;
        }
        if self.provider.unreachable_since.is_some() {
            // Asked again once a server answers.
            return;
        }
        self.provider.views.insert(outpoint, status);
        if let Some(conn) = self.provider.owner.get(&outpoint).copied() {
            self.with_provider(conn, |session, now| {
                session.commitment_status(outpoint, status, now)
            });
        }
    }

    pub fn block(&mut self) {
        let (mined, min) = (
            self.conditions.mined,
            u32::from(self.conditions.min_confirmations),
        );
        if self.dice.percent(self.conditions.double_spend) && self.chain.double_spend(&mut self.dice, min) {
            self.totals.double_spent += 1;
        }
        if self.dice.percent(self.conditions.reorg) {
            self.totals.reorganised += 1;
            let depth = self.dice.between(1, 6) as u32;
            self.chain.reorganise(&mut self.dice, depth, mined);
        } else {
            self.chain.mine(&mut self.dice, mined);
        }
        let height = self.chain.height;
        self.note(|| format!("block {height}"));
        if self.provider.up {
            for live in self.provider.sessions.values_mut() {
                live.session.tip(height);
            }
        }
        self.tell_provider_of_all();
        self.judge_chain();
        if !self.ending {
            let at = self.now + self.dice.wait(self.conditions.block);
            self.queue.push(at, Event::Block);
        }
    }

    fn mishap(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Cut => {
                self.totals.cuts += 1;
                self.cut(self.conn);
            }
            Mishap::Freeze => self.freeze(),
            Mishap::MediaLoss => {
                let until = self.now + self.dice.up_to(self.conditions.media_loss_length);
                let which = self.dice.below(3);
                if which != 0 {
                    self.audio_lost_until = until;
                }
                if which != 1 {
                    self.video_lost_until = until;
                }
            }
            Mishap::Unreachable => {
                self.provider.unreachable_since.get_or_insert(self.now);
                let longest = self.conditions.block * OUTAGE_BLOCKS;
                let back = self.now + self.dice.up_to(longest);
                self.queue.push(back, Event::Reachable);
            }
            Mishap::Pause => self.press(),
            Mishap::Budget => {
                let most = self.conditions.budget_sat * 2;
                let budget = crate::common::sat(self.dice.below(most));
                self.consumer.budget = budget;
                self.with_consumer(|session, now| session.set_budget(budget, now));
            }
            Mishap::StopAndReturn => {
                self.with_consumer(|session, now| session.close(ConsumerEnd::Stopped, now))
            }
            Mishap::Reprice => self.reprice(),
            Mishap::Toggle(times) => self.toggle(times),
            Mishap::OddClose => self.odd_close(),
        }
    }

    /// The broadcaster sets another rate; now and then one that the consumer does not pay.
    fn reprice(&mut self) {
        let (old, first) = (self.provider.rate.msat_per_s(), self.conditions.rate.msat_per_s());
        let rate = match self.dice.percent(10) {
            true => MAX_RATE.msat_per_s() + 1,
            false => self.dice.pick(&[old / 10, old / 2, old * 2, first]),
        };
        let rate = Rate::new(rate.clamp(10, MAX_RATE.msat_per_s() + 1));
        self.provider.rate = rate;
        self.judge_rate(rate);
        let opening = crate::common::sat(self.conditions.opening_sat);
        let conns: Vec<_> = self.provider.sessions.keys().copied().collect();
        for conn in conns {
            self.with_provider(conn, |session, now| session.set_rate(rate, opening, now));
        }
    }

    fn freeze(&mut self) {
        self.totals.freezes += 1;
        let length = self.dice.up_to(self.conditions.downtime * 2);
        let jump = self.dice.up_to(Duration::from_millis(20));
        let until = self.now + length;
        if self.dice.percent(50) {
            self.provider.frozen_until = until;
            self.provider.clock.jump(jump);
        } else {
            self.consumer.frozen_until = until;
            self.consumer.clock.jump(jump);
        }
        // What media was on its way does not wait.
        let conns: Vec<_> = self.flows.keys().copied().collect();
        for conn in conns {
            let open = self
                .provider
                .sessions
                .get(&conn)
                .is_some_and(|live| live.gate == GateState::Open);
            self.flows.insert(conn, open);
        }
    }

    /// The provider's servers answer again, and are asked what is new.
    pub fn see_again(&mut self) {
        self.provider.unreachable_since = None;
        let owned: Vec<_> = self.provider.owner.keys().copied().collect();
        for outpoint in owned {
            self.tell_provider(outpoint);
        }
    }
}
