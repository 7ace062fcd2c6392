//! Any sequence of what can happen to a consumer's session, and what holds throughout: see [`check`].

mod check;
mod ledger;
mod ops;
mod play;

use crate::common::pair::consumer_identity;
use crate::common::*;
use arbitrary::Unstructured;
use check::Run;
use ops::{Op, Setup};
use std::time::Duration;
use streamium_channel::blocks::{MIN_REFUND_DELAY, RefundDelay};
use streamium_channel::consumer::{ConsumerPolicy, ConsumerSession};
use streamium_channel::money::Rate;

/// More would only be slow.
const MAX_OPS: usize = 200;

/// Plays the input.
pub fn run(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let Ok(setup) = input.arbitrary::<Setup>() else {
        return;
    };
    let mut run = start(setup);
    if let Some(steps) = setup.honest.checked_sub(1) {
        run.play(&Op::Terms(setup.offer));
        for op in ops::HONEST.iter().take(usize::from(steps)) {
            run.play(op);
        }
    }
    for _ in 0..MAX_OPS {
        // An input that has ended goes on in zeros, for ever.
        let Ok(op) = input.arbitrary::<Op>() else { break };
        run.play(&op);
        if input.is_empty() {
            break;
        }
    }
    run.let_it_end();
}

/// The one place where a session is made.
fn start(setup: Setup) -> Run {
    let policy = wishes(setup);
    let now = seconds(1_000);
    let session = ConsumerSession::new(policy, consumer_identity(), None, now);
    Run::new(session, policy, setup.broke, now)
}

/// The tests' policy, with other figures.
fn wishes(setup: Setup) -> ConsumerPolicy {
    let delay = MIN_REFUND_DELAY + setup.refund_delay % 1_000;
    ConsumerPolicy {
        max_rate: Rate::new(setup.max_rate_msat_per_s.into()),
        max_opening: sat(setup.max_opening_sat.into()),
        max_window: Duration::from_millis(setup.max_window_ms.into()),
        capacity: sat(setup.capacity_sat.into()),
        budget: sat(setup.budget_sat.into()),
        refund_delay: RefundDelay::new(delay).expect("within the bounds"),
        payment_interval: Duration::from_millis(u64::from(setup.payment_interval_ms.max(100))),
        ..policy()
    }
}
