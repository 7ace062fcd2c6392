//! What the consumer may do.

use super::*;
use crate::connecting::MAX_RATE;
use crate::world::World;
use streamium_channel::liveness::SILENT_AFTER;

impl World {
    pub fn judge_consumer_message(&self, message: &ConsumerMessage) {
        match message {
            ConsumerMessage::Commitment { transaction, .. } => {
                assert!(
                    self.is_recorded(transaction.compute_txid()),
                    "sent before it was on record"
                );
            }
            ConsumerMessage::Payment {
                outpoint, cumulative, ..
            } => {
                assert!(
                    self.consumer.disk[outpoint].paid >= *cumulative,
                    "paid before it was on record"
                );
            }
            _ => (),
        }
    }

    /// A close that its own key has signed is as good as a payment.
    pub fn judge_signed_close(&mut self, outpoint: OutPoint, balance: Amount) {
        let signed = self.judge.closes.entry(outpoint).or_default();
        *signed = balance.max(*signed);
    }

    pub fn judge_opened(&mut self, outpoint: OutPoint) {
        if self.consumer.present.is_none() {
            self.judge.consumer_account(outpoint);
        }
    }

    pub fn judge_rolled_over(&mut self, from: OutPoint, to: OutPoint) {
        let of = self.judge.consumer_account(from);
        let record = &self.consumer.disk[&from];
        self.judge.consumer[of].left_old += u32::from(record.paid < record.contract.payable());
        self.judge.consumer_of.insert(to, of);
        self.judge.consumer[of].channels.push(to);
    }

    pub fn judge_paid(&mut self, outpoint: OutPoint, paid: Amount, carried: Amount, consumed: Msat) {
        let record = &self.consumer.disk[&outpoint];
        assert!(paid >= record.paid, "the consumer's payments went backwards");
        assert!(paid <= record.contract.payable());
        if paid > record.paid {
            self.judge.run_paid += paid - record.paid;
            let (run_paid, budget) = (self.judge.run_paid, self.consumer.budget);
            assert!(run_paid <= budget, "{run_paid} paid with a budget of {budget}");
        }
        let mut of = self.judge.consumer_account(outpoint);
        let former = self.judge.consumer[of]
            .channels
            .iter()
            .filter(|other| **other != outpoint);
        let former: Amount = former.map(|other| self.consumer.disk[other].paid).sum();
        if carried != former || consumed < record.consumed {
            // The provider knows nothing of this channel yet: it begins anew (protocol.md section 4).
            assert_eq!(
                carried,
                Amount::ZERO,
                "what is carried is not what the channels before have paid"
            );
            of = self.judge.new_consumer_account(outpoint);
        }
        let account = &self.judge.consumer[of];
        let former = account.channels.iter().filter(|other| **other != outpoint);
        let all: Amount = former.map(|other| self.consumer.disk[other].paid).sum::<Amount>() + paid;
        let bound = self.consumer_bound(of);
        let arrived = account.arrived;
        assert!(
            Msat::from(all) <= bound,
            "{all} paid for {arrived:?} of media; the bound is {bound}"
        );
    }

    /// Opening and window ahead, and what the provider's count is believed to be ahead (protocol.md section 7).
    fn consumer_bound(&self, of: usize) -> Msat {
        let (account, conditions) = (&self.judge.consumer[of], &self.conditions);
        // What was on its way when connections were lost; a crash forgets that it has been believed.
        let minutes = u32::try_from(account.arrived.as_secs() / 60).unwrap();
        let on_its_way = SILENT_AFTER * (1 + minutes + account.crashes);
        let peak = self.judge.peak;
        let believed = peak.cost(UNWRITTEN * account.crashes + on_its_way);
        let arrived = account.cost.total().plus(believed);
        let ahead = peak.cost(conditions.max_window() * 2 + ROUNDING);
        let openings = u64::from(1 + account.left_old);
        let opening = Msat::from(Amount::from_sat(conditions.max_opening_sat()) * openings);
        arrived
            .plus(arrived.percent(2))
            .plus(ahead)
            .plus(opening)
            .plus(slack(arrived))
    }

    pub fn judge_consumer_crash(&mut self) {
        self.judge.run_paid = Amount::ZERO;
        if let Some(outpoint) = self.consumer.present {
            let of = self.judge.consumer_account(outpoint);
            self.judge.consumer[of].crashes += 1;
        }
    }

    pub fn judge_arrived(&mut self, from: Duration, to: Duration) {
        let Some(outpoint) = self.consumer.present else {
            return;
        };
        let arrived = self
            .audio_last
            .min(self.video_last)
            .filter(|_| self.consumer.playing);
        // From each time that the button is pressed a second may count: of an arrival that it cut short, or of a gate
        // that opened for what never arrived.
        let pressed = self.consumer.pressed_at;
        let Some(last) = arrived.max(pressed) else { return };
        let until = to.min(last + TRACK_INTERVAL);
        if until > from {
            let of = self.judge.consumer_account(outpoint);
            let rate = self.consumer.live.as_ref().map(|(_, session)| session.rate());
            let account = &mut self.judge.consumer[of];
            account.arrived += until - from;
            account.cost.add(rate.unwrap_or_default(), until - from);
        }
    }

    pub fn judge_rate(&mut self, rate: Rate) {
        self.judge.peak = self.judge.peak.max(rate);
    }

    /// The consumer never counts at less than what it is debited, or an honest count would look like a lie; and never at
    /// more than it accepts.
    pub fn judge_rates(&self) {
        let Some((conn, session)) = &self.consumer.live else {
            return;
        };
        let counts = session.rate();
        assert!(counts <= MAX_RATE, "it counts at {counts:?}");
        if let Some(live) = self.provider.sessions.get(conn)
            && live.gate == GateState::Open
            && counts > Rate::default()
            && !self.conditions.unruly
        {
            let debits = live.session.rate();
            assert!(
                counts >= debits,
                "it counts at {counts:?}, and is debited {debits:?}"
            );
        }
    }
}
