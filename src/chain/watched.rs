//! The outputs that somebody follows, and the last word on each.

use std::collections::HashMap;

use bitcoin::{OutPoint, Script, ScriptBuf, Transaction};

use super::{Chain, OutpointStatus, ScriptTransaction};

/// Outputs by their script. Each channel has a script of its own, since its keys are fresh.
#[derive(Default)]
pub struct Watched {
    outputs: HashMap<ScriptBuf, Output>,
}

struct Output {
    outpoint: OutPoint,
    /// `None` until a server has answered: nothing may be concluded from silence.
    transactions: Option<Vec<ScriptTransaction>>,
}

impl Watched {
    /// Follows an output.
    pub fn add(&mut self, chain: &dyn Chain, outpoint: OutPoint, script: ScriptBuf) {
        chain.watch(&script);
        self.outputs.insert(
            script,
            Output {
                outpoint,
                transactions: None,
            },
        );
    }

    /// Lets an output go.
    pub fn remove(&mut self, chain: &dyn Chain, outpoint: OutPoint) {
        self.outputs.retain(|script, output| {
            let keep = output.outpoint != outpoint;
            if !keep {
                chain.unwatch(script);
            }
            keep
        });
    }

    /// Lets an output go that somebody else follows from now on.
    pub fn hand_over(&mut self, outpoint: OutPoint) {
        self.outputs.retain(|_, output| output.outpoint != outpoint);
    }

    /// Takes a chain event; answers the output if it is one of ours.
    pub fn update(&mut self, script: &Script, transactions: Vec<ScriptTransaction>) -> Option<OutPoint> {
        let output = self.outputs.get_mut(script)?;
        output.transactions = Some(transactions);
        Some(output.outpoint)
    }

    /// Returns what [`Watched::status`] does, but counts an unproven spend only if `may_spend` says that it can be one.
    pub fn checked_status(
        &self,
        outpoint: OutPoint,
        tip_height: u32,
        may_spend: impl Fn(&Transaction) -> bool,
    ) -> Option<OutpointStatus> {
        let output = self.outputs.values().find(|output| output.outpoint == outpoint)?;
        let transactions = output.transactions.as_ref()?;
        Some(OutpointStatus::checked(
            outpoint,
            transactions,
            tip_height,
            may_spend,
        ))
    }

    /// What is known of an output; `None` while no server has answered.
    pub fn status(&self, outpoint: OutPoint, tip_height: u32) -> Option<OutpointStatus> {
        self.checked_status(outpoint, tip_height, |_| true)
    }
}
