//! What the provider debits: all the time for which a gate was open, and a second at least of each opening, however often
//! the viewer presses the button.

use super::*;
use crate::world::World;
use streamium_channel::meter::LEAST_CHARGE;

impl World {
    /// A gate opens.
    pub fn judge_gate_opens(&mut self, conn: Conn) {
        let until = self.now + LEAST_CHARGE;
        if let Some(of) = self.account_of(conn) {
            self.judge.provider[of].least_until = until;
        }
    }

    fn account_of(&self, conn: Conn) -> Option<usize> {
        let live = self.provider.sessions.get(&conn)?;
        let present = *live.session.channels().first()?;
        self.judge.provider_of.get(&present).copied()
    }

    /// Time passes.
    pub fn judge_due(&mut self, span: Duration) {
        let conns: Vec<_> = self.provider.sessions.keys().copied().collect();
        for conn in conns {
            let (Some(of), live) = (self.account_of(conn), &self.provider.sessions[&conn]) else {
                continue;
            };
            let account = &mut self.judge.provider[of];
            let least = account.least_until.saturating_sub(self.now).min(span);
            let counts = if live.gate == GateState::Open { span } else { least };
            account.due.add(live.session.rate(), counts);
        }
    }

    pub fn judge_debited(&self, account: &AccountRecord) {
        let Some(of) = self.judge.provider_of.get(&account.outpoint) else {
            return;
        };
        let judged = &self.judge.provider[*of];
        let due = judged.due.total();
        // Clocks differ; each session that goes on starts from what was rounded down once.
        let clocks = Msat::new(due.to_msat() * SKEW_PPM / 1_000_000);
        let rounding = self
            .judge
            .peak
            .cost(Duration::from_micros(100))
            .plus(Msat::new(3 + self.conn));
        let debited = account
            .consumed
            .plus(judged.due_forgotten)
            .plus(clocks)
            .plus(rounding);
        assert!(
            debited >= due,
            "{} debited, of {due} for open gates",
            account.consumed
        );
    }
}
