//! Going on with a channel of an earlier session (protocol.md section 4): no transaction, no funds, no new opening.

use super::session::ConsumerSession;
use super::state::{ConsumerChannel, Next, Paying, State};
use super::{ConsumerEffect as Effect, ConsumerEnd, ConsumerNotice, Purse};
use crate::agreement::Agreement;
use crate::contract::Channel;
use crate::fault::Fault;
use crate::liveness::SILENT_AFTER;
use crate::message::{ConsumerMessage, GateState, words};
use crate::money::{Msat, Rate};
use crate::payment::{Payment, PaymentSignature};
use crate::record::ConsumerRecord;
use crate::resume::Challenge;
use crate::terms::Terms;
use bitcoin::secp256k1::Keypair;
use bitcoin::{Amount, OutPoint, ScriptBuf};
use std::time::Duration;

/// A channel with the link's provider that may go on.
#[derive(Clone, Debug)]
pub struct Resumable {
    /// What is on record.
    pub record: ConsumerRecord,
    /// The key of its index.
    pub key: Keypair,
    /// What this run has paid through it and the channels before it.
    pub spent: Amount,
    /// The record comes from an earlier run, which a crash may have ended: its own count may lack what had not been
    /// written down yet.
    pub from_disk: bool,
}

/// What earlier sessions left.
#[derive(Clone, Debug, Default)]
pub struct Past {
    /// All that this run has paid: it counts against the budget.
    pub spent: Amount,
    /// The channels that may go on, the best candidate first.
    pub resumable: Vec<Resumable>,
    /// What this run has believed of its provider's count beyond its own, when channels went on.
    pub tolerated: Msat,
    /// What the application has agreed to in this run.
    pub agreed: Option<Agreement>,
}

/// What the provider says it holds.
pub(super) struct Resumed {
    pub(super) balance: Amount,
    pub(super) signature: Option<PaymentSignature>,
    pub(super) carried: Amount,
    pub(super) consumed: Msat,
    pub(super) payout: ScriptBuf,
}

impl Resumed {
    /// Whether more has been paid than is on record, as our own signature proves, or nothing of the account is on record at
    /// all: the record was restored, from its backup or an older copy, and so the provider's figures are all there is.
    fn is_ahead_of(&self, record: &ConsumerRecord) -> bool {
        self.balance > record.paid || !record.has_figures()
    }
}

/// A provider notices a lost connection this late, and has sent media until then. So much is believed once, and once
/// more for each [`TOLERATED_AGAIN`] of media: a provider that cuts connections to earn this gains a fifteenth at most.
const TOLERATED: Duration = SILENT_AFTER;

/// See [`TOLERATED`].
const TOLERATED_AGAIN: Duration = Duration::from_secs(60);

/// After a crash of ours the own count may lack this many payment intervals.
const UNWRITTEN_INTERVALS: u32 = 2;

impl ConsumerSession {
    /// Asks for the next candidate; opens a channel if there is none.
    pub(super) fn resume_or_open(&mut self, terms: Box<Terms>, now: Duration, out: &mut Vec<Effect>) {
        if self.past.resumable.is_empty() {
            return self.await_funds(terms, now, out);
        }
        let candidate = self.past.resumable.remove(0);
        let outpoint = candidate.record.outpoint;
        let signature = Challenge::of(&terms, outpoint).sign(&candidate.key);
        out.push(Effect::Send(ConsumerMessage::Resume { outpoint, signature }));
        self.enter(State::Resuming(terms, Box::new(candidate)), now);
    }

    /// The provider does not go on with it.
    pub(super) fn not_resumed(&mut self, reason: &str, now: Duration, out: &mut Vec<Effect>) {
        let State::Resuming(terms, candidate) = &self.state else {
            return;
        };
        let (terms, outpoint) = (terms.clone(), candidate.record.outpoint);
        let reason = words(reason);
        out.push(Effect::Notice(ConsumerNotice::NotResumed { outpoint, reason }));
        // Another channel costs another opening payment.
        self.consider(terms, now, out);
    }

    /// The provider goes on with it. What it says it holds is held against our own signature and count.
    pub(super) fn resumed(
        &mut self,
        outpoint: OutPoint,
        resumed: Resumed,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let State::Resuming(terms, candidate) = &self.state else {
            return Ok(());
        };
        let record = &candidate.record;
        if outpoint != record.outpoint {
            return Err(Fault::OtherChannel);
        }
        let channel = Channel::new(record.contract.clone(), record.outpoint)?;
        let purse = self.restored(&channel, terms, candidate, &resumed, now)?;
        if purse.opening() > Amount::ZERO
            && let Err(refusal) = self.judge_owed_opening(terms, record)
        {
            out.extend(self.close(ConsumerEnd::Refused(refusal), now));
            return Ok(());
        }
        let capacity = channel.contract().capacity();
        let paid = purse.paid();
        let agreed = Agreement::resumed(record.agreed.as_ref(), terms);
        // An account that begins anew has counted less than is on record; what a record never knew was not counted
        // otherwise, but taken up.
        let unknown = resumed.is_ahead_of(record);
        let tolerated = match unknown {
            true => Msat::ZERO,
            false => purse.consumed(now).minus(record.consumed),
        };
        let tolerated = self.past.tolerated.plus(tolerated);
        let present = ConsumerChannel {
            channel,
            key: candidate.key,
            opening: purse.opening(),
            fee_rate: agreed.commitment_fee_rate(),
            payout: resumed.payout,
            acknowledged: false,
            confirmations: 0,
        };
        let terms = (**terms).clone();
        let unsaid = record.paid > resumed.balance;
        // What the purse goes on with must not count twice. What it does not go on with stays spent.
        let goes_on = candidate.spent.min(purse.total());
        let spent = self.past.spent.checked_sub(goes_on);
        self.past.spent = spent.unwrap_or(Amount::ZERO);
        out.push(Effect::Notice(ConsumerNotice::Resumed {
            outpoint,
            paid,
            capacity,
            tolerated,
        }));
        self.open(
            Paying {
                channel: present,
                former: Vec::new(),
                next: Next::None { not_before: now },
                terms,
                agreed,
                purse,
                gate: GateState::Unpaid,
                paid_at: now,
                exhausted: false,
                recorded_at: now,
            },
            now,
            out,
        );
        if unknown && let State::Open(open) = &self.state {
            // Taken up once: from now on the record knows.
            out.push(open.record(open.purse.paid(), now));
        }
        if unsaid {
            self.pay_again(now, out);
        }
        Ok(())
    }

    /// What is believed of the provider's count beyond the own one, for what was on its way when the connection was
    /// lost.
    fn tolerance(&self, rate: Rate, own: Msat) -> Msat {
        let again = own
            .to_msat()
            .checked_div(rate.cost(TOLERATED_AGAIN).to_msat())
            .unwrap_or(0);
        let times = again.saturating_add(1);
        let all = Msat::new(rate.cost(TOLERATED).to_msat().saturating_mul(times));
        all.minus(self.past.tolerated)
    }

    fn restored(
        &self,
        channel: &Channel,
        terms: &Terms,
        candidate: &Resumable,
        resumed: &Resumed,
        now: Duration,
    ) -> Result<Purse, Fault> {
        let record = &candidate.record;
        match resumed.signature {
            Some(signature) => Payment::check(channel, resumed.balance, signature).map(|_| ())?,
            None if resumed.balance == Amount::ZERO => (),
            None => return Err(Fault::Resumption("balance")),
        }
        // Only our own signature proves more than our record has: then a backup was restored.
        let paid = record.paid.max(resumed.balance);
        // The first payment is owed once, whatever it is for others by now.
        let opening = match paid > Amount::ZERO {
            true => Amount::ZERO,
            false => terms.opening,
        };
        let mut purse = Purse::new(terms.rate, terms.window(), opening);
        // The provider's count may have been ahead at the rate of then.
        purse.has_counted_at(record.rate);
        if let Some(agreed) = &record.agreed {
            purse.has_kept_ahead(Duration::from_millis(agreed.window_ms.into()));
        }
        let rate = purse.peak();
        if resumed.carried == Amount::ZERO && resumed.balance == Amount::ZERO {
            // It died before the first payment through this channel reached it: what was left with the channel
            // before is at most a window. What was owed there comes along, and is held against the drift.
            purse.restore(Amount::ZERO, paid, Msat::ZERO);
            purse.report(resumed.consumed, now)?;
            return Ok(purse);
        }
        let unknown = resumed.is_ahead_of(record);
        let carried_unknown = unknown && record.carried == Amount::ZERO;
        if resumed.carried != record.carried && !carried_unknown {
            return Err(Fault::Resumption("credit of earlier channels"));
        }
        if unknown {
            // No count of ours to hold it against, once: but no more is believed to have been consumed than was paid, so
            // that at most a window follows. What a lie leaves out of the credit is what was prepaid.
            let most = Msat::from(resumed.carried).plus(Msat::from(paid));
            let own = resumed.consumed.min(most).max(record.consumed);
            purse.restore(resumed.carried, paid, own);
            purse.report(resumed.consumed, now)?;
            return Ok(purse);
        }
        let unwritten = match candidate.from_disk {
            true => rate.cost(self.policy.payment_interval.saturating_mul(UNWRITTEN_INTERVALS)),
            false => Msat::ZERO,
        };
        let own = record
            .consumed
            .plus(unwritten)
            .plus(self.tolerance(rate, record.consumed))
            .min(resumed.consumed)
            .max(record.consumed);
        purse.restore(record.carried, paid, own);
        purse.report(resumed.consumed, now)?;
        Ok(purse)
    }
}
