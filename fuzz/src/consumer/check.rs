//! What holds at every step of a consumer's session:
//!
//! - nothing is opened or paid under terms that are not the link's provider's for this connection, or beyond the policy;
//! - a channel's record comes before broadcast and sending; a payment's record before the payment, and it never goes back;
//! - every payment is higher than the last, verifies, is at most capacity less 330 sat and what is left of the budget,
//!   and within what arrived, the drift and the window (see [`Ledger`]), whichever channel pays; none before the provider
//!   has acknowledged the channel, while paused, or after the end;
//! - a channel of an earlier session goes on only if the provider shows the consumer's own signature for what it claims,
//!   and counts no more than the drift allows;
//! - after the end nothing happens.

use super::ledger::Ledger;
use crate::common::pair::consumer_key;
use crate::common::*;
use bitcoin::{Amount, OutPoint};
use std::collections::BTreeMap;
use std::time::Duration;
use streamium_channel::consumer::{
    Arrivals, ChannelKeys, ConsumerEffect, ConsumerNotice, ConsumerPolicy, ConsumerSession, Resumable,
};
use streamium_channel::contract::Channel;
use streamium_channel::message::{ConsumerMessage, ProviderMessage};
use streamium_channel::money::Msat;
use streamium_channel::payment::Payment;
use streamium_channel::record::ConsumerRecord;
use streamium_channel::script::ChangeScript;
use streamium_channel::terms::Terms;

/// A channel as the consumer has it on record.
pub struct Held {
    pub record: ConsumerRecord,
    pub channel: Channel,
    pub acknowledged: bool,
    /// The highest payment that was sent.
    pub paid: Amount,
}

/// The session, and what it has done.
pub struct Run {
    pub(super) session: ConsumerSession,
    pub(super) policy: ConsumerPolicy,
    pub(super) now: Duration,
    pub(super) arrivals: Arrivals,
    pub(super) ledger: Option<Ledger>,
    pub(super) held: BTreeMap<OutPoint, Held>,
    /// The channel that pays, and the one that comes next.
    pub(super) current: Option<OutPoint>,
    pub(super) next: Option<OutPoint>,
    pub(super) past: Option<Resumable>,
    pub(super) sent: Vec<ProviderMessage>,
    pub(super) playing: bool,
    /// What earlier channels of the account paid.
    carried: Amount,
    /// The wallet can't build the commitment.
    broke: bool,
    terms: Option<Terms>,
    closed: bool,
    pub(super) ended: bool,
    fresh_keys: u32,
}

impl Run {
    pub fn new(
        session: ConsumerSession,
        policy: ConsumerPolicy,
        past: Option<Resumable>,
        broke: bool,
        now: Duration,
    ) -> Self {
        let mut run = Self {
            session,
            policy,
            now,
            arrivals: Arrivals::default(),
            ledger: None,
            held: BTreeMap::new(),
            current: None,
            next: None,
            past,
            sent: Vec::new(),
            playing: true,
            carried: Amount::ZERO,
            broke,
            terms: None,
            closed: false,
            ended: false,
            fresh_keys: 0,
        };
        let effects = run.session.start();
        run.take(effects);
        run
    }

    /// Time passes until there is something to do, at most so long; these tracks arrive meanwhile.
    pub(super) fn pass(&mut self, time: Duration, audio: bool, video: bool) {
        if let (Some(ledger), Some(_)) = (&mut self.ledger, self.current) {
            ledger.pass(self.arrivals, self.now, time);
        }
        self.now += time;
        if audio {
            self.arrivals.audio = Some(self.now);
        }
        if video {
            self.arrivals.video = Some(self.now);
        }
        self.session.media(self.arrivals);
        let effects = self.session.tick(self.now);
        self.take(effects);
        let next = self.session.next(self.now);
        assert!(
            next.is_none_or(|at| at > self.now),
            "the driver would spin: {next:?}"
        );
    }

    /// Carries the effects out, as a driver does.
    pub(super) fn take(&mut self, effects: Vec<ConsumerEffect>) {
        self.carry_out(effects);
        assert_eq!(self.session.has_ended(), self.ended);
    }

    /// Without looking whether all holds: more effects are to come.
    fn carry_out(&mut self, effects: Vec<ConsumerEffect>) {
        for effect in effects {
            assert!(!self.ended, "after the end nothing happens: {effect:?}");
            self.effect(effect);
        }
    }

    fn effect(&mut self, effect: ConsumerEffect) {
        match effect {
            ConsumerEffect::Send(message) => self.says(&message),
            ConsumerEffect::Authorize { question, .. } => {
                let effects = self.session.authorized(question, true, self.now);
                self.carry_out(effects);
            }
            ConsumerEffect::AwaitFunds { capacity, fee_rate } => {
                assert!(fee_rate <= self.policy.max_fee_rate, "{fee_rate}");
                assert!(capacity <= self.policy.capacity, "{capacity}");
            }
            ConsumerEffect::BuildCommitment {
                contract,
                fee_rate,
                script,
            } => {
                assert!(fee_rate <= self.policy.max_fee_rate, "{fee_rate}");
                assert_eq!(&script, contract.script().expect("a script").script_pubkey());
                let effects = match self.broke {
                    true => self.session.commitment_failed("no coins".into(), self.now),
                    false => self.session.commitment_built(commitment(&contract), 1, self.now),
                };
                self.carry_out(effects);
            }
            ConsumerEffect::FreshKeys => {
                self.fresh_keys += 1;
                // More than enough different ones.
                let index = 10 + self.fresh_keys % 40;
                let change = ChangeScript::new(p2tr(0x55)).expect("a script");
                let key = consumer_key(index);
                let effects = self
                    .session
                    .fresh_keys(ChannelKeys { key, index, change }, self.now);
                self.carry_out(effects);
            }
            ConsumerEffect::SaveChannel(record) => self.saves(*record),
            ConsumerEffect::SavePaid {
                outpoint,
                paid,
                carried,
                consumed,
                rate,
            } => {
                assert_eq!(carried, self.carried, "what earlier channels paid");
                let record = &mut self.held.get_mut(&outpoint).expect("a channel on record").record;
                assert!(
                    paid >= record.paid && consumed >= record.consumed && rate >= record.rate,
                    "the record went backwards"
                );
                (record.paid, record.carried, record.consumed) = (paid, carried, consumed);
                record.rate = rate;
            }
            ConsumerEffect::Broadcast(tx) => {
                let known = self.held.values().any(|held| held.record.commitment == tx);
                assert!(known, "broadcast before it was on record");
            }
            ConsumerEffect::Notice(notice) => self.notes(notice),
            ConsumerEffect::End(_) => self.ended = true,
            ConsumerEffect::Watch { .. } => (),
        }
    }

    fn saves(&mut self, record: ConsumerRecord) {
        let outpoint = record.outpoint;
        let channel = Channel::new(record.contract.clone(), outpoint).expect("a channel");
        let held = Held {
            record,
            channel,
            acknowledged: false,
            paid: Amount::ZERO,
        };
        assert!(self.held.insert(outpoint, held).is_none(), "recorded twice");
        match self.current {
            None => self.current = Some(outpoint),
            Some(_) => self.next = Some(outpoint),
        }
    }

    fn notes(&mut self, notice: ConsumerNotice) {
        match notice {
            ConsumerNotice::Terms(terms) => {
                assert!(self.terms.is_none(), "terms are taken once");
                assert!(self.offered_truly(&terms), "not the link's provider's: {terms:?}");
                self.ledger = Some(Ledger::new(&terms));
                self.terms = Some(*terms);
            }
            ConsumerNotice::Resumed { outpoint, paid, .. } => self.goes_on(outpoint, paid),
            ConsumerNotice::RolledOver { from, to } => {
                assert_eq!((self.current, self.next.take()), (Some(from), Some(to)));
                self.carried += self.held[&from].paid;
                self.current = Some(to);
            }
            _ => (),
        }
    }

    /// With what the provider has just said that it holds.
    fn goes_on(&mut self, outpoint: OutPoint, paid: Amount) {
        assert!(self.current.is_none(), "one account a session");
        let past = self.past.take().expect("a channel of an earlier session");
        let channel = Channel::new(past.record.contract.clone(), outpoint).expect("a channel");
        let Some(ProviderMessage::Resumed {
            balance,
            signature,
            carried,
            consumed_msat,
            ..
        }) = self.sent.last()
        else {
            panic!("the provider never said so");
        };
        match signature {
            Some(signature) => {
                assert!(
                    Payment::check(&channel, *balance, *signature).is_ok(),
                    "not our own signature"
                )
            }
            None => assert_eq!(*balance, Amount::ZERO, "claimed without a signature"),
        }
        let untouched = *carried == Amount::ZERO && *balance == Amount::ZERO && *consumed_msat == 0;
        // Where the own signature proves more than is on record, or nothing is, the provider's figures are all there is.
        let unknown = !untouched && (*balance > past.record.paid || !past.record.has_figures());
        let carried_unknown = unknown && past.record.carried == Amount::ZERO;
        assert!(
            untouched || carried_unknown || *carried == past.record.carried,
            "{carried} carried"
        );
        self.carried = *carried;
        let unwritten = if past.from_disk {
            self.policy.payment_interval * 2
        } else {
            Duration::ZERO
        };
        let ledger = self.ledger.as_mut().expect("terms come first");
        let most = Msat::from(*carried).plus(Msat::from(paid));
        match unknown {
            true => ledger.go_on(past.record.consumed.max(most), Duration::ZERO),
            false => ledger.go_on(past.record.consumed, unwritten),
        }
        assert!(
            *consumed_msat <= ledger.believed().to_msat(),
            "counted more than arrived"
        );
        assert_eq!(paid, past.record.paid.max(*balance));
        let record = ConsumerRecord {
            // An untouched channel begins anew.
            consumed: if untouched {
                Default::default()
            } else {
                past.record.consumed
            },
            ..past.record
        };
        self.held.insert(
            outpoint,
            Held {
                record,
                channel,
                acknowledged: false,
                paid,
            },
        );
        self.current = Some(outpoint);
    }

    fn says(&mut self, message: &ConsumerMessage) {
        match message {
            ConsumerMessage::Open { capacity, .. } => {
                let judged = |message: &ProviderMessage| match message {
                    ProviderMessage::Terms { terms, .. } => {
                        self.offered_truly(terms) && self.is_within_the_policy(terms, *capacity)
                    }
                    _ => false,
                };
                assert!(
                    self.sent.iter().any(judged),
                    "opened under terms beyond the policy"
                );
            }
            ConsumerMessage::Commitment { transaction, .. } => {
                let known = self
                    .held
                    .values()
                    .any(|held| held.record.commitment == *transaction);
                assert!(known, "on record before it is sent");
            }
            ConsumerMessage::Payment {
                outpoint,
                cumulative,
                signature,
            } => {
                let channel = &self.held[outpoint].channel;
                Payment::check(channel, *cumulative, *signature).expect("a payment that is valid");
                self.pays(*outpoint, *cumulative);
            }
            ConsumerMessage::Close { .. } => {
                assert!(!self.closed, "closed once");
                self.closed = true;
            }
            _ => (),
        }
    }

    fn is_within_the_policy(&self, terms: &Terms, capacity: Amount) -> bool {
        let policy = &self.policy;
        terms.rate <= policy.max_rate
            && terms.window() <= policy.max_window
            && terms.opening <= policy.max_opening
            && terms.opening.to_sat() <= capacity.to_sat() / 4
            && (terms.min_capacity..=terms.max_capacity.min(policy.capacity)).contains(&capacity)
            && (terms.min_refund_delay..=terms.max_refund_delay).contains(&policy.refund_delay)
    }

    fn pays(&mut self, outpoint: OutPoint, cumulative: Amount) {
        let (terms, held) = (
            self.terms.as_ref().expect("terms come first"),
            &self.held[&outpoint],
        );
        assert_eq!(self.current, Some(outpoint));
        assert!(!self.closed, "paid after the end");
        assert!(cumulative <= held.record.paid, "paid before it was on record");
        if cumulative == held.paid {
            // Said again on a new connection, as it may not have arrived: nothing more is paid.
            return;
        }
        assert!(terms.rate <= self.policy.max_rate && terms.window() <= self.policy.max_window);
        assert!(held.acknowledged, "paid before the channel was acknowledged");
        assert!(self.playing, "paid while paused");
        assert!(cumulative > held.paid, "{cumulative} after {}", held.paid);
        let total = self.carried + cumulative;
        assert!(
            total <= self.policy.budget,
            "{total} of a budget of {}",
            self.policy.budget
        );
        let bound = self
            .ledger
            .as_ref()
            .map_or(Amount::ZERO, |ledger| ledger.bound(self.carried));
        assert!(cumulative <= bound, "{cumulative} paid, of {bound}");
        self.held.get_mut(&outpoint).expect("it is on record").paid = cumulative;
    }

    /// Nobody says anything any more: the session ends by itself, or is free.
    pub fn let_it_end(mut self) {
        for _ in 0..60 {
            self.pass(seconds(2), false, false);
        }
        let is_free = self.terms.as_ref().is_some_and(|terms| terms.rate.is_free());
        assert!(self.ended || is_free, "it never ended");
    }
}
