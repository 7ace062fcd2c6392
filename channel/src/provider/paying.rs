//! Payments, the switch to the next channel, and the consumer's close.

use super::session::ProviderSession;
use super::state::{Next, State};
use super::{EndReason, ProviderConfig, ProviderEffect as Effect, ProviderNotice};
use crate::contract::Channel;
use crate::fault::Fault;
use crate::message::{ClosingOffer, words};
use crate::payment::{Payment, PaymentError, PaymentSignature};
use bitcoin::{Amount, OutPoint};
use std::time::Duration;

impl ProviderSession {
    pub(super) fn payment(
        &mut self,
        outpoint: OutPoint,
        cumulative: Amount,
        signature: PaymentSignature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        if let Next::Ready(next) = &open.next
            && next.channel.outpoint() == outpoint
        {
            return self.switch(cumulative, signature, now, out);
        }
        if outpoint != open.channel.outpoint() {
            return Err(Fault::OtherChannel);
        }
        let balance = self.account.balance();
        let payment = match &open.best {
            Some(best) if best.cumulative() == cumulative => {
                self.save_account(now, out);
                self.send_credit(now, out);
                return Ok(());
            }
            Some(_) if cumulative < balance => {
                return Err(PaymentError::Lower {
                    offered: cumulative,
                    balance,
                }
                .into());
            }
            Some(_) => Payment::check(&open.channel, cumulative, signature)?,
            None => self.config.check_first(&open.channel, cumulative, signature)?,
        };
        open.best = Some(payment);
        let added = cumulative.checked_sub(balance).unwrap_or(Amount::ZERO);
        self.account.pay(cumulative);
        self.save_account(now, out);
        self.paid(outpoint, cumulative, added, now, out);
        Ok(())
    }

    /// The first payment through the next channel: it is the session's from now on, and the last one is settled.
    fn switch(
        &mut self,
        cumulative: Amount,
        signature: PaymentSignature,
        now: Duration,
        out: &mut Vec<Effect>,
    ) -> Result<(), Fault> {
        let from = self.account_record(now);
        let State::Open(open) = &mut self.state else {
            return Ok(());
        };
        let Next::Ready(next) = &open.next else {
            return Ok(());
        };
        // All that the last one paid counts from here on; a reorganisation may have undone its confirmation.
        if !open.is_confirmed(self.config.min_confirmations) {
            return Err(Fault::Unexpected {
                message: "payment through the next channel",
                state: "the present one is not confirmed",
            });
        }
        let payment = self.config.check_first(&next.channel, cumulative, signature)?;
        let Next::Ready(mut next) = std::mem::replace(&mut open.next, Next::None) else {
            return Ok(());
        };
        next.best = Some(payment);
        let (used_up, outpoint) = (open.channel.outpoint(), next.channel.outpoint());
        self.account.switch(next.limit(self.config.min_confirmations));
        self.account.pay(cumulative);
        *open = next;
        if let (Some(from), Some(to)) = (from, self.account_record(now)) {
            out.push(Effect::Switch { from, to });
        }
        out.push(Effect::Notice(ProviderNotice::RolledOver {
            from: used_up,
            to: outpoint,
        }));
        self.paid(outpoint, cumulative, cumulative, now, out);
        Ok(())
    }

    fn paid(
        &mut self,
        outpoint: OutPoint,
        balance: Amount,
        added: Amount,
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        out.push(Effect::Notice(ProviderNotice::Paid {
            outpoint,
            balance,
            added,
        }));
        // The credit message tells the gate, so it is decided first.
        self.decide_gate(now, out);
        self.send_credit(now, out);
    }

    pub(super) fn consumer_closes(
        &mut self,
        reason: &str,
        offers: &[ClosingOffer],
        now: Duration,
        out: &mut Vec<Effect>,
    ) {
        self.close_cooperatively(offers, out);
        self.end(EndReason::ConsumerClosed(words(reason)), now, out);
    }
}

impl ProviderConfig {
    /// The first payment of a channel covers its own settlement.
    fn check_first(
        &self,
        channel: &Channel,
        cumulative: Amount,
        signature: PaymentSignature,
    ) -> Result<Payment, Fault> {
        if cumulative < self.opening {
            return Err(Fault::Opening {
                offered: cumulative,
                opening: self.opening,
            });
        }
        Ok(Payment::check(channel, cumulative, signature)?)
    }
}
