//! The gate, and what is told and recorded of the account beside it.

use super::session::ProviderSession;
use super::state::State;
use super::{AccountRecord, ProviderEffect as Effect, ProviderNotice};
use crate::message::{GateState, ProviderMessage};
use crate::record::PaymentRecord;
use std::time::Duration;

impl ProviderSession {
    /// Decides about the gate once the state may have changed.
    pub(super) fn decide(&mut self, now: Duration, out: &mut Vec<Effect>) {
        if self.decide_gate(now, out) && !self.has_ended() {
            self.send_credit(now, out);
        }
    }

    pub(super) fn decide_gate(&mut self, now: Duration, out: &mut Vec<Effect>) -> bool {
        if self.config.rate.is_free() || !matches!(self.state, State::Open(_)) {
            return false;
        }
        self.account.heard(self.liveness.alive_until(), now);
        let changed = self.account.decide(self.liveness.is_alive(now), now);
        self.note_idle(now);
        if changed {
            self.tell_gate(now, out);
            self.save_account(now, out);
        }
        changed
    }

    /// Since when the account is without credit, and since when its viewer has paused. Each has a limit of its own.
    fn note_idle(&mut self, now: Duration) {
        let flows = self.account.gate() == GateState::Open;
        self.starved_since = match flows || self.account.has_credit(now) {
            true => None,
            false => self.starved_since.or(Some(now)),
        };
        self.paused_since = match self.account.gate() {
            GateState::Paused => self.paused_since.or(Some(now)),
            _ => None,
        };
    }

    pub(super) fn tell_gate(&self, now: Duration, out: &mut Vec<Effect>) {
        let state = self.account.gate();
        out.push(Effect::Gate(state));
        if !matches!(self.state, State::Open(_)) {
            return;
        }
        let (balance, consumed) = (self.account.total(), self.account.consumed(now));
        out.push(Effect::Notice(ProviderNotice::Gate {
            state,
            balance,
            consumed,
        }));
    }

    pub(super) fn save_account(&self, now: Duration, out: &mut Vec<Effect>) {
        out.extend(self.account_record(now).map(Effect::SaveAccount));
    }

    /// The account as it stands, with the present channel.
    pub(super) fn account_record(&self, now: Duration) -> Option<AccountRecord> {
        let State::Open(open) = &self.state else {
            return None;
        };
        Some(AccountRecord {
            outpoint: open.channel.outpoint(),
            best: open.best.map(PaymentRecord::from),
            carried: self.account.carried(),
            consumed: self.account.consumed(now).max(self.booked),
        })
    }

    pub(super) fn send_credit(&mut self, now: Duration, out: &mut Vec<Effect>) {
        let State::Open(open) = &self.state else { return };
        self.credit_sent = now;
        out.push(Effect::Send(ProviderMessage::Credit {
            outpoint: open.channel.outpoint(),
            balance: self.account.balance(),
            consumed_msat: self.account.consumed(now).to_msat(),
            gate: self.account.gate(),
        }));
    }
}
